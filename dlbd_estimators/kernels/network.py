"""Multi-layer perceptrons: forward, loss and back-propagation on some rows.

Conventions
-----------
A network of L layers has ``units = (n_features, hidden..., n_outputs)``, L + 1 numbers. Layer
l computes ``z_l = a_(l-1) @ coefs[l] + intercepts[l]``, with ``coefs[l]`` of shape
``(units[l], units[l + 1])``, and ``a_l = activation(z_l)`` except for the last layer, whose
``z`` is the raw prediction. Parameters are one flat vector, all coefs first and then all
intercepts, each in C order; the arrays of the layers are views of it.

The losses take raw predictions, so that the output's activation (identity, exp, logistic,
softmax) is inside the loss and nothing overflows on the way.

Reference: Rumelhart, Hinton and Williams, "Learning representations by back-propagating
errors", Nature 323 (1986).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from dlbd_estimators.kernels.activations import Activation
from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.dropout import Mask
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.losses import Loss

#: Layers with fewer coefs than this are not cut into panels.
_SMALL_LAYER = 2**14


def cut(n: int, number: int, n_parts: int) -> slice:
    """Return part ``number`` of ``n`` positions cut into ``n_parts`` nearly equal slices."""
    return slice(n * number // n_parts, n * (number + 1) // n_parts)


@dataclass(frozen=True)
class Layers:
    """The layout of a network's parameters in one vector.

    Parameters
    ----------
    units : tuple of int
        Number of features, of hidden units of each layer, and of outputs.
    """

    units: tuple[int, ...]

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """Shape of each layer's coefs."""
        return list(pairwise(self.units))

    @cached_property
    def n_weights(self) -> int:
        """Number of coefs; the vector begins with them."""
        return sum(fan_in * fan_out for fan_in, fan_out in self.shapes)

    @cached_property
    def size(self) -> int:
        """Length of the vector."""
        return self.n_weights + sum(self.units[1:])

    def unpack(self, parameters: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
        """Return views of the coefs and of the intercepts, by layer."""
        ends = np.cumsum([fan_in * fan_out for fan_in, fan_out in self.shapes] + [*self.units[1:]])
        parts = np.split(parameters, ends[:-1])
        n = len(self.shapes)
        coefs = [part.reshape(shape) for part, shape in zip(parts[:n], self.shapes, strict=True)]
        return coefs, parts[n:]

    def panel(self, number: int, n_panels: int) -> list[slice]:
        """Return the slices of the vector that make up one of ``n_panels`` panels.

        A panel holds the coefs of consecutive inputs of each layer. The last panel also holds all
        intercepts, and the layers too small to be cut.
        """
        runs = []
        start = 0
        for layer, (fan_in, fan_out) in enumerate(self.shapes):
            units = self.units_of(layer, number, n_panels)
            runs.append(slice(start + units.start * fan_out, start + units.stop * fan_out))
            start += fan_in * fan_out
        if number == n_panels - 1:
            runs.append(slice(self.n_weights, self.size))
        return _merge_slices(runs)

    def units_of(self, layer: int, panel: int, n_panels: int) -> slice:
        """Return the inputs of a layer whose coefs are in a panel."""
        fan_in, fan_out = self.shapes[layer]
        if fan_in * fan_out >= _SMALL_LAYER:
            return cut(fan_in, panel, n_panels)
        return slice(0, fan_in if panel == n_panels - 1 else 0)

    def pack(self, coefs: Sequence[FloatArray], intercepts: Sequence[FloatArray]) -> FloatArray:
        """Copy coefs and intercepts into one vector."""
        return np.concatenate([np.ravel(part) for part in (*coefs, *intercepts)])


def _merge_slices(runs: list[slice]) -> list[slice]:
    """Drop empty slices and join adjacent ones, so that an update needs fewer calls."""
    joined: list[slice] = []
    for run in (run for run in runs if run.stop > run.start):
        if joined and joined[-1].stop == run.start:
            joined[-1] = slice(joined[-1].start, run.stop)
        else:
            joined.append(run)
    return joined


class Workspace:
    """All arrays that one pass of back-propagation writes, for up to ``n_rows`` rows.

    Attributes
    ----------
    gradient : ndarray of shape (size,)
        The flat gradient; ``coefs`` and ``intercepts`` are views of it.
    outputs, errors : list of ndarray of shape (n_rows, width)
        For each layer its output, and the derivative of the loss with respect to its ``z``.
    ones : ndarray of shape (n_rows,)
        Ones; they are not changed.
    """

    def __init__(self, layers: Layers, n_rows: int, dtype: Any) -> None:
        self.gradient = np.empty(layers.size, dtype)
        self.coefs, self.intercepts = layers.unpack(self.gradient)
        self.outputs = [np.empty((n_rows, width), dtype) for width in layers.units[1:]]
        self.errors = [np.empty((n_rows, width), dtype) for width in layers.units[1:]]
        self.ones = np.ones(n_rows, dtype)


@dataclass(frozen=True)
class Network:
    """A perceptron with a loss: ``sum_i s_i loss(y_i, raw_i)``, and a penalty on the coefs.

    Back-propagation has two stages, which can be divided: :meth:`propagate` by rows and, after
    all rows, :meth:`differentiate` by panels of the parameters.

    Parameters
    ----------
    layers : Layers
        Shapes of the layers.
    activation : Activation
        Activation of the hidden layers.
    loss : Loss
        Loss of the raw predictions.
    alpha : float
        The penalty is ``alpha / 2`` times the sum of the squared coefs.
    """

    layers: Layers
    activation: Activation
    loss: Loss
    alpha: float = 0.0

    @cached_property
    def scale(self) -> float:
        """Factor on the loss: one over the number of outputs if it is a mean over them, else 1."""
        return 1.0 / self.layers.units[-1] if self.loss.mean_of_outputs else 1.0

    def raw(
        self,
        X: FloatArray,
        coefs: list[FloatArray],
        intercepts: list[FloatArray],
        outputs: list[FloatArray],
        masks: Sequence[Mask | None] = (),
    ) -> FloatArray:
        """Return the raw predictions, by a forward pass through the layers.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Features, of the parameters' dtype.
        coefs, intercepts : list of ndarray
            The parameters, by layer.
        outputs : list of ndarray of shape (n_rows, width)
            Receive the output of each layer.
        masks : sequence of Mask or None
            Dropout of each hidden layer; empty without dropout.

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
            Raw predictions: the last of ``outputs``.
        """
        a = X
        last = len(coefs) - 1
        for layer, (coef, intercept, z) in enumerate(zip(coefs, intercepts, outputs, strict=True)):
            np.matmul(a, coef, out=z)
            z += intercept
            if layer < last:
                self.activation.apply(z)
                if masks and (mask := masks[layer]):
                    mask.apply(z)
            a = z
        return a

    def propagate(
        self,
        rows: Block,
        coefs: list[FloatArray],
        intercepts: list[FloatArray],
        outputs: list[FloatArray],
        errors: list[FloatArray],
        factor: float = 1.0,
        masks: Sequence[Mask | None] = (),
    ) -> float:
        """Return the loss of a forward pass, and propagate the errors back through the layers.

        Parameters
        ----------
        rows : Block
            Rows of the parameters' dtype; y is encoded as the loss expects.
        coefs, intercepts : list of ndarray
            The parameters, by layer.
        outputs, errors : list of ndarray of shape (n_rows, width)
            Receive each layer's output, and the derivative of the loss with respect to its ``z``.
        factor : float
            Multiplies the loss.
        masks : sequence of Mask or None
            As in :meth:`raw`.

        Returns
        -------
        float
            ``factor * sum_i s_i loss_i``.
        """
        raw = self.raw(rows.X, coefs, intercepts, outputs, masks)
        pointwise = self.loss.evaluate(rows.y, raw, rows.weight, Order.GRADIENT)
        assert pointwise.gradient is not None
        np.multiply(pointwise.gradient, factor * self.scale, out=errors[-1])
        for layer in range(len(coefs) - 1, 0, -1):
            # With a single output, `matmul` does not call BLAS, and takes four times as long.
            np.dot(errors[layer], coefs[layer].T, out=errors[layer - 1])
            if masks and (mask := masks[layer - 1]):
                mask.backpropagate(self.activation, outputs[layer - 1], errors[layer - 1])
            else:
                self.activation.backpropagate(outputs[layer - 1], errors[layer - 1])
        return pointwise.value * factor * self.scale

    def differentiate(
        self,
        X: FloatArray,
        outputs: list[FloatArray],
        errors: list[FloatArray],
        workspace: Workspace,
        panel: int = 0,
        n_panels: int = 1,
    ) -> None:
        """Write one panel of the gradient of the loss, without penalty, into the workspace.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Features.
        outputs, errors : list of ndarray of shape (n_rows, width)
            The arrays that :meth:`propagate` has filled.
        workspace : Workspace
            Receives the gradient.
        panel, n_panels : int
            Number of the panel and of all panels; see :meth:`Layers.panel`.
        """
        for layer, (error, coef) in enumerate(zip(errors, workspace.coefs, strict=True)):
            units = self.layers.units_of(layer, panel, n_panels)
            if units.stop > units.start:
                inputs = outputs[layer - 1] if layer else X
                np.matmul(inputs[:, units].T, error, out=coef[units])
        if panel == n_panels - 1:
            # A product with ones takes a third of the time of a sum over the rows.
            ones = workspace.ones[: len(X)]
            for error, intercept in zip(errors, workspace.intercepts, strict=True):
                np.dot(ones, error, out=intercept)

    def value_and_gradient(
        self,
        rows: Block,
        coefs: list[FloatArray],
        intercepts: list[FloatArray],
        workspace: Workspace,
        factor: float = 1.0,
        masks: Sequence[Mask | None] = (),
    ) -> float:
        """Return ``factor * sum_i s_i loss_i``, and write its gradient into the workspace."""
        outputs = [output[: rows.n_rows] for output in workspace.outputs]
        errors = [error[: rows.n_rows] for error in workspace.errors]
        value = self.propagate(rows, coefs, intercepts, outputs, errors, factor, masks)
        self.differentiate(rows.X, outputs, errors, workspace)
        return value

    def penalise(
        self, weights: FloatArray, gradient: FloatArray, spare: FloatArray, factor: float = 1.0
    ) -> float:
        """Add ``factor`` times the penalty on some of the coefs to their gradient.

        Parameters
        ----------
        weights, gradient : ndarray of shape (n,)
            Some of the coefs, flat, and their gradient, which is changed in place.
        spare : ndarray of shape (n,)
            Temporary memory; overwritten.
        factor : float
            Multiplies the penalty.

        Returns
        -------
        float
            ``factor * alpha / 2`` times the sum of the squared coefs.
        """
        if self.alpha == 0.0:
            return 0.0
        np.multiply(weights, self.alpha * factor, out=spare)
        gradient += spare
        return 0.5 * self.alpha * factor * float(weights @ weights)
