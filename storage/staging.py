"""Write a data set on a disk: into a folder beside its target, then move it there in one step.

Everything is written into a hidden folder next to the target, on the same file system, so that a
rename can move it. The target changes in a single step at the end. Until then the old data set can
be read. If anything fails, only the hidden folder is removed. A process that is killed leaves its
hidden folder behind. The next writing to the same target continues in it, if that was requested and
it is the same work, or removes it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from storage.errors import DatasetExists
from storage.group import foreign_entries
from storage.local_files import LocalFiles
from storage.manifest import MANIFEST
from storage.messages import short_text
from storage.resuming import SHUFFLING, WORK, leftovers, make_locked
from storage.store import UnexpectedFile
from storage.work import MAX_NBYTES, Work

__all__ = ["Staging"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# Errors of a kernel or a file system that does not support the exchange of two folders.
_NO_EXCHANGE = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM})
#: Bytes that the name of a hidden folder has in addition to that of the target.
_HIDDEN = len(f"..{'0' * 32}.{SHUFFLING}")


def _check_target(path: Path, *, overwrite: bool) -> None:
    """Raise an error if the target exists and must not be replaced.

    Raises
    ------
    DatasetExists
        When something is there, unless it is an empty folder or, with `overwrite`, a data set
        (complete or not) and nothing else; or when a folder that leads there is a file.
    ValueError
        When the name is too long for a hidden folder beside the target.
    """
    folder = next(each for each in path.absolute().parents if os.path.lexists(each))
    if not folder.is_dir():
        raise DatasetExists(f"{folder} is not a folder, so no data set can be at {path}")
    most = os.pathconf(folder, "PC_NAME_MAX") - _HIDDEN
    if len(os.fsencode(path.name)) > most:
        raise ValueError(
            f"the name {short_text(path.name)!r} of the data set has "
            f"{len(os.fsencode(path.name))} bytes: choose one of at most {most}"
        )
    if not os.path.lexists(path) or _is_empty_folder(path):
        return
    foreign = foreign_entries(LocalFiles(str(path)), _names(path))
    if foreign is None:
        raise DatasetExists(
            f"{path} exists and is not a data set: choose another place "
            f"(overwrite=True replaces data sets only)"
        )
    if not overwrite:
        raise DatasetExists(
            f"a data set is already at {path}: choose another place, or replace it with "
            f"overwrite=True (it stays readable until the new one is complete)"
        )
    if foreign:
        raise DatasetExists(
            f"{path} holds more than a data set ({', '.join(foreign[:5])}), which would be "
            f"lost: move that away first, or choose another place"
        )


class Staging:
    """A hidden folder for a data set that will be moved to `target`.

    Parameters
    ----------
    target : LocalFiles
        Where the data set goes.
    overwrite : bool
        Whether it may replace another data set.
    resume : bool, default=False
        Whether it may continue in the folder of a writing of the same work that was killed.

    Attributes
    ----------
    store : LocalFiles
        The hidden folder. It exists once :meth:`begin` was called.
    durable : bool
        Whether each file must be safe on disk before the next step. This is needed when a data set
        is replaced: the new one must be safe before the old one is removed. Otherwise a power cut
        may damage the new data set, but its checksums show it, and it can be written again.
        Waiting for the disk takes 1.4 to 5 times as long as writing.
    continued : bool
        Whether it continues in the folder of a writing that was killed.

    Raises
    ------
    DatasetExists
        When something is at the target that must not be replaced.
    """

    def __init__(self, target: LocalFiles, *, overwrite: bool, resume: bool = False) -> None:
        self.target = Path(target.root)
        self.store = target.sibling("writing")
        self.folder = Path(self.store.root)
        self.overwrite = overwrite
        self.resume = resume
        self.durable = overwrite and self.target.exists()
        self.continued = False
        self._lock: int | None = None
        _check_target(self.target, overwrite=overwrite)

    def begin(self, work: Work) -> Work:
        """Make the hidden folder, or find one to continue in; remove those of dead writings."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        for folder, descriptor in leftovers(self.target):
            files = LocalFiles(str(folder))
            found = _found_in(files, work) if self.resume and not self.continued else None
            if found is not None:
                self.store, self.folder, self._lock = files, folder, descriptor
                self.continued, work = True, found
                continue
            files.remove_all()
            os.close(descriptor)
        if not self.continued:
            self._lock = make_locked(self.folder)
            if work.signature:
                self.store.write(WORK, [work.to_bytes()])
        return work

    def commit(self, manifest: bytes) -> None:
        """Write the manifest, move the folder to the target, and remove the old data set."""
        self.store.remove_partial_files()
        if self.durable and self.continued:
            os.sync()  # the killed writing may not have waited for the disk
        self.store.write(MANIFEST, [manifest], durable=True)
        for folder, _, _ in os.walk(self.folder):
            _sync_folder(Path(folder))
        (self.folder / WORK).unlink(missing_ok=True)
        # Check again: another process may have written to the target meanwhile.
        _check_target(self.target, overwrite=self.overwrite)
        try:
            # A rename works if the target does not exist or is an empty folder.
            self.folder.rename(self.target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            if not self.overwrite:
                raise DatasetExists(
                    f"another data set was written to {self.target} meanwhile: choose another "
                    f"place, or replace it with overwrite=True"
                ) from error
            _exchange(self.folder, self.target)
        _sync_folder(self.target.parent)
        self.discard()

    def discard(self) -> bool:
        """Remove the hidden folder, if it is there, and its lock."""
        self.store.remove_all()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        return True


def _found_in(files: LocalFiles, work: Work) -> Work | None:
    """Return the work of a folder, if it is the same as this one."""
    try:
        return work.found_in(files.read_bytes(WORK, MAX_NBYTES))
    except (OSError, UnexpectedFile):
        return None


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None


def _names(path: Path) -> list[str]:
    return os.listdir(path) if path.is_dir() else []


def _exchange(one: Path, other: Path) -> None:
    """Swap two folders.

    Linux does it in one step: at any moment a reader finds the old data set or the new one, and
    a crash leaves one of them. Elsewhere (old kernels, some network file systems) two renames
    come close: for a moment nothing is at the target, and a crash in that moment leaves the old
    data set under its hidden name.
    """
    if _exchange_in_one_step(one, other):
        return
    aside = one.with_suffix(".old")
    other.rename(aside)
    try:
        one.rename(other)
    except BaseException:
        aside.rename(other)
        raise
    aside.rename(one)


def _exchange_in_one_step(one: Path, other: Path) -> bool:
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    paths = os.fsencode(one), os.fsencode(other)
    if not renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE):
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
