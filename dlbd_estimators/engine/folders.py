"""Folders, on a disk or in an object store, whose files are written completely or not at all."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from stat import S_ISREG
from typing import Any
from uuid import uuid4

from dlbd_estimators.engine.credentials import without_credentials
from dlbd_estimators.engine.packed_file import Kind, header_and_array_lengths

#: Ends the name of a file that is being written.
UNFINISHED = ".writing"
#: Schemes of the URLs that obstore opens, those of data sets.
_OBSTORE_SCHEMES = frozenset({"s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss"})
#: Environment variables that name another server than that of the provider, by the first letter of
#: the scheme. The first one that is set counts.
_SERVERS = {
    "s": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "g": ("GOOGLE_BASE_URL",),
    "a": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
#: Errors of obstore, and codes in its other errors, for wrong credentials.
_REFUSED = frozenset({"PermissionDeniedError", "UnauthenticatedError"})
_REFUSED_STATUS = re.compile(r"status code: 40[13]\b")


def folder_at(url: str, *, make: bool = True) -> Folder:
    """Return the folder at a path or URL.

    Parameters
    ----------
    url : str
        A path, or the URL of an object store, such as ``"s3://bucket/fit"``. A package of fsspec
        that is installed for the scheme (s3fs, gcsfs, adlfs) opens it, otherwise obstore.
    make : bool, default=True
        Create the folder if it does not exist.

    Raises
    ------
    OSError
        The folder does not exist and cannot be created.
    ImportError, ValueError
        Nothing that is installed opens the URL.
    """
    if "://" not in url:
        return LocalFolder(url, make=make)
    try:
        return FsspecFolder(url, make=make)
    except (ImportError, ValueError) as error:
        if _scheme(url) not in _OBSTORE_SCHEMES:
            raise
        try:
            return ObstoreFolder(_obstore_at(url), url)
        except ImportError:
            raise ImportError(
                f"{without_credentials(url)} needs the package obstore, which is not installed: "
                f"pip install 'dlbd-estimators[cloud]' ({error})"
            ) from error


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
        except BaseException as error:
            with suppress(OSError):
                new.unlink()
            if isinstance(error, OSError) and error.errno is not None:
                # Name the file that the user knows, not the temporary one.
                raise OSError(error.errno, error.strerror, str(self._path / name)) from None
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


class FsspecFolder(Folder):
    """A folder at a URL that fsspec opens; object stores write a file completely or not at all."""

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


class ObstoreFolder(Folder):
    """A folder of an object store that obstore opens.

    The store replaces a file in one step, also one that is sent in several parts.

    Parameters
    ----------
    store : obstore.store.ObjectStore
        The store, whose root is the folder.
    url : str
        The URL of the folder, for messages.
    """

    def __init__(self, store: Any, url: str) -> None:
        self._obstore = import_module("obstore")
        self._store, self._url = store, without_credentials(url)

    def names(self) -> Iterator[str]:
        with self._translated_errors():
            found = self._obstore.list_with_delimiter(self._store)["objects"]
        for file in found:
            yield file["path"]

    def read(self, name: str, kind: Kind) -> bytes:
        with self._translated_errors(name):
            content = bytes(self._obstore.get(self._store, name).bytes())
        if kind.start + sum(header_and_array_lengths(content[: kind.start], kind)) != len(content):
            raise kind.error("it is shorter or longer than what was written")
        return content

    def write(self, name: str, parts: Iterable[Any]) -> None:
        with self._translated_errors(name):
            self._obstore.put(self._store, name, b"".join(parts))

    def delete(self, name: str) -> None:
        with self._translated_errors(name):
            self._obstore.delete(self._store, name)

    def check(self, name: str) -> None:
        # The list also shows that the store answers, and accepts the credentials.
        with self._translated_errors(name):
            found = self._obstore.list_with_delimiter(self._store, f"{name}/")
        if found["objects"] or found["common_prefixes"]:
            raise IsADirectoryError(f"{self._url}/{name} is a folder, not a file to write")

    @contextmanager
    def _translated_errors(self, name: str = "") -> Iterator[None]:
        """Raise the errors of obstore as those of local files, without credentials."""
        where = f"{self._url}/{name}".rstrip("/")
        try:
            yield
        except FileNotFoundError:  # as obstore raises it, with many lines
            raise FileNotFoundError(f"{where} does not exist") from None
        except self._obstore.exceptions.BaseError as error:
            reason = without_credentials(str(error).strip().partition("\n")[0])
            # A list that is refused is a general error of obstore.
            if type(error).__name__ in _REFUSED or _REFUSED_STATUS.search(reason):
                raise PermissionError(
                    f"{where} cannot be used: {reason}: check the credentials of this process"
                ) from None
            raise OSError(f"{where} cannot be used: {reason}") from None


def _obstore_at(url: str) -> Any:
    """Return the store at a URL, with the environment variables of data sets.

    Raises
    ------
    OSError
        The URL is not valid, or the variables contradict it.
    """
    exceptions = import_module("obstore.exceptions")
    scheme = _scheme(url)
    servers = [os.environ[name] for name in _SERVERS[scheme[0]] if name in os.environ]
    # obstore refuses connections without encryption unless they are allowed.
    allow_http = bool(servers) and servers[0].lower().startswith("http:")
    try:
        return import_module("obstore.store").from_url(
            url, client_options={"allow_http": allow_http}
        )
    except (exceptions.BaseError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise OSError(without_credentials(f"{url} cannot be opened: {reason}")) from None


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()
