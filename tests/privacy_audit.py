"""An audit of a private training by membership inference, in one run.

Each of many canaries is a training row with probability 1/2. An attacker sees the trained model,
guesses for each canary whether it was, and may abstain. If the training is
(epsilon, delta)-private, the number of right guesses is stochastically dominated, except for delta,
by a binomial number with probability ``exp(epsilon) / (1 + exp(epsilon))``. So too many right
guesses refute an epsilon (Steinke, Nasr and Jagielski, "Privacy auditing with one (1) training
run", NeurIPS 2023, theorem 5.2 with delta = 0: with the delta of the tests, at most
n_canaries * delta is added to a probability, which is below the error that is allowed).

Canaries are unit vectors: each has a column of its own, so that they do not disturb each other.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

N_CANARIES = 1_000
#: Probability with which a bound may be wrong.
ERROR = 1e-3
DELTA = 1e-9


def canaries(rng):
    """The rows that take part, their labels, and which canaries these are."""
    chosen = rng.random(N_CANARIES) < 0.5
    return np.eye(N_CANARIES)[chosen], np.ones(chosen.sum()), chosen


def epsilon_bound(coefficients, chosen):
    """The largest epsilon that the right guesses of an attacker refute.

    A canary with label 1 moves the coefficient of its column up. The attacker guesses on the
    canaries with the largest and the smallest coefficients, and tries several numbers of them.
    """
    order = np.argsort(coefficients)
    bounds = [0.0]
    numbers_of_guesses = (50, 100, 200, 500, 1_000)
    for n in numbers_of_guesses:
        right = chosen[order[-n // 2 :]].sum() + (~chosen[order[: n // 2]]).sum()
        # Clopper-Pearson's lower bound of the probability of a right guess.
        share = stats.beta.ppf(ERROR / len(numbers_of_guesses), right, n - right + 1)
        bounds.append(float(np.log(share / (1 - share))))
    return max(bounds)
