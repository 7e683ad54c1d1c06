"""Compare an ingest of CSV files with dask.dataframe, which only reads them, by processor time.

The ingest checks, counts, encodes, compresses and writes all rows. Everything runs on one thread of
this process.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa

import storage

#: Processor time of an ingest, relative to that of reading.
TARGET = 1.3


def write_table(path: Path, n_rows: int) -> None:
    """Write a table of nine columns of four decimals, three of integers, a category and labels."""
    rng = np.random.default_rng(0)
    columns = {f"x{number}": rng.normal(size=n_rows).round(4) for number in range(9)}
    columns |= {f"n{number}": rng.integers(0, 5000, n_rows) for number in range(3)}
    columns["carrier"] = rng.choice(["AA", "UA", "DL", "WN", "B6"], n_rows)
    columns["late"] = (columns["x0"] > 0).astype(int)
    pd.DataFrame(columns).to_csv(path, index=False)


def processor_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of this process for some work."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the processor time of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    pa.set_cpu_count(1)
    with (
        tempfile.TemporaryDirectory() as folder,
        dask.config.set(scheduler="single-threaded"),
    ):
        source = Path(folder, "table.csv")
        write_table(source, options.rows)

        def ingest() -> None:
            # A new place each time: replacing a data set waits for the disk.
            with tempfile.TemporaryDirectory(dir=folder) as place:
                storage.ingest(source, Path(place, "data.zarr"), target="late")

        def read() -> None:
            dd.read_csv(source).map_partitions(len).compute()

        turns = [
            (processor_seconds(ingest), processor_seconds(read)) for _ in range(options.repeats + 1)
        ][1:]  # the first turn imports modules
        size = source.stat().st_size
    ours, reading = np.median(turns, axis=0)
    print(
        f"{options.rows:,} rows, {size / 1e6:.0f} MB of CSV, processor time: ingest {ours:.2f} s, "
        f"dask.dataframe reads it in {reading:.2f} s; ratio {ours / reading:.2f}, target {TARGET}"
    )


if __name__ == "__main__":
    main()
