"""Recognise lazy data, and open each kind without loading it.

Dask arrays and Dask data frames are used as they are. Zarr arrays and xarray's data arrays become
Dask arrays. Every other lazy kind is refused, because NumPy would load it; the error explains what
to do instead.
"""

from __future__ import annotations

import sys
from typing import Any

import dask.array as da
import dask.array.core
import numpy as np
import scipy.sparse
from dask.base import is_dask_collection
from dask.core import flatten

from dlbd_estimators.blocks.byte_order import in_native_order
from dlbd_estimators.blocks.graph import is_future
from dlbd_estimators.blocks.xarray_variables import dask_array

#: Chunks of a Zarr array are joined to blocks of about this decoded size, in bytes.
_BLOCK_NBYTES = 2**25

#: What to do with a lazy object that is neither a Dask array nor a Dask data frame, by the name of
#: its class; the last entry is for all others.
_ADVICE = {
    "Bag": "Convert it to a data frame: bag.to_dataframe().",
    "Delayed": (
        "Declare what it returns: dask.array.from_delayed(value, shape=..., dtype=...) or "
        "dask.dataframe.from_delayed([value], meta=...)."
    ),
    "Dataset": (
        "Choose its variables and stack them to one array of rows and columns: "
        "dataset[[...]].to_dataarray().transpose(...).data."
    ),
    "Future": (
        "Declare what it returns: dask.array.from_delayed(future, shape=..., dtype=...) or "
        "dask.dataframe.from_delayed([future], meta=...)."
    ),
    "Group": "Choose an array of it: group[name].",
    "Index": "Convert it to a column: index.to_series().",
    "Scalar": "Compute it: scalar.compute().",
    "LazyFrame": (
        "Collect what fits in memory (frame.collect()), or write it (frame.sink_parquet(...)) and "
        "open it with dask.dataframe.read_parquet."
    ),
    "list": (
        "Make one array of them (dask.array.stack for rows or columns, dask.array.concatenate for "
        "blocks) or one data frame (dask.dataframe.concat, dask.dataframe.from_delayed)."
    ),
    "": "Convert it to a Dask array or a Dask data frame.",
}


def is_lazy(X: Any) -> bool:
    """Return whether X is lazy, also if :func:`as_dask_collection` refuses its kind."""
    if X is None or type(X) is np.ndarray:  # the most frequent cases
        return False
    return _is_lazy_itself(X) or is_dataset(X)


def is_dataset(X: Any) -> bool:
    """Return whether X is a data set: not an array, but an object with lazy ``X`` and ``y``."""
    return (
        not isinstance(X, np.ndarray)
        and _is_lazy_itself(getattr(X, "X", None))
        and _is_lazy_itself(getattr(X, "y", None))
        and not _is_lazy_itself(X)
    )


def _is_lazy_itself(X: Any) -> bool:
    return (
        is_dask_collection(X)
        or is_zarr(X)
        or _is_instance(X, "zarr", "Group")
        or _is_lazy_xarray(X)
        or _is_instance(X, "polars", "LazyFrame")
        or is_future(X)
        or is_list_of_lazy(X)
    )


def is_list_of_lazy(X: Any) -> bool:
    """Return whether X is a list (or a tuple, or lists of lists) of lazy objects.

    NumPy would compute them one by one.
    """
    if not isinstance(X, list | tuple):
        return False
    kinds = set(map(type, X))  # a list of millions of numbers has one type
    if not kinds.isdisjoint((list, tuple)):
        return any(map(is_list_of_lazy, X))
    return any(is_lazy(next(each for each in X if type(each) is kind)) for kind in kinds)


def is_frame(X: Any) -> bool:
    """Return whether X is a Dask data frame or series."""
    return (
        _is_instance(X, "dask.dataframe", "DataFrame", "Series")
        and type(X).__name__ != "Index"  # Dask derives its index from a series
    )


