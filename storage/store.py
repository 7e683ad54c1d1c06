"""Where the files of a data set are: bytes under names, on a disk or in an object store.

All of this package reads and writes files of data sets by a store: :mod:`storage.local_files` for
local paths, :mod:`storage.objects` for everything that zarr's stores reach.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Bytes", "Store"]

Bytes = npt.NDArray[np.uint8]


class Store(ABC):
    """Files below one root. It pickles small, and where a URL opens it, without credentials.

    A file that is missing is a FileNotFoundError; a store that refuses or cannot be reached is
    another OSError, whose message says where.
    """

    @property
    @abstractmethod
    def location(self) -> str:
        """The path or URL, for messages."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL that opens the same files again, where there is one."""

    @abstractmethod
    def read(self, key: str) -> Bytes:
        """The bytes of a file, to be used before the thread reads the next one."""

    def read_bytes(self, key: str) -> bytes:
        """The bytes of a file, to be kept."""
        return self.read(key).tobytes()

    def read_each(self, keys: Sequence[str]) -> Iterator[Bytes]:
        """The bytes of several files, each to be used before the next is asked for."""
        return map(self.read, keys)

    @abstractmethod
    def read_start(self, key: str, nbytes: int) -> bytes:
        """The first bytes of a file, fewer where it has fewer."""

    @abstractmethod
    def write(self, key: str, parts: Sequence[bytes], *, durable: bool = False) -> None:
        """Write a file that holds `parts`, one behind the other, in one step.

        Parameters
        ----------
        key : str
            Name of the file.
        parts : sequence of bytes
            What it holds.
        durable : bool, default=False
            Wait until a disk has it.
        """

    @abstractmethod
    def kind(self) -> str | None:
        """What is at the root, as a word; None where nothing is, or where none can tell."""

    @abstractmethod
    def identity(self) -> object:
        """What changes when another data set takes the place of this one as a whole."""

    @abstractmethod
    def for_zarr(self) -> Any:
        """What zarr takes for the same place."""
