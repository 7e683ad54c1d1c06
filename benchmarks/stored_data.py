"""Compare reading and verifying data sets with bare reads and other readers of the same files.

    python benchmarks/stored_data.py [--megabytes N] [--repeats N] [--no-s3]

The data are float32 rows of 100 columns in chunks of 4 MiB, once noise and once few distinct
values. "CPU" is the processor time of the whole process, in which one thread reads; files are in
the page cache. zarrs is the Rust codec pipeline for zarr; if it is not installed, its lines are
skipped. The S3 server runs on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import zarr
from lines import Line, Table
from timing import in_turns, quotients, spread

import storage
from storage.blocks import ExpectedChunks
from storage.entries import ChunkEntries
from storage.group import create_group
from storage.local_files import LocalFiles
from storage.manifest import MANIFEST, Manifest

N_FEATURES = 100
ROOT = Path(__file__).resolve().parent.parent

LINES = {
    f"{name}-{kind}": Line.at_most(f"all of X, {kind}, one thread: CPU / {peer}", limit)
    for kind in ("noise", "few values")
    for name, peer, limit in (("zarr", "zarr-python's", 0.75), ("zarrs", "that of zarrs", 0.85))
} | {
    "verify": Line.at_most("verify: wall / cat of the files", 2.0),
    "s3-noise": Line.at_most(
        "all of X from S3, noise: wall / obstore fetching the bare bytes", 1.5
    ),
    "s3-few values": Line.at_most("the same, few values, which are decoded meanwhile", 1.5),
    "open": Line.at_most("a data set of 1,000,000 chunks, opened, first block read: CPU-s", 2.0),
    "open-memory": Line.at_most("the same: peak resident memory of the process, MB", 500),
}


def main() -> int:
    """Measure and print the table; return 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=400, help="decoded size of X")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-s3", action="store_true")
    parser.add_argument("--open", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        return _open(options.open)
    table = Table(LINES, {})
    with tempfile.TemporaryDirectory() as folder:
        for kind, X in _rows(options.megabytes * 10**6):
            data = storage.create_dataset(f"{folder}/{kind}.zarr", X, X[:, 0] > 1)
            _decoding(table, kind, data, options.repeats)
            if options.no_s3:
                table.skip(f"s3-{kind}", "--no-s3")
            else:
                _from_s3(table, kind, Path(folder), X, options.repeats)
        _verifying(table, data, options.repeats)
    _million_chunks(table)
    print(f"\n{table.markdown()}")
    return 0 if table.all_reached else 1


def _rows(nbytes: int) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((nbytes // 4 // N_FEATURES, N_FEATURES), dtype=np.float32)
    yield "noise", noise
    yield "few values", np.round(4 * noise)


def _decoding(table: Table, kind: str, data: storage.Dataset, repeats: int) -> None:
    readers = {"ours": lambda: _cpu(lambda: _read(data))}
    readers["zarr"] = lambda: _cpu(lambda: _read_by_zarr(data))
    if importlib.util.find_spec("zarrs"):
        readers["zarrs"] = lambda: _cpu(lambda: _read_by_zarr(data, "zarrs.ZarrsCodecPipeline"))
    else:
        table.skip(f"zarrs-{kind}", "zarrs is not installed (pip install zarrs)")
    times = in_turns(readers, repeats, warm_up=True)
    for name in ("zarr", "zarrs"):
        if name in times:
            found = quotients(times["ours"], times[name])
            shown = f"{spread(times['ours'])} s against {spread(times[name])} s"
            table.number(f"{name}-{kind}", float(np.median(found)), f"{spread(found)}; {shown}")


def _read(data: storage.Dataset) -> None:
    # Call the reader as tasks do, without Dask's overhead of about 10 ms for each call of compute.
    reader = data.reader("X")
    blocks = ExpectedChunks(reader, data.manifest.arrays["X"])
    for index in range(data.X.numblocks[0]):
        reader(blocks[index, 0])


def _read_by_zarr(data: storage.Dataset, pipeline: str | None = None) -> None:
    settings: dict[str, Any] = {"threading.max_workers": 1, "async.concurrency": 1}
    if pipeline is not None:
        settings["codec_pipeline.path"] = pipeline
    with zarr.config.set(settings):
        X = zarr.open_group(data.path, mode="r")["X"]
        rows = data.schema.block_rows
        for start in range(0, data.n_samples, rows):
            X[start : start + rows]


def _verifying(table: Table, data: storage.Dataset, repeats: int) -> None:
    files = sorted(str(path) for path in data.path.rglob("c.*"))
    times = in_turns(
        {
            "verify": lambda: _wall(data.verify),
            "cat": lambda: _wall(
                lambda: subprocess.run(["cat", *files], stdout=subprocess.PIPE, check=True)
            ),
        },
        repeats,
        warm_up=True,
    )
    found = quotients(times["verify"], times["cat"])
    shown = f"{spread(times['verify'])} s against {spread(times['cat'])} s"
    table.number("verify", float(np.median(found)), f"{spread(found)}; {shown}")


def _from_s3(
    table: Table, kind: str, folder: Path, X: npt.NDArray[np.float32], repeats: int
) -> None:
    try:
        import obstore
        from obstore.store import from_url
    except ImportError:
        table.skip(
            f"s3-{kind}", "obstore is not installed (pip install 'dlbd-estimators[cloud,test]')"
        )
        return
    sys.path.insert(0, str(ROOT))
    from tests.storage.cloud.s3_server import s3_server

    home = folder / f"s3-{kind}".replace(" ", "-")
    home.mkdir()
    with s3_server(home) as server, mock.patch.dict(os.environ, server.environment):
        url = f"{server.url}/{home.name}.zarr"
        data = storage.create_dataset(url, X, X[:, 0] > 1)
        bare = from_url(url, client_options={"allow_http": True})
        layout = data.layouts["X"]
        keys = [layout.key(chunk) for chunk in range(layout.n_chunks)]
        a_block = data.schema.block_rows // layout.chunk_rows

        def fetch() -> None:
            for first in range(0, len(keys), a_block):
                _fetch_at_once(obstore, bare, keys[first : first + a_block])

        times = in_turns(
            {"ours": lambda: _wall(lambda: _read(data)), "bare": lambda: _wall(fetch)},
            repeats,
            warm_up=True,
        )
    found = quotients(times["ours"], times["bare"])
    shown = f"{spread(times['ours'])} s against {spread(times['bare'])} s"
    table.number(f"s3-{kind}", float(np.median(found)), f"{spread(found)}; {shown}")


def _fetch_at_once(obstore: Any, store: Any, keys: list[str]) -> None:
    async def fetch() -> None:
        found = await asyncio.gather(*(obstore.get_async(store, key) for key in keys))
        await asyncio.gather(*(each.bytes_async() for each in found))

    asyncio.run(fetch())


def _million_chunks(table: Table) -> None:
    """Open a data set of a million chunks in a new process, whose peak memory is then known."""
    with tempfile.TemporaryDirectory() as folder:
        path = _pretend(Path(folder), 1_000_000)
        found = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), "--open", str(path)],
            check=True,
            capture_output=True,
            text=True,
        )
    seconds, megabytes = map(float, found.stdout.split())
    table.number("open", seconds, f"{seconds:.2f}")
    table.number("open-memory", megabytes, f"{megabytes:.0f}")


def _pretend(folder: Path, n_chunks: int) -> Path:
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


def _open(path: str) -> int:
    began = time.process_time()
    data = storage.open_dataset(path)
    data.X.blocks[0].compute(scheduler="synchronous")
    seconds = time.process_time() - began
    # Not ru_maxrss, which includes the memory of the process that this one was forked from.
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    print(seconds, int(peak.split()[1]) / 1e3)
    return 0


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _wall(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
