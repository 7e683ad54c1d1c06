"""Measure opening a data set of many chunks, in a process of its own (:mod:`open_stored`)."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from lines import Line, Table
from stored_workload import StoredWorkload
from timing import spread

import storage
from storage.entries import ChunkEntries
from storage.group import create_group
from storage.local_files import LocalFiles
from storage.manifest import MANIFEST, Manifest

LINES = {
    "open": Line.at_most(
        "a data set of {n_chunks} chunks, opened, first block read: processor time in seconds", 2.0
    ),
    "open-memory": Line.at_most("the same: peak resident memory of the process in MB", 500),
}


def opening(workload: StoredWorkload, table: Table) -> None:
    """Measure processor time and peak memory of new processes."""
    with TemporaryDirectory(prefix="opening-", dir=workload.folder) as folder:
        path = _dataset_of(Path(folder), workload.n_chunks)
        runs = [_in_new_process(path) for _ in range(workload.open_repeats)]
    seconds = [run[0] for run in runs]
    megabytes = [run[1] / 1e6 for run in runs]
    table.number("open", float(np.median(seconds)), spread(seconds))
    table.number("open-memory", max(megabytes), spread(megabytes, form=".0f"))


def _in_new_process(path: Path) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("open_stored.py")), str(path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def _dataset_of(folder: Path, n_chunks: int) -> Path:
    """Make the metadata of a data set of many equal chunks; only the files of one block exist."""
    small = storage.create_dataset(
        folder / "small",
        np.zeros((640, 10)),
        np.zeros(640),
        chunk_nbytes=5_120,
        block_nbytes=60_000,
    )
    times = n_chunks // small.layouts["X"].n_chunks
    n_rows = times * small.n_samples
    layouts = [replace(layout, n_rows=n_rows) for layout in small.layouts.values()]
    target = LocalFiles(str(folder / "large"))
    schema = replace(small.schema, n_samples=n_rows)
    create_group(target, schema, layouts)
    for layout in small.layouts.values():
        for chunk in range(layout.n_chunks):
            key = layout.key(chunk)
            target.write(key, [small.store.read(key).tobytes()])
    entries = {
        name: ChunkEntries.from_chunks(list(chunks) * times)
        for name, chunks in small.manifest.arrays.items()
    }
    target.write(MANIFEST, [Manifest(schema.dataset_id, entries).to_bytes(layouts)])
    return Path(target.root)
