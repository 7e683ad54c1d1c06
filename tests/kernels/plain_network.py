"""A network, its loss and its penalty, written as plainly as can be, in two other ways."""

from __future__ import annotations

from itertools import pairwise

import autograd.numpy as anp
import numpy as np
from autograd.scipy.special import logsumexp
from scipy.special import xlogy

from dlbd_estimators.kernels.losses import (
    HalfBinomialLoss,
    HalfMultinomialLoss,
    HalfPoissonDeviance,
    HalfSquaredError,
)
from dlbd_estimators.kernels.network import Workspace
from tests.strategies import in_dtype


def split(units, flat):
    """Coefs and intercepts by layer, as the module's conventions say: all coefs come first."""
    coefs, intercepts, start = [], [], 0
    for a, b in pairwise(units):
        coefs.append(flat[start : start + a * b].reshape((a, b)))
        start += a * b
    for b in units[1:]:
        intercepts.append(flat[start : start + b])
        start += b
    assert start == len(flat)
    return coefs, intercepts


def plain_raw(problem, flat, X=None):
    """Raw predictions, and the numbers that hidden layers' activations see."""
    activate = {
        "identity": lambda z: z,
        "logistic": lambda z: 1.0 / (1.0 + np.exp(-z)),
        "tanh": np.tanh,
        "relu": lambda z: np.where(z.real > 0, z, 0.0),
    }[problem.network.activation.name]
    coefs, intercepts = split(problem.network.layers.units, flat)
    a = problem.block.X.astype(np.float64) if X is None else X
    seen = []
    for coef, intercept in zip(coefs[:-1], intercepts[:-1], strict=True):
        seen.append(a @ coef + intercept)
        a = activate(seen[-1])
    return a @ coefs[-1] + intercepts[-1], seen


def plain_objective(problem, flat):
    """Sum of weighted losses plus penalty, row by row; takes complex parameters."""
    block, network, _ = problem
    raw, _ = plain_raw(problem, flat)
    total = 0.0
    for i in range(len(raw)):
        r, y = raw[i], block.y[i]
        if isinstance(network.loss, HalfSquaredError):
            row = 0.5 * np.mean((r - y) ** 2)
        elif isinstance(network.loss, HalfPoissonDeviance):
            row = np.sum(np.exp(r) - y * r + xlogy(y, y) - y)
        elif isinstance(network.loss, HalfBinomialLoss):
            row = np.sum(np.log(1.0 + np.exp(r)) - y * r)
        else:
            row = np.log(np.sum(np.exp(r))) - r[int(y)]
        total += row * (1.0 if block.weight is None else block.weight[i])
    coefs, _ = split(network.layers.units, flat)
    return total + 0.5 * network.alpha * sum(np.sum(coef**2) for coef in coefs)


def autograd_objective(problem, flat):
    """The same in autograd's NumPy, all rows at once and in the forms that do not overflow."""
    block, network, _ = problem
    activate = {
        "identity": lambda z: z,
        "logistic": lambda z: 0.5 * (1.0 + anp.tanh(0.5 * z)),
        "tanh": anp.tanh,
        "relu": lambda z: anp.where(z > 0, z, 0.0),
    }[network.activation.name]
    coefs, intercepts = split(network.layers.units, flat)
    a = block.X.astype(np.float64)
    for coef, intercept in zip(coefs[:-1], intercepts[:-1], strict=True):
        a = activate(anp.dot(a, coef) + intercept)
    raw = anp.dot(a, coefs[-1]) + intercepts[-1]
    y = block.y
    if isinstance(network.loss, HalfMultinomialLoss):
        y = np.eye(raw.shape[1])[y.astype(int)]
        losses = logsumexp(raw, axis=1) - anp.sum(y * raw, axis=1)
    else:
        y = y.reshape(raw.shape)
        if isinstance(network.loss, HalfSquaredError):
            losses = anp.mean((raw - y) ** 2, axis=1) / 2
        elif isinstance(network.loss, HalfPoissonDeviance):
            losses = anp.sum(anp.exp(raw) - y * raw + xlogy(y, y) - y, axis=1)
        else:
            losses = anp.sum(anp.logaddexp(0.0, raw) - y * raw, axis=1)
    total = anp.sum(losses) if block.weight is None else anp.dot(block.weight, losses)
    return total + network.alpha / 2 * anp.sum(flat[: network.layers.n_weights] ** 2)


def evaluated(problem, parameters=None, factor=1.0):
    """Value and gradient of all rows and the penalty, in the parameters' dtype."""
    block, network, flat = problem
    flat = flat if parameters is None else parameters
    layers, n = network.layers, network.layers.n_weights
    workspace = Workspace(layers, block.n_rows + 2, flat.dtype)  # it may be longer than needed
    rows = in_dtype(block, flat.dtype)
    value = network.value_and_gradient(rows, *layers.unpack(flat), workspace, factor)
    gradient = workspace.gradient
    value += network.penalise(flat[:n], gradient[:n], np.empty(n, flat.dtype), factor)
    return value, gradient


def assert_close(actual, expected, rtol):
    """To a share of the largest element: a sum that cancels has no digits of its own."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rtol * max(1, np.abs(expected).max()))


def rounding(problem):
    return 1e-11 if problem.parameters.dtype == np.float64 else 1e-3
