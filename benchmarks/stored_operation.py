"""Run one operation of `storage` on two new workers, and print what the processes needed.

    python benchmarks/stored_operation.py OPERATION MEMORY FOLDER TARGET SOURCE...

`MEMORY` is the limit of each worker. The program prints a JSON object: the peak resident memory of
each worker and of this process, the bytes that the workers read from files and wrote to files,
troubles of the workers (spilled, paused, restarted), and the wall time. The scheduler runs in this
process. Workers import this file, too, so it imports no module that the operations do not need.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import dask.array as da
from workload import (
    FEATURES,
    local_workers,
    make_dataset,
    memory_troubles,
    own_peak,
    peak_memory,
    reset_peak,
    worker_pids,
)

import storage


def create(target: str, n_rows: str) -> None:
    """Create a data set of rows that the workers make."""
    make_dataset(Path(target), int(n_rows), FEATURES)


def ingest(target: str, *files: str) -> None:
    """Ingest raw files."""
    storage.ingest(files, target, target="target")


def append(target: str, path: str) -> None:
    """Append all rows of a data set to another one."""
    data = storage.open_dataset(path)
    storage.append(target, data.X, data.y)


def shuffle(target: str, path: str) -> None:
    """Store the rows of a data set in random order."""
    storage.shuffle(storage.open_dataset(path), target, seed=0)


def verify(_: str, path: str) -> None:
    """Verify a data set."""
    storage.verify(path)


def split(target: str, path: str) -> None:
    """Split the rows of a data set at random, and store the training rows."""
    from dlbd_estimators.model_selection import train_test_split

    data = storage.open_dataset(path)
    X, _, y, _ = train_test_split(data.X, data.y, random_state=0)
    storage.create_dataset(target, X, y)


OPERATIONS: dict[str, Callable[..., None]] = {
    function.__name__: function for function in (create, ingest, append, shuffle, verify, split)
}


def file_bytes() -> tuple[int, int]:
    """Return the bytes that this process has read from files, and written to files.

    Linux counts the bytes of all calls that read and write, also where the page cache has them.
    Connections between the processes are not counted, because they use other calls.
    """
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["rchar"]), int(counts["wchar"])


def warm_up(folder: Path) -> None:
    """Shuffle a data set of 16 small blocks, so that the files of modules are not counted."""
    X = da.ones((16_000, 10), chunks=(1_000, 10))
    with TemporaryDirectory(dir=folder) as small:
        sizes = {"chunk_nbytes": 80_000, "block_nbytes": 88_000}
        data = storage.create_dataset(f"{small}/rows.zarr", X, X[:, 0], **sizes)
        storage.shuffle(data, f"{small}/mixed.zarr", seed=0)


def main() -> None:
    """Run the operation that the command line names."""
    operation, memory, folder, target, *sources = sys.argv[1:]
    with local_workers(2, memory, Path(folder)) as client:
        warm_up(Path(folder))
        pids = worker_pids(client)
        reset_peak(client)
        before = client.run(file_bytes)
        began = time.perf_counter()
        OPERATIONS[operation](target, *sources)
        seconds = time.perf_counter() - began
        after = client.run(file_bytes)
        read, written = (
            sum(after[worker][which] - before[worker][which] for worker in before)
            for which in (0, 1)
        )
        needed = {
            "workers": list(peak_memory(client).values()),
            "client": own_peak(),
            "read": read,
            "written": written,
            "troubles": memory_troubles(client, pids),
            "seconds": seconds,
        }
    print(json.dumps(needed))


if __name__ == "__main__":
    main()
