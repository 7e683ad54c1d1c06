"""One pass over the aligned rows of the arguments of a metric, lazy or in memory."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.blocks.sources import as_dask_collection, is_lazy
from dlbd_estimators.engine.column_passes import lazy_column, reduce_rows
from dlbd_estimators.kernels.arrays import FloatArray

Partial = TypeVar("Partial")


class RowSums(Protocol[Partial]):
    """The sums that a metric takes over the rows of a block, and how two sums are joined."""

    def __call__(
        self, y_true: NDArray[Any], y_pred: NDArray[Any], sample_weight: Any = None
    ) -> Partial:
        """Return the sums of one block, which may have no rows."""

    def combine(self, left: Partial, right: Partial) -> Partial:
        """Return the sums over the rows of both."""


def any_lazy(*values: Any) -> bool:
    """Return whether any of the values is a Dask collection or a Zarr array."""
    return any(is_lazy(value) for value in values)


def one_pass(
    sums: RowSums[Partial],
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    *,
    name: str,
    pred_name: str = "y_pred",
) -> Partial:
    """Return sums over all rows; at least one of the arrays is lazy.

    Parameters
    ----------
    sums : RowSums
        Sums to compute.
    y_true, y_pred, sample_weight : array-like, Dask collection or Zarr array
        Arguments of the metric. Arrays in memory are chunked like the lazy ones.
    name : str
        Name of the metric, for the names of the tasks.
    pred_name : str
        Name of ``y_pred`` in the signature of the metric.

    Raises
    ------
    LengthMismatch
        Numbers of rows differ.
    """
    arguments = {"y_true": y_true, pred_name: y_pred}
    if sample_weight is not None:
        arguments["sample_weight"] = sample_weight
    lazy = {
        key: as_dask_collection(key, values) for key, values in arguments.items() if is_lazy(values)
    }
    for key, values in {**arguments, **lazy}.items():
        if values is None or np.ndim(values) == 0:
            raise ValueError(f"{key} must be an array with one entry per row, but is {values!r}.")
    arguments |= dict(zip(lazy, merge_graphs(*lazy.values()), strict=True))
    # The predictions set the chunks: rechunking them like the labels would cost more.
    leader = next(key for key in (pred_name, *arguments) if is_lazy(arguments[key]))
    reference = lazy_column(leader, arguments[leader])
    columns = [
        reference if key == leader else lazy_column(key, values, reference, leader)
        for key, values in arguments.items()
    ]
    order = list(arguments).index(leader)
    partial: Partial = reduce_rows(
        [columns[order], *columns[:order], *columns[order + 1 :]],
        _InOrder(sums, order),
        sums.combine,
        name=name,
        names=[leader, *(key for key in arguments if key != leader)],
    )
    return partial


def row_weights(sample_weight: Any, n_rows: int) -> FloatArray:
    """Check a block's weights and return them as floats; None gives ones.

    Raises
    ------
    ValueError
        Weights are not a 1-D array of finite numbers, at least 0.
    """
    if sample_weight is None:
        return np.ones(n_rows)
    weights = np.asarray(sample_weight)
    if weights.ndim != 1:
        raise ValueError(f"Sample weights must be 1D, but have shape {weights.shape}.")
    if weights.dtype.kind not in "biuf":
        raise ValueError(f"sample_weight must be numeric, but has dtype {weights.dtype}.")
    if not np.isfinite(weights).all():
        raise ValueError("Input sample_weight contains NaN or infinity.")
    if (weights < 0).any():
        raise ValueError(f"sample_weight must be at least 0, but holds {weights.min()}.")
    return weights.astype(np.float64, copy=False)


def check_total(weight: float, n_rows: int) -> None:
    """Check that the total weight, by which a metric divides, is not zero.

    Raises
    ------
    ValueError
        There are no rows, or all weights are zero.
    """
    if n_rows == 0:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    if weight == 0.0:
        raise ValueError("Sample weights must contain at least one non-zero number.")


def numbers(name: str, values: Any) -> NDArray[Any]:
    """Check a block of numbers and return it in its own precision, integers as float64.

    Raises
    ------
    ValueError
        Values are not numeric, or not finite.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numeric, but has dtype {array.dtype}.")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"Input {name} contains NaN or infinity.")
    return array


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Check an option, before any data are read.

    Raises
    ------
    ValueError
        The value is not one of the choices, which the message lists.
    """
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise ValueError(f"{name} must be one of {choices}, but is {value!r}.")


class _InOrder:
    """Passes blocks to sums as (y_true, y_pred, sample_weight), in whatever order they come."""

    def __init__(self, sums: RowSums[Any], order: int) -> None:
        self._sums = sums
        self._order = order

    def __call__(self, leader: NDArray[Any], *others: NDArray[Any]) -> Any:
        blocks = [*others[: self._order], leader, *others[self._order :]]
        return self._sums(*blocks)
