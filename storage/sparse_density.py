"""How many bytes the rows of a sparse X take, so that chunks and blocks get the right sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from dask.array.core import Array as DaskArray
from dask.delayed import delayed

from storage.computing import compute
from storage.sparse_rows import MAX_COLUMNS, encoded_nbytes, is_sparse

__all__ = ["check_number_of_columns", "is_sparse_array", "sparse_row_nbytes"]

#: Number of blocks of a Dask array, or of parts of a matrix in memory, whose entries are counted.
_PARTS = 16
#: Bytes of the position of a row in a CSR matrix.
_POSITION = 8


def is_sparse_array(array: Any) -> bool:
    """Return whether an array in memory, or the blocks of a Dask array, are sparse."""
    return is_sparse(array._meta if isinstance(array, DaskArray) else array)


def check_number_of_columns(X: Any) -> None:
    """Raise ValueError if a sparse X has too many columns."""
    if is_sparse_array(X) and X.shape[1] > MAX_COLUMNS:
        raise ValueError(
            f"X is sparse and has {X.shape[1]:,} columns, at most {MAX_COLUMNS:,} can be stored: "
            f"hash them to fewer columns"
        )


def sparse_row_nbytes(X: Any, dtype: str, entries_per_row: float | None = None) -> tuple[int, int]:
    """Return the bytes of a row: as it is stored, and as the floats that estimators compute with.

    They are those of the densest of up to 16 parts, which are spread over X. Blocks of a Dask array
    are computed, and only their numbers of entries are kept; none are computed if the caller knows
    `entries_per_row`.
    """
    density = entries_per_row
    if density is None:
        density = _density_of_blocks(X) if isinstance(X, DaskArray) else _density_in_memory(X)
    as_floats = dtype if dtype in ("float32", "float64") else "float64"
    stored = max(1, encoded_nbytes(density, 1, dtype))
    return stored, _POSITION + encoded_nbytes(density, 0, as_floats)


def _density_in_memory(X: Any) -> float:
    bounds = np.unique(np.linspace(0, X.shape[0], _PARTS + 1).astype(np.int64))
    return float(np.max(np.diff(X.indptr[bounds]) / np.diff(bounds)))


def _density_of_blocks(X: DaskArray) -> float:
    rows = np.array(X.chunks[0])
    filled = np.flatnonzero(rows)
    chosen = filled[np.unique(np.linspace(0, len(filled) - 1, _PARTS).astype(np.intp))]
    counts = [
        [delayed(_count_entries)(block) for block in X.blocks[int(number)].to_delayed().ravel()]
        for number in chosen
    ]
    found = compute(*counts)
    return max(
        float(sum(entries)) / int(rows[number])
        for entries, number in zip(found, chosen, strict=True)
    )


def _count_entries(block: Any) -> int:
    # A block that is not sparse, although it was promised, is refused when it is written.
    return int(block.nnz) if is_sparse(block) else 0
