"""Compute how much noise a privacy budget needs, and what noisy steps have spent.

A step adds Gaussian noise to a sum of clipped gradients. The rows of a sum are a Poisson sample:
each row is drawn with the same probability, independently of all others. The package
dp-accounting composes the steps by their privacy-loss distributions, with upper bounds for
all rounding (Doroshenko, Ghazi, Kamath, Kumar and Manurangsi, "Connect the dots", PETS 2022). Steps
on all rows are a single Gaussian mechanism (Balle and Wang, "Improving the Gaussian mechanism for
differential privacy", ICML 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from dlbd_estimators.exceptions import PrivacyBudgetSpent

#: The noise of sampled steps is at most this share above the least noise that suffices.
_PRECISION = 5e-3
#: Below this noise, which protects nothing, privacy losses are too large to be computed.
_LEAST_NOISE = 0.05
#: Privacy losses are rounded up to multiples of this share of the budget.
_INTERVAL = 1e-3


@dataclass(frozen=True)
class Release:
    """Steps that each published a noisy sum over the rows.

    Attributes
    ----------
    noise_multiplier : float
        Standard deviation of the noise, divided by the largest norm of a row's gradient.
    sampling_rate : float
        Probability with which a step draws a row; 1 means all rows.
    n_steps : int
        Number of steps.
    """

    noise_multiplier: float
    sampling_rate: float
    n_steps: int


def with_release(releases: Sequence[Release], last: Release) -> tuple[Release, ...]:
    """Return releases with one more, whose steps are added to those of the same kind."""
    kept: list[Release] = []
    for release in releases:
        if replace(release, n_steps=0) == replace(last, n_steps=0):
            last = replace(last, n_steps=last.n_steps + release.n_steps)
        else:
            kept.append(release)
    return (*kept, last)


@lru_cache(maxsize=64)
def noise_multiplier(epsilon: float, delta: float, sampling_rate: float, n_steps: int) -> float:
    """Return the noise of each step with which all steps together spend a budget.

    Parameters
    ----------
    epsilon, delta : float
        The budget.
    sampling_rate : float
        Probability with which a step draws a row; 1 means all rows.
    n_steps : int
        Number of steps.

    Returns
    -------
    float
        Standard deviation of the noise, divided by the largest norm of a row's gradient. The steps
        spend at most ``epsilon``.

    Raises
    ------
    ImportError
        dp-accounting is not installed.
    """
    accounting = _accounting()
    if sampling_rate == 1.0:
        # Rounding must not make the noise too small.
        single = accounting.get_sigma_gaussian(epsilon, delta) * (1 + 1e-9)
        return float(single * math.sqrt(n_steps))

    def spent(noise: float) -> float:
        return spent_epsilon([Release(noise, sampling_rate, n_steps)], delta, epsilon)

    return _smallest(spent, epsilon, low=_LEAST_NOISE)


def _smallest(spent: Callable[[float], float], budget: float, low: float) -> float:
    """Return nearly the smallest noise with ``spent(noise) <= budget``; ``spent`` decreases."""
    high, noise = math.inf, 1.0
    while high > low * (1 + _PRECISION):
        epsilon = spent(noise)
        if epsilon <= budget:
            high = noise
        else:
            low = noise
        # The spent budget is about proportional to a power of the noise, from -2 to -1. The goal is
        # a little inside the budget, so that the steps come from both sides.
        noise *= (max(epsilon, budget / 100) / budget) ** 0.7 * (1 + _PRECISION / 3)
        if not low < noise < high:
            noise = math.sqrt(low * min(high, 4 * low))
    return high


def spent_epsilon(releases: Sequence[Release], delta: float, budget: float) -> float:
    """Return an upper bound of the epsilon that releases have spent together, for one ``delta``.

    Parameters
    ----------
    releases : sequence of Release
        All releases that depend on the same rows.
    delta : float
        Probability with which the bound may fail.
    budget : float
        The epsilon to compare with. The computation is accurate to a thousandth of it.

    Raises
    ------
    ImportError
        dp-accounting is not installed.
    """
    return _epsilon(tuple(release for release in releases if release.n_steps), delta, budget)


def check_budget(
    releases: Sequence[Release], epsilon: float, delta: float, *, n_calls: int
) -> None:
    """Refuse releases that would spend more than a budget together.

    Parameters
    ----------
    releases : sequence of Release
        All releases, with those of the call of ``partial_fit`` that is checked.
    epsilon, delta : float
        The budget.
    n_calls : int
        Number of calls of ``partial_fit`` for which the noise was chosen.

    Raises
    ------
    PrivacyBudgetSpent
        They would spend more.
    """
    spent = spent_epsilon(releases, delta, epsilon)
    if spent > epsilon:
        raise PrivacyBudgetSpent(
            f"After this call of partial_fit, the model would have spent epsilon={spent:.4g} at "
            f"delta={delta:g}, which is more than its budget epsilon={epsilon:g}. The noise is "
            f"that of max_iter={n_calls} calls: set max_iter to the number of calls before the "
            f"first one."
        )


@lru_cache(maxsize=256)
def _epsilon(releases: tuple[Release, ...], delta: float, budget: float) -> float:
    if not releases:
        return 0.0
    accounting = _accounting()
    if all(release.sampling_rate == 1.0 for release in releases):
        precision = sum(release.n_steps / release.noise_multiplier**2 for release in releases)
        return float(accounting.get_epsilon_gaussian(precision**-0.5, delta))
    interval = budget * _INTERVAL
    accountant = accounting.pld.PLDAccountant(value_discretization_interval=interval)
    for release in releases:
        accountant.compose(_event(release))
    return float(accountant.get_epsilon(delta))


def _event(release: Release) -> Any:
    accounting = _accounting()
    step = accounting.GaussianDpEvent(release.noise_multiplier)
    sampled = accounting.PoissonSampledDpEvent(release.sampling_rate, step)
    return accounting.SelfComposedDpEvent(sampled, release.n_steps)


def _accounting() -> Any:
    try:
        import dp_accounting
    except ImportError as error:
        raise ImportError(
            "Private training computes its noise by the package dp-accounting, which is not "
            'installed: pip install "dlbd-estimators[privacy]"'
        ) from error
    return dp_accounting
