"""Sizes and data sets of the benchmarks of linear models, and helpers to measure with them.

The data set larger than memory, and its bare work, come from ``examples/bigger_than_memory.py``.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dask
import numpy as np
import numpy.typing as npt
from distributed import Client

import storage

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
if str(EXAMPLES) not in sys.path:
    sys.path.append(str(EXAMPLES))  # worker processes inherit sys.path

from bigger_than_memory import bare_work, make_dataset  # noqa: E402 - found by the line above
from local_workers import (  # noqa: E402 - the same
    local_workers,
    memory_troubles,
    peak_memory,
    reset_peak,
    worker_pids,
)
from process_memory import own_peak  # noqa: E402 - the same

__all__ = [
    "FEATURES",
    "MEMORY",
    "Workload",
    "bare_work",
    "check_free",
    "float64_rows",
    "local_workers",
    "make_dataset",
    "memory_troubles",
    "own_peak",
    "peak_memory",
    "reset_peak",
    "warm_page_cache",
    "worker_pids",
]

FEATURES = 100
#: Memory limit of each of the two workers.
MEMORY = "1GB"


@dataclass(frozen=True)
class Workload:
    """Sizes of a run, and its data sets, which are made when they are first needed.

    Attributes
    ----------
    folder : Path
        Folder of the data sets.
    rows : int
        Number of rows of the data set on disk.
    shape_nbytes : int
        Size of each of the data sets on disk that differ in shape, in bytes.
    limit_rows : int
        Number of rows of the data sets on disk that differ in layout.
    memory_rows, multinomial_rows, lasso_rows, scaled_rows : int
        Numbers of rows of the problems in memory.
    shared_rows : int
        Number of rows of the data set that clusters of several sizes fit.
    repeats : int
        Repeats of a comparison.
    limit_repeats : int
        Repeats of the comparison of fits with the limit of the machine.
    """

    folder: Path
    rows: int = 8_000_000
    shape_nbytes: int = 400_000_000
    limit_rows: int = 2_000_000
    memory_rows: int = 1_000_000
    multinomial_rows: int = 200_000
    lasso_rows: int = 500_000
    scaled_rows: int = 200_000
    shared_rows: int = 1_000_000
    repeats: int = 3
    limit_repeats: int = 5

    @classmethod
    def quick(cls, folder: Path) -> Workload:
        """Return small sizes, which show that the benchmark works; their figures mean little."""
        return cls(
            folder,
            rows=400_000,
            shape_nbytes=40_000_000,
            limit_rows=200_000,
            memory_rows=100_000,
            multinomial_rows=20_000,
            lasso_rows=50_000,
            scaled_rows=20_000,
            shared_rows=400_000,
            repeats=1,
            limit_repeats=2,
        )

    def words(self) -> dict[str, str]:
        """Return the sizes as the table prints them."""
        return {
            "rows": f"{self.rows:,}",
            "twice": f"{2 * self.rows:,}",
            "features": str(FEATURES),
            "shape_mb": str(self.shape_nbytes // 1_000_000),
            "memory": MEMORY,
            "limit_rows": f"{self.limit_rows:,}",
            "memory_rows": f"{self.memory_rows:,}",
            "multinomial_rows": f"{self.multinomial_rows:,}",
            "shared_rows": f"{self.shared_rows:,}",
            "lasso_rows": f"{self.lasso_rows:,}",
        }

    def dataset(self, n_rows: int | None = None) -> storage.Dataset:
        """Open the data set of ``n_rows`` rows (``rows`` by default), or make it."""
        n_rows = n_rows or self.rows
        path = self.folder / f"rows-{n_rows}.zarr"
        try:
            return storage.open_dataset(path)
        except storage.DatasetNotFound:
            check_free(self.folder, n_rows * (4 * FEATURES + 1))
            print(f"  writing {n_rows:,} rows ...", flush=True)
            return make_dataset(path, n_rows, FEATURES)

    def remove_dataset(self, n_rows: int) -> None:
        """Remove a data set that no other measurement needs."""
        shutil.rmtree(self.folder / f"rows-{n_rows}.zarr")

    @contextmanager
    def two_workers(self, *, cache: bool = True) -> Iterator[Client]:
        """Start the two workers for out-of-core fits, with or without the block cache."""
        settings = {} if cache else {"dlbd-estimators.cache-share": 0.0}
        with dask.config.set(settings), local_workers(2, MEMORY, self.folder) as client:
            yield client


def check_free(folder: Path, nbytes: int) -> None:
    """Raise OSError if the disk has no room for another `nbytes`."""
    free = shutil.disk_usage(folder).free
    if free < 1.1 * nbytes:
        raise OSError(f"{nbytes:,} bytes of disk are needed, but only {free:,} are free")


def warm_page_cache(path: Path) -> None:
    """Read a file, or all files of a folder, so that the next measurement reads from memory."""
    files = [path] if path.is_file() else sorted(found for found in path.rglob("*"))
    buffer = bytearray(2**24)
    for name in files:
        if name.is_file():
            with name.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


def float64_rows(
    n_rows: int, n_features: int, n_classes: int, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return normal features, labels drawn from a logistic model, and a noisy linear target."""
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((n_rows, n_features))
    coef = generator.standard_normal((n_features, n_classes)) * (2.0 / np.sqrt(n_features))
    scores = X @ coef
    target = scores[:, 0] + generator.standard_normal(n_rows)
    # With Gumbel noise, the index of the largest score has exactly the softmax probabilities.
    labels = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
    return X, labels, target
