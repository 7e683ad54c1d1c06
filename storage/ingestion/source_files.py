"""The files of a source: find them by paths, globs and URLs, and recognise changes of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from storage.credentials import without_credentials
from storage.errors import InvalidData
from storage.ingestion.compression import COMPRESSED
from storage.ingestion.file_systems import file_system, matching
from storage.manifest import MANIFEST

__all__ = [
    "SUFFIXES",
    "ListedFiles",
    "bare_name",
    "described",
    "found_paths",
    "is_data_set",
    "is_table",
    "members",
    "paths_of",
    "telling_changes",
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
    InvalidData
        When one of them is a pipe or a device, or they are in several places.
    ValueError
        When no path is given.
    """
    if not given:
        raise ValueError("the source is an empty list: give one or more files")
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
    if isinstance(filesystem, LocalFileSystem):
        _refuse_pipes(filesystem, paths)
    return filesystem, paths


def _refuse_pipes(filesystem: Any, paths: Sequence[str]) -> None:
    """Refuse what is no regular file: reading a pipe may wait for ever, and works only once."""
    for name in (name for path in paths for name in members(filesystem, path)):
        if filesystem.info(name)["type"] == "other":
            raise InvalidData(
                f"{name} is a pipe, a socket or a device, which cannot be read twice: write its "
                f"content to a file first"
            )


def _place(filesystem: Any) -> tuple[Any, Any]:
    """Return the protocol of a file system, and the server that its paths do not name."""
    return filesystem.protocol, getattr(filesystem, "place", None)


def described(given: Sequence[str]) -> str:
    """Return the first paths as a text for messages, without credentials."""
    shown = [*map(without_credentials, given[:3])]
    return ", ".join(shown) + (", ..." if len(given) > 3 else "")


@dataclass(frozen=True)
class ListedFiles:
    """Files with their sizes, and the times when they last changed, as they were when listed.

    Attributes
    ----------
    filesystem : fsspec.AbstractFileSystem
        Where they are.
    facts : dict of str to str
        Size and time of each file.
    """

    filesystem: Any
    facts: Mapping[str, str]

    @classmethod
    def at(cls, filesystem: Any, paths: Sequence[str]) -> ListedFiles:
        """List the files at some paths, and in folders."""
        names = (name for path in paths for name in members(filesystem, path))
        return cls(filesystem, {name: _facts(filesystem, name) for name in names})

    @property
    def identity(self) -> str:
        """The names of all files, with their sizes and times."""
        return "\n".join(f"{name}: {facts}" for name, facts in self.facts.items())

    def check(self) -> None:
        """Refuse files that have changed since they were listed.

        What was counted or compared in one reading would not belong to the rows of the next one.

        Raises
        ------
        InvalidData
            When a file was changed or deleted.
        """
        self.filesystem.invalidate_cache()
        for name, facts in self.facts.items():
            try:
                now = _facts(self.filesystem, name)
            except FileNotFoundError:
                now = "deleted"
            if now != facts:
                raise InvalidData(
                    f"{without_credentials(name)} was changed or deleted while it was read, so "
                    f"that rows of both states could be mixed: read it again when nothing writes "
                    f"to it, or read a copy"
                )


@contextmanager
def telling_changes(files: ListedFiles | None) -> Iterator[None]:
    """Replace errors about rows by one that says that their files have changed, if they have."""
    try:
        yield
    except ValueError as error:
        try:
            if files is not None:
                files.check()
        except InvalidData as changed:
            for note in getattr(error, "__notes__", ()):
                changed.add_note(note)
            raise changed from error
        except OSError:  # the files cannot be looked at any more
            raise error from None
        raise


def _facts(filesystem: Any, name: str) -> str:
    facts = filesystem.info(name)
    changed = [facts[key] for key in _CHANGES if facts.get(key) is not None]
    return f"{facts.get('size')} bytes, {changed}"


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
