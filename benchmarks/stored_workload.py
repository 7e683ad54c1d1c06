"""Sizes, data sets and raw files of the benchmarks of stored data."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from workload import FEATURES, MEMORY, check_free, make_dataset

import storage

#: Kinds of rows that are read: with noise, chunks do not become smaller; with few values, they do.
KINDS = ("noise", "few values")
#: Column that becomes y.
TARGET = "target"

#: Categories of the CSV files, sorted.
CARRIERS = np.array(["AA", "B6", "DL", "EV", "MQ", "UA", "US", "WN"])

_PARQUET_COLUMNS, _CSV_NUMBERS = 50, 18
#: Rows of a row group of 50 columns of float64: 16 MB.
_GROUP_ROWS = 40_000


def line_of(name: str, kind: str) -> str:
    """Return the name of a line that measures rows of a kind."""
    return f"{name}-{kind.replace(' ', '-')}"


@dataclass(frozen=True)
class StoredWorkload:
    """Sizes of a run, and its data sets and files, which are made when they are first needed.

    Attributes
    ----------
    folder : Path
        Folder of the data sets and files.
    read_nbytes : int
        Decoded size of the X that is read, in bytes.
    parquet_nbytes : int
        Decoded size of the Parquet files that are ingested for a comparison, in bytes.
    csv_nbytes : int
        Size of the CSV files that are ingested for a comparison, in bytes.
    shuffle_nbytes : int
        Decoded size of the data set that is shuffled, in bytes.
    large_nbytes : int
        Size of the CSV files that are several times larger than the memory of the workers, in
        bytes.
    peak_nbytes : int
        The smaller of two sizes at which peak memory is measured, in bytes. The other is twice it.
    part_rows : int
        Rows of a raw file.
    n_chunks : int
        Chunks of the data set that is only opened.
    repeats, ingest_repeats, open_repeats : int
        Repeats of comparisons of reads, of ingests, and of opening a data set.
    """

    folder: Path
    read_nbytes: int = 400_000_000
    parquet_nbytes: int = 400_000_000
    csv_nbytes: int = 200_000_000
    large_nbytes: int = 5_000_000_000
    shuffle_nbytes: int = 3_200_000_000
    peak_nbytes: int = 400_000_000
    part_rows: int = 120_000
    n_chunks: int = 1_000_000
    repeats: int = 7
    ingest_repeats: int = 3
    open_repeats: int = 3

    @classmethod
    def quick(cls, folder: Path) -> StoredWorkload:
        """Return small sizes, which show that the benchmark works; their figures mean little."""
        return cls(
            folder,
            read_nbytes=80_000_000,
            parquet_nbytes=32_000_000,
            csv_nbytes=10_000_000,
            large_nbytes=50_000_000,
            shuffle_nbytes=160_000_000,
            peak_nbytes=40_000_000,
            part_rows=20_000,
            n_chunks=100_000,
            repeats=1,
            ingest_repeats=1,
            open_repeats=1,
        )

    def words(self) -> dict[str, str]:
        """Return the sizes as the table prints them."""
        return {
            "read": _megabytes(self.read_nbytes),
            "parquet": _megabytes(self.parquet_nbytes),
            "csv": _megabytes(self.csv_nbytes),
            "large": f"{self.large_nbytes / 1e9:g} GB",
            "shuffle": f"{self.shuffle_nbytes / 1e9:g} GB",
            "peak": f"{self.peak_nbytes / 1e6:g}",
            "twice": _megabytes(2 * self.peak_nbytes),
            "n_chunks": f"{self.n_chunks:,}",
            "memory": MEMORY,
        }

    def rows(self, kind: str) -> npt.NDArray[np.float32]:
        """Return the X that is read: noise, or few values."""
        n_rows = self.read_nbytes // (4 * FEATURES)
        noise = np.random.default_rng(0).standard_normal((n_rows, FEATURES), dtype=np.float32)
        return noise if kind == "noise" else np.round(4 * noise)

    def dataset_to_read(self, kind: str) -> storage.Dataset:
        """Open the data set of the rows of a kind, or make it."""
        path = self.folder / f"{line_of('read', kind)}-{self.read_nbytes}.zarr"
        try:
            return storage.open_dataset(path)
        except storage.DatasetNotFound:
            check_free(self.folder, self.read_nbytes)
            X = self.rows(kind)
            return storage.create_dataset(path, X, X[:, 0] > 1)

    def dataset(self, nbytes: int) -> storage.Dataset:
        """Open the data set of noise with `nbytes` decoded bytes in X, or make it by threads."""
        path = self.folder / f"noise-{nbytes}.zarr"
        try:
            return storage.open_dataset(path)
        except storage.DatasetNotFound:
            check_free(self.folder, nbytes)
            return make_dataset(path, nbytes // (4 * FEATURES), FEATURES)

    def remove_dataset(self, nbytes: int) -> None:
        """Remove a data set that no other measurement needs."""
        shutil.rmtree(self.folder / f"noise-{nbytes}.zarr")

    def parquet_files(self, nbytes: int) -> list[Path]:
        """Return Parquet files of `nbytes` decoded bytes; the missing ones are made.

        Half of their columns are noise in float64, and half have few values.
        """
        of_a_file = self.part_rows * 8 * (_PARQUET_COLUMNS + 1)
        return self._parts("parquet", max(1, round(nbytes / of_a_file)), self._write_parquet)

    def csv_files(self, nbytes: int) -> list[Path]:
        """Return CSV files of `nbytes` bytes; the missing ones are made.

        Their columns are 18 numbers of about six digits, a category and a truth value.
        """
        (first,) = self._parts("csv", 1, self._write_csv)
        return self._parts("csv", max(1, round(nbytes / first.stat().st_size)), self._write_csv)

    def _parts(self, suffix: str, n_parts: int, write: Callable[[Path, int], None]) -> list[Path]:
        paths = [self.folder / f"part-{part}-{self.part_rows}.{suffix}" for part in range(n_parts)]
        for part, path in enumerate(paths):
            if not path.exists():
                check_free(self.folder, self.part_rows * 8 * _PARQUET_COLUMNS)
                write(path, part)
        return paths

    def _write_parquet(self, path: Path, part: int) -> None:
        X = np.random.default_rng([1, part]).standard_normal((self.part_rows, _PARQUET_COLUMNS))
        X[:, ::2] = np.round(4 * X[:, ::2])
        columns = {f"x{j}": X[:, j] for j in range(_PARQUET_COLUMNS)} | {TARGET: X.sum(axis=1)}
        pa.parquet.write_table(pa.table(columns), path, row_group_size=_GROUP_ROWS)

    def csv_rows(self, part: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]:
        """Return the numbers and the categories of a CSV file; `TARGET` is yes if x0 > 0."""
        rng = np.random.default_rng([2, part])
        X = np.round(100 * rng.standard_normal((self.part_rows, _CSV_NUMBERS)), 4)
        return X, rng.choice(CARRIERS, self.part_rows)

    def _write_csv(self, path: Path, part: int) -> None:
        X, carriers = self.csv_rows(part)
        columns = {f"x{j}": X[:, j] for j in range(_CSV_NUMBERS)}
        table = pa.table(columns | {"carrier": carriers})
        late = pa.array(np.where(X[:, 0] > 0, "yes", "no"))
        pa.csv.write_csv(table.append_column(TARGET, late), path)


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:g} MB"
