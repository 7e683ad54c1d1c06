"""The largest change of a prediction along a step, against all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.changes import LargestChangeKernel
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.packing import Packing
from tests.strategies import cuts, pieces, problems


@given(problems(), st.booleans(), st.data())
def test_it_is_the_largest_of_all_rows_that_weigh(problem, shifted, data):
    block, packing = problem.block, problem.packing
    centre = np.linspace(-1.0, 2.0, packing.n_features) if shifted else None
    coupled = problem.loss.coupled
    kernel = LargestChangeKernel(packing, coupled, centre)
    X = block.X.astype(np.float64) - (0.0 if centre is None else centre)
    coef, intercept = packing.unpack(problem.parameters)
    change = (X @ coef.T + intercept)[slice(None) if block.weight is None else block.weight > 0]
    each = change.max(axis=1) - change.min(axis=1) if coupled else np.abs(change).max(axis=1)
    expected = pytest.approx(each.max(initial=0.0), rel=1e-10, abs=1e-12)
    assert kernel(block, problem.parameters).change == expected
    parts = [
        kernel(piece, problem.parameters) for piece in pieces(block, data.draw(cuts(block.n_rows)))
    ]
    joined = parts[0]
    for part in parts[1:]:
        joined = kernel.combine(joined, part)
    assert joined.change == expected
    assert kernel.is_finite(joined)


@given(problems(), st.integers(0, 2**32 - 1))
def test_no_direction_that_steers_the_curvature_changes_more(problem, seed):
    """What the loss says of directions is bounded by it, and reached where they are few."""
    packing = problem.packing
    step = np.random.default_rng(seed).normal(size=packing.shape)
    block = Block(problem.block.X, problem.block.y)
    ones = np.ones((block.n_rows, packing.shape[1] - packing.n_features))
    steered = problem.loss.curvature_directions(step)
    directions = steered @ np.hstack([block.X, ones]).T
    if not problem.loss.quadratic:
        step = step if problem.loss.coupled else steered
        found = LargestChangeKernel(packing, problem.loss.coupled)(block, step.ravel()).change
        largest = np.abs(directions).max(initial=0.0)
        assert found == pytest.approx(largest, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("coupled", [False, True])
def test_nan_is_not_lost(coupled):
    packing = Packing(2, 1, fit_intercept=True)
    kernel = LargestChangeKernel(packing, coupled)
    sound, bad = (Block(np.array([[value]]), np.zeros(1)) for value in (1.0, np.nan))
    step = np.arange(4.0)
    for pair in ((sound, bad), (bad, sound)):
        assert not kernel.is_finite(kernel.combine(*(kernel(each, step) for each in pair)))
