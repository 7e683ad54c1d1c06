"""Check blocks: columns, container type, number of rows, missing labels and weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse
from dask.base import normalize_token
from numpy.typing import NDArray

from dlbd_estimators.blocks.data_frame_columns import Aligned
from dlbd_estimators.blocks.sources import check_container, is_frame
from dlbd_estimators.exceptions import BadBlock, LengthMismatch, NonFiniteValues
from dlbd_estimators.kernels.sparse_rows import SparseRows

Result = TypeVar("Result")


def as_features(block: Any, n_features: int, where: str, *, sparse: bool = False) -> Any:
    """Return a block of features as an array of floats, or as sparse rows of floats.

    Parameters
    ----------
    block : array
        The block as it was read.
    n_features : int
        Expected number of columns.
    where : str
        Name of the block, for messages.
    sparse : bool
        Whether the block may be a sparse matrix of SciPy.

    Raises
    ------
    BadBlock
        The block has another number of columns or dimensions, or is not numeric.
    TypeError
        The block is masked, or is sparse without permission.
    """
    check_columns("X", block, (n_features,), where, sparse=sparse)
    if sparse and scipy.sparse.issparse(block):
        return sparse_features(block, where)
    X = np.asarray(block)
    if X.dtype in (np.float32, np.float64):
        return X
    if X.dtype.kind not in "biufO":
        raise BadBlock(f"X has dtype {X.dtype} in {where}, but must be numeric.")
    try:
        return X.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise BadBlock(f"X cannot be converted to numbers in {where}: {error}") from error


def sparse_features(block: Any, where: str) -> SparseRows:
    """Return a block of sparse features as rows of floats, sorted and without duplicates.

    Raises
    ------
    BadBlock
        The block is not numeric, or contradicts itself.
    """
    if block.dtype.kind not in "biuf":
        raise BadBlock(f"X has dtype {block.dtype} in {where}, but must be numeric.")
    rows = scipy.sparse.csr_array(block)
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    try:
        rows.check_format(full_check=True)
    except ValueError as error:
        problem = _problem_of(rows, error)
        raise BadBlock(f"X is a sparse matrix that is not valid in {where}: {problem}") from error
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return SparseRows(rows)


def _problem_of(rows: Any, error: ValueError) -> str:
    """Return why a CSR array is invalid: its first wrong column number, else SciPy's reason."""
    n_columns = rows.shape[1]
    wrong = np.flatnonzero((rows.indices < 0) | (rows.indices >= n_columns))
    if not wrong.size or np.any(np.diff(rows.indptr) < 0):
        return str(error)
    row = int(np.searchsorted(rows.indptr, wrong[0], side="right")) - 1
    return (
        f"its row {row} has the column number {rows.indices[wrong[0]]}, and it has {n_columns} "
        f"columns, numbered from 0"
    )


def as_targets(name: str, block: Any, shape: tuple[int, ...] | None, where: str) -> NDArray[Any]:
    """Return a block of targets or weights as an array.

    Parameters
    ----------
    name : str
        Name of the data, for messages.
    block : array
        The block as it was read.
    shape : tuple of int or None
        Expected shape of one row; None accepts every shape.
    where : str
        Name of the block, for messages.

    Raises
    ------
    BadBlock
        The rows have another shape.
    TypeError
        The block is masked or sparse.
    """
    if shape is None:
        check_container(name, block, where)
    else:
        check_columns(name, block, shape, where)
    values = np.asarray(block)
    return values.astype(object) if values.dtype.kind == "T" else values


def check_columns(
    name: str, block: Any, shape: tuple[int, ...], where: str, *, sparse: bool = False
) -> None:
    """Refuse a block whose rows do not have the expected shape.

    Raises
    ------
    BadBlock
        The rows have another shape. The message names the block and both numbers of columns.
    TypeError
        The block is masked, or is sparse without permission.
    """
    check_container(name, block, where, sparse=sparse)
    found = np.shape(block)
    if len(found) == 0 or found[1:] != shape:
        raise BadBlock(
            f"{name} has {_columns(found[1:])} in {where}, but {_columns(shape)} were promised: "
            f"the block has shape {found}. Look for a function of blocks (map_blocks, "
            f"map_partitions, from_delayed) that returns another shape than its meta has."
        )


