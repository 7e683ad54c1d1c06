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
from dlbd_estimators.kernels.linear_tiles import centred_tile, repeated
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, Splits, multiplicity
from dlbd_estimators.kernels.repeated_row import RepeatedRow


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
    dtype : {"float64", "float32"}
        Precision of the arithmetic within a tile. Sums over tiles are always float64.
    """

    packing: Packing
    splits: Splits
    factors: FloatArray | None = field(default=None, repr=False)
    centre: FloatArray | None = field(default=None, repr=False)
    gradients: bool = True
    dtype: str = "float64"

    def __call__(self, block: Block, parameters: FloatArray) -> PathSums:
        assert isinstance(block, DividedBlock)
        n_splits, n_models, _ = parameters.shape
        outputs, width = self.packing.shape
        n = self.packing.n_features
        models = parameters.reshape(-1, width)
        coef = np.ascontiguousarray(models[:, :n], dtype=self.dtype)
        constants = models[:, n:].astype(self.dtype)  # no column without intercepts
        train, test = roles(block, self.splits)
        gradient = np.zeros(models.shape)
        sums = PathSums(
            None,
            np.zeros(n_splits),
            np.zeros((n_splits, n_models)),
            np.zeros((n_splits, n_models)),
        )
        size = tile_rows(max(n, len(models))) * 8 // coef.itemsize
        subtracted = repeated(self.centre)
        for tile in tiles(block.n_rows, size):
            label = block.y[tile].astype(np.intp)
            weight = np.ones(len(label)) if block.weight is None else block.weight[tile]
            X = self._centred(block.X[tile], subtracted)
            # One row of predictions per model, because NumPy is fastest along long rows.
            raw = np.matmul(coef, X.T, out=scratch("raw", (len(models), len(X)), self.dtype))
            if self.packing.fit_intercept:
                raw += constants
            raw = raw.reshape(n_splits, n_models, outputs, len(X))
            plain = weight if self.factors is None else weight / self.factors[label]
            _add_scores(sums, raw, label, plain * test[:, tile])
            if self.gradients:
                residual = residuals(raw, label, weight * train[:, tile]).reshape(len(models), -1)
                gradient[:, :n] += residual @ X
                if self.packing.fit_intercept:
                    gradient[:, n] += residual.sum(axis=1)
        if self.gradients:
            sums.gradient = gradient.reshape(parameters.shape)
        return sums

    def _centred(self, X: FloatArray, subtracted: RepeatedRow | None) -> FloatArray:
        """Return the features of a tile minus the centre, in the precision of the kernel."""
        if self.centre is None and X.dtype == self.dtype:
            return X
        if self.dtype == "float64":
            return centred_tile(X, subtracted, scratch("wide", X.shape))
        narrow = scratch("narrow", X.shape, self.dtype)
        if self.centre is None:
            np.copyto(narrow, X, casting="same_kind")
        elif X.dtype == self.dtype:  # no rounding error but that of the result
            nearest = self.centre.astype(self.dtype)
            np.subtract(X, nearest, out=narrow)
            narrow -= (self.centre - nearest).astype(self.dtype)
        else:
            centred = centred_tile(X, subtracted, scratch("wide", X.shape))
            np.copyto(narrow, centred, casting="same_kind")
        return narrow

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
    train, test : ndarray of shape (n_splits, n_rows)
    """
    times = multiplicity(block, splits.n_parts)
    members = np.zeros((2, len(splits.train), splits.n_parts))
    for side, all_parts in enumerate((splits.train, splits.test)):
        for split, parts in enumerate(all_parts):
            members[side, split, list(parts)] = 1.0
    train, test = members @ times
    return train, test


def residuals(raw: FloatArray, label: NDArray[np.intp], weight: FloatArray) -> FloatArray:
    """Return the derivatives of the weighted log loss with respect to the raw predictions.

    Parameters
    ----------
    raw : ndarray of shape (n_splits, n_models, n_outputs, n_rows)
        Raw predictions; overwritten by the result.
    label : ndarray of shape (n_rows,)
        Classes.
    weight : ndarray of shape (n_splits, n_rows)
        Weight of each row in each split.
    """
    if raw.shape[2] == 1:
        sign = np.where(label == 1, 1.0, -1.0)
        raw *= sign.astype(raw.dtype)
        with np.errstate(over="ignore"):  # 1 / inf = 0 is the right limit
            np.exp(raw, out=raw)
        raw += 1.0
        factor = (-sign * weight).astype(raw.dtype)
        return np.divide(factor[:, None, None], raw, out=raw)
    raw -= raw.max(axis=2, keepdims=True)
    np.exp(raw, out=raw)
    raw /= raw.sum(axis=2, keepdims=True)
    raw[:, :, label, np.arange(len(label))] -= 1.0
    raw *= weight.astype(raw.dtype)[:, None, None]
    return raw


def _add_scores(
    sums: PathSums, raw: FloatArray, label: NDArray[np.intp], weight: FloatArray
) -> None:
    """Add the scores of all models on the test rows of a tile.

    Parameters
    ----------
    sums : PathSums
        Sums to which the scores are added.
    raw : ndarray of shape (n_splits, n_models, n_outputs, n_rows)
        Raw predictions.
    label : ndarray of shape (n_rows,)
        Classes.
    weight : ndarray of shape (n_splits, n_rows)
        Weight of each row in the test of each split.
    """
    for split, weight_in_split in enumerate(weight):
        tested = np.flatnonzero(weight_in_split)
        times = weight_in_split[tested]
        losses, wrong = _scores(np.take(raw[split], tested, axis=-1), label[tested])
        sums.weight[split] += times.sum()
        sums.wrong[split] += wrong @ times
        sums.losses[split] += losses @ times


def _scores(raw: FloatArray, label: NDArray[np.intp]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the log loss of each row and model, and whether the model chooses another class.

    Parameters
    ----------
    raw : ndarray of shape (n_models, n_outputs, n_rows)
        Raw predictions.
    label : ndarray of shape (n_rows,)
        Classes.

    Returns
    -------
    losses, wrong : ndarray of shape (n_models, n_rows)
    """
    if raw.shape[1] == 1:
        raw, positive = raw[:, 0], label == 1
        losses = np.log1p(np.exp(-np.abs(raw)))
        losses += np.maximum(np.where(positive, -raw, raw), 0.0)
        return losses, (raw > 0.0) != positive
    own = raw[:, label, np.arange(len(label))]
    highest = raw.max(axis=1)
    losses = np.log(np.exp(raw - highest[:, None]).sum(axis=1)) + highest - own
    return losses, raw.argmax(axis=1) != label
