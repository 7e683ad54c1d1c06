"""The minimum of a small quadratic with an l1 norm, by trying all combinations of signs."""

from __future__ import annotations

from itertools import product

import numpy as np


def minimum(gram, linear, l1, *, positive=False):
    """The minimiser of ``w G w / 2 - h w + l1 |w|_1`` for a regular G."""
    best, lowest = np.zeros(len(linear)), 0.0
    for pattern in product((0.0, 1.0) if positive else (-1.0, 0.0, 1.0), repeat=len(linear)):
        signs = np.array(pattern)
        on = signs != 0
        if not on.any():
            continue
        w = np.zeros(len(linear))
        w[on] = np.linalg.solve(gram[np.ix_(on, on)], linear[on] - l1 * signs[on])
        value = 0.5 * w @ gram @ w - linear @ w + l1 * np.abs(w).sum()
        if (w[on] * signs[on] > 0).all() and value < lowest:
            best, lowest = w, value
    return best
