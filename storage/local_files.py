"""Files of a data set on a disk that all workers see."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from storage.store import Bytes, Store, UnexpectedFile, check_size

__all__ = ["PARTIAL_SUFFIX", "LocalFiles", "fill"]

PARTIAL_SUFFIX = ".partial"

#: Bytes of a line of a processor's cache.
_LINE = 64

#: Without O_NONBLOCK, opening a pipe would wait for a writer.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_LINK = "is a link: links inside a data set are refused, because they can lead to any other file"


#: Errors of a file system that has no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


class _Scratch(threading.local):
    """A thread's buffer for the bytes of a file, kept between files."""

    def __init__(self) -> None:
        self.buffer: Bytes = np.empty(0, dtype=np.uint8)

    def of_size(self, nbytes: int) -> Bytes:
        if self.buffer.size < nbytes:
            # A large array of NumPy begins 16 bytes after the beginning of a page. There, some
            # processors (AMD's Zen 3) take four times as long to copy from the page cache.
            memory = np.empty(nbytes + _LINE, dtype=np.uint8)
            self.buffer = memory[-memory.ctypes.data % _LINE :]
        return self.buffer[:nbytes]


_scratch = _Scratch()


@dataclass(frozen=True)
class LocalFiles(Store):
    """Files in a folder.

    Attributes
    ----------
    root : str
        Absolute path of the folder.
    """

    root: str
    reads_into = True

    @property
    def location(self) -> str:
        """The path."""
        return self.root

    @property
    def url(self) -> str:
        """The path as a ``file://`` URL."""
        return Path(self.root).as_uri()

    def read(self, key: str, limit: int | None = None) -> Bytes:
        """Return the bytes of a file, in a buffer that the next read of this thread overwrites."""
        descriptor = self._open(key)
        try:
            check_size(os.fstat(descriptor).st_size, limit)
            data = _scratch.of_size(os.fstat(descriptor).st_size)
            # One read may return fewer bytes than requested, and a file may shrink.
            return data[: fill(descriptor, data)]
        finally:
            os.close(descriptor)

    def read_into(self, key: str, parts: Sequence[Bytes]) -> int:
        """Read a file directly into buffers; see :meth:`Store.read_into`."""
        descriptor = self._open(key)
        try:
            size = os.fstat(descriptor).st_size
            if size != sum(part.size for part in parts):
                return size
            return sum(fill(descriptor, part) for part in parts)
        finally:
            os.close(descriptor)

    def read_bytes(self, key: str, limit: int) -> bytes:
        """Return the bytes of a file, in new memory: a long file would enlarge the buffer."""
        with open(self._open(key), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            check_size(size, limit)
            return file.read(size)  # a limit for the memory that is allocated

    def read_start(self, key: str, nbytes: int) -> bytes:
        """Return the first bytes of a file; all of them if the file is shorter."""
        descriptor = self._open(key)
        try:
            return os.read(descriptor, nbytes)
        finally:
            os.close(descriptor)

    def write(
        self, key: str, parts: Sequence[bytes | memoryview], *, durable: bool = False
    ) -> None:
        """Write a file under another name, then rename it: `key` is never a half-written file.

        Two tasks may write the same file. If the scheduler believes that a worker is lost, another
        worker repeats its task while the first may still be writing. Both write the same bytes, and
        each rename gives a complete file.
        """
        path = f"{self.root}/{key}"
        partial = f"{path}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                for part in parts:
                    left = memoryview(part)
                    while left:
                        left = left[os.write(descriptor, left) :]
                if durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(partial, path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = path  # os.write and os.fsync only know a number
            raise

    def create(self, key: str, content: bytes) -> bool:
        """Write a file unless it exists; return whether this call has written it.

        The content is safe on disk before the file gets its name, in one step.
        """
        partial = f"{key}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}"
        self.write(partial, [content], durable=True)
        try:
            return self._link(partial, key)
        finally:
            os.unlink(f"{self.root}/{partial}")

    def copy(self, key: str, target: str, *, replace: bool) -> None:
        """Give a file a second name, by a hard link if the file system has them.

        Parameters
        ----------
        key : str
            Name of the file. It is never changed afterwards, only replaced.
        target : str
            The second name.
        replace : bool
            Whether to replace a file that has this name; if not, it is left as it is.
        """
        if not replace:
            self._link(key, target)
            return
        partial = f"{target}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}"
        self._link(key, partial)
        os.rename(f"{self.root}/{partial}", f"{self.root}/{target}")
        # A rename does nothing if both names already belong to the same file.
        self.delete(partial)

    def _link(self, key: str, target: str) -> bool:
        source, path = f"{self.root}/{key}", f"{self.root}/{target}"
        try:
            os.link(source, path, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(path):
                return False
            self.write(target, [self.read(key).tobytes()], durable=True)
        return True

    def names_in(self, folder: str) -> list[str]:
        """Return the names of the files in a folder; none if it does not exist."""
        try:
            return sorted(os.listdir(f"{self.root}/{folder}"))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def names(self) -> list[str]:
        """Return the names of files and folders directly below the root."""
        return self.names_in(".")

    def delete(self, key: str) -> None:
        """Delete a file, or a folder with all its files, if it is there."""
        path = f"{self.root}/{key}"
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def make_folder(self, key: str) -> None:
        """Make a folder, unless it is there."""
        os.makedirs(f"{self.root}/{key}", exist_ok=True)

    def sync_folder(self, key: str) -> None:
        """Wait until the names of the files in a folder are safe on disk."""
        descriptor = os.open(f"{self.root}/{key}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def check_writable(self) -> None:
        """Return: whether a file can be written on a disk is only known when it is written."""

    def kind(self) -> str | None:
        """Return what is at the root: "folder", "file", or None for nothing."""
        if not os.path.exists(self.root):
            return None
        return "folder" if os.path.isdir(self.root) else "file"

    def identity(self) -> tuple[int, int] | None:
        """Return the device and inode number of the folder, which change with an overwrite."""
        try:
            status = os.stat(self.root)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def for_zarr(self) -> Path:
        """Return the path of the folder."""
        return Path(self.root)

    def sibling(self, ending: str) -> LocalFiles:
        """Return a new hidden place in the same parent folder, without creating it.

        It is on the same file system, so a rename can move it.
        """
        path = Path(self.root)
        return LocalFiles(str(path.parent / f".{path.name}.{uuid.uuid4().hex}.{ending}"))

    def remove_all(self) -> None:
        """Remove the folder, if it is there.

        It is renamed first. A task that still runs elsewhere then finds no folder to write to, so
        it cannot add files while the folder is being emptied.
        """
        folder = Path(self.root)
        if not os.path.lexists(folder):  # a rename on a disk that is read-only would be an error
            return
        doomed = folder.with_suffix(".removing")
        try:
            folder.rename(doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed, ignore_errors=True)

    def remove_partial_files(self) -> None:
        """Remove the partial files of tasks whose worker died while they wrote."""
        for partial in Path(self.root).glob(f"*/*{PARTIAL_SUFFIX}"):
            partial.unlink()

    def _open(self, key: str) -> int:
        """Open a regular file. The data set may come from a stranger, so no link is followed.

        The root may be reached through a link, but a link inside it could lead anywhere.
        """
        folder, _, name = key.rpartition("/")
        path = f"{self.root}/{key}"
        try:
            if not folder:
                return _open_regular(path, None)
            parent = os.open(f"{self.root}/{folder}", _FLAGS | os.O_DIRECTORY)
            try:
                return _open_regular(name, parent)
            finally:
                os.close(parent)
        except NotADirectoryError as error:
            if os.path.islink(f"{self.root}/{folder}"):
                raise UnexpectedFile(f"its folder {_LINK}") from error
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UnexpectedFile(f"it {_LINK}") from error
            raise


def _open_regular(path: str, folder: int | None) -> int:
    descriptor = os.open(path, _FLAGS, dir_fd=folder)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise UnexpectedFile("it is not a regular file, but a pipe or a device")


def fill(descriptor: int, view: Bytes) -> int:
    """Read from a file until the view is full or the file ends; return the number of bytes."""
    n_read = 0
    while n_read < view.size:
        got = os.readv(descriptor, [view.data[n_read:]])
        if not got:
            break
        n_read += got
    return n_read
