"""Versions of a data set: the created rows are version 1, and an append commits another one.

A version has all rows of the version before, and the appended rows after them. Its manifest lists
only the chunks that it adds::

    versions/2.json       the manifest; written last, in one step, and only if it does not exist
    version-2-<id>/       spare files of its chunks, and its quality report

The chunks are first written as spare files, which no other writer uses. After the commit they are
copied to the keys where zarr expects them: see :mod:`storage.completion`. If the last chunk of a
version is not full, the next version fills it up. Therefore its spare file is kept, and readers of
the old version continue with it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from storage.entries import ChunkEntries, StoredFile
from storage.layout import FIRST_FOLDER, MAX_SIZE, ArrayLayout
from storage.manifest import MAX_NBYTES, Manifest
from storage.manifest_text import (
    arrays_text,
    checked_text,
    files_text,
    parse_arrays,
    parse_files,
    signed_text,
)
from storage.metadata import damaged, parse_json
from storage.store import Store, UnexpectedFile

__all__ = [
    "QUALITY",
    "VERSIONS",
    "Appended",
    "History",
    "Version",
    "is_of_versions",
    "layouts_at",
    "manifest_at",
    "new_folder",
    "read_versions",
    "rows_of",
    "version_key",
    "with_later_files",
]

VERSIONS = "versions"
#: Name of the quality report in the folder of a version, if it was made of raw rows.
QUALITY = "quality.json"

_FOLDER = re.compile(r"version-(?P<number>[1-9]\d{0,8})(-[0-9a-f]{32})?")
#: Most manifests that are requested at once.
_MOST_REQUESTED = 32


def version_key(number: int) -> str:
    """Return the name of the manifest of an appended version."""
    return f"{VERSIONS}/{number}.json"


def new_folder(number: int) -> str:
    """Return a name for the folder of a version that is about to be written."""
    return f"version-{number}-{uuid.uuid4().hex}"


def is_of_versions(name: str) -> bool:
    """Return whether a file or folder of a data set belongs to its versions."""
    return name == VERSIONS or _FOLDER.fullmatch(name) is not None


@dataclass(frozen=True)
class Version:
    """One version of a data set.

    Parameters
    ----------
    number : int
        Number of the version, from 1.
    n_samples : int
        Rows of the version, with those of all versions before.
    n_added : int
        Rows that the version has added.
    created : str
        Time of writing, ISO 8601, UTC.
    source : str, optional
        Where the added rows came from, in words.

    Examples
    --------
    >>> import storage
    >>> storage.Version(2, n_samples=120, n_added=20, created="2026-01-31T06:00:00+00:00").number
    2
    """

    number: int
    n_samples: int
    n_added: int
    created: str
    source: str | None = None


@dataclass(frozen=True)
class Appended:
    """The manifest of an appended version.

    Attributes
    ----------
    dataset_id : str
        Identity of the data set.
    version : Version
        Number, rows, time and source of the version.
    folder : str
        Folder of its spare files.
    files : mapping of str to StoredFile
        Files of metadata that it has written.
    arrays : mapping of str to ChunkEntries
        The chunks of each array from the first one that holds added rows.
    """

    dataset_id: str
    version: Version
    folder: str
    files: Mapping[str, StoredFile]
    arrays: Mapping[str, ChunkEntries]

    def to_bytes(self, layouts: Sequence[ArrayLayout]) -> bytes:
        """Return the content of the file. Writing it commits the version."""
        about = json.dumps({**asdict(self.version), "folder": self.folder})
        body = f'"version": {about},\n'.encode() + files_text(self.files)
        return signed_text(self.dataset_id, body + arrays_text(self.arrays, layouts))

    @classmethod
    def of_text(cls, text: bytes, before: int, number: int) -> Appended:
        """Return the manifest that a file holds.

        Parameters
        ----------
        text : bytes
            Content of the file.
        before : int
            Rows of the version before; 0 means any number.
        number : int
            The number that the version must have.

        Raises
        ------
        ValueError, TypeError, LookupError
            When the file is damaged.
        """
        dataset_id = checked_text(text)
        line = text.split(b"\n", 3)[2]
        about: dict[str, Any] = parse_json(b"{" + line.removesuffix(b",") + b"}")["version"]
        folder, version = about.pop("folder"), Version(**about)
        found = _FOLDER.fullmatch(folder)
        if found is None or found["number"] != str(number) or folder == FIRST_FOLDER:
            raise ValueError("the name of its folder is wrong")
        sizes = (version.number, version.n_samples, version.n_added)
        if not all(type(size) is int for size in sizes) or version.number != number:
            raise ValueError("its number or a size is wrong")
        if (
            version.n_added < 1
            or not version.n_samples < MAX_SIZE
            or version.n_samples != (before or sizes[1] - sizes[2]) + sizes[2]
        ):
            raise ValueError("its rows do not follow those of the version before")
        if type(version.created) is not str or type(version.source) not in (str, type(None)):
            raise TypeError("its time or source is no text")
        return cls(dataset_id, version, folder, parse_files(text) or {}, parse_arrays(text))


@dataclass(frozen=True)
class History:
    """The versions of a data set when it was opened.

    Attributes
    ----------
    first : Version
        Version 1.
    appended : tuple of Appended
        The manifests of the versions after it.
    number : int
        Number of the version that was opened.
    """

    first: Version
    appended: tuple[Appended, ...]
    number: int

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions, the newest last."""
        return (self.first, *(addition.version for addition in self.appended))

    def checked(self, version: object) -> int:
        """Return the number of a version that exists.

        Raises
        ------
        TypeError, ValueError
            When it is no whole number, or there is no such version.
        """
        if isinstance(version, bool) or not isinstance(version, int | np.integer):
            raise TypeError(f"version must be a whole number, got {version!r}")
        newest = len(self.versions)
        if not 1 <= version <= newest:
            has = "only version 1" if newest == 1 else f"versions 1 to {newest}"
            raise ValueError(f"the data set has {has}, and no version {version}")
        return int(version)

    def appended_version(self, version: int) -> Appended:
        """Return the manifest of a version after the first."""
        return self.appended[self.checked(version) - 2]


