"""Ingest CSV files that are several times larger than the memory of all workers.

The files are written part by part. After the ingest, each stored value is compared with what was
written, and all files are removed. With 5 GB of CSV files, up to 13 GB of the disk are needed.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from dask.utils import parse_bytes
from lines import Line, Table
from on_disk import megabytes
from stored_memory import operated
from stored_workload import CARRIERS, StoredWorkload
from workload import check_free

import storage

#: Memory limit of each of the two workers.
LIMIT = "512MB"
#: Space on the disk for each byte of CSV: the files, the rows between the passes, and the data set.
_DISK = 2.6
#: Seconds after which the ingest is stopped.
_PATIENCE = 3600.0

LINES = {
    "csv-large": Line(
        f"ingest of CSV files ({{large}}), two workers of {LIMIT}: all rows are stored, with the "
        "values that were written; no worker needs more than its limit, or is restarted",
        "exact",
    )
}


def ingesting(workload: StoredWorkload, table: Table) -> None:
    """Ingest the files, and compare the data set with what was written to them."""
    check_free(workload.folder, int(_DISK * workload.large_nbytes))
    large = replace(workload, folder=workload.folder / "large")
    large.folder.mkdir()
    try:
        files = large.csv_files(workload.large_nbytes)
        nbytes = sum(path.stat().st_size for path in files)
        sources = [str(path) for path in files]
        with operated(large, "ingest", sources, memory=LIMIT, patience=_PATIENCE) as (needed, path):
            n_rows = storage.open_dataset(path).n_samples
            stored_nbytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            wrong = _wrong_parts(large, path, len(files))
    finally:
        shutil.rmtree(large.folder)
    n_written = len(files) * workload.part_rows
    spilled = [each for each in needed.troubles if "spilled" in each or "paused" in each]
    table.claim(
        "csv-large",
        n_rows == n_written
        and not wrong
        and max(needed.workers) < parse_bytes(LIMIT)
        and spilled == needed.troubles,
        f"{n_written:,} rows written ({nbytes / 1e9:.2f} GB), {n_rows:,} stored "
        f"({stored_nbytes / 1e9:.2f} GB), {len(wrong)} of {len(files)} files with other values; "
        f"{needed.seconds:.0f} s; workers {megabytes(needed.workers)}, client "
        f"{megabytes([needed.client])}; {'; '.join(needed.troubles) or 'never spilled or paused'}",
    )


def _wrong_parts(workload: StoredWorkload, path: Path, n_parts: int) -> list[int]:
    """Return the numbers of the files whose rows were stored with other values, or elsewhere."""
    data = storage.open_dataset(path)
    wrong = []
    for part in range(n_parts):
        numbers, carriers = workload.csv_rows(part)
        rows = slice(part * workload.part_rows, (part + 1) * workload.part_rows)
        X, y = data.X[rows].compute(), data.y[rows].compute()
        expected = np.column_stack([numbers, carriers[:, None] == CARRIERS])
        if not (np.array_equal(X, expected) and np.array_equal(y, numbers[:, 0] > 0)):
            wrong.append(part)
    return wrong
