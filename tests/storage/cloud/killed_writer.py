"""End the work of this process at a change to an object store, as a killed process ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partialmethod
from typing import Any
from unittest import mock

from storage.objects import Objects

__all__ = ["Killed", "ending_at", "killed_at"]


class Killed(BaseException):
    """The work was ended. No code that handles errors takes it for one of its own."""


@contextlib.contextmanager
def ending_at(number: int, end: Callable[[], None]) -> Iterator[None]:
    """Call `end` before this change to a store, from 1, and before all changes after it."""
    left, lock = number, threading.Lock()

    def change(self: Objects, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        nonlocal left
        with lock:
            left -= 1
            if left <= 0:
                end()
        return method(self, *arguments, **options)

    with contextlib.ExitStack() as changed:
        for name in ("write", "create", "delete"):
            counted = partialmethod(change, getattr(Objects, name))
            changed.enter_context(mock.patch.object(Objects, name, counted))
        yield


@contextlib.contextmanager
def killed_at(number: int) -> Iterator[None]:
    """Raise Killed at this change to a store, from 1, and at all changes after it."""

    def end() -> None:
        raise Killed

    with ending_at(number, end):
        yield
