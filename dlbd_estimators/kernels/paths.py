"""Gradients and scores of classifiers for many penalty strengths and splits, on the same rows.

A split trains on some parts of the rows and tests on others. One matrix product computes the
predictions of the models of all splits and strengths, and a second one all their gradients: a row
is read once, whatever the number of models.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel, scratch, tile_rows, tiles
from dlbd_estimators.kernels.linear import centred_tile
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, Splits, multiplicity


@dataclass
class PathSums:
    """Sums over rows that a pass of :class:`PathKernel` returns.

    Attributes
    ----------
    gradient : ndarray of shape (n_splits, n_models, packing.size) or None
        Gradient of the loss over the training rows of each split.
    weight : ndarray of shape (n_splits,)
        Weight of the test rows of each split, without the factors of the classes.
    wrong : ndarray of shape (n_splits, n_models)
        Weight of the test rows that a model puts in the wrong class.
    losses : ndarray of shape (n_splits, n_models)
        Weighted sum of the log losses of the test rows.
    """

    gradient: FloatArray | None
    weight: FloatArray
    wrong: FloatArray
    losses: FloatArray


@dataclass(frozen=True)
class PathKernel(Kernel[PathSums]):
    """Gradients and scores of many classifiers on one block.

    The parameters of the pass are those of the classifiers, for features minus ``centre``, as an
    array of shape (n_splits, n_models, packing.size).

    Parameters
    ----------
    packing : Packing
        Order of a model's parameters; it has one output if there are two classes.
    splits : Splits
        Training and test parts of the splits.
    factors : ndarray of shape (n_classes,) or None
        Factors above 0 by which the weights of the rows of each class were multiplied. Scores are
        computed without them.
    centre : ndarray of shape (n_features,) or None
        Subtracted from the features.
    gradients : bool
        Whether to compute gradients; False computes scores only.
    """

    packing: Packing
    splits: Splits
    factors: FloatArray | None = field(default=None, repr=False)
    centre: FloatArray | None = field(default=None, repr=False)
    gradients: bool = True

    def __call__(self, block: Block, parameters: FloatArray) -> PathSums:
        assert isinstance(block, DividedBlock)
        n_splits, n_models, _ = parameters.shape
        outputs, width = self.packing.shape
        n = self.packing.n_features
        rows = parameters.reshape(-1, width)
        constants = rows[:, n] if self.packing.fit_intercept else np.zeros(len(rows))
        columns = np.ascontiguousarray(rows[:, :n].T)
        train, test = roles(block, self.splits)
        gradient = np.zeros(rows.shape)
        sums = PathSums(
            None,
            np.zeros(n_splits),
            np.zeros((n_splits, n_models)),
            np.zeros((n_splits, n_models)),
        )
        size = tile_rows(max(n, len(rows)))
        wide = scratch("wide", (min(size, block.n_rows), n))
        for tile in tiles(block.n_rows, size):
            label = block.y[tile].astype(np.intp)
            weight = np.ones(len(label)) if block.weight is None else block.weight[tile]
            X = centred_tile(block.X[tile], self.centre, wide)
            raw = np.asarray(X @ columns)
            raw += constants
            raw = raw.reshape(len(X), n_splits, n_models, outputs)
            plain = weight if self.factors is None else weight / self.factors[label]
            self._score(sums, raw, label, plain, test[tile])
            if self.gradients:
                residual = residuals(raw, label, train[tile] * weight[:, None])
                flat = residual.reshape(len(X), -1)
                gradient[:, :n] += flat.T @ X
                if self.packing.fit_intercept:
                    gradient[:, n] += flat.sum(axis=0)
        if self.gradients:
            sums.gradient = gradient.reshape(parameters.shape)
        return sums

    def _score(
        self,
        sums: PathSums,
        raw: FloatArray,
        label: NDArray[np.intp],
        weight: FloatArray,
        test: FloatArray,
    ) -> None:
        """Add the scores of the models of each split on the test rows of a tile."""
        split_of_row, tested = np.nonzero(test.T)  # ascending by split
        if not len(tested):
            return
        times = weight[tested] * test[tested, split_of_row]
        losses, wrong = _scores(raw[tested, split_of_row], label[tested])
        edges = np.searchsorted(split_of_row, np.arange(raw.shape[1] + 1))
        for split in range(raw.shape[1]):
            rows = slice(edges[split], edges[split + 1])
            sums.weight[split] += times[rows].sum()
            sums.wrong[split] += times[rows] @ wrong[rows]
            sums.losses[split] += times[rows] @ losses[rows]

    def combine(self, left: PathSums, right: PathSums) -> PathSums:
        if left.gradient is not None and right.gradient is not None:
            left.gradient += right.gradient
        left.weight += right.weight
        left.wrong += right.wrong
        left.losses += right.losses
        return left

    def is_finite(self, partial: PathSums) -> bool:
        gradient = partial.gradient
        sound = gradient is None or bool(np.isfinite(gradient).all())
        return sound and bool(np.isfinite(partial.losses).all())


def roles(block: DividedBlock, splits: Splits) -> tuple[FloatArray, FloatArray]:
    """Return how often each split trains on each row, and how often it tests on it.

    Parameters
    ----------
    block : DividedBlock
        Block with the rows.
    splits : Splits
        Training and test parts of the splits.

    Returns
    -------
    train, test : ndarray of shape (n_rows, n_splits)
    """
    times = multiplicity(block, splits.n_parts)
    train, test = (
        np.column_stack([times[:, list(parts)].sum(axis=1) for parts in sides])
        for sides in (splits.train, splits.test)
    )
    return train, test


def residuals(raw: FloatArray, label: NDArray[np.intp], weight: FloatArray) -> FloatArray:
    """Return the derivatives of the weighted log loss with respect to the raw predictions.

    Parameters
    ----------
    raw : ndarray of shape (n_rows, n_splits, n_models, n_outputs)
        Raw predictions; overwritten by the result.
    label : ndarray of shape (n_rows,)
        Classes.
    weight : ndarray of shape (n_rows, n_splits)
        Weight of each row in each split.
    """
    factor = weight[:, :, None, None]
    if raw.shape[-1] == 1:
        np.negative(raw, out=raw)
        with np.errstate(over="ignore"):  # 1 / inf = 0 is the right limit
            np.exp(raw, out=raw)
        raw += 1.0
        np.divide(factor, raw, out=raw)
        raw -= factor * label[:, None, None, None]
        return raw
    raw -= raw.max(axis=-1, keepdims=True)
    np.exp(raw, out=raw)
    raw /= raw.sum(axis=-1, keepdims=True)
    raw[np.arange(len(raw)), :, :, label] -= 1.0
    raw *= factor
    return raw


def _scores(raw: FloatArray, label: NDArray[np.intp]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the log loss of each row and model, and whether the model chooses another class.

    Parameters
    ----------
    raw : ndarray of shape (n_rows, n_models, n_outputs)
        Raw predictions.
    label : ndarray of shape (n_rows,)
        Classes.
    """
    if raw.shape[-1] == 1:
        raw, positive = raw[..., 0], label[:, None]
        losses = np.log1p(np.exp(-np.abs(raw)))
        losses += np.maximum(raw, 0.0)
        losses -= positive * raw
        return losses, (raw > 0.0) != (positive == 1)
    own = np.take_along_axis(raw, label[:, None, None], axis=-1)[..., 0]
    highest = raw.max(axis=-1)
    losses = np.log(np.exp(raw - highest[..., None]).sum(axis=-1)) + highest - own
    return losses, raw.argmax(axis=-1) != label[:, None]
