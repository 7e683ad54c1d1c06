"""The rows that an epoch trains on, and the rows held out to validate on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from dlbd_estimators.base.class_weights import plain
from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.blocks.checked_rows import CheckedRows
from dlbd_estimators.blocks.held_out import hold_out
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.labels import LabelCounts, LabelKernel
from dlbd_estimators.kernels.network import Network
from dlbd_estimators.kernels.row_counts import RowCountKernel
from dlbd_estimators.kernels.scores import Errors
from dlbd_estimators.neural_network.validation import held_out_score
from dlbd_estimators.solvers.stochastic.epochs import Score


@dataclass(frozen=True)
class Holdout:
    """How rows are held out, and how they are scored.

    Parameters
    ----------
    fraction : float
        Share of all rows to hold out.
    errors : Errors
        The errors that a score counts.
    classes : ndarray or None
        The classes, each of which must occur in both parts; None if targets are not classes.
    """

    fraction: float
    errors: Errors
    classes: NDArray[Any] | None

    def check(self, train: NDArray[Any], test: NDArray[Any]) -> None:
        """Check that every class has rows in both parts, by the class codes found in each.

        Raises
        ------
        ValueError
            A part has no row of a class, which the message names.
        """
        if self.classes is None:
            return
        for present, expected, use in ((train, test, "train"), (test, train, "validate")):
            missing = np.setdiff1d(expected, present)
            if len(missing):
                label = plain(self.classes[int(missing[0])])
                raise ValueError(
                    f"validation_fraction={self.fraction} leaves no row of class {label!r} to "
                    f"{use} on. Change validation_fraction or random_state, or drop this class."
                )


def known_sizes(executor: Executor, blocks: Blocks, name: str) -> Blocks:
    """Return the same blocks with their sizes, which may take a pass over the targets."""
    if blocks.sizes is not None:
        return blocks
    sizes = executor.map_reduce(
        RowCountKernel(), None, blocks, name=f"{name}-sizes", features=False
    ).partial
    nbytes = max(sizes) * blocks.n_features * blocks.itemsize
    return replace(blocks, sizes=sizes, block_nbytes=nbytes)


def rows_in_memory(blocks: Blocks) -> Block:
    """Return all rows of arrays in memory, checked and stored as training needs them.

    Raises
    ------
    NonFiniteValues
        X, y or sample_weight hold NaN or infinity.
    """
    merged = blocks.merged()
    block = merged.load(0)
    merged.check_features(0, block)
    dtype = blocks.dtype
    weight = None if block.weight is None else block.weight.astype(dtype, copy=False)
    # Batches gather rows, and a row of an array in column order is scattered all over memory.
    return Block(np.ascontiguousarray(block.X), block.y.astype(dtype, copy=False), weight)


def hold_out_rows(
    rows: Block,
    holdout: Holdout,
    network: Network,
    random_state: np.random.RandomState,
    name: str,
) -> tuple[Block, Score]:
    """Split rows in memory as scikit-learn does; return the training rows, and a score.

    Classes are stratified, whatever their number. scikit-learn 1.9 documents this too, but
    stratifies only two classes.

    Raises
    ------
    ValueError
        A part is empty, or has no row of a class.
    """
    try:
        train, test = train_test_split(
            np.arange(rows.n_rows),
            random_state=random_state,
            test_size=holdout.fraction,
            stratify=None if holdout.classes is None else rows.y,
        )
    except ValueError as error:
        raise ValueError(
            f"validation_fraction={holdout.fraction} does not split {rows.n_rows} rows: {error}"
        ) from error
    _check_enough(len(test))
    holdout.check(np.unique(rows.y[train]), np.unique(rows.y[test]))
    held_out = CheckedRows.of(_rows(rows, test))
    score = held_out_score(held_out, holdout.errors, network, name, holdout.fraction)
    return _rows(rows, train), score


def hold_out_of_blocks(
    executor: Executor, blocks: Blocks, holdout: Holdout, network: Network, seed: int, name: str
) -> tuple[Blocks, Score]:
    """Hold rows out of every block; return the training blocks, and a score of one pass.

    Raises
    ------
    ValueError
        A part is empty, or has no row of a class.
    """
    train, test = hold_out(blocks, holdout.fraction, seed)
    assert test.sizes is not None
    _check_enough(sum(test.sizes))
    if holdout.classes is not None:
        holdout.check(_labels(executor, train, name), _labels(executor, test, name))
    return train, held_out_score(test, holdout.errors, network, name, 1.0)


def _labels(executor: Executor, blocks: Blocks, name: str) -> Any:
    counts: LabelCounts = executor.map_reduce(
        LabelKernel(), None, blocks, name=f"{name}-classes", features=False
    ).partial
    return counts.labels


def _check_enough(n_rows: int) -> None:
    if n_rows < 2:
        raise ValueError(
            f"The validation set is too small: it has {n_rows} row(s). Increase "
            f"'validation_fraction' or the size of your dataset."
        )


def _rows(rows: Block, chosen: Any) -> Block:
    weight = None if rows.weight is None else rows.weight[chosen]
    return Block(rows.X[chosen], rows.y[chosen], weight)
