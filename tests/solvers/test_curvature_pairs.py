"""The two loops apply the matrix that BFGS updates would have made."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.solvers.curvature_pairs import two_loop_recursion
from tests.strategies import random_generators


class Scaled:
    def __init__(self, diagonal):
        self.diagonal = diagonal

    def solve(self, gradient):
        return self.diagonal * gradient


@given(random_generators(), st.integers(1, 6), st.integers(0, 5), st.booleans())
def test_two_loops_are_products_with_the_updated_matrix(rng, size, n_pairs, rescale):
    factor = rng.normal(size=(size, size))
    curvature = factor @ factor.T + np.eye(size)
    moves = rng.normal(size=(n_pairs, size))
    pairs = tuple((moved, curvature @ moved) for moved in moves)
    diagonal = rng.uniform(0.1, 10.0, size)
    inverse = np.diag(diagonal)
    if pairs and rescale:
        moved, turned = pairs[-1]
        inverse *= (moved @ turned) / (turned @ inverse @ turned)
    for moved, turned in pairs:
        left = np.eye(size) - np.outer(moved, turned) / (moved @ turned)
        inverse = left @ inverse @ left.T + np.outer(moved, moved) / (moved @ turned)
    gradient = rng.normal(size=size)
    found = two_loop_recursion(gradient, pairs, Scaled(diagonal), rescale=rescale)
    scale = np.abs(inverse).max() * np.abs(gradient).max()
    np.testing.assert_allclose(found, inverse @ gradient, rtol=1e-6, atol=1e-9 * scale)
    if pairs:  # the last step is remembered as it was
        found = two_loop_recursion(pairs[-1][1], pairs, Scaled(diagonal), rescale=rescale)
        np.testing.assert_allclose(found, pairs[-1][0], rtol=1e-6, atol=1e-9 * scale)
