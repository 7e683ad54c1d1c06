"""What a writing that was killed has left behind, so that another one continues from it.

A writing on a disk fills a hidden folder, and locks it for as long as its process lives. A folder
that nobody has locked belongs to a process that is gone. If it is of the same work, its complete
chunks are kept. Each of them is read and checked by its own checksum. In an object store, where
nothing is locked, :mod:`storage.claim` decides who continues.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from dask.delayed import delayed

from storage.chunks import entry_of
from storage.computing import compute
from storage.entries import StoredChunk
from storage.layout import ArrayLayout, row_chunks
from storage.progress import stage
from storage.store import Bytes, Store, UnexpectedFile

__all__ = [
    "ROWS",
    "SHUFFLING",
    "WORK",
    "finished_blocks",
    "leftovers",
    "lock",
    "make_locked",
]

#: File in a hidden folder that identifies the work. It is removed before the folder is committed.
WORK = "work.json"
#: Ending of the folder for rows between the two passes of an ingest.
ROWS = "rows"
#: Ending of the folder for rows between the two passes of a shuffle.
SHUFFLING = "shuffling"
_ENDINGS = f"writing|removing|{ROWS}|{SHUFFLING}"
#: Ending of a folder that is not locked yet. It is empty.
_STARTING = "starting"


def make_locked(folder: Path) -> int | None:
    """Make a folder and lock it; return the descriptor that holds the lock, if there are locks.

    It is locked before it has the name by which another process would take it for left behind.
    """
    new = folder.with_suffix(f".{_STARTING}")
    while True:
        try:
            new.mkdir()
        except OSError as error:
            error.filename = str(folder.parent)  # a folder that the user knows
            raise
        descriptor = None
        # Another process may remove the folder until it has its name: see `leftovers`.
        with contextlib.suppress(FileNotFoundError):
            descriptor = lock(new)
            new.rename(folder)
            return descriptor
        if descriptor is not None:
            os.close(descriptor)


def lock(folder: Path) -> int | None:
    """Lock a folder until the process ends.

    Returns
    -------
    int or None
        The descriptor that holds the lock; None if another process holds it, or if the file system
        has no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def leftovers(target: Path, endings: str = _ENDINGS) -> Iterator[tuple[Path, int]]:
    """Yield the hidden folders of dead writings to a target, and the descriptors that lock them.

    `endings` are the endings of their names, separated by ``|``. Folders of writings that were
    killed before they had locked them are removed. A living process makes such a folder again.
    """
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}\.({endings}|{_STARTING})")
    for folder in sorted(target.parent.iterdir()):
        if not name.fullmatch(folder.name):
            continue
        if folder.suffix == f".{_STARTING}":
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        try:
            descriptor = lock(folder)
        except OSError:  # it is gone, or is no folder
            continue
        if descriptor is not None:
            yield folder, descriptor


def finished_blocks(
    store: Store, layouts: Sequence[ArrayLayout], block_rows: int
) -> dict[str, dict[int, list[StoredChunk]]]:
    """Return the manifest's entries of all blocks whose chunks are complete, by array and block.

    The chunks are read where Dask computes, one block in each task.
    """
    finished: dict[str, dict[int, list[StoredChunk]]] = {}
    for layout in layouts:
        check = delayed(partial(_chunks_of_block, store, layout, block_rows), traverse=False)
        name = f"resume-{layout.name}-{uuid.uuid4().hex}"
        n_blocks = len(row_chunks(layout, block_rows)[0])
        tasks = [check(block, dask_key_name=f"{name}-{block}") for block in range(n_blocks)]
        with stage("resume", n_blocks * len(layouts), n_blocks * len(finished)):
            found: Sequence[list[StoredChunk] | None] = compute(*tasks)
        finished[layout.name] = {
            block: chunks for block, chunks in enumerate(found) if chunks is not None
        }
    return finished


def _chunks_of_block(
    store: Store, layout: ArrayLayout, block_rows: int, block: int
) -> list[StoredChunk] | None:
    """Return the entries of all chunks of a block; None if one is missing or damaged."""
    start = block * block_rows
    stop = min(start + block_rows, layout.n_rows)
    chunks = layout.chunks_of(start, stop)
    keys = [layout.key(chunk) for chunk in chunks]

    def entry(number: int, file: Callable[[], Bytes]) -> StoredChunk | None:
        return entry_of(layout, chunks[number], file())

    found = []
    try:
        for each in store.read_each(keys, [None] * len(keys), entry):
            if each is None:
                return None
            found.append(each)
    except (OSError, UnexpectedFile):
        return None
    return found
