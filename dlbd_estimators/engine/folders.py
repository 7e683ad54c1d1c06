"""Folders, on a disk or in an object store, whose files are written completely or not at all."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from stat import S_ISREG
from typing import Any
from uuid import uuid4

from dlbd_estimators.engine.packed_file import Kind, header_and_array_lengths

#: Ends the name of a file that is being written.
UNFINISHED = ".writing"


def folder_at(url: str, *, make: bool = True) -> Folder:
    """Return the folder at a path or URL.

    Parameters
    ----------
    url : str
        A path, or a URL that fsspec knows, such as ``"s3://bucket/fit"``.
    make : bool, default=True
        Create the folder if it does not exist.

    Raises
    ------
    OSError
        The folder does not exist and cannot be created.
    """
    return ObjectStoreFolder(url, make=make) if "://" in url else LocalFolder(url, make=make)


class Folder(ABC):
    """A folder of named files."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """Yield the names of the files."""

    @abstractmethod
    def read(self, name: str, kind: Kind) -> bytes:
        """Return a file's bytes, after checking its size against the lengths in its first bytes."""

    @abstractmethod
    def write(self, name: str, parts: Iterable[Any]) -> None:
        """Write a file completely, or not at all."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file."""

    @abstractmethod
    def check(self, name: str) -> None:
        """Raise an OSError if a file certainly cannot be written."""


class LocalFolder(Folder):
    """A folder in the file system of this machine."""

    def __init__(self, path: str, *, make: bool) -> None:
        self._path = Path(path).absolute()
        if make:
            self._path.mkdir(parents=True, exist_ok=True)

    def names(self) -> Iterator[str]:
        yield from os.listdir(self._path)

    def read(self, name: str, kind: Kind) -> bytes:
        # Without O_NONBLOCK, opening a pipe, for instance, would wait for a writer.
        fd = os.open(self._path / name, os.O_RDONLY | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            start = file.read(kind.start) if S_ISREG(status.st_mode) else b""
            if kind.start + sum(header_and_array_lengths(start, kind)) != status.st_size:
                raise kind.error("it is shorter or longer than what was written")
            return start + file.read()

    def write(self, name: str, parts: Iterable[Any]) -> None:
        # A unique name, so that two processes that write the same file do not mix their bytes.
        new = self._path / f"{name}.{uuid4().hex[:8]}{UNFINISHED}"
        try:
            with new.open("wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self._path / name)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
        folder = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name must reach the disk, too
        finally:
            os.close(folder)

    def delete(self, name: str) -> None:
        (self._path / name).unlink()

    def check(self, name: str) -> None:
        if (self._path / name).is_dir():
            raise IsADirectoryError(f"{self._path / name} is a folder, not a file to write")
        if not os.access(self._path, os.W_OK | os.X_OK):
            raise PermissionError(f"No file can be made in {self._path}: permission denied")


class ObjectStoreFolder(Folder):
    """A folder of an object store, which writes a file completely or not at all."""

    def __init__(self, url: str, *, make: bool) -> None:
        # Imported late: most users have no object store.
        files = import_module("fsspec.core")
        self._files, self._path = files.url_to_fs(url)
        if make:
            self._files.makedirs(self._path, exist_ok=True)

    def names(self) -> Iterator[str]:
        self._files.invalidate_cache(self._path)
        for path in self._files.ls(self._path, detail=False):
            yield path.rpartition("/")[2]

    def read(self, name: str, kind: Kind) -> bytes:
        start = self._files.cat_file(self._of(name), start=0, end=kind.start)
        if kind.start + sum(header_and_array_lengths(start, kind)) != self._files.size(
            self._of(name)
        ):
            raise kind.error("it is shorter or longer than what was written")
        return bytes(self._files.cat_file(self._of(name)))

    def write(self, name: str, parts: Iterable[Any]) -> None:
        self._files.pipe_file(self._of(name), b"".join(parts))

    def delete(self, name: str) -> None:
        self._files.rm_file(self._of(name))

    def check(self, name: str) -> None:
        if self._files.isdir(self._of(name)):
            raise IsADirectoryError(f"{self._of(name)} is a folder, not a file to write")

    def _of(self, name: str) -> str:
        return f"{self._path}/{name}"
