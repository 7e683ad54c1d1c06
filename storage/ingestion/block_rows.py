"""The numbers of rows of the blocks that an ingest will write."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from storage.ingestion.recipe import Recipe
from storage.inputs import stored_dtype
from storage.layout import ArrayLayout, plan_rows, row_chunks

__all__ = ["rows_of_blocks"]


def rows_of_blocks(
    dtype: npt.DTypeLike | None,
    chunk_nbytes: int,
    block_nbytes: int,
    expected_rows: int | None,
    recipe: Recipe,
    n_rows: int,
) -> Sequence[int]:
    """Return the number of rows of each block that will be written."""
    n_features = len(recipe.feature_names)
    stored = stored_dtype("X", np.empty((0, n_features)), dtype)
    X = ArrayLayout("X", stored, n_rows, (n_features,), 1)
    y = ArrayLayout("y", recipe.target_dtype.name, n_rows, (), 1)
    _, block_rows = plan_rows(
        max(n_rows, expected_rows or 0),
        X.row_nbytes,
        X.row_nbytes_as_floats + y.row_nbytes + 8 * recipe.n_words,
        chunk_nbytes=chunk_nbytes,
        block_nbytes=block_nbytes,
    )
    return row_chunks(y, block_rows)[0]
