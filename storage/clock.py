"""How many seconds each thread has spent on decoding chunks; monitors read it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["counted", "decoding"]


class _Decoding(threading.local):
    """Seconds of the thread that asks."""

    seconds = 0.0


decoding = _Decoding()


@contextmanager
def counted() -> Iterator[None]:
    """Count the time of a ``with`` block as decoding."""
    began = time.perf_counter()
    try:
        yield
    finally:
        decoding.seconds += time.perf_counter() - began
