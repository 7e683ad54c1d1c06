"""Update rules against the formulas as papers print them, and against scikit-learn's."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

# Private, and the oracle: MLPClassifier's trajectories come from these two, step by step.
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

import dlbd_estimators.kernels.updates as updates_module
from dlbd_estimators.kernels.updates import SGD, Adam
from tests.strategies import DTYPES, cuts, random_generators

RATE = 0.01
N_UPDATES = 30


def sgds():
    return st.builds(SGD, st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.booleans())


def adams():
    betas = st.sampled_from([0.0, 0.5, 0.9, 0.999])
    return st.builds(Adam, betas, betas, st.sampled_from([1e-8, 1e-3]))


@st.composite
def courses(draw, max_size=20):
    """Parameters, and gradients of very different sizes, exact zeros among them."""
    rng = draw(random_generators())
    size = draw(st.integers(1, max_size))
    sizes = 10.0 ** rng.integers(-6, 4, size)
    gradients = rng.normal(size=(N_UPDATES, size)) * sizes
    gradients[rng.random(gradients.shape) < 0.1] = 0.0
    return rng.normal(size=size), gradients


def walked(update, parameters, gradients, dtype=np.float64):
    """Parameters after each update, and the moments after the last."""
    here = parameters.astype(dtype)
    moments = tuple(np.zeros_like(here) for _ in range(update.n_moments))
    path = []
    for t, gradient in enumerate(gradients.astype(dtype)):
        update.apply(here, gradient.copy(), moments, t, RATE)
        path.append(here.copy())
    return np.array(path), moments


def sgd_as_printed(update, parameters, gradients):
    w, v, path = parameters, np.zeros_like(parameters), []
    for g in gradients:
        v = update.momentum * v - RATE * g
        w = w + (update.momentum * v - RATE * g if update.nesterov else v)
        path.append(w)
    return np.array(path)


def adam_as_printed(update, parameters, gradients):
    """Algorithm 1 of the paper; its epsilon is added to the corrected root, ours before that."""
    w, m, v, path = parameters, np.zeros_like(parameters), np.zeros_like(parameters), []
    for t, g in enumerate(gradients, start=1):
        m = update.beta_1 * m + (1 - update.beta_1) * g
        v = update.beta_2 * v + (1 - update.beta_2) * g**2
        corrected_m, corrected_v = m / (1 - update.beta_1**t), v / (1 - update.beta_2**t)
        epsilon = update.epsilon / np.sqrt(1 - update.beta_2**t)
        w = w - RATE * corrected_m / (np.sqrt(corrected_v) + epsilon)
        path.append(w)
    return np.array(path)


def optimised(optimizer, parameters, gradients):
    path = []
    for gradient in gradients:
        optimizer.update_params([parameters], [gradient])
        path.append(parameters.copy())
    return np.array(path)


def assert_same_path(path, expected, parameters, rtol=1e-12):
    """Relative to all that was added up: a parameter may come to lie at 0."""
    travelled = np.abs(np.diff(expected, axis=0, prepend=parameters[None])).sum(axis=0)
    np.testing.assert_array_less(np.abs(path - expected) / (np.abs(parameters) + travelled), rtol)


@given(sgds(), courses())
def test_sgd_is_the_formula_and_scikit_learns(update, course):
    parameters, gradients = course
    path, _ = walked(update, parameters, gradients)
    assert_same_path(path, sgd_as_printed(update, parameters, gradients), parameters)
    w = parameters.copy()
    oracle = SGDOptimizer([w], RATE, momentum=update.momentum, nesterov=update.nesterov)
    assert_same_path(path, optimised(oracle, w, gradients), parameters)


@given(adams(), courses())
def test_adam_is_the_formula_and_scikit_learns(update, course):
    parameters, gradients = course
    path, _ = walked(update, parameters, gradients)
    assert_same_path(path, adam_as_printed(update, parameters, gradients), parameters)
    w = parameters.copy()
    oracle = AdamOptimizer([w], RATE, update.beta_1, update.beta_2, update.epsilon)
    assert_same_path(path, optimised(oracle, w, gradients), parameters)


@given(courses(), st.booleans())
def test_without_momentum_a_step_is_the_rate_times_the_gradient(course, nesterov):
    parameters, gradients = course
    path, _ = walked(SGD(0.0, nesterov), parameters, gradients)
    assert_same_path(path, parameters - RATE * np.cumsum(gradients, axis=0), parameters)


@given(st.one_of(sgds(), adams()), st.sampled_from(DTYPES), st.data())
def test_vectors_may_be_cut_anywhere(update, dtype, data):
    """Threads share the parameters out by runs: no bit may tell where these end."""
    parameters, gradients = data.draw(courses(max_size=200))
    path, moments = walked(update, parameters, gradients, dtype)
    edges = np.cumsum([0, *data.draw(cuts(len(parameters)))])
    runs = [slice(start, stop) for start, stop in pairwise(edges)]
    parts = [walked(update, parameters[run], gradients[:, run], dtype) for run in runs]
    np.testing.assert_array_equal(np.hstack([part for part, _ in parts]), path)
    for i, moment in enumerate(moments):
        assert moment.dtype == dtype
        np.testing.assert_array_equal(np.concatenate([kept[i] for _, kept in parts]), moment)


@given(st.one_of(sgds(), adams()), st.sampled_from(DTYPES), courses(), st.integers(1, 7))
def test_vectors_may_be_longer_than_a_tile(update, dtype, course, tile):
    path, moments = walked(update, *course, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(updates_module, "_TILE", tile)
        tiled, kept = walked(update, *course, dtype)
    assert path.dtype == tiled.dtype == dtype
    np.testing.assert_array_equal(tiled, path)
    np.testing.assert_array_equal(kept, moments)


@given(st.one_of(sgds(), adams()), courses())
def test_single_precision_follows_double(update, course):
    parameters, gradients = course
    path, _ = walked(update, parameters, gradients)
    narrow, _ = walked(update, parameters, gradients, np.float32)
    assert_same_path(narrow, path, parameters, 1e-5)


@given(adams(), st.sampled_from([1e-3, 1.0, 1e6]))
def test_adams_first_step_is_as_long_as_the_rate(update, size):
    """What the bias correction is for: the first gradient counts in full, whatever the betas."""
    gradient = np.array([size, -size])
    path, _ = walked(update, np.zeros(2), gradient[None])
    epsilon = update.epsilon / np.sqrt(1 - update.beta_2)
    np.testing.assert_allclose(path[0], -RATE * gradient / (size + epsilon), rtol=1e-12)
