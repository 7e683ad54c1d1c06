"""Choose how the files of a new data set are put in their place, which depends on the store."""

from __future__ import annotations

from typing import Protocol

from storage.local_files import LocalFiles
from storage.staging import Staging
from storage.store import Store
from storage.work import Work

__all__ = ["Writing", "writing_to"]


class Writing(Protocol):
    """The writing of one data set. It begins, and is then either committed or discarded.

    Attributes
    ----------
    durable : bool
        Whether each file must be safe on disk before the next step.
    continued : bool
        Whether it continues the writing of another process: some files may be complete.
    """

    durable: bool
    continued: bool

    @property
    def store(self) -> Store:
        """Where files are written."""

    def begin(self, work: Work) -> Work:
        """Prepare the place. Nothing is changed before this call.

        Parameters
        ----------
        work : Work
            What will be written.

        Returns
        -------
        Work
            The same work, with the identity and the time of the writing that it continues, if it
            continues one.
        """

    def commit(self, manifest: bytes) -> None:
        """Make the written files the data set, in one step."""

    def discard(self) -> bool:
        """Remove what was written; return whether nothing of it is left."""


def writing_to(target: Store, *, overwrite: bool, resume: bool = False) -> Writing:
    """Check that a data set may be written to `target`; return the way to write it.

    With `resume`, it continues a writing of the same work that was killed, if there is one.

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
        return Staging(target, overwrite=overwrite, resume=resume)
    from storage.claim import Claim
    from storage.objects import Objects  # imports zarr

    if not isinstance(target, Objects):
        raise TypeError(f"data sets cannot be written to a {type(target).__name__}")
    return Claim(target, overwrite=overwrite, resume=resume)
