"""The files of a data set, each with a name, on a disk or in an object store.

The whole package reads and writes files through a store: :mod:`storage.local_files` for local
paths, :mod:`storage.objects` for everything that a Zarr store can reach.
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
    """Files below one root. It pickles small; if a URL opens it, without credentials.

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
    def read(self, key: str) -> Bytes:
        """The bytes of a file; valid until this thread reads the next file."""

    def read_bytes(self, key: str) -> bytes:
        """The bytes of a file, in new memory."""
        return self.read(key).tobytes()

    def read_each(self, keys: Sequence[str]) -> Iterator[Bytes]:
        """The bytes of several files; each is valid until the next is requested."""
        return map(self.read, keys)

    @abstractmethod
    def read_start(self, key: str, nbytes: int) -> bytes:
        """The first bytes of a file; all of them if the file is shorter."""

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
            What it holds.
        durable : bool, default=False
            Wait until a disk has it.
        """

    @abstractmethod
    def kind(self) -> str | None:
        """What is at the root, in a word; None if nothing is there, or if it cannot be known."""

    @abstractmethod
    def identity(self) -> object:
        """A value that changes when another data set replaces this one in one step."""

    @abstractmethod
    def for_zarr(self) -> Any:
        """The same place in a form that zarr takes."""
