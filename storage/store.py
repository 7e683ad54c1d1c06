"""The files of a data set, each with a name, on a disk or in an object store.

The whole package reads and writes files through a store: :mod:`storage.local_files` for local
paths, :mod:`storage.objects` for everything that a Zarr store can reach.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Bytes", "Store", "UnexpectedFile", "check_size"]

Bytes = npt.NDArray[np.uint8]
Result = TypeVar("Result")


class UnexpectedFile(OSError):
    """A file cannot be one that this package wrote: it is too long, a link or a device.

    It never leaves the package: readers convert it to an error that names the file and its role.
    """


class Store(ABC):
    """Files below one root. Its pickle is small, and holds no credentials if a URL opens it.

    A missing file raises FileNotFoundError. A store that refuses access or cannot be reached raises
    another OSError, whose message names the file.
    """

    @property
    @abstractmethod
    def location(self) -> str:
        """The path or URL, for messages."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL that opens the same files again; not all stores have one."""

    @abstractmethod
    def read(self, key: str, limit: int | None = None) -> Bytes:
        """Return the bytes of a file; they are valid until this thread reads the next file.

        Raises
        ------
        UnexpectedFile
            When the file has more than `limit` bytes; None means any size. In an object store its
            size is only known once it was read.
        """

    def read_bytes(self, key: str, limit: int) -> bytes:
        """Return the bytes of a file of at most `limit` bytes, in new memory."""
        return self.read(key, limit).tobytes()

    def read_each(
        self,
        keys: Sequence[str],
        limits: Sequence[int | None],
        use: Callable[[int, Callable[[], Bytes]], Result],
    ) -> Iterator[Result]:
        """Read several files, and yield what a function returns for each, in the order of `keys`.

        Parameters
        ----------
        keys : sequence of str
            Names of the files.
        limits : sequence of (int or None)
            Most bytes of each file, as for :meth:`read`.
        use : callable
            ``use(number, file) -> result`` is called for each file with its place in `keys`, and
            with a function that does what :meth:`read` does. An object store calls it in other
            threads.
        """
        for number, (key, limit) in enumerate(zip(keys, limits, strict=True)):
            yield use(number, partial(self.read, key, limit))

    #: Whether :meth:`read_into` saves a copy.
    reads_into: ClassVar[bool] = False

    def read_into(self, key: str, parts: Sequence[Bytes]) -> int:
        """Read a file into buffers, which it fills one after the other.

        Parameters
        ----------
        key : str
            Name of the file.
        parts : sequence of ndarray of uint8
            The buffers. If the file does not have exactly their size, their content is undefined.

        Returns
        -------
        int
            Size of the file in bytes.
        """
        data = self.read(key)
        if data.size == sum(part.size for part in parts):
            begin = 0
            for part in parts:
                part[...] = data[begin : begin + part.size]
                begin += part.size
        return data.size

    @abstractmethod
    def read_start(self, key: str, nbytes: int) -> bytes:
        """Return the first bytes of a file; all of them if the file is shorter."""

    @abstractmethod
    def write(
        self, key: str, parts: Sequence[bytes | memoryview], *, durable: bool = False
    ) -> None:
        """Write a file that holds `parts` in this order, in one step.

        Parameters
        ----------
        key : str
            Name of the file.
        parts : sequence of bytes
            The content of the file, in pieces.
        durable : bool, default=False
            Wait until the file is safe on disk.
        """

    @abstractmethod
    def make_folder(self, key: str) -> None:
        """Make a folder, unless it is there or the store has no folders."""

    @abstractmethod
    def kind(self) -> str | None:
        """Return a word for what is at the root; None if nothing is, or if it cannot be known."""

    @abstractmethod
    def identity(self) -> object:
        """Return a value that changes when another data set replaces this one in one step."""

    @abstractmethod
    def for_zarr(self) -> Any:
        """Return the root in a form that zarr accepts."""


def check_size(nbytes: int, limit: int | None) -> None:
    """Raise UnexpectedFile if a file has more bytes than the limit."""
    if limit is not None and nbytes > limit:
        raise UnexpectedFile(f"the file has {nbytes} bytes, at most {limit} were expected")
