"""The pass that finds the statistics of all columns."""

from __future__ import annotations

from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from sklearn.utils.validation import check_array

from dlbd_estimators.blocks.sources import as_dask_collection, is_lazy
from dlbd_estimators.engine.passes_together import RowPassGenerator, RowsPass, run_fit
from dlbd_estimators.preprocessing.numeric import as_floats
from dlbd_estimators.preprocessing.statistics import ColumnStatistics, column_statistics, merge


def find_statistics(rows: Any, sample_weight: Any, names: Any, name: str) -> ColumnStatistics:
    """Find the statistics of all columns, in one pass.

    Parameters and errors are those of :func:`statistics_by_passes`.
    """
    return run_fit(statistics_by_passes(rows, sample_weight, names, name))


def statistics_by_passes(
    rows: Any, sample_weight: Any, names: Any, name: str
) -> RowPassGenerator[ColumnStatistics]:
    """Request one pass that finds the statistics of all columns.

    Parameters
    ----------
    rows : dask.array.Array or dask.dataframe.DataFrame
        Numbers.
    sample_weight : None, float, array-like or lazy array of shape (n_samples,)
        Weights. Their chunks may differ from the chunks of the rows.
    names : sequence of str or None
        Names of the columns, for messages.
    name : str
        Prefix of the names of the tasks.

    Raises
    ------
    ValueError
        There are no rows, all weights are 0, a value is infinite, or the weights have the wrong
        shape.
    """
    collections = [rows]
    scalar = None
    if sample_weight is not None:
        if np.isscalar(sample_weight):
            scalar = sample_weight
        else:
            collections.append(_column(sample_weight))
    kernel = partial(_block_statistics, names=names, scalar=scalar)
    given = ("X", "sample_weight")[: len(collections)]
    statistics: ColumnStatistics = yield RowsPass(collections, kernel, merge, f"{name}-fit", given)
    if not statistics.n_rows:
        if sample_weight is not None:
            raise ValueError("Sample weights must contain at least one non-zero number.")
        raise ValueError(
            f"Found array with 0 sample(s) and {rows.shape[1]} feature(s) while a minimum of 1 "
            f"is required."
        )
    return statistics


def _column(sample_weight: Any) -> Any:
    if not is_lazy(sample_weight):
        array = check_array(
            sample_weight, ensure_2d=False, dtype=[np.float64, np.float32], input_name="weights"
        )
        # One chunk: with several, chunks of X of unknown length could match them by chance.
        column = da.from_array(array, chunks=-1)
    else:
        column = as_dask_collection("sample_weight", sample_weight)
    if column.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, but have {column.ndim} dimensions."
        )
    if np.dtype(getattr(column.dtype, "numpy_dtype", column.dtype)).kind not in "biuf":
        raise TypeError(f"sample_weight has dtype {column.dtype}, but must be numeric.")
    return column


def _block_statistics(
    block: Any, weight: Any = None, *, names: Any = None, scalar: Any = None
) -> ColumnStatistics:
    floats = as_floats(block)
    if scalar is not None:
        weight = np.full(len(floats), scalar)
    if weight is not None:
        # scikit-learn rounds weights to the dtype of X.
        weight = np.asarray(weight).astype(floats.dtype)
    return column_statistics(floats, weight, names)
