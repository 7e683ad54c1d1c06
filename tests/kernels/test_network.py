"""Back-propagation against three other ways to differentiate; layers, panels and predictions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from autograd import grad
from hypothesis import assume, given
from hypothesis import strategies as st

# Private: only here does scikit-learn say what it minimises, apart from how it differentiates it.
from sklearn.neural_network._base import squared_loss

import dlbd_estimators.kernels.network as network_module
import dlbd_estimators.kernels.network_predictor as predictor_module
from dlbd_estimators.kernels.activations import ACTIVATIONS
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.losses import HalfSquaredError
from dlbd_estimators.kernels.network import Layers, Network, Workspace
from dlbd_estimators.kernels.network_kernels import NetworkKernel
from dlbd_estimators.kernels.network_predictor import NetworkPredictor
from tests.kernels.plain_network import (
    assert_close,
    autograd_objective,
    evaluated,
    plain_objective,
    plain_raw,
    rounding,
    split,
)
from tests.strategies import DTYPES, in_dtype, networks, random_generators, rows_of

STEP = 1e-20  # of a complex step: there is no difference, so no cancellation


def avoid_kinks(problem, distance):
    """Keep what ReLU sees away from 0, where a difference quotient is another thing."""
    if problem.network.activation is ACTIVATIONS["relu"]:
        _, seen = plain_raw(problem, problem.parameters.astype(np.float64))
        assume(all(np.abs(z).min() > distance for z in seen))


@given(networks(dtypes=(np.float64,)))
def test_value_is_the_formula(problem):
    value, _ = evaluated(problem)
    expected = plain_objective(problem, problem.parameters)
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(networks(dtypes=(np.float64,)), random_generators())
def test_gradient_is_the_central_difference_of_the_value(problem, rng):
    avoid_kinks(problem, 1e-4)
    value, gradient = evaluated(problem)
    h = 1e-6
    for _ in range(3):
        direction = rng.normal(size=len(gradient))
        direction /= np.linalg.norm(direction)
        up, _ = evaluated(problem, problem.parameters + h * direction)
        down, _ = evaluated(problem, problem.parameters - h * direction)
        allowed = 1e-7 * (1.0 + np.linalg.norm(gradient) + value)
        assert direction @ gradient == pytest.approx((up - down) / (2 * h), rel=0, abs=allowed)


@given(networks(dtypes=(np.float64,)))
def test_gradient_is_the_complex_step_of_the_formula(problem):
    _, gradient = evaluated(problem)
    moves = 1j * STEP * np.eye(len(gradient))
    slopes = [plain_objective(problem, problem.parameters + move).imag / STEP for move in moves]
    assert_close(gradient, slopes, 1e-12)


@given(networks(dtypes=(np.float64,)))
def test_gradient_is_what_another_differentiator_finds(problem):
    value, gradient = evaluated(problem)
    assert value == pytest.approx(autograd_objective(problem, problem.parameters), rel=1e-12)
    expected = grad(autograd_objective, 1)(problem, problem.parameters)
    assert_close(gradient, expected, 1e-12)


@given(networks(dtypes=(np.float32,)))
def test_single_precision_is_right_to_single_precision(problem):
    avoid_kinks(problem, 1e-4)
    value, gradient = evaluated(problem)
    assert gradient.dtype == np.float32
    wide = problem._replace(parameters=problem.parameters.astype(np.float64))
    expected, slopes = evaluated(wide)
    # Rows may cancel each other: what counts is how large each one's part is.
    parts = [
        np.abs(evaluated(wide._replace(block=rows_of(wide.block, [i])))[1])
        for i in range(wide.block.n_rows)
    ]
    scale = 1.0 + np.sum(parts, axis=0).max()
    assert value == pytest.approx(expected, rel=1e-4, abs=1e-4)
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=2e-5 * scale)


@given(networks(), st.sampled_from([0.25, 2.0]))
def test_a_factor_multiplies_value_and_gradient(problem, factor):
    value, gradient = evaluated(problem)
    scaled, slopes = evaluated(problem, factor=factor)
    assert scaled == pytest.approx(factor * value, rel=1e-5)
    assert_close(slopes, factor * gradient, 1e-5)


@given(networks())
def test_rows_and_parameters_are_not_changed(problem):
    block, parameters = problem.block, problem.parameters
    X, y, flat = block.X.copy(), block.y.copy(), parameters.copy()
    weight = None if block.weight is None else block.weight.copy()
    NetworkKernel(problem.network)(block, parameters)
    np.testing.assert_array_equal(block.X, X)
    np.testing.assert_array_equal(block.y, y)
    np.testing.assert_array_equal(block.weight, weight)
    np.testing.assert_array_equal(parameters, flat)


@given(st.integers(1, 4), st.integers(1, 9), random_generators())
def test_squared_errors_are_averaged_over_the_outputs(n_outputs, n_rows, rng):
    """scikit-learn states this loss, and its gradient is n_outputs times too large (issue 8349)."""
    layers = Layers((3, 4, n_outputs))
    network = Network(layers, ACTIVATIONS["tanh"], HalfSquaredError())
    block = Block(rng.normal(size=(n_rows, 3)), rng.normal(size=(n_rows, n_outputs)))
    parameters = rng.normal(size=layers.size)
    workspace = Workspace(layers, n_rows, np.float64)
    value = network.value_and_gradient(block, *layers.unpack(parameters), workspace, 1 / n_rows)

    def stated(flat):
        coefs, intercepts = split(layers.units, flat)
        hidden = np.tanh(block.X @ coefs[0] + intercepts[0])
        return squared_loss(block.y, hidden @ coefs[1] + intercepts[1])

    slopes = [stated(parameters + 1j * STEP * e).imag / STEP for e in np.eye(layers.size)]
    assert value == pytest.approx(stated(parameters), rel=1e-12)
    assert_close(workspace.gradient, slopes, 1e-13)


@given(networks(), st.integers(1, 6), st.sampled_from([1, 8, 10**6]))
def test_panels_make_up_the_gradient(problem, n_panels, small):
    block, network, parameters = problem
    layers, rows = network.layers, in_dtype(problem.block, problem.parameters.dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_module, "_SMALL_LAYER", small)
        whole = Workspace(layers, block.n_rows, parameters.dtype)
        network.value_and_gradient(rows, *layers.unpack(parameters), whole)
        parts = Workspace(layers, block.n_rows, parameters.dtype)
        for panel in range(n_panels):
            parts.gradient[:] = np.nan
            network.differentiate(rows.X, whole.outputs, whole.errors, parts, panel, n_panels)
            written = np.zeros(layers.size, dtype=bool)
            for run in layers.panel(panel, n_panels):
                written[run] = True
            np.testing.assert_array_equal(np.isfinite(parts.gradient), written)
            # Close, and not the same: BLAS sums differently in products of other shapes.
            left, right = parts.gradient[written], whole.gradient[written]
            np.testing.assert_allclose(left, right, rtol=0, atol=rounding(problem) * scale(whole))


def scale(workspace):
    return max(1.0, np.abs(workspace.gradient).max())


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=5),
    st.integers(1, 6),
    st.sampled_from([1, 8, 30, 10**6]),
)
def test_panels_have_every_parameter_once(units, n_panels, small):
    layers = Layers(tuple(units))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_module, "_SMALL_LAYER", small)
        panels = [layers.panel(i, n_panels) for i in range(n_panels)]
    count = np.zeros(layers.size, dtype=int)
    for runs in panels:
        for run in runs:
            count[run] += 1
        # Each run is a call of the update: none is empty, and none could be joined to the next.
        assert all(run.start < run.stop for run in runs)
        assert all(left.stop < right.start for left, right in pairwise(runs))
    np.testing.assert_array_equal(count, 1)
    if small == 1:
        sizes = [sum(run.stop - run.start for run in runs) for runs in panels[:-1]]
        uneven = sum(fan_out for _, fan_out in layers.shapes)  # one input of each layer
        assert max(sizes, default=0) - min(sizes, default=0) <= uneven


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), random_generators())
def test_layers_are_views_of_the_vector(units, rng):
    layers = Layers(tuple(units))
    flat = rng.normal(size=layers.size)
    coefs, intercepts = layers.unpack(flat)
    expected = split(units, flat)
    for mine, others in zip((coefs, intercepts), expected, strict=True):
        for part, other in zip(mine, others, strict=True):
            assert np.shares_memory(part, flat)
            np.testing.assert_array_equal(part, other)
    packed = layers.pack(coefs, intercepts)
    np.testing.assert_array_equal(packed, flat)
    assert not np.shares_memory(packed, flat)
    coefs[-1][...] = 7.0
    assert np.count_nonzero(flat == 7.0) == coefs[-1].size


@given(networks(), st.integers(0, 30), st.sampled_from([None, 1, 4]), st.sampled_from("CF"))
def test_predictions_are_those_of_the_plain_formula(problem, n_rows, tile, order):
    dtype = problem.parameters.dtype
    X = np.resize(problem.block.X, (n_rows, problem.block.X.shape[1]))
    X = np.asarray(X, order=order)
    predictor = NetworkPredictor(problem.network, problem.parameters)
    with pytest.MonkeyPatch.context() as patch:
        if tile is not None:
            patch.setattr(predictor_module, "tile_rows", lambda *_: tile)
        raw = predictor(X)
    expected, _ = plain_raw(problem, problem.parameters.astype(float), X.astype(float))
    assert raw.dtype == predictor.dtype == dtype
    assert raw.shape == (n_rows, problem.network.layers.units[-1])
    if n_rows:
        assert_close(raw, expected, 1e-12 if dtype == np.float64 else 1e-5)


@given(networks(), st.sampled_from(DTYPES))
def test_predictor_changes_its_precision(problem, dtype):
    predictor = NetworkPredictor(problem.network, problem.parameters).astype(dtype)
    assert predictor.dtype == dtype
    np.testing.assert_array_equal(predictor.parameters, problem.parameters.astype(dtype))
    assert predictor(problem.block.X.astype(dtype)).dtype == dtype
