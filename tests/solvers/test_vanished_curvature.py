"""Unbounded coefficients show by the curvature that is left, not by the gradient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.solvers.path_newton import minimise
from dlbd_estimators.solvers.vanished_curvature import curvature_vanished
from tests.solvers.test_path_newton import penalty_of, tilted_of


def minimisers(tilted, penalty):
    zero = np.zeros_like(penalty)
    return minimise(tilted, zero, zero, penalty, 1e-12)


@given(n_classes=st.sampled_from([2, 3]), separable=st.booleans(), seed=st.integers(0, 1000))
def test_models_of_separable_rows_without_a_penalty_are_found(n_classes, separable, seed):
    """Either their steps do not end, or their curvature has vanished when the gradient is zero."""
    rng = np.random.default_rng(seed)
    tilted, packing = tilted_of(n_classes, rng, n=120, p=2, separable=separable)
    penalty = penalty_of(packing, np.array([0.0, 0.1]))
    found = minimisers(tilted, penalty)
    unbounded = curvature_vanished(tilted, found.models, penalty) | ~found.converged
    assert unbounded.tolist() == [[separable, False]] * 3


@pytest.mark.parametrize("distance", [0.0, 1e-9, 1e-5, 1e-2])
def test_dependent_columns_alone_lose_no_curvature(distance, rng):
    tilted, packing = tilted_of(2, rng, n=120, p=3)
    tilted.X[:, 1] = tilted.X[:, 0] + distance * tilted.X[:, 1]
    penalty = penalty_of(packing, np.array([0.0]))
    assert not curvature_vanished(tilted, minimisers(tilted, penalty).models, penalty).any()


def test_a_column_that_decides_some_rows(rng):
    tilted, packing = tilted_of(2, rng, n=120, p=3)
    tilted.X[:, 2] = (tilted.label == 1) & (tilted.X[:, 2] > 0.5)
    penalty = penalty_of(packing, np.array([1e-25, 0.0, 1e-3]))
    found = curvature_vanished(tilted, minimisers(tilted, penalty).models, penalty)
    # A penalty that is smaller than rounding bounds nothing either.
    assert found.tolist() == [[True, True, False]] * 3
