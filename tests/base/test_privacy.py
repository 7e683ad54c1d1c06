"""The privacy budget: published figures, what is declared, and what is refused."""

from __future__ import annotations

import math
import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone

import dlbd_estimators
from dlbd_estimators import DifferentialPrivacy, MLPClassifier
from dlbd_estimators.base.privacy_accountant import (
    Release,
    noise_multiplier,
    spent_epsilon,
    with_release,
)

BUDGET = {"epsilon": 1.0, "delta": 1e-5, "n_samples": 1000}


def test_three_gaussian_steps_are_one_with_less_noise():
    # dp-accounting, pld_privacy_accountant_test.py, test_gaussian_basic: (1, 0.126936).
    assert spent_epsilon([Release(math.sqrt(3), 1.0, 3)], 0.126936, 1.0) == pytest.approx(
        1.0, abs=1e-5
    )


def test_sampled_gaussian_steps_of_the_accountants_own_tests():
    # dp-accounting, pld_privacy_accountant_test.py, test_poisson_subsampled_gaussian:
    # delta(epsilon=1) is 0.15594 within 0.001.
    epsilons = [spent_epsilon([Release(0.5, 0.2, 3)], 0.15594 + gap, 1.0) for gap in (-1e-3, 1e-3)]
    assert epsilons[1] < 1.0 < epsilons[0]


def test_the_moments_accountants_example_bounds_the_spent_budget():
    # Abadi et al. (CCS 2016), section 3.2: q = 0.01, sigma = 4, 10,000 steps and delta = 1e-5 spend
    # epsilon = 1.26 by their upper bound, and 1.0 or more by the CLT of Bu et al. (2020).
    assert 0.8 < spent_epsilon([Release(4.0, 0.01, 10_000)], 1e-5, 1.0) < 1.26


@pytest.mark.parametrize(
    ("epsilon", "delta", "rate", "n_steps"),
    [(1.0, 1e-5, 1.0, 100), (0.1, 1e-6, 1.0, 1), (3.0, 1e-5, 0.1, 20),
     (8.0, 1e-4, 0.5, 10)],
)  # fmt: skip
def test_noise_spends_the_budget_and_no_more(epsilon, delta, rate, n_steps):
    noise = noise_multiplier(epsilon, delta, rate, n_steps)
    assert 0.98 * epsilon < spent_epsilon([Release(noise, rate, n_steps)], delta, epsilon)
    assert spent_epsilon([Release(noise, rate, n_steps)], delta, epsilon) <= epsilon
    assert spent_epsilon([Release(0.97 * noise, rate, n_steps)], delta, epsilon) > epsilon


def test_steps_of_one_kind_are_counted_together():
    first, other = Release(1.0, 0.1, 5), Release(2.0, 0.1, 5)
    assert with_release([first], other) == (first, other)
    assert with_release([first, other], Release(1.0, 0.1, 2)) == (other, Release(1.0, 0.1, 7))
    whole = spent_epsilon([Release(2.0, 0.1, 9)], 1e-5, 1.0)
    parts = spent_epsilon([Release(2.0, 0.1, 4), Release(2.0, 0.1 + 1e-12, 5)], 1e-5, 1.0)
    assert parts == pytest.approx(whole, rel=1e-2)
    assert spent_epsilon([Release(1.0, 0.1, 0)], 1e-5, 1.0) == 0.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("epsilon", 0.0), ("epsilon", np.inf), ("epsilon", "1"), ("delta", 0.0), ("delta", 1e-3),
     ("delta", None), ("n_samples", 0), ("n_samples", 10.5), ("n_samples", True),
     ("max_gradient_norm", -1.0), ("classes", ["a"]), ("seed", -1), ("seed", 0.5)],
)  # fmt: skip
def test_bad_values_are_refused_by_name(name, value):
    with pytest.raises(dlbd_estimators.exceptions.InvalidParameter, match=f"^{name} of Differ"):
        DifferentialPrivacy(**{**BUDGET, name: value})


def test_it_is_a_value_that_estimators_can_hold():
    privacy = DifferentialPrivacy(**BUDGET, classes=np.array([3, 1, 3]))
    assert privacy.classes == (1, 3)
    assert privacy == pickle.loads(pickle.dumps(privacy))
    assert clone(MLPClassifier(privacy=privacy)).privacy == privacy


def test_missing_accountant_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    noise_multiplier.cache_clear()
    with pytest.raises(ImportError, match=r'pip install "dlbd-estimators\[privacy\]"'):
        noise_multiplier(1.0, 1e-5, 0.5, 3)
