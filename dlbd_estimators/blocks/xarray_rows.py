"""Read xarray objects as rows of features, and give results the coordinates of these rows.

The dimensions of an xarray object, except the dimension of the features, are *sample dimensions*.
Each combination of their positions is a row. Rows of data in memory are in C order. The order of
lazy rows depends on the chunks (:mod:`dlbd_estimators.blocks.flattened_samples`), so targets and
weights are cut into the chunks of the features.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from dask.base import is_dask_collection

from dlbd_estimators.blocks.alignment import one_column_of_chunks
from dlbd_estimators.blocks.flattened_samples import flattened, unflattened
from dlbd_estimators.blocks.xarray_variables import (
    dask_array,
    feature_dimension,
    feature_names,
    flat_variables,
    is_in_memory,
    stacked_variables,
)
from dlbd_estimators.exceptions import LengthMismatch

#: Dimensions with these names are columns and no samples, where no features name the samples.
COLUMN_DIMENSIONS = ("feature", "variable", "output", "classes")


def is_xarray(X: Any) -> bool:
    """Return whether X is an xarray DataArray or Dataset, without importing xarray."""
    module = sys.modules.get("xarray")
    return isinstance(X, (getattr(module, "DataArray", ()), getattr(module, "Dataset", ())))


class NamedFeatures(da.Array):
    """A Dask array with names for its columns, in the attribute ``feature_names``."""

    feature_names: tuple[str, ...]


@dataclass(frozen=True)
class Samples:
    """The sample dimensions of an xarray object.

    Parameters
    ----------
    dims : tuple of str
        Names of the dimensions.
    sizes : tuple of int
        Lengths of the dimensions.
    coords : xarray.Coordinates
        Coordinates that have no other dimensions.
    chunks : tuple of tuple of int, optional
        Lengths of the chunks of each dimension; None for data in memory.
    """

    dims: tuple[Hashable, ...]
    sizes: tuple[int, ...]
    coords: Any
    chunks: tuple[tuple[int, ...], ...] | None

    @classmethod
    def of(cls, values: Any, dims: Sequence[Hashable], array: Any) -> Samples:
        """Return the sample dimensions of an xarray object.

        Parameters
        ----------
        values : xarray.DataArray or xarray.Dataset
            The object.
        dims : sequence of str
            Names of the sample dimensions.
        array : ndarray or dask.array.Array
            Its values; the sample dimensions come first.
        """
        others = set(values.dims) - set(dims)
        sizes = tuple(int(values.sizes[name]) for name in dims)
        coords = values.coords.to_dataset().drop_dims(others, errors="ignore").coords
        chunks = array.chunks[: len(dims)] if isinstance(array, da.Array) else None
        return cls(tuple(dims), sizes, coords, chunks)

    def column(self, name: str, values: Any) -> Any:
        """Return targets, weights or other values with these samples, one for each row.

        Parameters
        ----------
        name : str
            Name of the values, for messages.
        values : object
            An xarray object with the sample dimensions, and at most one more for several columns.
            Or an array with one entry for each row, or with the lengths of the sample dimensions.

        Returns
        -------
        object
            An array with one row for each sample. None and numbers are returned unchanged.

        Raises
        ------
        ValueError
            The dimensions or the coordinates are not those of the samples.
        LengthMismatch
            A dimension has another length than in the samples.
        """
        if is_xarray(values):
            return self._rows(self._ordered(name, values))
        if len(self.dims) == 1 or values is None or np.isscalar(values):
            return values
        if not is_dask_collection(values):
            array = np.asarray(values)
            if len(array.shape) and array.shape[0] == prod(self.sizes):
                array = array.reshape(self.sizes + array.shape[1:])
        else:
            array = values
        if getattr(array, "shape", ())[: len(self.sizes)] != self.sizes:
            raise LengthMismatch(
                f"The sample dimensions are {self._described()}, but {name} has the shape "
                f"{getattr(array, 'shape', None)}. Pass {name} as an xarray DataArray with these "
                f"dimensions."
            )
        return self._rows(array)

    def labelled(
        self, values: Any, name: str, column_dim: str, labels: Sequence[Any] | None
    ) -> Any:
        """Return a result with one row for each sample as a DataArray with the coordinates.

        Parameters
        ----------
        values : ndarray or dask.array.Array of shape (n_samples,) or (n_samples, n_columns)
            The result.
        name : str
            Name of the DataArray.
        column_dim : str
            Name of the dimension of its columns, if it has two dimensions.
        labels : sequence, optional
            Labels of the columns.

        Returns
        -------
        xarray.DataArray
            The result; a lazy one has the chunks of the samples.

        Raises
        ------
        ValueError
            A sample dimension has the name of the dimension of the columns.
        """
        import xarray

        if isinstance(values, da.Array):
            values = unflattened(values, self.chunks or ())
        else:
            values = values.reshape(self.sizes + values.shape[1:])
        columns = (column_dim,) * (values.ndim - len(self.dims))
        if columns and column_dim in self.dims:
            raise ValueError(
                f"The result of {name} has its columns along a dimension {column_dim!r}, but X has "
                f"a sample dimension of this name. Rename it: X.rename({column_dim}=...)."
            )
        result = xarray.DataArray(
            values, coords=self.coords, dims=(*self.dims, *columns), name=name
        )
        if columns and labels is not None and len(labels) == values.shape[-1]:
            index = np.asarray(labels)
            # Zarr has no specification for strings of fixed length.
            index = index.astype(object) if index.dtype.kind == "U" else index
            result = result.assign_coords({column_dim: index})
        return result

    def _described(self) -> str:
        lengths = zip(self.dims, self.sizes, strict=True)
        return ", ".join(f"{name!r} ({length})" for name, length in lengths)

    def _ordered(self, name: str, values: Any) -> Any:
        """Return the values of an xarray object with the sample dimensions first."""
        extra = [each for each in values.dims if each not in self.dims]
        if not set(self.dims) <= set(values.dims) or len(extra) > 1:
            raise ValueError(
                f"The sample dimensions are {self._described()}, but {name} has the dimensions "
                f"{tuple(values.dims)}. It needs all sample dimensions, and at most one more for "
                f"several columns. {name}.broadcast_like(...) adds dimensions."
            )
        for each, size in zip(self.dims, self.sizes, strict=True):
            if values.sizes[each] != size:
                raise LengthMismatch(
                    f"Found input variables with inconsistent numbers of samples: the dimension "
                    f"{each!r} has length {size}, but length {values.sizes[each]} in {name}."
                )
            ours, other = self.coords.indexes.get(each), values.indexes.get(each)
            if ours is not None and other is not None and not ours.equals(other):
                raise ValueError(
                    f"The rows do not belong together: {name} has other coordinates along "
                    f"{each!r}. xarray.align(X, {name}, join='inner') keeps the common ones."
                )
        chunks = None if self.chunks is None else dict(zip(self.dims, self.chunks, strict=True))
        if hasattr(values, "data_vars"):
            if len(values.data_vars) > 1:
                return stacked_variables(name, values, self.dims, chunks)
            values = next(iter(values.data_vars.values()))
        values = values.transpose(*self.dims, *extra)
        return values.values if is_in_memory(values) else dask_array(values, chunks)

    def _rows(self, array: Any) -> Any:
        """Return an array, whose first dimensions are the samples, with one row for each sample."""
        n_dims = len(self.dims)
        if n_dims > 1 and self.chunks is not None and not isinstance(array, da.Array):
            array = da.from_array(array, chunks=(*self.chunks, *array.shape[n_dims:]))
        if not isinstance(array, da.Array):
            return array.reshape(prod(self.sizes), *array.shape[n_dims:])
        if self.chunks is not None and array.chunks[:n_dims] != self.chunks:
            array = array.rechunk(dict(enumerate(self.chunks)))
        return flattened(array, n_dims)


def features_of(X: Any) -> tuple[Samples, Any]:
    """Return an xarray object as rows of features, and its sample dimensions.

    Parameters
    ----------
    X : xarray.Dataset or xarray.DataArray
        The variables of a Dataset are the features. A DataArray has its features along the
        dimension named "feature" or "variable", or, if it has two dimensions, along the last one.

    Returns
    -------
    tuple of (Samples, object)
        The sample dimensions; and the rows: a Dask array if X is lazy, a pandas frame if X is in
        memory and its features have names, else an ndarray.

    Raises
    ------
    ValueError
        The dimension of the features is ambiguous, X has no variables or no sample dimension, or
        variables have different dimensions.
    """
    if hasattr(X, "data_vars"):
        dims = _dimensions_of_variables(X)
        names = feature_names(list(X.data_vars))
        if names is not None and is_in_memory(X):
            frame = pd.DataFrame(flat_variables("X", X, dims))
            return Samples.of(X, dims, None), frame
        array = stacked_variables("X", X, dims)
    else:
        along = feature_dimension(X)
        dims = tuple(each for each in X.dims if each != along)
        names = feature_names(X.indexes[along].tolist()) if along in X.indexes else None
        ordered = X.transpose(*dims, along)
        array = ordered.values if is_in_memory(X) else dask_array(ordered)
    samples = Samples.of(X, dims, array)
    if not isinstance(array, da.Array):
        rows = array.reshape(prod(samples.sizes), array.shape[-1])
        return samples, rows if names is None else pd.DataFrame(rows, columns=names)
    lazy = one_column_of_chunks(flattened(array, len(dims)))
    if names is None:
        return samples, lazy
    named = NamedFeatures(  # type: ignore[no-untyped-call]
        lazy.dask, lazy.name, lazy.chunks, meta=lazy._meta
    )
    named.feature_names = tuple(names)
    return samples, named


def _dimensions_of_variables(X: Any) -> tuple[Hashable, ...]:
    """Return the dimensions of the variable that has the most; they are sample dimensions."""
    if not X.data_vars:
        raise ValueError("X is an xarray Dataset without variables, so it has no features.")
    name, largest = max(X.data_vars.items(), key=lambda item: item[1].ndim)
    dims = tuple(largest.dims)
    if not dims:
        raise ValueError(f"X is an xarray Dataset of single numbers ({name!r}): it has no rows.")
    if columns := [each for each in dims if each in ("feature", "variable")]:
        raise ValueError(
            f"X is an xarray Dataset, whose variables are the features, but its variable {name!r} "
            f"has a dimension {columns[0]!r}. Pass this variable alone: dataset[{name!r}]."
        )
    for other, variable in X.data_vars.items():
        if not set(variable.dims) <= set(dims):
            raise ValueError(
                f"The variables of X have different dimensions: {name!r} has {dims}, but "
                f"{other!r} has {tuple(variable.dims)}. Choose variables of the same dimensions: "
                f"dataset[[...]]. A variable may lack dimensions; its values are then repeated."
            )
    return dims


def rows_together(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with one row for each sample; at least one is an xarray object.

    Parameters
    ----------
    arguments : mapping of str to object
        True and predicted values and weights, by name. The first xarray object determines the
        samples: all of its dimensions, except those named in ``COLUMN_DIMENSIONS``.
    """
    first = next(values for values in arguments.values() if is_xarray(values))
    dims = [each for each in first.dims if each not in COLUMN_DIMENSIONS]
    columns = [each for each in first.dims if each in COLUMN_DIMENSIONS]
    if hasattr(first, "data_vars"):
        array = stacked_variables("an argument", first, tuple(dims))
    else:
        ordered = first.transpose(*dims, *columns)
        array = ordered.values if is_in_memory(first) else dask_array(ordered)
    samples = Samples.of(first, dims, array)
    return {name: samples.column(name, values) for name, values in arguments.items()}
