"""Lazy predictions as Dask arrays that scikit-learn's tools accept.

These tools treat predictions as NumPy arrays. Dask does not support some of the operations if chunk
lengths are unknown, or if the result is written into an array in memory.
"""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from dlbd_estimators.engine.column_passes import with_lengths


class Predictions(da.Array):
    """A Dask array that finds its chunk lengths when they are needed.

    - ``reshape(-1, 1)`` works without chunk lengths.
    - NumPy's functions (``np.concatenate``, ``np.hstack``, ...), indexing by row numbers and
      ``len`` need them: one pass over the predictions counts the rows. Unlike
      ``compute_chunk_sizes``, this does not change the array.
    - NumPy's functions with ``out=``, an array in memory, load the predictions, which fit in memory
      just as ``out`` does.
    """

    __slots__ = ()

    def reshape(self, *shape: Any, **options: Any) -> Any:
        """Reshape as :meth:`dask.array.Array.reshape` does."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        if self.ndim == 1 and wanted == (-1, 1):
            return self[:, np.newaxis]
        return da.Array.reshape(with_known_lengths(self), *shape, **options)

    def __getitem__(self, index: Any) -> Any:
        first = index[0] if isinstance(index, tuple) and index else index
        if isinstance(first, slice) and first == slice(None):
            return predictions(super().__getitem__(index))  # type: ignore[no-untyped-call]
        # Indexing by row numbers needs chunk lengths; a lazy mask does not.
        array = (
            with_known_lengths(self) if isinstance(first, list | np.ndarray | int | slice) else self
        )
        return da.Array.__getitem__(array, index)

    def __len__(self) -> int:
        return int(with_known_lengths(self).shape[0])

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        args = tuple(_with_known_lengths_inside(each) for each in args)
        result = super().__array_function__(  # type: ignore[no-untyped-call]
            func, types, args, kwargs
        )
        return predictions(result) if isinstance(result, da.Array) and result.ndim else result

    def __array_ufunc__(self, numpy_ufunc: Any, method: Any, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.get("out", ())
        if any(isinstance(each, np.ndarray) for each in out):
            loaded = [np.asarray(each) if isinstance(each, da.Array) else each for each in inputs]
            return getattr(numpy_ufunc, method)(*loaded, **kwargs)
        return super().__array_ufunc__(  # type: ignore[no-untyped-call]
            numpy_ufunc, method, *inputs, **kwargs
        )


def predictions(array: da.Array) -> Predictions:
    """Return a Dask array as :class:`Predictions`."""
    return Predictions(  # type: ignore[no-untyped-call]
        array.dask, array.name, array.chunks, meta=array._meta
    )


def with_known_lengths(array: da.Array) -> da.Array:
    """Return a plain Dask array with known chunk lengths; one pass finds them if necessary."""
    (found,) = with_lengths(array)
    return da.Array(found.dask, found.name, found.chunks, meta=found._meta)


def _with_known_lengths_inside(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_with_known_lengths_inside, value))
    return with_known_lengths(value) if isinstance(value, Predictions) else value
