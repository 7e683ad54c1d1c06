"""Write a data set to an object store: claim the place first, write the files, then commit.

An object store cannot replace a whole folder in one step. So a data set is written directly at its
place, and counts as a data set only when its manifest is there. Meanwhile a claim, a file that only
one writer can create, keeps other writers away. A complete data set is never replaced: readers
would find no complete data set until the new one is written.

Nobody can see whether the writer of a claim still lives. Who takes its place over creates the claim
of the next number, which only one can do, and then deletes the one before. A writer looks for its
claim before each file, and stops if it is gone. One file may still be on its way then. Therefore a
file is only created, never replaced: what arrives late finds the file of the new writer there, or
is compared by it. Only what differs from the bytes of the present writer is replaced: a damaged
chunk, or one that a task computed again with another result.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from storage.errors import DatasetExists
from storage.group import FILES, foreign_entries
from storage.manifest import MANIFEST
from storage.objects import Objects
from storage.store import UnexpectedFile
from storage.work import MAX_NBYTES, Work
from storage.zarr_stores import Opener

__all__ = ["CLAIM", "Claim", "ClaimedFiles", "claim_key"]

CLAIM = "writing.json"
_CLAIMS = re.compile(r"writing(?:-(?P<number>[1-9]\d{0,8}))?\.json")


def claim_key(number: int) -> str:
    """Return the name of a claim; the first one has number 1."""
    return CLAIM if number == 1 else f"writing-{number}.json"


class ClaimedFiles(Objects):
    """Files at a claimed place. Writing raises DatasetExists after the claim was lost."""

    def __init__(self, opener: Opener, number: int, mark: bytes) -> None:
        super().__init__(opener)
        self.number = number
        self.mark = mark

    def write(
        self, key: str, parts: Sequence[bytes | memoryview], *, durable: bool = False
    ) -> None:
        """Write a file, unless another writer has claimed the place."""
        content = b"".join(parts)
        self.check()
        if not self.create(key, content):
            self.check()
            super().write(key, [content], durable=durable)

    def check(self) -> None:
        """Raise DatasetExists if the claim was lost."""
        if not self.is_ours():
            raise DatasetExists(
                f"another writer has taken over {self.location}, where this one was writing, so "
                f"this one stops: a data set is being written there, and its files are not touched"
            )

    def is_ours(self) -> bool:
        """Return whether the claim is the one that this object has made."""
        try:
            return self.read(claim_key(self.number)).tobytes() == self.mark
        except FileNotFoundError:
            return False

    def __reduce__(self) -> tuple[object, ...]:
        return ClaimedFiles, (self.opener, self.number, self.mark)


class Claim:
    """The right to write a data set into a store.

    Parameters
    ----------
    store : Objects
        Where the data set goes.
    overwrite : bool
        Whether it may replace a data set that was not finished.
    resume : bool, default=False
        Whether it may continue the writing of a data set that was not finished.

    Attributes
    ----------
    store : Objects
        Where the data set is written, as long as the claim holds.
    durable : bool
        False: an object store confirms a file only when it is safe.
    continued : bool
        Whether there may be files of another writing of the same work.

    Raises
    ------
    DatasetExists
        When something is there that must not be replaced.
    UnsupportedURL
        When the store is read-only.
    """

    durable = False

    def __init__(self, store: Objects, *, overwrite: bool, resume: bool = False) -> None:
        self.store = store
        self.overwrite = overwrite
        self.resume = resume
        self.continued = False
        self._place = store
        store.check_writable()
        self._check_target()

    def begin(self, work: Work) -> Work:
        """Claim the place, or take over the claim of another writer.

        The place is checked again: another writer may have claimed it while rows were counted.
        """
        numbers = self._check_target()
        is_empty = not self._place.names()
        before = self._claim_at(numbers[-1]) if numbers else b""
        found = work.found_in(before) if self.resume else None
        if found is None and not self.overwrite and numbers:
            raise DatasetExists(
                f"the data set that is being written to {self._place.location}, or whose writing "
                f"was stopped, cannot be continued: it is made of other files, or with other "
                f"options or versions of packages, or it had replaced another one. Choose another "
                f"place, or, if nobody is writing there, replace it with overwrite=True"
            )
        number = numbers[-1] + 1 if numbers else 1
        # A file of the writer before may still be on its way. If this writing was continued later,
        # that file would be taken for one of its own.
        mine = found or (work if is_empty else replace(work, signature=""))
        files = ClaimedFiles(self._place.opener, number, _mark(mine))
        if is_empty:
            self.store = files  # an error removes the claim
        if not files.create(claim_key(number), files.mark):
            raise self._taken()
        if not self._follows(number, before, is_empty=is_empty):
            files.delete(claim_key(number))
            raise self._taken()
        for earlier in numbers:
            files.delete(claim_key(earlier))
        if found is None:
            self._remove_files()
        self.store, self.continued = files, found is not None
        return mine

    def commit(self, manifest: bytes) -> None:
        """Write the manifest, unless the claim was lost."""
        assert isinstance(self.store, ClaimedFiles)
        self.store.check()
        if not self.store.create(MANIFEST, manifest):
            raise self._complete()
        self.store.delete(claim_key(self.store.number))

    def discard(self) -> bool:
        """Remove what was written, unless another writer has claimed the place.

        Returns
        -------
        bool
            Whether it was removed.
        """
        # Removing may fail for the same reason as writing: only the error of writing is raised.
        with contextlib.suppress(OSError):
            return isinstance(self.store, ClaimedFiles) and self._discard(self.store)
        return False

    def _discard(self, files: ClaimedFiles) -> bool:
        # Nobody may take the place over while files are removed, and count those that are left.
        number, end = files.number, ClaimedFiles(files.opener, files.number + 1, _mark(None))
        if not files.is_ours() or not end.create(claim_key(end.number), end.mark):
            return False
        if not files.is_ours():
            end.delete(claim_key(end.number))
            return False
        complete = MANIFEST in files.names()  # its writing succeeded, but the answer was lost
        if not complete:
            self._remove_files()
        for each in (number, end.number):
            files.delete(claim_key(each))
        return not complete

    def _check_target(self) -> list[int]:
        """Return the numbers of the claims at the place, if a data set may be written there."""
        names, place = set(self._place.names()), self._place.location
        claims = _claims(names)
        if not names:
            return []
        others = names - {claim_key(number) for number in claims}
        foreign = foreign_entries(self._place, sorted(others))
        if claims and foreign is None:  # stopped before its first file
            foreign = sorted(others.difference(FILES))
        if foreign is None or foreign:
            found = ", ".join((foreign or sorted(names))[:5])
            raise DatasetExists(f"{place} holds something else ({found}): choose another place")
        if MANIFEST in names:
            raise self._complete()
        if not self.overwrite and not (self.resume and claims):
            raise self._taken()
        return claims

    def _claim_at(self, number: int) -> bytes:
        try:
            return self._place.read_bytes(claim_key(number), MAX_NBYTES)
        except (FileNotFoundError, UnexpectedFile):
            return b""

    def _follows(self, number: int, before: bytes, *, is_empty: bool) -> bool:
        """Return whether a new claim follows the one that was seen before, and is the last one."""
        names = set(self._place.names())
        if is_empty:
            return names == {CLAIM}
        claims = _claims(names)
        same = number == 1 or (number - 1 in claims and self._claim_at(number - 1) == before)
        return same and claims[-1:] == [number] and MANIFEST not in names

    def _remove_files(self) -> None:
        """Remove all files except a manifest and the claims, which keep other writers away."""
        names = self._place.names()
        for name in FILES:
            if name in names:
                self._place.delete(name)

    def _complete(self) -> DatasetExists:
        return DatasetExists(
            f"a data set is already at {self._place.location}: choose another place. In an object "
            f"store a data set cannot be replaced in one step, so it would be lost before the new "
            f"one is complete: write to another place, then delete the old one"
        )

    def _taken(self) -> DatasetExists:
        return DatasetExists(
            f"a data set is being written to {self._place.location}, or its writing was stopped: "
            f"choose another place, or, if nobody is writing there, continue an ingest of the same "
            f"files with resume=True, or replace it with overwrite=True"
        )


def _claims(names: set[str]) -> list[int]:
    """Return the numbers of the claims among these names, the last one last."""
    found = (_CLAIMS.fullmatch(name) for name in names)
    return sorted(int(each["number"] or 1) for each in found if each is not None)


def _mark(work: Work | None) -> bytes:
    """Return the content of a claim. None means that files are removed, which none continues."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return (work or Work("", "", "")).to_bytes(writer=uuid.uuid4().hex, since=since)
