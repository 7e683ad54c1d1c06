"""Values at ranks: the same as those of a sort of all values, for any distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import order_statistics
from storage.order_statistics import values_at_ranks

N = order_statistics._LONG
DISTRIBUTIONS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "rounded": lambda rng, n: np.round(rng.normal(size=n) * 100, 2),
    "integers": lambda rng, n: rng.integers(-2000, 2000, n).astype(float),
    "few values": lambda rng, n: rng.integers(0, 3, n).astype(float),
    "one value": lambda _, n: np.full(n, 7.0),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n) ** 3,
    "far from zero": lambda rng, n: 1e9 + rng.normal(size=n) * 1e-3,
    "mostly zero": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, rng.normal(size=n)),
    "the largest": lambda rng, n: rng.choice([-1.0, 1.0], n) * rng.random(n) * 1.7e308,
    "the smallest": lambda rng, n: rng.normal(size=n) * 1e-310,
    "infinite": lambda rng, n: np.where(rng.random(n) < 0.1, np.inf, rng.normal(size=n)),
    "both infinities": lambda rng, n: rng.choice([-np.inf, 0.5, np.inf], n),
}


@given(
    st.sampled_from(sorted(DISTRIBUTIONS)),
    st.sampled_from([1, 2, 1000, N - 1, N, N + 1]),
    st.booleans(),
    st.integers(0, 99),
)
def test_as_a_sort_of_all_values(name, n, ordered, seed):
    rng = np.random.default_rng(seed)
    values = DISTRIBUTIONS[name](rng, n)
    values = np.sort(values) if ordered else values
    ranks = np.unique(np.r_[0, n - 1, rng.integers(0, n, 200)])
    before = values.copy()
    assert np.array_equal(values_at_ranks(values, ranks), np.sort(values)[ranks])
    assert np.array_equal(values, before)


@pytest.mark.parametrize("name", ["normal", "rounded", "integers", "far from zero"])
def test_only_some_of_many_different_values_are_sorted(name, monkeypatch):
    values = DISTRIBUTIONS[name](np.random.default_rng(0), 4 * N)
    sort, lengths = np.sort, []
    monkeypatch.setattr(np, "sort", lambda some: lengths.append(len(some)) or sort(some))
    values_at_ranks(values, np.arange(0, 4 * N, N // 4))
    assert max(lengths) <= N
