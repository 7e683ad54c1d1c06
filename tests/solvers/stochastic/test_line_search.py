"""A line search ends at a step that is good enough, where there is one, in few trials."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dlbd_estimators.solvers.stochastic.line_search import LONGEST, LineSearch


def run(function, step):
    """Search along a function of the step, that returns value and slope."""
    search, tried = LineSearch.along(*function(0.0), step), []
    with np.errstate(all="ignore"):
        while search.found is None:
            tried.append(search.step)
            search = search.advance(*function(search.step))
    return search, tried


def is_good(function, step):
    (begin, slope), (value, here) = function(0.0), function(step)
    return value <= begin + 1e-3 * step * slope and abs(here) <= 0.9 * abs(slope)


def quartic(a, b, c):
    """Convex, and least somewhere ahead."""
    return lambda t: (a * t**4 + b * t**2 - c * t, 4 * a * t**3 + 2 * b * t - c)


def waves(depth, often):
    """With many minima, below a parabola: x^2 - x less what goes up and down."""
    return lambda t: (
        t**2 - t - depth * np.sin(often * t),
        2 * t - 1 - depth * often * np.cos(often * t),
    )


positive = st.floats(1e-3, 1e3)


@given(positive, positive, positive, st.floats(1e-4, 1e4))
def test_of_a_convex_function_a_good_step_is_found(a, b, c, first):
    function = quartic(a, b, c)
    search, tried = run(function, first)
    assert search.found
    assert search.step == tried[-1]
    assert is_good(function, search.step)


@given(st.floats(0.0, 2.0), st.floats(0.1, 30.0), st.floats(1e-3, 1e3))
def test_what_is_taken_never_makes_a_function_more(depth, often, first):
    function = waves(depth, often)
    search, tried = run(function, first)
    assert len(tried) <= 20
    assert all(0.0 <= step <= LONGEST for step in tried)
    if search.found:
        assert function(search.step)[0] <= function(0.0)[0] + 1e-9


@given(positive, st.floats(1e-3, 1e3), st.floats(0.5, 1.0))
def test_a_good_first_step_is_the_only_one(a, c, share):
    assume(share != 1.0)
    function = quartic(0.0, a, c)
    first = share * c / (2 * a)  # of the way to the minimum
    search, tried = run(function, first)
    assert search.found
    assert tried == [first]


def test_uphill_there_is_nothing_to_find():
    search, tried = run(lambda t: (t, 1.0), 1.0)
    assert (search.found, tried) == (False, [])


def test_a_function_that_falls_without_end_is_followed_as_far_as_one_may_go():
    search, tried = run(lambda t: (-t, -1.0), 1.0)
    assert search.found
    assert tried[-1] == LONGEST


def test_a_change_below_rounding_is_a_decrease():
    """Near a minimum, the required decrease is lost in the rounding of the value."""
    search = LineSearch.along(1.0, -1e-30, 1.0).advance(1.0, -1e-31)
    assert search.found
    assert not LineSearch.along(1.0, -1e-30, 1.0).advance(1.0 + 1e-15, -1e-31).found


def test_a_slope_that_is_not_the_functions_ends_the_search():
    search, tried = run(lambda t: (t, -1.0), 1.0)
    assert len(tried) <= 20
    assert search.found is not None


@pytest.mark.parametrize("first", [1e-6, 1e-2, 1.0, 1e2, 1e6])
@pytest.mark.parametrize("name", ["quartic", "waves", "exponential", "flat"])
def test_the_trials_are_those_of_scipy(name, first):
    dcsrch = pytest.importorskip("scipy.optimize._dcsrch")
    function = {
        "quartic": quartic(1.0, 2.0, 5.0),
        "waves": waves(0.7, 9.0),
        "exponential": lambda t: (np.exp(min(t, 50.0)) - 3 * t, np.exp(min(t, 50.0)) - 3),
        "flat": lambda t: (-t / (t**2 + 2), (t**2 - 2) / (t**2 + 2) ** 2),
    }[name]
    theirs, values = [], {}

    def note(step):
        theirs.append(float(step))
        values[float(step)] = function(float(step))
        return values[float(step)][0]

    search = dcsrch.DCSRCH(note, lambda t: function(float(t))[1], 1e-3, 0.9, 0.1, 0.0, LONGEST)
    search(first, *function(0.0), maxiter=21)
    _, mine = run(function, first)
    np.testing.assert_allclose(mine, theirs[: len(mine)], rtol=1e-9)
    assert abs(len(theirs) - len(mine)) <= (1 if len(mine) == 20 else 0)


def test_the_trials_are_those_of_scipy_whatever_values_and_slopes_they_bring():
    """Random answers reach every case of the method; no function has to have them."""
    dcsrch = pytest.importorskip("scipy.optimize._dcsrch")
    most = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        scale = 10.0 ** rng.uniform(-2, 2)
        values = np.cumsum(rng.normal(-0.5, 1.0, 24) * 0.7 ** np.arange(24)) * scale
        slopes = rng.normal(-0.3, 1.0, 24) * 10.0 ** rng.uniform(-1.5, 0.5, 24)
        first, slope = 10.0 ** rng.uniform(-3, 3), -(10.0 ** rng.uniform(-1, 1))
        search, mine = LineSearch.along(0.0, slope, first), []
        with np.errstate(all="ignore"):
            while search.found is None:
                mine.append(search.step)
                search = search.advance(values[len(mine)], slopes[len(mine)])
            expected = []

            def value(step, expected=expected, values=values):
                expected.append(float(step))
                return np.float64(values[len(expected)])

            def slope_there(_, expected=expected, slopes=slopes):
                return np.float64(slopes[len(expected)])

            other = dcsrch.DCSRCH(value, slope_there, 1e-3, 0.9, 0.1, 0.0, LONGEST)
            end = other(first, np.float64(0.0), np.float64(slope), maxiter=21)
        np.testing.assert_allclose(mine, expected[: len(mine)], rtol=1e-9, err_msg=str(seed))
        assert len(expected) - len(mine) == (1 if len(expected) == 21 else 0)
        if end[3].startswith(b"CONV"):
            assert search.found
        most = max(most, len(mine))
    assert most > 8  # long searches are among them
