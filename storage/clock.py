"""Count the seconds that each thread spends on decoding chunks, for monitors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["decoding", "decoding_timed"]


class _Decoding(threading.local):
    """Seconds spent by the current thread."""

    seconds = 0.0


decoding = _Decoding()


@contextmanager
def decoding_timed() -> Iterator[None]:
    """Count the time of a ``with`` block as decoding."""
    began = time.perf_counter()
    try:
        yield
    finally:
        decoding.seconds += time.perf_counter() - began
