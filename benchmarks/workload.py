"""What is measured on: sizes, data sets on disk, and the page cache.

The data set larger than memory and its bare work are those of ``examples/bigger_than_memory.py``.
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
    sys.path.append(str(EXAMPLES))  # worker processes inherit it

from bigger_than_memory import bare_work, make_dataset  # noqa: E402 - found by the line above
from local_workers import (  # noqa: E402 - the same
    local_workers,
    memory_troubles,
    peak_memory,
    reset_peak,
    worker_pids,
)

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
    "peak_memory",
    "reset_peak",
    "warm_page_cache",
    "worker_pids",
]

FEATURES = 100
#: Of each of the two workers.
MEMORY = "1GB"


@dataclass(frozen=True)
class Workload:
    """Sizes of a run, and its data sets, made when they are first asked for.

    Attributes
    ----------
    folder : Path
        Where data sets lie.
    rows : int
        Of the data set on disk.
    shape_nbytes : int
        Of each of the data sets on disk that differ in shape.
    memory_rows, multinomial_rows, lasso_rows, scaled_rows, shared_rows : int
        Of the problems in memory, and of the data set that clusters of several sizes fit.
    repeats : int
        Times that a comparison is repeated.
    """

    folder: Path
    rows: int = 8_000_000
    shape_nbytes: int = 400_000_000
    memory_rows: int = 1_000_000
    multinomial_rows: int = 200_000
    lasso_rows: int = 500_000
    scaled_rows: int = 200_000
    shared_rows: int = 1_000_000
    repeats: int = 3

    @classmethod
    def quick(cls, folder: Path) -> Workload:
        """Sizes that show the benchmark works; their figures say little."""
        return cls(
            folder,
            rows=400_000,
            shape_nbytes=40_000_000,
            memory_rows=100_000,
            multinomial_rows=20_000,
            lasso_rows=50_000,
            scaled_rows=20_000,
            shared_rows=400_000,
            repeats=1,
        )

    def words(self) -> dict[str, str]:
        """Sizes as the table prints them."""
        return {
            "rows": f"{self.rows:,}",
            "twice": f"{2 * self.rows:,}",
            "features": str(FEATURES),
            "shape_mb": str(self.shape_nbytes // 1_000_000),
            "memory": MEMORY,
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
        """Remove a data set that no one else needs."""
        shutil.rmtree(self.folder / f"rows-{n_rows}.zarr")

    @contextmanager
    def two_workers(self, *, cache: bool = True) -> Iterator[Client]:
        """Start the two workers of the out-of-core rows, with or without the block cache."""
        settings = {} if cache else {"dlbd-estimators.cache-share": 0.0}
        with dask.config.set(settings), local_workers(2, MEMORY, self.folder) as client:
            yield client


def check_free(folder: Path, nbytes: int) -> None:
    """Raise OSError where the disk has no room for a file to be made."""
    free = shutil.disk_usage(folder).free
    if free < 1.1 * nbytes:
        raise OSError(f"{nbytes:,} bytes of disk are needed, but only {free:,} are free")


def warm_page_cache(path: Path) -> None:
    """Read a file, or all files of a folder, so that what is timed next reads from memory."""
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
    # The largest score after Gumbel noise has just the probability of softmax.
    labels = (scores + generator.gumbel(size=scores.shape)).argmax(axis=1)
    return X, labels, target
