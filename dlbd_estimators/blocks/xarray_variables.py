"""Values of xarray variables as arrays: in memory as NumPy arrays, lazy ones as Dask arrays."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask.base import is_dask_collection, tokenize
from numpy.typing import NDArray

from dlbd_estimators.blocks.byte_order import in_native_order

#: Lengths of chunks, by the name of the dimension.
Chunks = Mapping[Hashable, tuple[int, ...]]

#: A DataArray has its features along a dimension with one of these names.
FEATURE_DIMENSIONS = ("feature", "variable")
#: Chunks of a variable without Dask are joined to blocks of about this size, in bytes.
_BLOCK_NBYTES = 2**25


def is_in_memory(values: Any) -> bool:
    """Return whether all values of a DataArray or a Dataset are in memory."""
    variables = values.data_vars.values() if hasattr(values, "data_vars") else [values]
    return all(
        not is_dask_collection(each.variable) and each.variable._in_memory for each in variables
    )


def dask_array(values: Any, chunks: Chunks | None = None, *, n_variables: int = 1) -> da.Array:
    """Return a DataArray as a Dask array.

    Parameters
    ----------
    values : xarray.DataArray
        The values. Without Dask, they are on a disk behind xarray's own lazy indexing: they are
        read in whole chunks of the file.
    chunks : mapping of str to tuple of int, optional
        Lengths of the chunks of some dimensions, for values without Dask. Chunks of the other
        dimensions are joined to blocks of about 32 MiB.
    n_variables : int, default=1
        Number of such arrays that make up a block.
    """
    if is_dask_collection(values):
        return in_native_order(values.data)
    stored, chunks = values.encoding.get("preferred_chunks", {}), chunks or {}
    whole_chunks = tuple(int(np.max(stored.get(dim, n))) for dim, n in values.sizes.items())
    lengths = da.core.normalize_chunks(
        tuple(chunks.get(dim, "auto") for dim in values.dims),
        values.shape,
        limit=_BLOCK_NBYTES // n_variables,
        dtype=values.dtype if values.dtype.kind in "biufc" else np.dtype(np.float64),
        previous_chunks=whole_chunks,
    )
    return in_native_order(values.chunk(dict(zip(values.dims, lengths, strict=True))).data)


def feature_dimension(X: Any) -> Any:
    """Return the dimension of a DataArray along which its features are.

    Raises
    ------
    ValueError
        No dimension, or several, can be the dimension of the features, or no other is left.
    """
    dims = tuple(X.dims)
    named = [each for each in dims if each in FEATURE_DIMENSIONS]
    if len(named) == 1 and len(dims) > 1:
        return named[0]
    if not named and len(dims) == 2:
        return dims[-1]
    if len(named) > 1:
        problem = f"of which {' and '.join(map(repr, named))} could both hold the features"
        advice = "Rename one of them: X.rename(variable='layer')"
    elif named:
        problem, advice = "so it has features but no samples", "Add a dimension: X.expand_dims(...)"
    else:
        problem = "and none of them is named 'feature' or 'variable'"
        advice = (
            "Rename the dimension of the features (X.rename(band='feature')), or add one if X is "
            "a single feature (X.expand_dims('feature'))"
        )
    raise ValueError(f"X is a DataArray with the dimensions {dims}, {problem}. {advice}.")


def feature_names(labels: Sequence[Any]) -> list[str] | None:
    """Return the names of features; None if they are not all str."""
    return list(labels) if all(isinstance(each, str) for each in labels) else None


def stacked_variables(
    name: str, dataset: Any, dims: tuple[Hashable, ...], chunks: Chunks | None = None
) -> Any:
    """Return the variables of a Dataset as one array, along a new last dimension.

    Parameters
    ----------
    name : str
        Name of the Dataset, for messages.
    dataset : xarray.Dataset
        The variables. A variable that lacks dimensions is repeated along them.
    dims : tuple of str
        The other dimensions of the result, in their order.
    chunks : mapping of str to tuple of int, optional
        Lengths of the chunks of some dimensions, for variables on a disk without Dask. The first
        of these variables determines the other dimensions.

    Returns
    -------
    ndarray or dask.array.Array
        The array; of dtype object if variables are not all numbers or booleans.

    Raises
    ------
    TypeError
        A variable contains dates or durations.
    """
    variables = _in_order(name, dataset, dims)
    numeric = all(each.dtype.kind in "biufc" for each in variables.values())
    dtype = np.result_type(*(each.dtype for each in variables.values())) if numeric else object
    shape = tuple(int(dataset.sizes[dim]) for dim in dims)
    axes = [tuple(dims.index(dim) for dim in each.dims) for each in variables.values()]
    if is_in_memory(dataset):
        blocks = [each.values for each in variables.values()]
        return _side_by_side(*blocks, axes=axes, dtype=np.dtype(dtype), n_dims=len(shape))
    arguments: list[Any] = []
    chosen = dict(chunks or {})
    for each, axis in zip(variables.values(), axes, strict=True):
        if is_in_memory(each):
            array = da.from_array(each.values, chunks=-1)
        else:
            array = dask_array(each, chosen, n_variables=len(variables))
            chosen = {**dict(zip(each.dims, array.chunks, strict=True)), **chosen}
        arguments += [array, axis]
    last = len(shape)
    token = tokenize([each.name for each in arguments[::2]], axes, dtype)
    stacked: da.Array = da.blockwise(
        partial(_side_by_side, axes=axes, dtype=np.dtype(dtype), n_dims=last),
        tuple(range(last + 1)),
        *arguments,
        new_axes={last: len(variables)},
        name=f"features-{token}",
        dtype=np.dtype(dtype),
        meta=np.empty((0,) * (last + 1), dtype=dtype),
    )
    return stacked


def flat_variables(name: str, dataset: Any, dims: tuple[Hashable, ...]) -> dict[str, NDArray[Any]]:
    """Return the variables of a Dataset in memory as columns, by name, each of its own dtype.

    The arguments and errors are the same as for :func:`stacked_variables`.
    """
    sizes = {dim: dataset.sizes[dim] for dim in dims}
    return {
        key: each.variable.set_dims(sizes).values.reshape(-1)
        for key, each in _in_order(name, dataset, dims).items()
    }


def _in_order(name: str, dataset: Any, dims: tuple[Hashable, ...]) -> dict[Any, Any]:
    """Return the variables of a Dataset, by name, with their dimensions in the given order."""
    variables = {
        key: each.transpose(*(dim for dim in dims if dim in each.dims))
        for key, each in dataset.data_vars.items()
    }
    for key, each in variables.items():
        if each.dtype.kind in "Mm":
            raise TypeError(
                f"The variable {key!r} of {name} has dtype {each.dtype}. Convert it to numbers "
                f"first, for example dataset[{key!r}].dt.dayofyear."
            )
    return variables


def _side_by_side(
    *blocks: NDArray[Any], axes: Sequence[tuple[int, ...]], dtype: np.dtype[Any], n_dims: int
) -> NDArray[Any]:
    """Return blocks of variables as the columns of one block, repeated along axes they lack."""
    lengths = {
        axis: length
        for block, own in zip(blocks, axes, strict=True)
        for axis, length in zip(own, block.shape, strict=True)
    }
    stacked = np.empty((*(lengths[axis] for axis in range(n_dims)), len(blocks)), dtype=dtype)
    for number, (block, own) in enumerate(zip(blocks, axes, strict=True)):
        shape = [lengths[axis] if axis in own else 1 for axis in range(n_dims)]
        stacked[..., number] = block.reshape(shape)
    return stacked
