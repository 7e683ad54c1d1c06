"""Choose how the files of a new data set are put in their place, which depends on the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from storage.local_files import LocalFiles
from storage.staging import Staging
from storage.store import Store

__all__ = ["Writing", "writing_to"]


class Writing(Protocol):
    """The writing of one data set. It begins, and is then either committed or discarded.

    Attributes
    ----------
    durable : bool
        Whether each file must be safe on disk before the next step.
    resumes : bool
        Whether it can continue from the files of a writing that was killed.
    """

    durable: bool
    resumes: bool

    @property
    def store(self) -> Store:
        """Where files are written."""

    def begin(self, signature: str = "", usable: Callable[[Store], bool] | None = None) -> None:
        """Prepare the place. Nothing is changed before this call.

        Parameters
        ----------
        signature : str, default=""
            Identifies the work, so that another writing can continue from it; empty if none can.
        usable : callable, optional
            Returns whether the files of a killed writing with this signature can be used. If so,
            this writing continues in their place. None means a new beginning.
        """

    def commit(self, manifest: bytes) -> None:
        """Make the written files the data set, in one step."""

    def discard(self) -> None:
        """Remove what was written."""


def writing_to(target: Store, *, overwrite: bool) -> Writing:
    """Check that a data set may be written to `target`; return the way to write it.

    Raises
    ------
    DatasetExists
        When something is there already. An empty folder is allowed and, with `overwrite`, a folder
        that holds only a data set (complete or not). In an object store a complete data set is
        never replaced.
    UnsupportedURL
        When the store is read-only.
    """
    if isinstance(target, LocalFiles):
        return Staging(target, overwrite=overwrite)
    from storage.claim import Claim
    from storage.objects import Objects  # imports zarr

    if not isinstance(target, Objects):
        raise TypeError(f"data sets cannot be written to a {type(target).__name__}")
    return Claim(target, overwrite=overwrite)
