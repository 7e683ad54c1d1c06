"""Convert the input of ``fit``, ``predict`` and ``score`` to checked arrays.

NumPy arrays, pandas frames and anything else that scikit-learn accepts become NumPy arrays; Dask
arrays, Dask data frames and Zarr arrays become Dask arrays and stay lazy.
:mod:`dlbd_estimators.base.xarray_input` has converted xarray objects before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array, column_or_1d

from dlbd_estimators.base.feature_names import check_columns
from dlbd_estimators.base.grouped_targets import Groups
from dlbd_estimators.base.plain_arrays import is_plain
from dlbd_estimators.base.rows_by_number import scikit_learn_tools
from dlbd_estimators.base.sparse_input import features_in_memory
from dlbd_estimators.base.user_warnings import warn_of_column_vector
from dlbd_estimators.blocks import block, dask_blocks
from dlbd_estimators.blocks.alignment import one_column_of_chunks
from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.blocks.data_frame_columns import check_numeric_dtype, features
from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.blocks.sources import as_dask_collection, is_frame, is_lazy, refuse_lazy
from dlbd_estimators.engine.column_passes import lazy_column, with_lengths_of_one_source
from dlbd_estimators.engine.select import active_cluster
from dlbd_estimators.exceptions import LengthMismatch

scikit_learn_tools.install()

_ONE_MODEL_A_COLUMN = (
    " If each column of y holds classes, fit one model to each column y[:, j], or for arrays in "
    "memory use sklearn.multioutput.MultiOutputClassifier."
)


class Data(NamedTuple):
    """Validated input of a fit: blocks, and the shape of one row's target."""

    blocks: Blocks
    y_shape: tuple[int, ...]


def training_data(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    classify: bool,
    multi_label: bool = False,
    reset: bool = True,
    groups: Groups | None = None,
) -> Data:
    """Check the input of ``fit`` and cut it into blocks.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and, where columns have names, ``feature_names_in_`` are set.
    X, y, sample_weight : array-like, Dask collection or Zarr array
        The arguments that the user passed.
    classify : bool
        Whether targets are labels, not numbers.
    multi_label : bool
        Whether targets may be a matrix of labels, each 0 or 1.
    reset : bool
        Whether to set the attributes of ``estimator``. False compares X with those of an earlier
        fit.
    groups : Groups, optional
        The group of each row. Targets then have two columns: the encoded target, and the number of
        the group.

    Raises
    ------
    LengthMismatch
        X, y and sample_weight differ in length (before anything is computed).
    TypeError, ValueError
        X or y is complex, not numeric, empty, or has the wrong dimensions; y is sparse, or a block
        of X is although the estimator needs dense ones.
    DenseTooLarge
        X is sparse, and would not fit in memory as a dense array.
    """
    if y is None:
        raise ValueError(
            f"requires y to be passed, but the target y is None. "
            f"{type(estimator).__name__} is a supervised estimator."
        )
    if is_lazy(X):
        return _lazy_data(estimator, X, y, sample_weight, classify, multi_label, reset, groups)
    refuse_lazy(y=y, sample_weight=sample_weight)
    # The first pass finds NaN and infinities, and names the row. A check here would read all of X
    # once more.
    X = features_in_memory(estimator, X, ensure_all_finite=False, reset=reset)
    y = _targets_in_memory(y, len(X), classify, multi_label)
    if groups is not None:
        refuse_lazy(groups=groups.values)
        y = groups.beside(one_target(y), groups.values)
    weight = _weights_in_memory(sample_weight, len(X))
    names = getattr(estimator, "feature_names_in_", None)
    return Data(block.from_arrays(X, y, weight, names), y.shape[1:])


def lazy_features(estimator: Any, X: Any, *, reset: bool) -> da.Array:
    """Check lazy features and return them as a Dask array with one column of chunks."""
    (X,) = merge_graphs(as_dask_collection("X", X, sparse=_may_be_sparse(estimator)))
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead: X has shape {X.shape}. "
            f"Reshape it with X.reshape(-1, 1) if it holds one feature."
        )
    check_columns(estimator, X, reset=reset)
    array = features(X) if is_frame(X) else X
    check_numeric_dtype("X", array.dtype)
    if array.shape[1] == 0 or array.shape[0] == 0:
        raise ValueError(
            f"Found array with {array.shape[0]} sample(s) and {array.shape[1]} feature(s) "
            f"(shape={array.shape}) while a minimum of 1 is required."
        )
    return one_column_of_chunks(array)


