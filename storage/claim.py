"""Write a data set to an object store: claim the place first, write the files, then commit.

An object store cannot replace a whole folder in one step. So a data set is written directly at its
place, and counts as a data set only when its manifest is there. Meanwhile a claim file, which only
one writer can create, keeps other writers away. A complete data set is never replaced: readers
would find no complete data set until the new one is written.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from storage.errors import DatasetExists
from storage.group import FILES, foreign_entries
from storage.manifest import MANIFEST
from storage.objects import Objects
from storage.store import Store
from storage.zarr_stores import Opener

__all__ = ["Claim"]

CLAIM = "writing.json"
_OWN = frozenset({CLAIM, *FILES})


class _Claimed(Objects):
    """Files at a claimed place. Writing raises DatasetExists after the claim was lost."""

    def __init__(self, opener: Opener, mark: bytes) -> None:
        super().__init__(opener)
        self.mark = mark

    def write(
        self, key: str, parts: Sequence[bytes | memoryview], *, durable: bool = False
    ) -> None:
        """Write a file, unless another writer has claimed the place."""
        if not self.is_ours():
            raise _taken(self)
        super().write(key, parts, durable=durable)

    def is_ours(self) -> bool:
        """Return whether the claim file is the one that this object has made."""
        try:
            return self.read(CLAIM).tobytes() == self.mark
        except FileNotFoundError:
            return False

    def __reduce__(self) -> tuple[object, ...]:
        return _Claimed, (self.opener, self.mark)


class Claim:
    """The right to write a data set into a store.

    Parameters
    ----------
    store : Objects
        Where the data set goes.
    overwrite : bool
        Whether it may replace a data set that was not finished.

    Attributes
    ----------
    store : Objects
        Where the data set is written, as long as the claim holds.
    durable : bool
        False: an object store confirms a file only when it is safe.
    resumes : bool
        False: the files of another writer are never used.

    Raises
    ------
    DatasetExists
        When something is there that must not be replaced.
    UnsupportedURL
        When the store is read-only.
    """

    durable = False
    resumes = False

    def __init__(self, store: Objects, *, overwrite: bool) -> None:
        mark = {
            "writer": uuid.uuid4().hex,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.store = _Claimed(store.opener, json.dumps(mark).encode())
        self.overwrite = overwrite
        store.check_writable()
        self._check_target()

    def begin(self, signature: str = "", usable: Callable[[Store], bool] | None = None) -> None:
        """Claim the place. With `overwrite`, first remove the files of an unfinished data set.

        The place is checked again: another writer may have claimed it while rows were counted.
        """
        self._check_target()
        if self.overwrite:
            self._remove_all()
        if not self.store.create(CLAIM, self.store.mark):
            raise _taken(self.store)
        if set(self.store.names()) != {CLAIM}:
            self.store.delete(CLAIM)
            raise _taken(self.store)

    def commit(self, manifest: bytes) -> None:
        """Write the manifest, unless the claim was lost."""
        if not self.store.is_ours() or not self.store.create(MANIFEST, manifest):
            raise _taken(self.store)
        self.store.delete(CLAIM)

    def discard(self) -> None:
        """Remove what was written, unless another writer has claimed the place."""
        # Removing may fail for the same reason as writing: only the error of writing is raised.
        with contextlib.suppress(OSError):
            if self.store.is_ours():
                self._remove_all()

    def _check_target(self) -> None:
        names, place = set(self.store.names()), self.store.location
        if not names:
            return
        foreign = foreign_entries(self.store, sorted(names - {CLAIM}))
        if CLAIM in names and foreign is None:  # stopped before its first file
            foreign = sorted(names - _OWN)
        if foreign is None or foreign:
            found = ", ".join((foreign or sorted(names))[:5])
            raise DatasetExists(f"{place} holds something else ({found}): choose another place")
        if MANIFEST in names:
            raise DatasetExists(
                f"a data set is already at {place}: choose another place. In an object store a "
                f"data set cannot be replaced in one step, so it would be lost before the new one "
                f"is complete: write to another place, then delete the old one"
            )
        if not self.overwrite:
            raise _taken(self.store)

    def _remove_all(self) -> None:
        """Remove all files except a manifest; the claim last, to keep other writers away."""
        names = self.store.names()
        for name in (*FILES, CLAIM):
            if name in names:
                self.store.delete(name)


def _taken(store: Objects) -> DatasetExists:
    return DatasetExists(
        f"a data set is being written to {store.location}, or its writing was stopped: choose "
        f"another place, or, if nobody is writing there, replace it with overwrite=True"
    )