def read_versions(store: Store, dataset_id: str, *, after: int = 1) -> tuple[Appended, ...]:
    """Return the manifests of all versions that follow version `after`.

    No file is listed, because web servers list none: the numbers are tried one after the other.

    Raises
    ------
    MetadataCorrupt
        When a manifest is damaged, or belongs to another data set.
    """
    found: list[Appended] = []
    n_requested = 1
    while True:
        first = after + 1 + len(found)
        keys = [version_key(number) for number in range(first, first + n_requested)]
        limits = [MAX_NBYTES] * len(keys)
        contents = store.read_each(keys, limits, lambda _, file: file().tobytes())
        for number, key in enumerate(keys, first):
            try:
                text = next(contents)
            except (FileNotFoundError, IsADirectoryError):
                return tuple(found)
            except UnexpectedFile as error:
                raise damaged(store, key, error) from error
            try:
                before = found[-1].version.n_samples if found else 0
                appended = Appended.of_text(text, before, number)
                if appended.dataset_id != dataset_id:
                    raise ValueError("it belongs to another data set")
            except (
                ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
            ) as error:  # fmt: skip
                raise damaged(store, key, error) from error
            found.append(appended)
        n_requested = min(4 * n_requested, _MOST_REQUESTED)


def rows_of(base: Manifest) -> int:
    """Return the number of rows of version 1, whose manifest is given."""
    chunks = base.arrays.get("X")
    return 0 if chunks is None else int(chunks.rows.sum())


def layouts_at(
    layouts: Sequence[ArrayLayout], n_samples: int, appended: Sequence[Appended]
) -> tuple[ArrayLayout, ...]:
    """Return the layouts of the last of the `appended` versions.

    Parameters
    ----------
    layouts : sequence of ArrayLayout
        The layouts of any version.
    n_samples : int
        Rows of version 1.
    appended : sequence of Appended
        The versions from 2 on.
    """
    n_rows = [n_samples, *(addition.version.n_samples for addition in appended)]
    folders = [FIRST_FOLDER, *(addition.folder for addition in appended)]
    return tuple(
        replace(
            layout,
            n_rows=n_rows[-1],
            spare_folders=tuple(
                (before // layout.chunk_rows, folder)
                for before, folder in zip([0, *n_rows], folders, strict=False)
            ),
        )
        for layout in layouts
    )


def manifest_at(
    store: Store,
    base: Manifest,
    layouts: Sequence[ArrayLayout],
    appended: Sequence[Appended],
    number: int,
) -> Manifest:
    """Return the manifest of one version: its chunks, and the files of all versions.

    Raises
    ------
    MetadataCorrupt
        When the manifests do not belong together.
    """
    chunk_rows = {layout.name: layout.chunk_rows for layout in layouts}
    parts = {name: [entries] for name, entries in base.arrays.items()}
    n_rows = rows_of(base)
    for addition in appended[: number - 1]:
        before, n_rows = n_rows, addition.version.n_samples
        fits = before == n_rows - addition.version.n_added
        fits &= addition.arrays.keys() == parts.keys() == chunk_rows.keys()
        for name, entries in addition.arrays.items() if fits else ():
            # The first added row may be inside the last chunk, which is then replaced.
            full = before % chunk_rows[name] == 0
            parts[name][-1] = parts[name][-1].run(0, len(parts[name][-1]) - (not full))
            parts[name].append(entries)
            fits &= before // chunk_rows[name] == ceil(n_rows / chunk_rows[name]) - len(entries)
        if not fits:
            key = version_key(addition.version.number)
            raise damaged(store, key, "its chunks do not follow those of the version before")
    arrays = {name: ChunkEntries.joined(runs) for name, runs in parts.items()}
    return with_later_files(replace(base, arrays=arrays), appended)


def with_later_files(manifest: Manifest, appended: Sequence[Appended]) -> Manifest:
    """Return the manifest with the files of metadata of all these versions."""
    later: dict[str, list[StoredFile]] = defaultdict(list)
    for addition in appended:
        for key, file in addition.files.items():
            later[key].append(file)
    return replace(manifest, later_files=dict(later))
