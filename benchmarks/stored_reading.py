"""Compare reading and verifying data sets with other readers, and with `cat`, of the same files.

Files are in the page cache. Processor time is that of all threads of the reading process, whose
readers use one thread.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dask
import numpy as np
import zarr
from dask.delayed import delayed
from lines import Line, Table
from peers import Peer, PeerUnavailable
from stored_workload import KINDS, StoredWorkload, line_of
from timing import in_turns, quotients, spread
from workload import warm_page_cache

import storage

#: The codec pipeline that must have run in the peer.
_PIPELINE = "zarrs.ZarrsCodecPipeline"

DECODING = {
    line_of(name, kind): Line.at_most(
        f"all of X ({{read}}), {kind}, one thread: processor time / {peer}", limit
    )
    for kind in KINDS
    for name, peer, limit in (
        ("zarr", "zarr-python's", 0.75),
        ("zarrs", "zarr-python's with the codec pipeline of zarrs", 0.85),
    )
}
VERIFYING = {
    line_of("verify", kind): Line.at_most(
        f"verify, X of {{read}}, {kind}: wall / cat of the files to /dev/null", 2.0
    )
    for kind in KINDS
}
LINES = DECODING | VERIFYING
ZARRS_LINES = [line_of("zarrs", kind) for kind in KINDS]


def decoding(workload: StoredWorkload, table: Table, *, peers: bool) -> None:
    """Compare the processor time of reading all of X with that of zarr-python and of zarrs."""
    for kind in KINDS:
        data = workload.dataset_to_read(kind)
        warm_page_cache(Path(data.path))
        readers: dict[str, Callable[[], float]] = {
            "ours": partial(_processor_seconds, partial(read_all, data)),
            "zarr": partial(_processor_seconds, partial(_read_by_zarr, data)),
        }
        if not peers:
            times = in_turns(readers, workload.repeats, warm_up=True)
        else:
            with Peer("zarrs", workload.folder, []) as peer:
                readers["zarrs"] = partial(_read_by_zarrs, peer, data)
                times = in_turns(readers, workload.repeats, warm_up=True)
            compare(table, line_of("zarrs", kind), times["ours"], times["zarrs"])
        compare(table, line_of("zarr", kind), times["ours"], times["zarr"])


def verifying(workload: StoredWorkload, table: Table) -> None:
    """Compare the wall time of `verify`, on threads, with that of `cat`."""
    for kind in KINDS:
        data = workload.dataset_to_read(kind)
        files = sorted(str(path) for path in Path(data.path).rglob("c.*"))
        cat = partial(subprocess.run, ["cat", *files], stdout=subprocess.DEVNULL, check=True)
        warm_page_cache(Path(data.path))
        times = in_turns(
            {"ours": partial(wall_seconds, data.verify), "cat": partial(wall_seconds, cat)},
            workload.repeats,
            warm_up=True,
        )
        compare(table, line_of("verify", kind), times["ours"], times["cat"])


def read_all(data: storage.Dataset) -> None:
    """Compute all blocks of X, one after the other; none of them is kept."""
    blocks = data.X.to_delayed().ravel()
    counts = dask.compute(*map(delayed(len), blocks), scheduler="synchronous")
    if sum(counts) != data.n_samples:
        raise RuntimeError(f"{sum(counts):,} rows were read, expected {data.n_samples:,}")


def _read_by_zarr(data: storage.Dataset) -> None:
    with zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1}):
        X = zarr.open_group(data.path, mode="r")["X"]
        assert isinstance(X, zarr.Array)
        rows = data.schema.block_rows
        for start in range(0, data.n_samples, rows):
            X[start : start + rows]


def _read_by_zarrs(peer: Peer, data: storage.Dataset) -> float:
    answer = peer.ask({"path": str(data.path), "block_rows": data.schema.block_rows})
    if answer["pipeline"] != _PIPELINE:
        raise PeerUnavailable(f"zarr has used {answer['pipeline']}, expected {_PIPELINE}")
    return float(answer["seconds"])


def compare(table: Table, line: str, ours: list[float], others: list[float]) -> None:
    """Record the median quotient of seconds."""
    found = quotients(ours, others)
    shown = f"{spread(found)}; {spread(ours, ' s')} against {spread(others, ' s')}"
    table.number(line, float(np.median(found)), shown)


def wall_seconds(work: Callable[[], object]) -> float:
    """Return the wall time of a call in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _processor_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
