"""Put the files of a new data set in their place; how depends on the store."""

from __future__ import annotations

from typing import Protocol

from storage.local_files import LocalFiles
from storage.staging import Staging
from storage.store import Store

__all__ = ["Writing", "writing_to"]


class Writing(Protocol):
    """The writing of a data set: it is begun, and then either committed or discarded.

    Attributes
    ----------
    durable : bool
        Whether each file must be safe on disk before the next step.
    """

    durable: bool

    @property
    def store(self) -> Store:
        """Where files are written."""

    def begin(self) -> None:
        """Prepare the place. Nothing is changed before this call."""

    def commit(self, manifest: bytes) -> None:
        """Make the written files the data set, in one step."""

    def discard(self) -> None:
        """Remove what was written."""


def writing_to(target: Store, *, overwrite: bool) -> Writing:
    """Check that a data set may be written to `target`; return the way to write it.

    Raises
    ------
    DatasetExists
        When something is there already, unless it is an empty folder or, with `overwrite`, a data
        set (complete or not) and nothing else. In an object store no complete one is replaced.
    UnsupportedURL
        When the store is for reading only.
    """
    if isinstance(target, LocalFiles):
        return Staging(target, overwrite=overwrite)
    from storage.claim import Claim
    from storage.objects import Objects  # imports zarr

    if not isinstance(target, Objects):
        raise TypeError(f"nothing is known of writing to a {type(target).__name__}")
    return Claim(target, overwrite=overwrite)
