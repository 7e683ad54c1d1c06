"""Gaussian noise of private training, from secret seeds."""

from __future__ import annotations

import secrets

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray

#: Bits of a secret seed: too many to guess.
_SEED_BITS = 256
#: Number of normal numbers that are added to one number of noise.
_TERMS = 4


def secret_seed(fixed: int | None, stream: int) -> tuple[int, ...]:
    """Return a new seed from the operating system's entropy, unless one is fixed.

    Parameters
    ----------
    fixed : int or None
        A seed that the user has fixed for tests; None draws a secret one.
    stream : int
        Number of the random stream of a fit. The sampling has another one than the noise, because
        its seed is sent to workers.
    """
    return (secrets.randbits(_SEED_BITS) if fixed is None else fixed, stream)


def gaussian_noise(
    seed: tuple[int, ...], step: int, size: int, standard_deviation: float
) -> FloatArray:
    """Return independent normal numbers for one step.

    Each number is a sum of four: the digits of a single floating-point normal number may reveal the
    sum that it is added to (Mironov, CCS 2012), and of a sum of several they do not in practice
    (Holohan and Braghin, "Secure random sampling in differential privacy", ESORICS 2021).

    Parameters
    ----------
    seed : tuple of int
        Secret seed of the noise of a fit.
    step : int
        Number of the step. Each step has its own noise.
    size : int
        How many numbers to draw.
    standard_deviation : float
        Standard deviation of each number.
    """
    generator = np.random.default_rng((*seed, step))
    noise: FloatArray = generator.standard_normal(size)
    for _ in range(_TERMS - 1):
        noise += generator.standard_normal(size)
    noise *= standard_deviation / _TERMS**0.5
    return noise
