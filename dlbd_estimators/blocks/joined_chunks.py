"""Join small chunks of Zarr arrays to larger blocks.

``dask.array.from_zarr`` makes a chunk of the Dask array of each chunk in storage. To read a block,
to evaluate it and to combine its result takes some milliseconds however few its rows are, which is
longer than decoding a chunk of 1 MB. Arrays that are nothing but the chunks of Zarr arrays are
therefore opened again with several chunks in a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
from dask.array.core import getter
from dask.blockwise import Blockwise
from dask.task_spec import DataNode, TaskRef

from dlbd_estimators.blocks.sources import is_zarr

#: Chunks are joined to blocks of at most this size in bytes.
_JOINED_NBYTES = 2**22
#: As many blocks remain at least: a fit starts from a sample of blocks, and workers share them.
_FEWEST_BLOCKS = 128


def with_joined_chunks(arrays: Mapping[str, da.Array]) -> Mapping[str, da.Array]:
    """Return the same arrays with several small chunks of Zarr arrays in a block.

    Parameters
    ----------
    arrays : mapping of str to dask.array.Array
        Arrays by name, X among them. They are returned unchanged unless all of them are chunks of
        Zarr arrays with all columns, and have the same chunks of rows.
    """
    sizes = arrays["X"].chunks[0]
    itemsize = 4 if arrays["X"].dtype == np.float32 else 8
    nbytes = sizes[0] * int(np.prod(arrays["X"].shape[1:])) * itemsize
    if not nbytes > 0:  # no rows, or their number is not known
        return arrays
    n_joined = min(_JOINED_NBYTES // int(nbytes), len(sizes) // _FEWEST_BLOCKS)
    if n_joined < 2 or len({*sizes[:-1]}) > 1 or sizes[-1] > sizes[0]:
        return arrays
    sources = {name: _source(array) for name, array in arrays.items()}
    if any(
        source is None or array.chunks != (sizes, *((size,) for size in source.shape[1:]))
        for array, source in zip(arrays.values(), sources.values(), strict=True)
    ):
        return arrays
    rows = n_joined * sizes[0]
    return {
        name: da.from_zarr(source, chunks=(rows, *source.shape[1:]))
        for name, source in sources.items()
    }


def _source(array: da.Array) -> Any:
    """Return the Zarr array whose chunks are all that a Dask array consists of, or None."""
    layer = array.dask.layers.get(array.name)
    if not isinstance(layer, Blockwise) or getattr(layer.task, "func", None) is not getter:
        return None
    (source, no_indices), *others = layer.indices
    # With keywords, `getter` has to read under a lock, or to keep the array's type.
    if no_indices is not None or len(others) != 1 or layer.task.kwargs:
        return None
    if isinstance(source, TaskRef):
        source = array.dask.layers[source.key][source.key]
    stored: Any = source.value if isinstance(source, DataNode) else source
    same = is_zarr(stored) and stored.shape == array.shape and stored.dtype == array.dtype
    return stored if same else None
