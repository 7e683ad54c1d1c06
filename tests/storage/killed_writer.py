"""End the work of this thread at a change to the disk, as a killed process ends.

From that change on, every change raises an error, also those that would clean up. The descriptors
of folders are closed, which releases their locks. So the files are those that a killed process
leaves, and no process has to be started.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

__all__ = ["Killed", "killed_at"]

_CHANGES = ("link", "mkdir", "rename", "rmdir", "unlink", "write")


class Killed(BaseException):
    """The work was ended. No code that handles errors takes it for one of its own."""


class _Writer:
    """Counts the changes to the disk by the thread that makes it, and by the threads of a pool."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.folders: set[int] = set()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._open, self._close = os.open, os.close

    def _is_ours(self) -> bool:
        pool = threading.current_thread().name.startswith("write_")
        return pool or threading.get_ident() == self._thread

    def _count(self) -> None:
        with self._lock:
            self.left -= 1
            if self.left <= 0:
                raise Killed

    def change(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if self._is_ours():
            self._count()
        return call(*arguments, **options)

    def open(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_CREAT and self._is_ours():
            self._count()
        descriptor = self._open(path, flags, *arguments, **options)
        if flags & os.O_DIRECTORY and self._is_ours():
            self.folders.add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        self.folders.discard(descriptor)
        self._close(descriptor)


@contextlib.contextmanager
def killed_at(number: int) -> Iterator[None]:
    """Raise Killed at this change to the disk, from 1, and at all changes after it."""
    writer = _Writer(number)
    changes = {name: partial(writer.change, getattr(os, name)) for name in _CHANGES}
    with mock.patch.multiple(os, open=writer.open, close=writer.close, **changes):
        try:
            yield
        except Killed:
            for descriptor in [*writer.folders]:
                writer.close(descriptor)
            raise
