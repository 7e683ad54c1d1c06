"""From what users pass as ``cv`` to parts of the rows, which the client holds no permutation of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import PredefinedSplit, check_cv

from dlbd_estimators.base.parameters import refused
from dlbd_estimators.blocks.allocation import fold_sizes
from dlbd_estimators.blocks.block import ArrayLoader, Blocks, Encoding
from dlbd_estimators.blocks.named_folds import fold_numbers, names_folds
from dlbd_estimators.blocks.row_selection import consecutive_division, random_division
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.blocks.splits import DividedBlocks, Parts, SelectedRows, divide
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.parts import Splits
from dlbd_estimators.kernels.row_counts import RowCountKernel

#: Of the folds of lazy data that are chosen at random because labels may lie sorted.
_SEED = 0


def divided(
    estimator: Any, blocks: Blocks, executor: Executor, *, classify: bool = False, cv: Any = None
) -> tuple[DividedBlocks, Splits]:
    """Divide blocks as the estimator's ``cv`` says.

    Parameters
    ----------
    estimator : estimator
        Its ``cv`` is None (five folds), a number of folds, a splitter, splits, or an array that
        names each row's fold.
    blocks : Blocks
        What is fitted.
    executor : Executor
        Counts the rows of blocks that do not know theirs.
    classify : bool
        Targets are labels: folds of a number are stratified in memory, and rows chosen at random
        from each block of lazy data.
    cv : splitter, splits or array of int, optional
        Taken instead of the estimator's, which need not have one then.

    Raises
    ------
    ValueError
        More folds than rows, a fold without rows, or names of folds of another number.
    TypeError
        A splitter that needs all rows, on lazy data.
    """
    cv = estimator.cv if cv is None else cv
    if isinstance(cv, bool) or (isinstance(cv, Integral) and int(cv) < 2):
        raise refused(
            estimator,
            "cv",
            "an int in the range [2, inf)",
            "a cross-validator",
            "an iterable of splits",
            "an array of fold numbers",
            "None",
        )
    if blocks.sizes is None:
        blocks = counted(blocks, executor)
    assert blocks.sizes is not None
    if blocks.in_memory:
        splits, parts = _in_memory(cv, blocks, classify)
    else:
        splits, parts = _lazy(cv, blocks.sizes, classify)
    return DividedBlocks.of(blocks, parts), splits


def counted(blocks: Blocks, executor: Executor) -> Blocks:
    """Return blocks that know their rows, counted by a pass over the targets."""
    labels = blocks.encoded(Encoding(raw=True))  # whatever they are
    sizes = executor.map_reduce(
        RowCountKernel(), None, labels, name="rows-of-blocks", features=False
    ).partial
    return replace(blocks, sizes=sizes)


def refuse_metadata(estimator: Any, params: Mapping[str, Any]) -> None:
    """Refuse what scikit-learn would hand on to splitters and scorers.

    Raises
    ------
    ValueError
        Says what to do.
    """
    if params:
        raise ValueError(
            f"{type(estimator).__name__}.fit hands no metadata on, but got {sorted(params)}. Give "
            f"the splits themselves: cv=list(splitter.split(X, y, groups))."
        )


def held_out(blocks: DividedBlocks, splits: Splits, number: int) -> tuple[Any, Any, Any]:
    """Return features, targets and weights of the rows in memory that a split tests on."""
    X, y, weight = [], [], []
    for index in range(blocks.n_blocks):
        block = blocks.load(index)
        for part in splits.test[number]:
            X.append(block.X[block.parts[part]])
            y.append(block.y[block.parts[part]])
            if block.weight is not None:
                weight.append(block.weight[block.parts[part]])
    return np.concatenate(X), np.concatenate(y), np.concatenate(weight) if weight else None


def _is_named(cv: Any) -> bool:
    """Tell whether ``cv`` is an array that names each row's fold."""
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
        whole = consecutive_division(sizes, [sum(sizes)]).part(0)
        selections = [*(train for train, _ in pairs), *tests, whole]
        parts = SelectedRows.of_selections(selections, len(sizes))
        return Splits.overlapping(len(pairs)), parts
    raise TypeError(
        f"cv={cv!r} needs the positions of all rows, which are lazy here. Take a number of folds, "
        f"KFold or ShuffleSplit of dlbd_estimators.model_selection, or a NumPy array that names "
        f"each row's fold."
    )


def _named(cv: Any, sizes: tuple[int, ...]) -> tuple[Splits, Parts]:
    """Return splits by an array that names each row's fold; -1 is in none."""
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
        train, test = (_positions(each, n_rows) for each in pair)
        if not (len(train) and len(test)):
            what = "test" if len(train) else "train"
            raise ValueError(f"Split {number} of cv has no rows to {what} on. Ask for fewer folds.")
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
