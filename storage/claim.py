"""In an object store: a claim on the place where a data set is written, and its commit.

No step puts a whole folder of an object store in another's place. So a data set is written where it
is to be, and is none before its manifest is there; a file that only one writer can have made claims
the place meanwhile, so that two do not write into one another. A data set that is complete is never
replaced: it could not be read until the new one is.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from storage.errors import DatasetExists
from storage.group import INGEST, METADATA, foreign_entries
from storage.layout import ARRAYS
from storage.manifest import MANIFEST
from storage.objects import Objects
from storage.zarr_stores import Opener

__all__ = ["Claim"]

CLAIM = "writing.json"
_OWN = frozenset({CLAIM, METADATA, INGEST, *ARRAYS})


class _Claimed(Objects):
    """Files of a place that one writer has claimed: none is written after the claim was lost."""

    def __init__(self, opener: Opener, mark: bytes) -> None:
        super().__init__(opener)
        self.mark = mark

    def write(self, key: str, parts: Sequence[bytes], *, durable: bool = False) -> None:
        """Write a file, unless the place was claimed by another."""
        if not self.is_ours():
            raise _taken(self)
        super().write(key, parts, durable=durable)

    def is_ours(self) -> bool:
        """Whether the claim is the one that was made here."""
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
        Whether it may replace one that was not finished.

    Attributes
    ----------
    store : Objects
        Where it is written, as long as the claim holds.
    durable : bool
        False: a store says that it has a file when it is safe.

    Raises
    ------
    DatasetExists
        When something is there that must not be replaced.
    UnsupportedURL
        When the store is for reading only.
    """

    durable = False

    def __init__(self, store: Objects, *, overwrite: bool) -> None:
        mark = {
            "writer": uuid.uuid4().hex,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self.store = _Claimed(store.opener, json.dumps(mark).encode())
        self.overwrite = overwrite
        store.check_writable()
        self._check_target()

    def begin(self) -> None:
        """Claim the place, of which what an unfinished writing left is removed.

        Since the first look, which counting rows may make long ago, another may have come.
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
        """Remove what was written; nothing where another has claimed the place."""
        # Whatever failed may go on failing; its error is the one to raise.
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
        """Remove all but a manifest; the claim last, so that nobody takes half of the rest."""
        names = self.store.names()
        for name in (*ARRAYS, METADATA, INGEST, CLAIM):
            if name in names:
                self.store.delete(name)


def _taken(store: Objects) -> DatasetExists:
    return DatasetExists(
        f"a data set is being written to {store.location}, or its writing was stopped: choose "
        f"another place, or, if nobody is writing there, replace it with overwrite=True"
    )