def is_zarr(X: Any) -> bool:
    """Return whether X is a Zarr array."""
    return _is_instance(X, "zarr", "Array")


def _is_instance(X: Any, module: str, *classes: str) -> bool:
    """Return whether X is an instance of a module's classes, without importing the module."""
    # While another thread imports the module, it may lack a class: then X is no instance of it.
    found = sys.modules.get(module)
    return any(isinstance(X, getattr(found, name, ())) for name in classes)


def as_dask_collection(name: str, X: Any, *, sparse: bool = False) -> Any:
    """Open lazy data as a Dask array or a Dask data frame, or refuse it.

    Parameters
    ----------
    name : str
        Name of the data, for messages.
    X : object
        Data for which :func:`is_lazy` is true.
    sparse : bool
        Whether blocks may be sparse matrices of SciPy.

    Returns
    -------
    dask.array.Array, dask.dataframe.DataFrame or dask.dataframe.Series

    Raises
    ------
    TypeError
        X is of another lazy kind, or has masked or sparse blocks.
    ValueError
        The number of columns is unknown.
    """
    if is_dataset(X):
        raise TypeError(
            f"{name} is a whole data set, not an array. Pass its arrays separately: "
            f"fit(data.X, data.y, sample_weight=data.sample_weight), predict(data.X)."
        )
    if is_zarr(X):
        X = from_zarr(X)
    elif is_frame(X):
        return X
    elif _is_instance(X, "xarray", "DataArray"):
        X = dask_array(X)
    elif not isinstance(X, da.Array) and _is_array_like(X):
        first_key = next(flatten(X.__dask_keys__()))
        X = da.Array(X.__dask_graph__(), first_key[0], X.chunks, dtype=X.dtype, shape=X.shape)
    if not isinstance(X, da.Array):
        raise TypeError(
            f"{name} is a {_type_name(X)}, which would have to be loaded into memory. {_advice(X)}"
        )
    if da.Array is not dask.array.core.Array:
        raise TypeError(
            f"{name} is an array expression of Dask, which is experimental there and not supported "
            f"here. Before Dask is imported, set its configuration array.query-planning to False "
            f"(environment variable DASK_ARRAY__QUERY_PLANNING)."
        )
    if any(map(np.isnan, X.shape[1:])):
        raise ValueError(
            f"{name} has an unknown number of columns, its shape is {X.shape}. Find it with "
            f"{name}.compute_chunk_sizes()."
        )
    check_container(name, X._meta, sparse=sparse)
    return strings_as_objects(in_native_order(X))


def _is_array_like(X: Any) -> bool:
    """Return whether X is a Dask collection of blocks, as a Dask array, of another class."""
    return is_dask_collection(X) and all(
        hasattr(X, name) for name in ("chunks", "dtype", "shape", "__array__")
    )


def _type_name(X: Any) -> str:
    kind = type(X)
    if is_list_of_lazy(X):
        return f"{kind.__name__} of lazy objects"
    return f"{kind.__module__.partition('.')[0]} {kind.__name__}"


def _advice(X: Any) -> str:
    if is_list_of_lazy(X):
        return _ADVICE["list"]
    return next(_ADVICE[each] for each in [*_class_names(X), ""] if each in _ADVICE)


def _class_names(X: Any) -> list[str]:
    """Return the names of an object's class and of its base classes."""
    return [each.__name__ for each in type(X).__mro__]


def refuse_lazy(**named: Any) -> None:
    """Refuse lazy targets, labels or weights if X is in memory: a fit would load them.

    Raises
    ------
    TypeError
        One of them is lazy. The message explains what to do.
    """
    if any(map(is_lazy, named.values())):
        raise TypeError(
            f"{' and '.join(named)} are lazy but X is in memory. Pass all of them as Dask "
            f"collections, or none. If X was lazy, too, a step before this model has loaded it: in "
            f"place of a transformer of scikit-learn use that of dlbd_estimators.preprocessing."
        )


