"""Quantiles from sketches: their ranks are as near as the stated bound, for any parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage.quantiles import N_RUNS, SHARES, QuantileSketch, quantiles_of

VALUES = st.floats(allow_nan=True, allow_infinity=False)


@st.composite
def columns(draw):
    """Values of any distribution, also with ties, holes and any order, cut into parts."""
    some = draw(arrays(np.float64, st.integers(1, 40), elements=VALUES))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    values = np.concatenate(
        [some, rng.choice(some, draw(st.sampled_from([0, 20_000, 2_000, 300])))]
    )
    if draw(st.booleans()):
        values = values + rng.normal(size=len(values)) * draw(st.sampled_from([1e-9, 1.0, 1e9]))
    values = draw(st.sampled_from([np.sort, rng.permutation, np.asarray]))(values)
    edges = draw(st.lists(st.integers(0, len(values)), max_size=5))
    return np.split(values, sorted(edges))


def joined_by_twos(sketches):
    """One sketch, as a tree of joins gives it, with the number of its levels."""
    levels = 0
    while len(sketches) > 1:
        pairs = [sketches[start : start + 2] for start in range(0, len(sketches), 2)]
        sketches, levels = [QuantileSketch.joined(pair) for pair in pairs], levels + 1
    return sketches, levels


@given(columns(), st.booleans())
def test_the_error_of_ranks_is_within_the_bound(parts, by_twos):
    sketches, levels = [QuantileSketch.of(part) for part in parts], 0
    if by_twos:
        sketches, levels = joined_by_twos(sketches)
    values = np.sort(np.concatenate(parts))
    values = values[~np.isnan(values)]
    if not len(values):
        return
    found = quantiles_of(sketches)
    assert found.error <= (1 + levels) / N_RUNS
    assert all(len(sketch.middles) <= N_RUNS for sketch in sketches)
    if len(values) <= N_RUNS or (not by_twos and max(map(len, parts)) <= N_RUNS):
        assert found.error == 0
    assert list(found.values) == sorted(found.values)
    for share, value in zip(SHARES, found.values, strict=True):
        assert value in values
        slack = found.error * len(values) + 1e-6
        wanted = max(1, share * len(values))
        assert np.searchsorted(values, value, "right") >= wanted - slack
        assert np.searchsorted(values, value, "left") < wanted + slack


@given(columns(), st.randoms(use_true_random=False))
def test_the_order_of_parts_and_of_their_rows_changes_nothing(parts, random):
    sketches = [QuantileSketch.of(part) for part in parts]
    if not sum(sketch.count for sketch in sketches):
        return
    others = [QuantileSketch.of(part[::-1]) for part in parts]
    random.shuffle(others)
    assert quantiles_of(sketches) == quantiles_of(others)


@pytest.mark.parametrize("n", [1, 2, N_RUNS, N_RUNS + 1, 100_000])
def test_one_part_is_as_exact_as_half_a_run(n):
    values = np.random.default_rng(n).lognormal(sigma=3, size=n)
    found = quantiles_of([QuantileSketch.of(values)])
    exact = np.quantile(values, np.array(SHARES), method="inverted_cdf")
    if n <= N_RUNS:
        assert found == (tuple(exact.tolist()), 0)
    else:
        run = -(-n // N_RUNS)
        assert found.error == run // 2 / n
        ranks = np.searchsorted(np.sort(values), found.values, "right")
        assert np.abs(ranks - np.array(SHARES) * n).max() <= run // 2 + 1
