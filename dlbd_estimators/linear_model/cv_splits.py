"""Convert ``cv`` to parts of the rows; for lazy data the client keeps no array of row numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import PredefinedSplit, check_cv

from dlbd_estimators.base.parameters import invalid_parameter
from dlbd_estimators.blocks.allocation import fold_sizes
from dlbd_estimators.blocks.block import ArrayLoader, Blocks, Encoding
from dlbd_estimators.blocks.named_folds import fold_numbers, names_folds
from dlbd_estimators.blocks.row_selection import consecutive_division, random_division
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.blocks.splits import DividedBlocks, Parts, SelectedRows, divide
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.parts import Splits
from dlbd_estimators.kernels.row_counts import RowCountKernel

#: Seed of the random folds of lazy data. They are random because the labels may be sorted.
_SEED = 0


def divide_by_cv(
    estimator: Any, blocks: Blocks, executor: Executor, *, classify: bool = False, cv: Any = None
) -> tuple[DividedBlocks, Splits]:
    """Divide blocks into the parts of the splits that the estimator's ``cv`` describes.

    Parameters
    ----------
    estimator : estimator
        Its ``cv`` is None (five folds), a number of folds, a splitter, an iterable of splits, or an
        array with the number of each row's fold.
    blocks : Blocks
        The data.
    executor : Executor
        Counts the rows of blocks whose numbers of rows are unknown.
    classify : bool
        Whether targets are labels. Then a number means stratified folds for data in memory, and
        folds of random rows of each block for lazy data.
    cv : splitter, splits or array of int, optional
        Used instead of the estimator's ``cv``, which need not exist then.

    Raises
    ------
    ValueError
        There are more folds than rows, a fold has no rows, or the array of fold numbers has another
        length than the data.
    TypeError
        The data are lazy, and the splitter needs the positions of all rows.
    """
    cv = estimator.cv if cv is None else cv
    if not _is_valid(cv):
        raise invalid_parameter(
            estimator,
            "cv",
            "an int in the range [2, inf)",
            "a cross-validator",
            "an iterable of splits",
            "an array of fold numbers",
            "None",
        )
    if blocks.sizes is None:
        blocks = with_counted_rows(blocks, executor)
    assert blocks.sizes is not None
    if blocks.in_memory:
        splits, parts = _in_memory(cv, blocks, classify)
    else:
        splits, parts = _lazy(cv, blocks.sizes, classify)
    return DividedBlocks.of(blocks, parts), splits


def with_counted_rows(blocks: Blocks, executor: Executor) -> Blocks:
    """Return blocks with known numbers of rows, which a pass over the targets counts."""
    labels = blocks.encoded(Encoding(raw=True))  # raw: not checked or encoded
    sizes = executor.map_reduce(
        RowCountKernel(), None, labels, name="rows-of-blocks", features=False
    ).partial
    return replace(blocks, sizes=sizes)


def refuse_metadata(estimator: Any, params: Mapping[str, Any]) -> None:
    """Refuse metadata that scikit-learn would pass to splitters and scorers.

    Raises
    ------
    ValueError
        There is metadata. The message gives advice.
    """
    if params:
        raise ValueError(
            f"{type(estimator).__name__}.fit passes no metadata on, but got {sorted(params)}. Pass "
            f"the splits themselves: cv=list(splitter.split(X, y, groups))."
        )


def held_out(blocks: DividedBlocks, splits: Splits, number: int) -> tuple[Any, Any, Any]:
    """Return features, targets and weights of the test rows of a split, for data in memory."""
    X, y, weight = [], [], []
    for index in range(blocks.n_blocks):
        block = blocks.load(index)
        for part in splits.test[number]:
            X.append(block.X[block.parts[part]])
            y.append(block.y[block.parts[part]])
            if block.weight is not None:
                weight.append(block.weight[block.parts[part]])
    return np.concatenate(X), np.concatenate(y), np.concatenate(weight) if weight else None


def _is_valid(cv: Any) -> bool:
    """Return whether ``cv`` is of a type that describes splits."""
    if cv is None or isinstance(cv, bool | str):
        return cv is None
    if isinstance(cv, Integral):
        return int(cv) >= 2
    return hasattr(cv, "split") or hasattr(cv, "selections") or isinstance(cv, Iterable)


def _is_named(cv: Any) -> bool:
    """Return whether ``cv`` is an array with the number of each row's fold."""
    return isinstance(cv, PredefinedSplit) or names_folds(cv)


