"""Memory that one block after the other is read into.

The C library returns the memory of a large array to the system, and Dask sets it up to do so early.
The next block then gets new pages, and clearing them takes as long as decoding them. While the
blocks of a bundle are read, the memory of a block that is no longer used holds the next one.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import aligned_bytes

#: Smaller arrays take memory that the C library keeps anyway.
_SMALLEST_NBYTES = 2**17

_Buffer = NDArray[np.uint8]


class _FreeMemory:
    """Memory of arrays that are no longer used. One thread takes it; any thread gives it back."""

    def __init__(self) -> None:
        self._buffers: deque[_Buffer] = deque()
        self._closed = False

    def take(self, nbytes: int) -> _Buffer:
        """Return free memory of exactly this size, or new memory."""
        for _ in range(len(self._buffers)):
            buffer = self._buffers.popleft()
            if buffer.nbytes == nbytes:
                return buffer
            self._buffers.append(buffer)
        # If blocks differ in size, free memory would grow with each of them.
        self._buffers.clear()
        return aligned_bytes(nbytes)

    def give_back(self, buffer: _Buffer) -> None:
        self._buffers.append(buffer)
        # An array may outlive the bundle, in a cache. Its memory must not wait for that of others.
        if self._closed:
            self._buffers.clear()

    def close(self) -> None:
        self._closed = True
        self._buffers.clear()


class _Lease:
    """The base of an array in reused memory. When it is deleted, the memory is free again.

    An array is not a safe owner: NumPy lets a view of a view refer to the array that owns the
    memory, so the view may outlive the array in between. It never outlives the array's base.
    """

    def __init__(
        self, buffer: _Buffer, free: _FreeMemory, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._buffer = buffer
        self._free = free
        data = buffer.__array_interface__["data"]
        self.__array_interface__ = {
            "version": 3, "shape": shape, "typestr": dtype.str, "data": data,
        }  # fmt: skip

    def __del__(self) -> None:
        self._free.give_back(self._buffer)


class _Thread(threading.local):
    free: _FreeMemory | None = None


_thread = _Thread()


@contextmanager
def reusing_memory() -> Iterator[None]:
    """Let :func:`empty` use memory again in this thread, until the end of the context."""
    outer, free = _thread.free, _FreeMemory()
    _thread.free = free
    try:
        yield
    finally:
        _thread.free = outer
        free.close()


def empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an uninitialised array; within :func:`reusing_memory`, in memory that is free again.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    dtype : dtype
        Dtype of its numbers.
    """
    dtype, free = np.dtype(dtype), _thread.free
    nbytes = math.prod(shape) * dtype.itemsize
    if free is None or nbytes < _SMALLEST_NBYTES:
        return np.empty(shape, dtype)
    return np.asarray(_Lease(free.take(nbytes), free, shape, dtype))


def owns_memory(array: NDArray[Any]) -> bool:
    """Return whether an array is not a view of another array."""
    return array.base is None or isinstance(array.base, _Lease)
