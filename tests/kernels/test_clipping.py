"""Clipped gradients: one row changes their sum by the bound at most; and the noise on the sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dlbd_estimators.kernels.clipped_linear import ClippedLinearKernel
from dlbd_estimators.kernels.clipping import clipped_gradient
from dlbd_estimators.kernels.gaussian_noise import gaussian_noise, secret_seed
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.network import Workspace
from dlbd_estimators.kernels.packing import Packing
from tests.strategies import features, networks, random_generators, rows_of, targets, weights

ROUNDING = 1 + 1e-12
BOUNDS = st.sampled_from([1e-3, 0.1, 1.0, 30.0])
#: Numbers that users do not have, and that must not break the bound.
HUGE = st.sampled_from([1.0, 1e6, 1e150, 1e200, 1e300])


def without(block, row):
    return rows_of(block, np.arange(block.n_rows) != row)


def network_sum(problem, bound, block):
    parameters = problem.parameters.astype(np.float64)
    return clipped_gradient(problem.network, block, parameters, bound)


def gradient_of_row(problem, row):
    """The gradient of a single row, by the back-propagation of other trainings."""
    network, block = problem.network, rows_of(problem.block, [row])
    block = Block(block.X.astype(np.float64), block.y, block.weight)
    workspace = Workspace(network.layers, 1, np.float64)
    coefs, intercepts = network.layers.unpack(problem.parameters.astype(np.float64))
    network.value_and_gradient(block, coefs, intercepts, workspace)
    return workspace.gradient.copy()


@given(networks(), BOUNDS)
def test_network_sum_is_the_sum_of_rows_clipped_one_by_one(problem, bound):
    expected = np.zeros(problem.network.layers.size)
    for row in range(problem.block.n_rows):
        gradient = gradient_of_row(problem, row)
        expected += gradient * min(1.0, bound / max(np.linalg.norm(gradient), 1e-300))
    actual = network_sum(problem, bound, problem.block)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12 * bound)


@given(networks(dtypes=(np.float64,)), BOUNDS, HUGE, st.data())
def test_one_row_changes_a_network_sum_by_the_bound_at_most(problem, bound, factor, data):
    row = data.draw(st.integers(0, problem.block.n_rows - 1))
    block = Block(problem.block.X.copy(), problem.block.y, problem.block.weight)
    block.X[row] *= factor
    difference = network_sum(problem, bound, block) - network_sum(
        problem, bound, without(block, row)
    )
    assert np.isfinite(difference).all()
    assert np.linalg.norm(difference) <= bound * ROUNDING + 1e-12 * bound * block.n_rows


@st.composite
def linear(draw):
    """A linear kernel for two classes or more, a block and parameters."""
    n, p, k = draw(st.integers(1, 30)), draw(st.integers(1, 6)), draw(st.integers(2, 4))
    loss = HalfBinomialLoss() if k == 2 else HalfMultinomialLoss()
    packing = Packing(1 if k == 2 else k, p, draw(st.booleans()))
    bound = draw(BOUNDS)
    kernel = ClippedLinearKernel(loss, packing, draw(BOUNDS), bound)
    block = Block(draw(features(n, p)), draw(targets(loss, n, packing.n_outputs)), draw(weights(n)))
    return kernel, block, draw(random_generators()).normal(size=packing.size)


@given(linear(), HUGE, st.data())
def test_one_row_changes_a_linear_sum_by_the_bound_at_most(case, factor, data):
    kernel, block, parameters = case
    row = data.draw(st.integers(0, block.n_rows - 1))
    X = block.X.astype(np.float64)
    X[row] *= factor
    block = Block(X, block.y, block.weight)
    difference = kernel(block, parameters) - kernel(without(block, row), parameters)
    bound = kernel.gradient_bound
    assert np.isfinite(difference).all()
    assert np.linalg.norm(difference) <= bound * ROUNDING + 1e-12 * bound * block.n_rows


@given(linear())
def test_linear_sum_is_the_sum_of_rows_clipped_one_by_one(case):
    kernel, block, parameters = case
    coef = parameters.reshape(kernel.packing.shape)
    expected = np.zeros(kernel.packing.shape)
    for i in range(block.n_rows):
        z = np.append(block.X[i].astype(np.float64), [1.0] * kernel.packing.fit_intercept)
        z *= min(1.0, kernel.row_bound / np.linalg.norm(z))
        raw = coef @ z
        if len(raw) == 1:
            error = 1.0 / (1.0 + np.exp(-raw)) - block.y[i]
        else:
            error = np.exp(raw) / np.exp(raw).sum() - (np.arange(len(raw)) == block.y[i])
        error = error * (1.0 if block.weight is None else block.weight[i])
        gradient = np.outer(error, z)
        norm = max(np.linalg.norm(gradient), 1e-300)
        expected += gradient * min(1.0, kernel.gradient_bound / norm)
    np.testing.assert_allclose(kernel(block, parameters), expected.ravel(), rtol=1e-9, atol=1e-12)


@given(linear(), st.integers(0, 30))
def test_linear_sums_of_parts_add_up(case, cut):
    kernel, block, parameters = case
    parts = rows_of(block, slice(None, cut)), rows_of(block, slice(cut, None))
    combined = kernel.combine(*(kernel(part, parameters) for part in parts))
    np.testing.assert_allclose(combined, kernel(block, parameters), rtol=1e-9, atol=1e-12)


def test_nan_in_a_row_reaches_the_sum():
    kernel = ClippedLinearKernel(HalfBinomialLoss(), Packing(1, 2, True), 1.0, 1.0)
    X = np.array([[0.0, 1.0], [np.nan, 1.0]])
    assert not kernel.is_finite(kernel(Block(X, np.zeros(2)), np.zeros(3)))


@pytest.mark.parametrize("standard_deviation", [0.1, 7.0])
def test_noise_is_normal_with_its_standard_deviation(standard_deviation):
    noise = gaussian_noise((5, 0), 3, 20_000, standard_deviation)
    # 3.9 standard errors: a right variance is rejected once in 10,000 draws.
    assert abs(noise.var() / standard_deviation**2 - 1) < 3.9 * (2 / len(noise)) ** 0.5
    assert stats.kstest(noise / standard_deviation, "norm").pvalue > 1e-4


def test_noise_of_other_steps_and_streams_is_independent():
    draws = [gaussian_noise(seed, step, 5_000, 1.0) for seed, step in
             [((5, 0), 0), ((5, 0), 1), ((5, 1), 0), ((6, 0), 0)]]  # fmt: skip
    correlations = np.corrcoef(draws)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / 5_000**0.5


def test_secret_seeds_differ():
    assert secret_seed(None, 0) != secret_seed(None, 0)
    assert secret_seed(7, 0) == (7, 0) != secret_seed(7, 1)
