"""The files of a source: find them by paths, globs and URLs, and recognise changes of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from storage.credentials import without_credentials
from storage.errors import InvalidData
from storage.ingestion.compression import COMPRESSED
from storage.ingestion.file_systems import file_system, matching
from storage.manifest import MANIFEST

__all__ = [
    "SUFFIXES",
    "bare_name",
    "described",
    "found_paths",
    "identity_of",
    "is_data_set",
    "is_table",
    "members",
    "paths_of",
]

#: What the names of tables end in, by kind.
SUFFIXES = {
    "CSV": (".csv", ".tsv", ".txt"),
    "Parquet": (".parquet", ".parq", ".pq"),
    "Arrow": (".arrow", ".arrows", ".feather", ".ipc"),
    "NumPy": (".npy", ".npz"),
}

#: What fsspec's file systems call the time or the version of a file's last change.
_CHANGES = (
    "mtime", "ETag", "etag", "e_tag", "LastModified", "last_modified", "updated", "md5Hash",
    "modificationTime",
)  # fmt: skip


def found_paths(given: Sequence[str]) -> tuple[Any, list[str]]:
    """Return the file system of paths, globs or URLs, and the files and folders that exist.

    Raises
    ------
    FileNotFoundError
        When nothing is at one of them.
    """
    filesystem, paths = None, []
    for each in given:
        other, path = file_system(each)
        if filesystem is not None and _place(other) != _place(filesystem):
            raise InvalidData(
                f"the source has files in several places, such as "
                f"{without_credentials(given[0])} and {without_credentials(each)}: ingest the "
                f"files of one place, and append the others"
            )
        filesystem = other
        found = matching(filesystem, path, each)
        if not found:
            raise FileNotFoundError(f"no file is at {without_credentials(each)}")
        paths += found
    return filesystem, paths


def _place(filesystem: Any) -> tuple[Any, Any]:
    """Return the protocol of a file system, and the server that its paths do not name."""
    return filesystem.protocol, getattr(filesystem, "place", None)


def described(given: Sequence[str]) -> str:
    """Return the first paths as a text for messages, without credentials."""
    shown = [*map(without_credentials, given[:3])]
    return ", ".join(shown) + (", ..." if len(given) > 3 else "")


def identity_of(filesystem: Any, paths: Sequence[str]) -> str:
    """Return the names of all files, with their sizes and the times when they last changed."""
    lines = []
    for name in (name for path in paths for name in members(filesystem, path)):
        facts = filesystem.info(name)
        changed = [facts[key] for key in _CHANGES if facts.get(key) is not None]
        lines.append(f"{name}: {facts.get('size')} bytes, {changed}")
    return "\n".join(lines)


def paths_of(source: Any) -> list[str] | None:
    """Return the paths that a source consists of; None if it is something else."""
    given = [source] if isinstance(source, str | os.PathLike) else source
    if isinstance(given, list | tuple) and all(isinstance(p, str | os.PathLike) for p in given):
        return [os.fspath(path) for path in given]
    return None


def bare_name(path: str) -> str:
    """Return a name in lower case, without the suffixes of compressed files."""
    name = path.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return name


def is_table(path: str) -> bool:
    """Return whether a path is a table by its name; a folder or a glob may be one although not."""
    return is_data_set(path) or bare_name(path).endswith(
        tuple(end for ends in SUFFIXES.values() for end in ends)
    )


def is_data_set(path: str) -> bool:
    """Return whether a path is a data set: by its name, or by its manifest if it is on a disk."""
    return path.rstrip("/").endswith(".zarr") or os.path.isfile(os.path.join(path, MANIFEST))


def members(filesystem: Any, path: str) -> list[str]:
    """Return the files of a folder, sorted; or the path itself, if it is a file."""
    if not filesystem.isdir(path):
        return [path]
    return sorted(
        each for each in filesystem.find(path) if not _hidden(each.removeprefix(path).split("/"))
    )


def _hidden(parts: Sequence[str]) -> bool:
    """Return whether a file, or a folder that leads to it, holds no rows by its name."""
    return any(part.startswith(("_", ".")) for part in parts)
