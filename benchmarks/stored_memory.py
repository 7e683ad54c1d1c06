"""Measure what operations of `storage` need on two new workers: memory, and bytes of files.

Each operation runs in a process of its own (:mod:`stored_operation`), so that its memory is not
that of another measurement. Peak memory is the operating system's maximum for the whole process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dask.utils import parse_bytes
from lines import Line, Table
from on_disk import SPILL_SHARE, megabytes
from program import Measurement
from stored_workload import StoredWorkload
from workload import FEATURES, MEMORY, check_free

#: Largest ratio of the peaks of the two sizes.
GROWTH = 1.1
#: Seconds after which an operation is stopped; its workers end with it.
_PATIENCE = 600.0


@dataclass(frozen=True)
class Operation:
    """An operation whose peak memory is measured.

    Attributes
    ----------
    name : str
        Its name in :mod:`stored_operation`.
    title : str
        Its name in the table.
    sources : callable
        Takes the workload and a size in bytes, and returns the arguments of the operation.
    appends : bool
        Whether the operation writes to a data set that exists.
    """

    name: str
    title: str
    sources: Callable[[StoredWorkload, int], list[str]]
    appends: bool = False


def _number_of_rows(_: StoredWorkload, nbytes: int) -> list[str]:
    return [str(nbytes // (4 * FEATURES))]


def _csv_files(workload: StoredWorkload, nbytes: int) -> list[str]:
    return [str(path) for path in workload.csv_files(nbytes)]


def _parquet_files(workload: StoredWorkload, nbytes: int) -> list[str]:
    return [str(path) for path in workload.parquet_files(nbytes)]


def _dataset(workload: StoredWorkload, nbytes: int) -> list[str]:
    return [str(workload.dataset(nbytes).path)]


#: Operations by the name of their line.
OPERATIONS = {
    "create-memory": Operation("create", "create_dataset", _number_of_rows),
    "csv-memory": Operation("ingest", "ingest of CSV files", _csv_files),
    "parquet-memory": Operation("ingest", "ingest of Parquet files", _parquet_files),
    "append-memory": Operation("append", "append", _dataset, appends=True),
    "shuffle-memory": Operation("shuffle", "shuffle", _dataset),
    "verify-memory": Operation("verify", "verify", _dataset),
    "split-memory": Operation(
        "split", "train_test_split, training rows stored by create_dataset", _dataset
    ),
}
LINES = {
    "shuffle": Line.at_most(
        "shuffle of {shuffle}, two workers of {memory}: bytes that the workers read, and bytes "
        "that they wrote / bytes of the data, the larger of both",
        2.0,
    ),
    **{
        line: Line(
            f"{operation.title}, {{peak}} and {{twice}}, two workers of {{memory}}: peak resident "
            "memory",
            "< 0.7 of the limit, at most 1.1 times as much for twice the data",
            GROWTH,
        )
        for line, operation in OPERATIONS.items()
    },
}


@dataclass(frozen=True)
class Needed:
    """What an operation needed.

    Attributes
    ----------
    workers : list of int
        Peak resident memory of each worker in bytes.
    client : int
        Peak resident memory of the process of the client and the scheduler in bytes.
    read, written : int
        Bytes that the workers read from files, and wrote to files.
    troubles : list of str
        Whether workers were restarted, paused, or spilled data to disk.
    seconds : float
        Wall time.
    """

    workers: list[int]
    client: int
    read: int
    written: int
    troubles: list[str]
    seconds: float


def shuffling(workload: StoredWorkload, table: Table) -> None:
    """Measure the bytes of files that a shuffle reads and writes."""
    data = workload.dataset(workload.shuffle_nbytes)
    check_free(workload.folder, 2 * data.nbytes)
    needed = _run(workload, "shuffle", [str(data.path)])
    workload.remove_dataset(workload.shuffle_nbytes)
    read, written = needed.read / data.nbytes, needed.written / data.nbytes
    table.claim(
        "shuffle",
        max(read, written) <= table.limit("shuffle") and not needed.troubles,
        f"read {read:.4f}, written {written:.4f} times; {needed.seconds:.0f} s; "
        f"at most {max(needed.workers) / 1e6:.0f} MB a worker; {_in_words(needed.troubles)}",
    )


def peaks_of_operations() -> list[Measurement]:
    """Return a measurement for each operation."""
    return [(partial(_peaks, line=line), (line,)) for line in OPERATIONS]


def _peaks(workload: StoredWorkload, table: Table, line: str) -> None:
    """Measure an operation at two sizes."""
    operation = OPERATIONS[line]
    found = []
    for nbytes in (workload.peak_nbytes, 2 * workload.peak_nbytes):
        before = workload.peak_nbytes // 10 if operation.appends else 0
        found.append(_run(workload, operation.name, operation.sources(workload, nbytes), before))
    once, twice = found
    workers = [max(needed.workers) for needed in found]
    clients = [needed.client for needed in found]
    troubles = once.troubles + twice.troubles
    growth = max(twice / once for once, twice in (workers, clients))
    table.claim(
        line,
        growth <= table.limit(line)
        and max(workers + clients) < SPILL_SHARE * parse_bytes(MEMORY)
        and not troubles,
        f"{growth:.2f} times; worker {megabytes(workers)}, client {megabytes(clients)}; "
        f"{_in_words(troubles)}",
    )


def _run(
    workload: StoredWorkload, operation: str, sources: list[str], nbytes_before: int = 0
) -> Needed:
    with operated(workload, operation, sources, nbytes_before) as (needed, _):
        return needed


@contextmanager
def operated(
    workload: StoredWorkload,
    operation: str,
    sources: list[str],
    nbytes_before: int = 0,
    *,
    memory: str = MEMORY,
    patience: float = _PATIENCE,
) -> Iterator[tuple[Needed, Path]]:
    """Run an operation in a new process; yield what it needed and the data set it has written.

    The data set is removed at the end.

    Parameters
    ----------
    workload : StoredWorkload
        Where the operation writes.
    operation : str
        Its name in :mod:`stored_operation`.
    sources : list of str
        Its arguments.
    nbytes_before : int, default=0
        Size of the data set that the operation appends to, in bytes; 0 means none.
    memory : str, default="1GB"
        Memory limit of each worker.
    patience : float, default=600.0
        Seconds after which the operation is stopped.
    """
    target = workload.folder / "written.zarr"
    if nbytes_before:
        shutil.copytree(workload.dataset(nbytes_before).path, target)
    try:
        done = subprocess.run(
            [
                sys.executable,
                str(Path(__file__).with_name("stored_operation.py")),
                operation,
                memory,
                str(workload.folder),
                str(target),
                *sources,
            ],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=patience,
        )
        yield Needed(**json.loads(done.stdout)), target
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _in_words(troubles: list[str]) -> str:
    return "; ".join(troubles) or "never spilled, paused or restarted"