def _in_memory(cv: Any, blocks: Blocks, classify: bool) -> tuple[Splits, Parts]:
    assert isinstance(blocks.loader, ArrayLoader)
    assert blocks.sizes is not None
    X, y = blocks.loader.X, blocks.loader.y
    if _is_named(cv):
        return _named(cv, blocks.sizes)
    if is_lazy(cv):
        raise TypeError("cv is lazy but X is in memory. Compute it: cv.compute().")
    pairs = check_cv(cv, y, classifier=classify).split(X, y)
    return _of_pairs(list(pairs), blocks.sizes)


def _lazy(cv: Any, sizes: tuple[int, ...], classify: bool) -> tuple[Splits, Parts]:
    if cv is None or isinstance(cv, Integral):
        n_folds = 5 if cv is None else int(cv)
        _check_number(n_folds, sum(sizes))
        rows = fold_sizes(sum(sizes), n_folds)
        division = (
            random_division(sizes, rows, _SEED) if classify else consecutive_division(sizes, rows)
        )
        selections = [division.part(fold) for fold in range(n_folds)]
        return Splits.folds(n_folds), SelectedRows.of_selections(selections, len(sizes))
    if _is_named(cv):
        return _named(cv, sizes)
    if hasattr(cv, "selections"):
        pairs = list(cv.selections(sizes))
        tests = [test for _, test in pairs]
        if cv.tests_each_row_once:
            return Splits.folds(len(tests)), SelectedRows.of_selections(tests, len(sizes))
        all_rows = consecutive_division(sizes, [sum(sizes)]).part(0)
        selections = [*(train for train, _ in pairs), *tests, all_rows]
        parts = SelectedRows.of_selections(selections, len(sizes))
        return Splits.overlapping(len(pairs)), parts
    what = repr(cv) if hasattr(cv, "split") else f"<{type(cv).__name__} of splits>"
    raise TypeError(
        f"cv={what} needs the positions of all rows, but X is lazy. Use a number of folds, KFold "
        f"or ShuffleSplit of dlbd_estimators.model_selection, or a NumPy array with the number of "
        f"each row's fold."
    )


def _named(cv: Any, sizes: tuple[int, ...]) -> tuple[Splits, Parts]:
    """Return the splits for an array with the number of each row's fold; -1 means no fold."""
    names = fold_numbers(cv.test_fold if isinstance(cv, PredefinedSplit) else cv, sum(sizes))
    folds = [np.flatnonzero(names == fold) for fold in np.unique(names[names >= 0])]
    everything = np.arange(sum(sizes))
    pairs = [(np.setdiff1d(everything, fold, assume_unique=True), fold) for fold in folds]
    return divide(pairs, sizes)


def _of_pairs(
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]], sizes: tuple[int, ...]
) -> tuple[Splits, Parts]:
    n_rows = sum(sizes)
    positions = []
    for number, pair in enumerate(pairs):
        train, test = (_positions(indices, n_rows) for indices in pair)
        if not (len(train) and len(test)):
            purpose = "test" if len(train) else "train"
            raise ValueError(
                f"Split {number} of cv has no rows to {purpose} on. Ask for fewer folds."
            )
        positions.append((train, test))
    if not positions:
        raise ValueError("cv gives no splits: at least one is needed.")
    return divide(positions, sizes)


def _positions(rows: Any, n_rows: int) -> NDArray[np.intp]:
    rows = np.asarray(rows)
    if rows.dtype == bool:
        return np.flatnonzero(rows)
    return np.asarray(np.where(rows < 0, rows + n_rows, rows), dtype=np.intp)


def _check_number(n_folds: int, n_rows: int) -> None:
    if n_folds > n_rows:
        raise ValueError(
            f"Cannot have number of splits n_splits={n_folds} greater than the number of samples: "
            f"n_samples={n_rows}. Ask for fewer folds."
        )
