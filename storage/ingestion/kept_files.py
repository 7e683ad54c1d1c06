"""A hidden folder beside a data set on a disk, for clean rows between the two passes of an ingest.

To read rows back takes a tenth of the time of reading their text again. The folder is locked while
its ingest runs, as the folder of a writing is. If the process is killed, the folder stays behind,
and the next ingest to the same place removes it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storage.ingestion.checked_rows import CleanRows
from storage.ingestion.rows_file import packed_rows, unpacked_rows
from storage.local_files import LocalFiles
from storage.resuming import ROWS, leftovers, make_locked
from storage.store import Store

__all__ = ["KeptFiles", "keep_rows", "keeping_files", "kept_rows"]

#: Free space that the disk must have, as a multiple of the text. A file of rows takes no more than
#: its text, and the data set may take twice as much.
_FREE_OF_TEXT = 4


class KeptFiles:
    """The folder for the rows of one ingest; it is made when the first pass needs it.

    Parameters
    ----------
    target : LocalFiles
        Where the data set goes.
    """

    def __init__(self, target: LocalFiles) -> None:
        self._target = Path(target.root)
        self._files = target.sibling(ROWS)
        self._made: list[Path] = []
        self._lock: int | None = None

    @property
    def begun(self) -> bool:
        """Whether the folder was made."""
        return self._lock is not None

    def begin(self, text_nbytes: int) -> LocalFiles | None:
        """Make the folder.

        Parameters
        ----------
        text_nbytes : int
            Bytes of the text whose rows will be kept.

        Returns
        -------
        LocalFiles or None
            The folder; None if the disk has little space, or no folder can be made there.
        """
        if self.begun:
            return self._files
        parent = self._target.parent
        try:
            self._made = [each for each in (parent, *parent.parents) if not each.exists()]
            parent.mkdir(parents=True, exist_ok=True)
            for folder, descriptor in leftovers(self._target, endings=ROWS):
                LocalFiles(str(folder)).remove_all()
                os.close(descriptor)
            if shutil.disk_usage(parent).free < _FREE_OF_TEXT * text_nbytes:
                return None
            self._lock = make_locked(Path(self._files.root))
        except OSError:
            return None  # writing the data set will raise the error, if it remains
        return self._files

    def discard(self) -> None:
        """Remove the folder, if it was made, and folders above it that were made for it."""
        self._files.remove_all()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        for folder in self._made:
            with contextlib.suppress(OSError):  # the data set is in it
                folder.rmdir()


@contextlib.contextmanager
def keeping_files(target: Store) -> Iterator[KeptFiles | None]:
    """Give a folder for rows beside a data set on a disk, and remove it at the end.

    For a data set in an object store there is no folder.
    """
    if not isinstance(target, LocalFiles):
        yield None
        return
    kept = KeptFiles(target)
    try:
        yield kept
    finally:
        kept.discard()


def keep_rows(files: LocalFiles, name: str, rows: CleanRows, limit: int) -> bool:
    """Write rows of a partition to a file; return whether this was done.

    Parameters
    ----------
    files : LocalFiles
        The folder.
    name : str
        Name of the file.
    rows : CleanRows
        The rows.
    limit : int
        Most bytes of the file.
    """
    if not rows.n_rows:
        return False
    for compressed in (False, True):
        parts = packed_rows(rows, compressed=compressed)
        if sum(map(len, parts)) <= limit:
            break
    else:
        return False
    try:
        files.write(name, parts)
    except OSError:  # the disk is full, for example: the text is read again
        return False
    return True


def kept_rows(files: LocalFiles, name: str, read: Any, *inputs: Any) -> Any:
    """Return the rows of a file; if it is gone or damaged, read the raw rows again.

    Parameters
    ----------
    files : LocalFiles
        The folder.
    name : str
        Name of the file.
    read : callable
        Reads the raw rows.
    inputs : object
        Arguments of `read`.
    """
    try:
        return unpacked_rows(files.read_bytes(name, sys.maxsize))
    except (OSError, ValueError):
        return read(*inputs)
