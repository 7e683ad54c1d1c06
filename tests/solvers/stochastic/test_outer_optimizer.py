"""How replicas come together: plain averages, Nesterov's step, sums in one order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.solvers.stochastic.outer_optimizer import OuterStep
from tests.strategies import random_generators

DTYPES = st.sampled_from([np.float32, np.float64])


@st.composite
def rounds(draw, min_replicas=1):
    """Where replicas began, where they ended, and their rows."""
    rng, size = draw(random_generators()), draw(st.integers(1, 6))
    n_replicas = draw(st.integers(min_replicas, 5))
    dtype = draw(DTYPES)
    start = rng.normal(size=size).astype(dtype)
    ends = [rng.normal(size=size).astype(dtype) for _ in range(n_replicas)]
    return start, ends, rng.integers(1, 1000, n_replicas).tolist()


@given(rounds())
def test_rate_one_without_momentum_is_the_average_by_rows(case):
    start, ends, n_rows = case
    after, velocity = OuterStep(1.0, 0.0)(start, np.zeros(len(start)), ends, n_rows)
    rtol = 1e-5 if start.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(
        after, np.average(ends, axis=0, weights=n_rows), rtol=rtol, atol=rtol
    )
    np.testing.assert_allclose(velocity, start - np.average(ends, axis=0, weights=n_rows),
                               rtol=rtol, atol=rtol)  # fmt: skip
    assert after.dtype == start.dtype
    assert velocity.dtype == np.float64


@given(rounds(), st.floats(0.1, 2.0), st.floats(0.0, 0.99))
def test_rounds_are_nesterovs_steps_along_the_mean_move(case, rate, momentum):
    start, ends, n_rows = case
    outer = OuterStep(rate, momentum)
    mine, velocity = start.astype(np.float64), np.zeros(len(start))
    # Sutskever's form: the gradient is taken ahead of `place`, at `ahead`.
    place, step = mine.copy(), np.zeros(len(start))
    for _ in range(4):
        moves = [end - start for end in ends]
        gradient = -np.average(moves, axis=0, weights=n_rows)
        mine, velocity = outer(mine, velocity, [mine + move for move in moves], n_rows)
        step = momentum * step - rate * gradient
        place = place + step
        ahead = place + momentum * step
        np.testing.assert_allclose(mine, ahead, rtol=1e-9, atol=1e-9)


@given(rounds(min_replicas=2))
def test_replicas_are_summed_in_their_own_order(case):
    """By hand, in float64: any other order of the sum could round another way."""
    start, ends, n_rows = case
    before = start.astype(np.float64)
    moved = np.zeros(len(start))
    for end, rows in zip(ends, n_rows, strict=True):
        moved = moved + (before - end) * (rows / sum(n_rows))
    after, _ = OuterStep(1.0, 0.0)(start, np.zeros(len(start)), ends, n_rows)
    np.testing.assert_array_equal(after, (before - moved).astype(start.dtype))


@given(rounds(), st.floats(0.1, 2.0), st.floats(0.0, 0.99))
def test_what_is_given_is_left_alone(case, rate, momentum):
    start, ends, n_rows = case
    velocity = np.ones(len(start))
    given_ = [array.copy() for array in (start, velocity, *ends)]
    after, _ = OuterStep(rate, momentum)(start, velocity, ends, n_rows)
    for array, copy in zip((start, velocity, *ends), given_, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert not np.shares_memory(after, array)


@given(rounds(), st.floats(0.0, 0.99))
def test_replicas_that_stay_move_nothing(case, momentum):
    start, ends, n_rows = case
    stay = [start.copy() for _ in ends]
    after, velocity = OuterStep(0.7, momentum)(start, np.zeros(len(start)), stay, n_rows)
    np.testing.assert_array_equal(after, start)
    assert not velocity.any()


@pytest.mark.parametrize("n_rows", [[1, 3], [3, 1]])
def test_replicas_weigh_what_they_saw(n_rows):
    ends = [np.array([0.0]), np.array([4.0])]
    after, _ = OuterStep(1.0, 0.0)(np.array([9.0]), np.zeros(1), ends, n_rows)
    assert after == pytest.approx(n_rows[1])
