"""The same rows as every kind of Dask data frame."""

from __future__ import annotations

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd

N_ROWS = 240
FEATURES = ["a", "b", "c", "i"]
# One letter each, none within another: Dask takes `astype({"a": ...})` to be about "label" too.
COLUMNS = [*FEATURES, "m", "k", "g", "y", "t", "w", "n"]


def table():
    """Rows in memory: numbers, gaps, keys, strings, two kinds of target, weights, row numbers."""
    rng = np.random.default_rng(7)
    a, b, c = rng.normal(size=(3, N_ROWS))
    score = a + 2 * b - c
    return pd.DataFrame(
        {
            "a": a,
            "b": b,
            "c": c,
            "i": rng.integers(-3, 4, N_ROWS),
            "m": np.where(rng.random(N_ROWS) < 0.1, np.nan, rng.normal(3.0, 2.0, N_ROWS)),
            "k": rng.integers(0, 12, N_ROWS),
            "g": rng.choice(["p", "q", "r", "s"], N_ROWS),
            "y": score + rng.normal(size=N_ROWS),
            "t": np.choose(
                np.digitize(score + rng.normal(size=N_ROWS), [-1, 1]), ["low", "mid", "top"]
            ),
            "w": rng.uniform(0.1, 2.0, N_ROWS),
            "n": np.arange(N_ROWS),
        }
    )


TABLE = table()
KEYS = pd.DataFrame({"k": np.arange(12), "z": np.linspace(-1.0, 1.0, 12)})


def part(number, count=4):
    """One of the parts that make up all rows; called by tasks."""
    edges = np.linspace(0, N_ROWS, count + 1).astype(int)
    return table().iloc[edges[number] : edges[number + 1]]


class Sources:
    """The same rows as every kind of Dask data frame.

    Parameters
    ----------
    folder : path
        For files.
    """

    def __init__(self, folder):
        self.folder = folder
        (folder / "files").mkdir()
        for number in range(5):
            part(number, 5).to_parquet(folder / "files" / f"part.{number}.parquet")
        TABLE.to_parquet(folder / "one.parquet")
        TABLE.to_parquet(folder / "groups.parquet", row_group_size=50)
        TABLE.to_csv(folder / "all.csv", index=False)

    def known(self):
        return dd.from_pandas(TABLE, npartitions=5)

    def unknown(self):
        mixed = TABLE.sample(frac=1.0, random_state=1)
        return dd.from_pandas(mixed, npartitions=4, sort=False)

    def one_partition(self):
        return dd.from_pandas(TABLE, npartitions=1)

    def parquet_files(self):
        return dd.read_parquet(self.folder / "files")

    def parquet_one(self):
        return dd.read_parquet(self.folder / "one.parquet")

    def parquet_groups(self):
        return dd.read_parquet(self.folder / "groups.parquet", split_row_groups=True)

    def csv(self):
        return dd.read_csv(self.folder / "all.csv", blocksize=8_000)

    def from_delayed(self):
        parts = [dask.delayed(part)(number) for number in range(4)]
        return dd.from_delayed(parts, meta=TABLE.iloc[:0])

    def from_delayed_pure(self):
        parts = [dask.delayed(part, pure=True)(number) for number in range(4)]
        return dd.from_delayed(parts, meta=TABLE.iloc[:0])

    def from_map(self):
        return dd.from_map(part, range(6), count=6, meta=TABLE.iloc[:0])

    def from_array(self):
        numbers = ["a", "b", "c", "i", "m", "k", "y", "w", "n"]
        lazy = dd.from_dask_array(
            da.from_array(TABLE[numbers].to_numpy(dtype=float), chunks=(60, -1)), columns=numbers
        )
        texts = dd.from_pandas(TABLE[["g", "t"]].reset_index(drop=True), npartitions=4)
        return dd.concat([lazy, texts], axis=1)[COLUMNS]

    def persisted(self):
        return dd.from_pandas(TABLE, npartitions=5).persist()


SOURCES = sorted(name for name in vars(Sources) if not name.startswith("_"))