def check_container(name: str, block: Any, where: str = "", *, sparse: bool = False) -> None:
    """Refuse masked and sparse arrays, and arrays that are not NumPy's (on a GPU, for example).

    Parameters
    ----------
    name : str
        Name of the data, for messages.
    block : array
        A block, or the empty array that is the meta of a block.
    where : str
        Name of the block, for messages.
    sparse : bool
        Whether the block may be a sparse matrix of SciPy.

    Raises
    ------
    TypeError
        The block is such an array. The message explains what to do.
    """
    if type(block) is np.ndarray or (sparse and scipy.sparse.issparse(block)):
        return
    location = f" in {where}" if where else ""
    if isinstance(block, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is masked{location}. Fill the masked values first, with NaN for example: "
            f"dask.array.ma.filled({name}, numpy.nan)."
        )
    if scipy.sparse.issparse(block) or type(block).__module__.partition(".")[0] == "sparse":
        if name != "X":
            raise TypeError(
                f"{name} is sparse{location}, but must be dense: {name}.toarray(), or for a Dask "
                f"array {name}.map_blocks(lambda block: block.toarray())."
            )
        raise TypeError(
            f"{name} is sparse{location}, which is not supported here. Linear models accept Dask "
            f"arrays of SciPy's sparse blocks as X, if the array's meta is sparse, too. Otherwise "
            f"make the blocks dense: {name}.map_blocks(lambda block: block.toarray())."
        )
    if not isinstance(block, np.ndarray) and hasattr(block, "__array_function__"):
        kind = type(block)
        raise TypeError(
            f"{name} has blocks of {kind.__module__.partition('.')[0]}'s {kind.__name__}"
            f"{location}, but NumPy arrays are needed. Convert them to NumPy arrays: "
            f"{name}.map_blocks(lambda block: block.get()) for CuPy."
        )


def strings_as_objects(X: da.Array) -> da.Array:
    """Convert NumPy strings of any length to objects, which scikit-learn and pandas know."""
    return X.astype(object) if X.dtype.kind == "T" else X


def from_zarr(array: Any) -> da.Array:
    """Open a Zarr array in blocks of a useful size.

    Whole chunks (or shards) are joined to a block. If a chunk of integers becomes too large as
    floats, it is divided into several blocks and decoded again for each of them. This costs little:
    to decode integers of one byte is an eighth of the work on the floats.
    """
    unit = (array.shards or array.chunks)[0]
    kind, itemsize = array.dtype.kind, array.dtype.itemsize
    # Numbers other than float32 and float64 become float64 when they are read.
    becomes = itemsize if kind in "USO" or (kind == "f" and itemsize >= 4) else 8
    row = max(1, int(np.prod(array.shape[1:])) * becomes)
    n_rows = max(array.shape[0], 1)
    rows: Any = min(unit * max(1, _BLOCK_NBYTES // (unit * row)), n_rows)
    if becomes > itemsize and rows * row > 2 * _BLOCK_NBYTES:
        rows = _parts(array.shape[0], unit, max(1, _BLOCK_NBYTES // row))
    found: da.Array = da.from_zarr(array, chunks=(rows, *array.shape[1:]))
    return found


def _parts(n_rows: int, unit: int, most: int) -> tuple[int, ...]:
    """Cut runs of ``unit`` rows into parts of nearly the same length, ``most`` rows at most."""
    parts = []
    for start in range(0, n_rows, unit):
        length = min(unit, n_rows - start)
        edges = np.linspace(0, length, -(-length // most) + 1).astype(int)
        parts += [int(size) for size in np.diff(edges)]
    return tuple(parts)


def _is_lazy_xarray(X: Any) -> bool:
    """Return whether X is an xarray object that is not in memory."""
    if _is_instance(X, "xarray", "DataArray"):
        return is_dask_collection(X) or not X.variable._in_memory
    return _is_instance(X, "xarray", "Dataset")