def _lazy_data(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    classify: bool,
    multi_label: bool,
    reset: bool,
    groups: Groups | None,
) -> Data:
    group_column = None if groups is None else groups.values
    given = {"X": X, "y": y, "sample_weight": sample_weight, "groups": group_column}
    X, y, sample_weight, group_column = merge_graphs(
        *(
            as_dask_collection(name, data, sparse=name == "X" and _may_be_sparse(estimator))
            if is_lazy(data)
            else data
            for name, data in given.items()
        )
    )
    X = lazy_features(estimator, X, reset=reset)
    y = lazy_column("y", y, X)
    if y.ndim > 2 or (classify and not multi_label and y.ndim == 2 and y.shape[1] != 1):
        way_out = _ONE_MODEL_A_COLUMN if classify else ""
        raise ValueError(
            f"y should be a 1d array, got an array of shape {y.shape} instead.{way_out}"
        )
    if classify and y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if not classify:
        check_numeric_dtype("y", y.dtype)
    if groups is not None:
        y = groups.beside_lazy(one_target(y), lazy_column("groups", group_column, X), X)
    weight = None
    if sample_weight is not None:
        if np.isscalar(sample_weight):
            # Computed from y, so that the weights have the blocks and the order of its rows.
            rows = y[:, 0] if y.ndim == 2 else y
            constant_weight: Any = sample_weight
            sample_weight = rows.map_blocks(_full, float(constant_weight), dtype=np.float64)
        weight = lazy_column("sample_weight", sample_weight, X)
        check_numeric_dtype("sample_weight", weight.dtype)
        if weight.ndim != 1:
            raise ValueError(f"Sample weights must be 1D, but have shape {weight.shape}.")
    names = getattr(estimator, "feature_names_in_", None)
    X, y, *weights = with_lengths_of_one_source([X, y] if weight is None else [X, y, weight])
    weight = weights[0] if weights else None
    lazy_blocks = dask_blocks.from_dask(X, y, weight, names, remote=active_cluster())
    return Data(lazy_blocks, y.shape[1:])


def _may_be_sparse(estimator: Any) -> bool:
    return bool(getattr(estimator, "_sparse_blocks", False))


def one_target(y: Any) -> Any:
    """Return targets of one column as a one-dimensional array.

    Raises
    ------
    ValueError
        There are several columns.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ValueError(f"y should be a 1d array, got an array of shape {y.shape} instead.")
    return y


def _full(block: NDArray[Any], value: float) -> NDArray[np.float64]:
    return np.full(len(block), value)


def _targets_in_memory(y: Any, n_rows: int, classify: bool, multi_label: bool) -> NDArray[Any]:
    if not (is_plain(y, n_axes=1, kinds="biuf") and y.flags.c_contiguous):
        y = _checked_targets(y, classify, multi_label)
    if len(y) != n_rows:
        raise LengthMismatch(
            f"Found input variables with inconsistent numbers of samples: X has {n_rows} rows "
            f"but y has {len(y)}."
        )
    return np.asarray(y)


def _checked_targets(y: Any, classify: bool, multi_label: bool) -> NDArray[Any]:
    """Return targets of any kind as an array."""
    if classify and not (multi_label and _is_label_matrix(y)):
        try:
            flat = column_or_1d(y)
            warn_of_column_vector(y)
            y = flat
        except ValueError as error:
            way_out = _ONE_MODEL_A_COLUMN if np.ndim(y) > 1 else ""
            raise ValueError(f"{error}{way_out}") from error
    return np.asarray(
        check_array(
            y,
            dtype=None if classify else "numeric",
            ensure_2d=False,
            ensure_all_finite=False,
            input_name="y",
        )
    )


def _is_label_matrix(y: Any) -> bool:
    labels = np.asarray(y)
    return labels.ndim == 2 and type_of_target(labels).startswith("multilabel")


def _weights_in_memory(sample_weight: Any, n_rows: int) -> NDArray[np.float64] | None:
    if sample_weight is None:
        return None
    if np.isscalar(sample_weight):
        constant: Any = sample_weight
        return np.full(n_rows, float(constant))
    weight = check_array(
        sample_weight,
        ensure_2d=False,
        dtype=np.float64,
        ensure_all_finite=False,
        input_name="sample_weight",
    )
    if weight.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weight.ndim}D array.")
    if len(weight) != n_rows:
        raise LengthMismatch(
            f"Found input variables with inconsistent numbers of samples: X has {n_rows} rows "
            f"but sample_weight has {len(weight)}."
        )
    return np.asarray(weight)
