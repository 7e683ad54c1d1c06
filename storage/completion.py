"""Complete a committed version: show its rows to readers that only know zarr's own files.

Zarr finds a chunk by its key and the size of an array in ``zarr.json``. So the spare files of the
newest version are copied to zarr's keys, then the metadata of the arrays, and last the metadata of
the group, which repeats that of the arrays. Until the last step zarr shows the version before:
chunks beyond its rows are not read, and a chunk that was filled up begins with the old rows.

If a writer is killed after its commit, the next append does the rest of these steps. A slow writer
may repeat the steps of an old version after those of a newer one. So every chunk whose content
differs between versions keeps its spare file, and so does the metadata: readers always find them,
and the slow writer then repeats the steps of the newest version, too.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dask.delayed import delayed

from storage.computing import compute
from storage.entries import StoredFile
from storage.group import METADATA
from storage.layout import FIRST_FOLDER, ArrayLayout
from storage.local_files import LocalFiles
from storage.metadata import read_json, read_metadata
from storage.progress import stage
from storage.schema import ATTRIBUTE
from storage.versions import Appended, layouts_at, read_versions

if TYPE_CHECKING:
    from storage.objects import Objects

    Appendable = LocalFiles | Objects

__all__ = ["complete", "grown_metadata", "is_complete", "keep_last_chunks", "write_metadata"]

#: Files that one task copies.
_COPIES = 64


def grown_metadata(store: Appendable, names: Sequence[str], n_samples: int) -> dict[str, bytes]:
    """Return the content of ``zarr.json`` of the group and the arrays for another number of rows.

    The group comes last, since it is written last.
    """
    contents = {}
    for name in names:
        array, _ = read_json(store, f"{name}/{METADATA}")
        array["shape"][0] = n_samples
        contents[f"{name}/{METADATA}"] = _dumped(array)
    group, _ = read_json(store, METADATA)
    group["attributes"][ATTRIBUTE]["n_samples"] = n_samples
    consolidated = group.get("consolidated_metadata") or {}
    for array in consolidated.get("metadata", {}).values():
        array["shape"][0] = n_samples
    contents[METADATA] = _dumped(group)
    return contents


def _dumped(metadata: dict[str, Any]) -> bytes:
    return json.dumps(metadata, indent=2).encode()


def write_metadata(store: Appendable, folder: str, contents: dict[str, bytes]) -> None:
    """Write metadata as spare files, from which :func:`complete` copies them."""
    for key, content in contents.items():
        store.write(_spare_metadata(folder, key), [content], durable=True)


def _spare_metadata(folder: str, key: str) -> str:
    # Not "zarr.json", by which zarr would take the folder for a group.
    array = key.removesuffix(METADATA).rstrip("/")
    return f"{folder}/{array or 'group'}.metadata.json"


def keep_last_chunks(store: Appendable, layouts: Sequence[ArrayLayout]) -> None:
    """Copy the last chunks of version 1 that are not full to spare files, before they are replaced.

    The chunks that were appended have spare files from the beginning.
    """
    store.make_folder(FIRST_FOLDER)
    for layout in layouts:
        chunk = layout.n_chunks - 1
        if layout.n_rows % layout.chunk_rows:
            # If another writer has already copied it, the chunk at its key may be a newer one.
            store.copy(layout.key(chunk), layout.spare_key(chunk), replace=False)
    store.sync_folder(FIRST_FOLDER)


def is_complete(store: Appendable, newest: Appended) -> bool:
    """Return whether the last step of a version was done."""
    return StoredFile.of(read_metadata(store, METADATA)) == newest.files[METADATA]


def complete(
    store: Appendable,
    layouts: Sequence[ArrayLayout],
    n_samples: int,
    appended: Sequence[Appended],
) -> None:
    """Show the newest version to zarr, and remove the spare files of its full, new chunks.

    Parameters
    ----------
    store : LocalFiles or Objects
        Files of the data set.
    layouts : sequence of ArrayLayout
        The layouts of any version.
    n_samples : int
        Rows of version 1.
    appended : sequence of Appended
        The versions from 2 on.
    """
    while True:
        _complete(store, layouts_at(layouts, n_samples, appended), appended[-1])
        # If a newer version was completed meanwhile, its files may just have been replaced.
        number = appended[-1].version.number
        newer = read_versions(store, appended[-1].dataset_id, after=number)
        if not newer:
            return
        appended = (*appended, *newer)


def _complete(store: Appendable, layouts: Sequence[ArrayLayout], newest: Appended) -> None:
    chunks = [
        (layout, chunk)
        for layout in layouts
        for chunk in range(layout.n_chunks - len(newest.arrays[layout.name]), layout.n_chunks)
    ]
    moves = [(layout.spare_key(chunk), layout.key(chunk)) for layout, chunk in chunks]
    copies = [
        delayed(partial(_copy_all, store, moves[start : start + _COPIES]), traverse=False)(
            dask_key_name=f"complete-{uuid.uuid4().hex}"
        )
        for start in range(0, len(moves), _COPIES)
    ]
    with stage("complete", len(copies)):
        compute(*copies)
    metadata = [key for key in newest.files if key.endswith(METADATA)]
    for key in sorted(metadata, key=lambda key: key == METADATA):
        _copy_all(store, [(_spare_metadata(newest.folder, key), key)])
    for folder in ("", *(layout.name for layout in layouts)):
        store.sync_folder(folder)
    before = newest.version.n_samples - newest.version.n_added
    for layout, chunk in chunks:
        if before <= chunk * layout.chunk_rows <= layout.n_rows - layout.chunk_rows:
            store.delete(layout.spare_key(chunk))


def _copy_all(store: Appendable, moves: Sequence[tuple[str, str]]) -> None:
    for key, target in moves:
        # A file that is missing was copied and deleted by another writer that completes the same
        # version.
        with contextlib.suppress(FileNotFoundError):
            store.copy(key, target, replace=True)


def abandoned(names: Sequence[str], appended: Sequence[Appended]) -> Iterator[str]:
    """Yield the folders of appends and repairs that were stopped, or that came second."""
    kept = {FIRST_FOLDER, *(addition.folder for addition in appended)}
    numbers = {
        f"{FIRST_FOLDER}-",
        *(f"version-{addition.version.number}-" for addition in appended),
    }
    for name in names:
        if name not in kept and any(map(name.startswith, numbers)):
            yield name
