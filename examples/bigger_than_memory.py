"""Logistic regression on more data than fits in the memory of all workers together.

    python examples/bigger_than_memory.py --rows 8_000_000

writes 3.2 GB (100 float32 features) and trains on two workers of 1 GB each. The data set is
created block by block and removed at the end. If a worker needs more memory than it has (it is
restarted, paused, or spills to disk), the exit code is 1.

The time of a fit is compared with the *bare work*: the same workers read the same chunks once
with plain zarr and multiply ``X.T @ X``. This is the least that a Newton pass has to do.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.utils import parse_bytes
from distributed import Client
from local_workers import local_workers, memory_troubles, peak_memory, reset_peak, worker_pids

import storage

OUT = Path(__file__).resolve().parent.parent / "out"
CHUNK_NBYTES = 4 * 2**20
CHUNKS_PER_BLOCK = 8
INTERCEPT = -1.0


def true_coefficients(n_features: int, seed: int) -> npt.NDArray[np.float64]:
    """Return the coefficients of the true model; its log-odds have a standard deviation of 2."""
    coef = np.random.default_rng([seed, 1]).standard_normal(n_features)
    return 2.0 * coef / np.linalg.norm(coef)


def make_dataset(path: Path, n_rows: int, n_features: int, seed: int = 0) -> storage.Dataset:
    """Write normal float32 features with labels drawn from a logistic model.

    Each block has its own random generators, seeded by the position of the block. So the values
    do not depend on which worker computes a block, or when. Only a few blocks exist at a time.

    Parameters
    ----------
    path : Path
        Folder to create.
    n_rows, n_features : int
        Shape of X.
    seed : int
        Seed of all random values. Different seeds give different data sets.
    """
    row_nbytes = 4 * n_features
    # storage cuts chunks at multiples of 64 rows. With the same numbers here, each task computes
    # exactly one stored block.
    chunk_rows = max(64, CHUNK_NBYTES // row_nbytes // 64 * 64)
    block_rows = CHUNKS_PER_BLOCK * chunk_rows
    rows = (block_rows,) * (n_rows // block_rows)
    rows += (n_rows % block_rows,) if n_rows % block_rows else ()
    X = da.map_blocks(
        partial(_features, rows=rows, n_features=n_features, seed=seed),
        chunks=(rows, (n_features,)),
        meta=np.empty((0, 0), dtype=np.float32),
    )
    y = da.map_blocks(
        partial(_labels, coef=true_coefficients(n_features, seed), seed=seed),
        X,
        drop_axis=1,
        meta=np.empty(0, dtype=np.int8),
    )
    return storage.create_dataset(
        path,
        X,
        y,
        target="label",
        source=f"bigger_than_memory.py, seed {seed}",
        chunk_nbytes=chunk_rows * row_nbytes,
        block_nbytes=block_rows * (row_nbytes + y.itemsize),
    )


def _features(
    *, rows: tuple[int, ...], n_features: int, seed: int, block_id: tuple[int, int]
) -> npt.NDArray[np.float32]:
    generator = np.random.default_rng([seed, 2, block_id[0]])
    return generator.standard_normal((rows[block_id[0]], n_features), dtype=np.float32)


def _labels(
    X: npt.NDArray[np.float32],
    *,
    coef: npt.NDArray[np.float64],
    seed: int,
    block_id: tuple[int, ...],
) -> npt.NDArray[np.int8]:
    generator = np.random.default_rng([seed, 3, block_id[0]])
    # A draw from the logistic distribution is below the log-odds with just their probability.
    log_odds = X @ coef.astype(np.float32) + INTERCEPT
    return (generator.logistic(size=len(X)) < log_odds).astype(np.int8)


def bare_work(client: Client, path: Path) -> float:
    """Return the seconds in which the workers read X once with plain zarr and form ``X.T @ X``.

    Each worker thread reads one range of consecutive blocks, one block at a time.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.
    path : Path
        A stored data set.
    """
    layout = storage.open_dataset(path).X
    edges = np.concatenate([[0], np.cumsum(layout.chunks[0])]).tolist()
    info = client.scheduler_info(n_workers=-1)["workers"]
    threads = [address for address, worker in info.items() for _ in range(worker["nthreads"])]
    client.run(importlib.import_module, "zarr")  # not part of the work
    n_blocks, n_runs = len(edges) - 1, len(threads)
    began = time.perf_counter()
    futures = [
        client.submit(
            _bare_run,
            str(path),
            edges[n_blocks * run // n_runs : n_blocks * (run + 1) // n_runs + 1],
            workers=[address],
            key=f"bare-work-{run}-{began}",
        )
        for run, address in enumerate(threads)
    ]
    sum(client.gather(futures))
    return time.perf_counter() - began


def _bare_run(path: str, edges: list[int]) -> npt.NDArray[np.float32]:
    import zarr

    X = zarr.open_group(path, mode="r")["X"]
    total = np.zeros((X.shape[1], X.shape[1]), dtype=X.dtype)
    for start, stop in pairwise(edges):
        block = X[start:stop]
        total += block.T @ block
    return total


@contextmanager
def folder_for(n_rows: int, n_features: int, keep: Path | None) -> Iterator[Path]:
    """Give the folder for the data set: ``keep``, or a new one that is removed at the end."""
    parent = keep or OUT
    parent.mkdir(parents=True, exist_ok=True)
    needed = n_rows * (4 * n_features + 1)
    free = shutil.disk_usage(parent).free
    if free < 1.1 * needed:
        raise SystemExit(f"{needed:,} bytes are needed in {parent}, but only {free:,} are free")
    if keep:
        yield keep
        return
    # Inside the checkout, because the system's folder for temporary files may be in memory.
    with tempfile.TemporaryDirectory(prefix="bigger-than-memory-", dir=parent) as folder:
        yield Path(folder)


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Logistic regression on data beyond memory.")
    parser.add_argument("--rows", type=int, default=8_000_000, help="default: 8_000_000")
    parser.add_argument("--features", type=int, default=100, help="default: 100")
    parser.add_argument("--workers", type=int, default=2, help="processes, default: 2")
    parser.add_argument("--memory", default="1GB", help="limit of each worker, default: 1GB")
    parser.add_argument(
        "--no-cache", action="store_true", help="keep no decoded blocks between passes"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the data set, as DIR/rows.zarr"
    )
    return parser.parse_args()


def run(client: Client, options: argparse.Namespace, folder: Path) -> list[str]:
    """Write, measure, train, and print; return a message for each problem with memory."""
    # Not at the top: workers also import this file, and they do not need scikit-learn.
    from dlbd_estimators import LogisticRegression

    pids = worker_pids(client)
    began = time.perf_counter()
    data = make_dataset(folder / "rows.zarr", options.rows, options.features)
    print(f"written in {time.perf_counter() - began:.1f} s: {data}\n")

    reset_peak(client)
    bare = min(bare_work(client, data.path) for _ in range(2))
    bare_peak = max(peak_memory(client).values())

    reset_peak(client)
    began = time.perf_counter()
    model = LogisticRegression().fit(data.X, data.y)
    seconds = time.perf_counter() - began
    peaks = peak_memory(client)
    away = np.abs(model.coef_[0] - true_coefficients(options.features, seed=0)).max()

    limit = parse_bytes(options.memory)
    print(f"model              {model}, solver {model.solver_}")
    print(f"passes             {model.n_passes_:.2f} over {data.nbytes / 1e9:.2f} GB")
    print(f"fit                {seconds:.2f} s")
    print(f"bare work          {bare:.2f} s a pass (zarr + X.T @ X; peak {bare_peak / 1e6:.0f} MB)")
    print(f"fit / bare work    {seconds / (model.n_passes_ * bare):.2f} (seconds / passes x bare)")
    print(f"peak memory        {_megabytes(peaks)} MB, of {limit / 1e6:.0f} MB a worker")
    print(f"coefficients       at most {away:.4f} from those the labels were drawn with")
    return memory_troubles(client, pids)


def _megabytes(peaks: dict[str, int]) -> str:
    return " and ".join(f"{peak / 1e6:.0f}" for peak in sorted(peaks.values()))


def main() -> int:
    """Run the example; the exit code is 1 if the memory of a worker was not sufficient."""
    options = arguments()
    cache = {"dlbd-estimators.cache-share": 0.0} if options.no_cache else {}
    with (
        folder_for(options.rows, options.features, options.keep) as folder,
        dask.config.set(cache),
        local_workers(options.workers, options.memory, folder) as client,
    ):
        print(f"{options.workers} workers of {options.memory}, dashboard {client.dashboard_link}\n")
        troubles = run(client, options, folder)
    for trouble in troubles:
        print(f"FAILED: {trouble}")
    print("failed" if troubles else "no worker was restarted, paused or made to spill")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
