"""Requests of a problem: the entries of matrices limit how many passes run together."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.importance import Importance
from dlbd_estimators.kernels.losses import HalfMultinomialLoss, HalfSquaredError
from dlbd_estimators.kernels.penalties import L1
from dlbd_estimators.solvers.proximal.coordinate_descent import CoordinateDescent
from tests.solvers.dense import problem_of


@pytest.mark.parametrize(
    ("order", "options", "n_entries"),
    [
        (Order.GRADIENT, {}, 0),
        (Order.HESSIAN, {}, 15**2),
        (Order.HESSIAN, {"per_output": 2}, 3 * 5**2),
    ],
)
def test_a_pass_has_the_number_of_entries_of_its_matrices(order, options, n_entries, rng):
    X = rng.normal(size=(20, 4))
    problem = problem_of(X, np.arange(20.0) % 3, HalfMultinomialLoss(), n_outputs=3)
    asked = next(problem.evaluate(np.zeros(15), order, "label", **options))
    assert asked.n_entries == n_entries
    rule = Importance(np.eye(5), 1.0, 100, 20, curvature=0.1, seed=0)
    asked = next(problem.evaluate(np.zeros(15), order, "label", importance=rule, **options))
    assert asked.n_entries == n_entries + rule.nbytes // 8
    assert rule.nbytes > 0


def test_a_product_with_a_hessian_has_no_matrix(rng):
    problem = problem_of(rng.normal(size=(20, 4)), np.arange(20.0) % 3, HalfMultinomialLoss())
    assert next(problem.product(np.zeros(5), np.ones(5), "label")).n_entries == 0


def test_second_moments_are_a_matrix_of_all_columns_and_targets(rng):
    X, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 2))
    problem = problem_of(X, y, HalfSquaredError(), n_outputs=2, l1=L1(1.0))
    solver = CoordinateDescent()
    with pytest.raises(StopIteration) as end:
        next(solver.init(problem, None))
    assert next(solver.step(problem, end.value.value, 1e-7)).n_entries == 6**2
