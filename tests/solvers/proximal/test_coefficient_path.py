"""Duality gaps along a path of strengths, against their formulas on whole arrays."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.solvers.proximal.coefficient_path import CoefficientPath
from tests.solvers.proximal.test_coordinate_steps import dual_gap


def path_of(X, y, *, positive):
    """Return the problems for the moments of these rows about zero."""
    columns, zero = np.column_stack([X, y]), np.zeros(X.shape[1] + 1)
    products = columns.T @ columns
    moments = Moments(float(len(X)), len(X), zero, zero, products, np.finfo(float).eps)
    return CoefficientPath(moments, positive=positive)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("positive", [False, True])
def test_the_gaps_of_any_point_are_those_of_the_formulas(positive, l1_ratio, rng):
    X, alphas = rng.normal(size=(40, 3)), np.array([5.0, 0.3, 1e-3])
    y = X @ [1.0, 0.5, -1.0] + rng.normal(size=40)
    coef = rng.normal(size=(3, 3))
    coef = np.abs(coef) if positive else coef
    found = path_of(X, y, positive=positive).dual_gaps(l1_ratio, alphas, coef)
    for alpha, w, gap in zip(alphas, coef, found, strict=True):
        l2 = alpha * (1.0 - l1_ratio)
        rows = np.concatenate([X / np.sqrt(40), np.sqrt(l2) * np.eye(3)])
        target = np.append(y / np.sqrt(40), np.zeros(3))[:, None]
        [expected] = dual_gap(rows, target, alpha * l1_ratio, w[None], positive=positive)
        assert gap == pytest.approx(expected, rel=1e-9)


def test_without_an_l1_part_the_gap_is_half_the_squared_newton_decrement(rng):
    X, y, w = rng.normal(size=(40, 3)), rng.normal(size=40), rng.normal(size=(1, 3))
    found = path_of(X, y, positive=False).dual_gaps(0.0, np.array([0.7]), w)
    hessian = X.T @ X / 40 + 0.7 * np.eye(3)
    slope = X.T @ y / 40 - hessian @ w[0]
    assert found[0] == pytest.approx(0.5 * slope @ np.linalg.solve(hessian, slope))


def test_zero_is_the_minimum_if_every_coefficient_would_be_negative(rng):
    X = np.abs(rng.normal(size=(40, 3)))
    path = path_of(X, -X.sum(axis=1), positive=True)
    np.testing.assert_array_equal(path.dual_gaps(0.0, np.array([0.7]), np.zeros((1, 3))), [0.0])
