"""Compare the ingest of raw files with the least work on them, by as many processes.

Files are in the page cache. Processor time is that of the processes that work, and of this one, in
which the scheduler runs.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pyarrow.parquet as pq
from bare_pass import bare_processes
from distributed import Client
from lines import Line, Table
from numcodecs import blosc
from stored_workload import TARGET, StoredWorkload
from timing import in_turns, quotients, spread
from workload import MEMORY, local_workers, warm_page_cache

import storage

N_WORKERS = 2
CHUNK_NBYTES = 4 * 2**20
#: Size of a part of a CSV file, the same for `ingest` and dask.dataframe.
PARTITION_NBYTES = 16 * 2**20

LINES = {
    "parquet": Line.at_most(
        "ingest of Parquet files ({parquet} decoded), two workers of {memory}: wall / two "
        "processes that read them by pyarrow and encode them by Blosc",
        1.5,
    ),
    "csv": Line.at_most(
        "ingest of CSV files ({csv}), two workers of {memory}: wall / dask.dataframe reading them "
        "on the same workers",
        1.3,
    ),
    "csv-processor": Line.at_most("the same: processor time", 1.3),
}


@dataclass(frozen=True)
class Work:
    """One measurement.

    Attributes
    ----------
    wall : float
        Wall time in seconds.
    processor : float
        Processor time of all processes in seconds.
    n_rows : int
        Rows of the files, which shows that all were read.
    """

    wall: float
    processor: float
    n_rows: int


def parquet(workload: StoredWorkload, table: Table) -> None:
    """Compare an ingest of Parquet files with reading and encoding them."""
    files = workload.parquet_files(workload.parquet_nbytes)
    _warm(files)
    with (
        local_workers(N_WORKERS, MEMORY, workload.folder) as client,
        bare_processes(N_WORKERS) as pool,
    ):
        runs = {
            "ours": partial(_measured, client, partial(_ingest, files, workload.folder)),
            "bare": partial(_read_and_encode, pool, files),
        }
        found = in_turns(runs, workload.ingest_repeats, warm_up=True)
    _check_rows(found)
    table.number("parquet", *_compared(found, "wall"))
    _, shown = _compared(found, "processor")
    table.reference("ingest of Parquet files: processor time / that of the two processes", shown)


def csv(workload: StoredWorkload, table: Table) -> None:
    """Compare an ingest of CSV files with reading them by dask.dataframe on the same workers."""
    files = workload.csv_files(workload.csv_nbytes)
    _warm(files)
    with local_workers(N_WORKERS, MEMORY, workload.folder) as client:
        runs = {
            "ours": partial(_measured, client, partial(_ingest, files, workload.folder)),
            "bare": partial(_measured, client, partial(_count_by_dask, files)),
        }
        found = in_turns(runs, workload.ingest_repeats, warm_up=True)
    _check_rows(found)
    table.number("csv", *_compared(found, "wall"))
    table.number("csv-processor", *_compared(found, "processor"))


def _ingest(files: Sequence[Path], folder: Path) -> int:
    path = folder / "ingested.zarr"
    data = storage.ingest(
        [str(file) for file in files], path, target=TARGET, partition_nbytes=PARTITION_NBYTES
    )
    shutil.rmtree(path)
    return data.n_samples


def _count_by_dask(files: Sequence[Path]) -> int:
    # Only the number of its rows leaves a worker, so no rows move.
    frame = dd.read_csv([str(file) for file in files], blocksize=PARTITION_NBYTES)
    return int(frame.map_partitions(len).compute().sum())


def _measured(client: Client, work: Callable[[], int]) -> Work:
    before = _processor_seconds(client)
    began = time.perf_counter()
    n_rows = work()
    wall = time.perf_counter() - began
    return Work(wall, _processor_seconds(client) - before, n_rows)


def _processor_seconds(client: Client) -> float:
    return float(sum(client.run(time.process_time).values())) + time.process_time()


def _read_and_encode(pool: Pool, files: Sequence[Path]) -> Work:
    groups = [
        (str(file), number)
        for file in files
        for number in range(pq.ParquetFile(file).num_row_groups)
    ]
    before = time.process_time()
    began = time.perf_counter()
    results = pool.map(_read_and_encode_group, groups, chunksize=1)
    wall = time.perf_counter() - began
    processor = sum(seconds for seconds, _ in results) + time.process_time() - before
    return Work(wall, processor, sum(n_rows for _, n_rows in results))


def _read_and_encode_group(group: tuple[str, int]) -> tuple[float, int]:
    """Read a row group and encode its rows; return the processor seconds and the rows."""
    path, number = group
    began = time.process_time()
    with pq.ParquetFile(path) as file:
        read = file.read_row_group(number, use_threads=False)
    X = np.column_stack([read[name] for name in read.column_names if name != TARGET])
    for values in (X, read[TARGET].to_numpy()):
        chunk_rows = CHUNK_NBYTES // (values.nbytes // len(values))
        for start in range(0, len(values), chunk_rows):
            blosc.compress(values[start : start + chunk_rows], b"lz4", 5, blosc.SHUFFLE)
    return time.process_time() - began, len(X)


def _warm(files: Sequence[Path]) -> None:
    for path in files:
        warm_page_cache(path)


def _check_rows(found: dict[str, list[Work]]) -> None:
    n_rows = {work.n_rows for works in found.values() for work in works}
    if len(n_rows) > 1:
        raise RuntimeError(f"one side has read other rows than the other: {sorted(n_rows)}")


def _compared(found: dict[str, list[Work]], what: str) -> tuple[float, str]:
    """Return the median ratio of wall or processor times, and text."""
    ours, bare = ([getattr(work, what) for work in found[name]] for name in ("ours", "bare"))
    ratios = quotients(ours, bare)
    shown = f"{spread(ratios)}; {spread(ours, ' s')} against {spread(bare, ' s')}"
    return float(np.median(ratios)), shown
