"""Convert all array types that a caller may pass. Lazy arrays stay lazy, or are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from dask.array.core import Array as DaskArray
from dask.array.core import from_array, from_zarr
from dask.base import is_dask_collection
from dask.highlevelgraph import HighLevelGraph

from storage.columns import Columns
from storage.frames import arrays_of_frames, is_frame
from storage.sparse_rows import as_csr, is_sparse

__all__ = ["as_arrays"]

# Attributes that hold the chunks of an array on disk in h5py, PyTables and netCDF4.
_CHUNKED = ("chunks", "chunkshape", "chunking")


def as_arrays(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, DaskArray]]:
    """Convert each input to a NumPy or a Dask array. Lazy input stays lazy.

    Parameters
    ----------
    given : mapping of str to array-like
        X, y and sample_weight. The names are used in messages.

    Returns
    -------
    arrays : dict of str to ndarray or dask.array.Array
        The arrays, of any number of dimensions and any dtype. A sparse X in memory is a CSR array;
        blocks of a Dask array may be sparse.
    counts : dict of str to dask.array.Array
        For frames, the number of rows of each block.

    Raises
    ------
    TypeError
        When a lazy type cannot be kept lazy, or when blocks are not NumPy arrays or, for X, sparse
        matrices of SciPy.
    """
    lazy = {name: values for name, values in given.items() if is_frame(values)}
    arrays, counts = arrays_of_frames(lazy)
    for name, values in given.items():
        if name not in arrays:
            arrays[name] = _as_array(name, values)
    return {name: arrays[name] for name in given}, counts


def _as_array(name: str, values: Any) -> Any:
    frame = _frame_in_memory(name, values)
    if frame is not None:
        return _filled(name, Columns.of(name, frame)(frame))
    package = type(values).__module__.split(".", 1)[0]
    if package == "xarray":
        values = _xarray_data(name, values)
    elif package == "zarr":
        values = _zarr_array(name, values)
    elif not is_dask(values) and _is_chunked(values):
        # An array of h5py, PyTables or netCDF4 reads only the requested rows from disk.
        values = from_array(values)
    if is_dask(values):
        values = _dask_array(name, values)
        _refuse_blocks(name, values._meta)
        return values
    if isinstance(values, list | tuple) and any(map(is_sparse, values)):
        raise TypeError(
            f"{name} is a {type(values).__name__} of sparse matrices: stack those that fit into "
            f"memory with scipy.sparse.vstack; make a Dask array of others, with "
            f"dask.array.from_delayed for each and dask.array.concatenate for all"
        )
    if isinstance(values, list | tuple) and any(map(is_dask, values)):
        raise TypeError(
            f"{name} is a {type(values).__name__} of lazy collections, which would be loaded "
            f"whole: combine them into one array with dask.array.stack or concatenate, or into "
            f"one frame with dask.dataframe.concat"
        )
    if name == "X" and is_sparse(values):
        return as_csr(values, name)
    if not hasattr(values, "toarray"):
        # asanyarray: a masked array keeps its mask, and a list of strings does not become numbers.
        values = np.asanyarray(values)
    _refuse_blocks(name, values)
    return np.asarray(values)


def _is_chunked(values: Any) -> bool:
    return any(hasattr(values, attribute) for attribute in _CHUNKED)


def is_dask(values: Any) -> bool:
    """Return whether `values` is a Dask collection, from Dask or from any other package."""
    return bool(is_dask_collection(values)) or isinstance(values, DaskArray)


def _dask_array(name: str, values: Any) -> DaskArray:
    if isinstance(values, DaskArray):
        return values
    kind = f"{type(values).__module__.split('.', 1)[0]} {type(values).__name__}"
    expr = getattr(values, "expr", None)
    if expr is None or not hasattr(values, "chunks") or not hasattr(values, "_meta"):
        raise TypeError(
            f"{name} is a {kind}, which would be loaded whole: give a Dask array, DataFrame or "
            f"Series instead. Convert a Delayed with dask.array.from_delayed(value, shape, dtype), "
            f"and a Bag with its to_dataframe()"
        )
    # An array of Dask's expression API: its optimised graph makes a plain Dask array.
    expr = expr.optimize()
    graph = HighLevelGraph.from_collections(expr._name, dict(expr.__dask_graph__()))
    return DaskArray(graph, expr._name, chunks=values.chunks, meta=values._meta)


def _xarray_data(name: str, values: Any) -> Any:
    if not hasattr(values, "data") or not hasattr(values, "dims"):
        raise TypeError(
            f"{name} is an xarray {type(values).__name__}: choose its variables as one "
            f"DataArray with rows first, e.g. dataset.to_array().transpose(sample, ...)"
        )
    if is_dask(values):
        return values.data
    # The values are in memory, or on a disk behind xarray's lazy indexing: both become Dask blocks.
    return values.chunk("auto").data


def _zarr_array(name: str, values: Any) -> DaskArray:
    if not hasattr(values, "shape"):
        raise TypeError(f"{name} is a zarr {type(values).__name__}: choose one of its arrays")
    found: DaskArray = from_zarr(values)
    return found


def _frame_in_memory(name: str, values: Any) -> Any:
    """Convert tables of pandas, polars or pyarrow in memory to pandas; None for anything else."""
    package, kind = type(values).__module__.split(".", 1)[0], type(values).__name__
    if package == "pandas" and hasattr(values, "to_numpy"):
        return values.to_series() if kind.endswith("Index") else values
    if package == "pyarrow":
        return _arrow_frame(name, values, kind)
    if package != "polars":
        return None
    if kind.startswith("Lazy"):
        raise TypeError(
            f"{name} is a polars {kind}, which would be loaded whole: write it "
            f"with sink_parquet and give dask.dataframe.read_parquet of that, or collect() it "
            f"if it fits in memory"
        )
    if hasattr(values, "to_pandas"):
        return values.to_pandas(use_pyarrow_extension_array=True)
    return None


def _arrow_frame(name: str, values: Any, kind: str) -> Any:
    from pandas import ArrowDtype

    if not hasattr(values, "to_pandas"):
        raise TypeError(
            f"{name} is a pyarrow {kind}, which would be loaded whole: give a table in memory "
            f"(its to_table() or read()) if it fits, or the files by dask.dataframe.read_parquet"
        )
    if not hasattr(values, "column_names"):
        return values.to_pandas(types_mapper=ArrowDtype)
    # The pandas metadata in the table would turn some of its columns into an index: ignore it.
    return values.to_pandas(types_mapper=ArrowDtype, ignore_metadata=True)


def _filled(name: str, array: Any) -> Any:
    if isinstance(array, np.ma.MaskedArray):
        row = int(np.argwhere(np.ma.getmaskarray(array))[0][0])
        raise ValueError(
            f"row {row} of {name} has no value: drop such rows, or fill them in, before storing"
        )
    return array


def _refuse_blocks(name: str, meta: Any) -> None:
    if isinstance(meta, np.ma.MaskedArray):
        raise TypeError(f"{name} is masked: fill the masked values first, e.g. .filled(np.nan)")
    if not isinstance(meta, np.ndarray) and not (name == "X" and is_sparse(meta)):
        if is_sparse(meta):
            raise TypeError(
                f"{name} is sparse, but only X can be: {name}.toarray(), or for a Dask array "
                f"{name}.map_blocks(lambda block: block.toarray())"
            )
        kind = f"{type(meta).__module__}.{type(meta).__name__}"
        which = "NumPy arrays and SciPy's sparse matrices" if name == "X" else "NumPy arrays"
        raise TypeError(f"{name} is made of {kind}: only {which} can be stored")