def _columns(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"{shape[0]} columns"
    return "no axis of columns" if not shape else f"columns of shape {shape}"


def check_present(y: NDArray[Any], where: str) -> None:
    """Refuse missing labels: None, NaN, NaT, pandas.NA.

    Raises
    ------
    NonFiniteValues
        A label is missing. The message names the first such row.
    """
    if y.dtype.kind not in "OmMf":
        return
    # pandas accepts any object, which takes several times as long.
    missing = np.isnan(y) if y.dtype.kind == "f" else np.asarray(pd.isna(y))
    if missing.any():
        position = tuple(int(i) for i in np.argwhere(missing)[0])
        raise NonFiniteValues(
            f"Input y contains NaN at row {position[0]} of {where}: the label is "
            f"{y[position]!r}. Drop such rows before fitting."
        )


def same_length(name: str, found: int, expected: int, where: str) -> None:
    """Refuse y or weights that have another number of rows than X.

    Raises
    ------
    LengthMismatch
        The numbers differ. The message names the block.
    """
    if found != expected:
        raise LengthMismatch(f"In {where}, X has {expected} rows but {name} has {found}.")


def check_same_rows(lengths: Sequence[int]) -> None:
    """Refuse arrays that have different numbers of rows.

    Raises
    ------
    LengthMismatch
        The numbers differ. The message gives all of them.
    """
    if len(set(lengths)) > 1:
        raise LengthMismatch(
            f"Found input variables with inconsistent numbers of samples: {list(lengths)}. Pass "
            f"arrays that all have the same number of rows."
        )


def check_rows_kept(found: int, expected: int) -> None:
    """Refuse the result of a step if it has another number of rows than the step's input.

    Raises
    ------
    BadBlock
        The numbers differ. The message gives both.
    """
    if found != expected:
        raise BadBlock(
            f"a step returned {found} rows for a block of {expected} rows. It must keep all rows, "
            f"in their order."
        )


def check_weights(weight: NDArray[Any], where: str) -> None:
    """Refuse weights that are not numeric, NaN, infinite or negative.

    Raises
    ------
    BadBlock
        The weights are not numeric. The message names the block.
    NonFiniteValues
        A weight is NaN, infinite or negative. The message names the first such row.
    """
    if weight.dtype.kind not in "biufO":
        raise BadBlock(f"sample_weight has dtype {weight.dtype} in {where}, but must be numeric.")
    try:
        weight = weight.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise BadBlock(
            f"sample_weight cannot be converted to numbers in {where}: {error}"
        ) from error
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if np.any(bad):
        row = int(np.argmax(bad))
        raise NonFiniteValues(
            f"sample_weight must be finite and at least 0, but is {weight[row]} at row {row} "
            f"of {where}."
        )


class CheckedFunction(Generic[Result]):
    """Wrap a function of blocks: first check that blocks match the meta of their collections.

    Parameters
    ----------
    function : callable
        Takes one block of each collection.
    *collections : dask.array.Array, dask.dataframe.DataFrame or dask.dataframe.Series
        Collections that the blocks belong to. The columns of a partition are brought into the
        order of its data frame.
    names : sequence of str
        Names of the collections, for messages.
    """

    def __init__(
        self, function: Callable[..., Result], *collections: Any, names: Sequence[str] = ("X",)
    ) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", type(function).__name__.lower())
        self.promised = [promise(data, name) for name, data in zip(names, collections, strict=True)]

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, normalize_token(self.function), normalize_token(self.promised)

    def __call__(self, *blocks: Any, **options: Any) -> Result:
        return self.function(*map(checked, blocks, self.promised), **options)


class Promised(NamedTuple):
    """What a lazy array promises: the shape of a row, the dtype, and whether blocks are sparse."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    sparse: bool = False


def promise(collection: Any, name: str) -> Aligned | Promised:
    """Return what a Dask collection promises about its blocks."""
    if not is_frame(collection):
        sparse = scipy.sparse.issparse(collection._meta)
        return Promised(name, tuple(collection.shape[1:]), collection.dtype, sparse)
    if collection.ndim == 2:
        return Aligned(name, collection._meta.columns, list(collection.dtypes))
    return Aligned(name, None, [collection.dtype])


def check_block(block: Any, promised: Promised, where: str = "a block") -> None:
    """Refuse a block of an array that does not match what the array promises.

    Raises
    ------
    BadBlock
        The rows have another shape, or the block is not numeric although the array is.
    TypeError
        The block is masked or sparse.
    """
    check_columns(promised.name, block, promised.shape, where, sparse=promised.sparse)
    found = getattr(block, "dtype", None)
    numeric = promised.dtype.kind in "biuf"
    if numeric and isinstance(found, np.dtype) and found.kind not in "biufO":
        raise BadBlock(
            f"{promised.name} has dtype {found} in {where}, but {promised.dtype} was promised."
        )


def checked(block: Any, promised: Aligned | Promised, where: str = "a block") -> Any:
    """Check a block against what its collection promises; return it with columns in order.

    Parameters
    ----------
    block : ndarray, DataFrame or Series
        The block as it was read.
    promised : Aligned or Promised
        What the collection promises, from :func:`promise`.
    where : str
        Name of the block, for messages about blocks of arrays.

    Raises
    ------
    BadBlock
        The block does not match.
    TypeError
        The block is masked or sparse.
    """
    if isinstance(block, list):
        block = _of_list(block, 1 if isinstance(promised, Aligned) else 1 + len(promised.shape))
    if isinstance(promised, Aligned):
        return promised.aligned(block)
    if isinstance(block, pd.DataFrame | pd.Series):  # made of arrays by a user's function
        block = block.to_numpy()
    check_block(block, promised, where)
    return block


def _of_list(block: Any, n_axes: int) -> Any:
    """Convert a block that is a list: return its only chunk, or make one array of it."""
    inner = block
    while isinstance(inner, list) and len(inner) == 1:
        (inner,) = inner
    if not isinstance(inner, list) and np.ndim(inner) > 0:
        return inner
    found = np.asarray(block)
    while found.ndim > n_axes and len(found) == 1:
        found = found[0]
    return found
