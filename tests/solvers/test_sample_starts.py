"""Solvers that solve a sample of the blocks first: their start, and their passes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from dlbd_estimators.kernels.penalties import L1
from dlbd_estimators.solvers.proximal.proximal_newton import ProximalNewton
from dlbd_estimators.solvers.smooth.gradient_descent import GradientDescent
from dlbd_estimators.solvers.smooth.lbfgs import LBFGS
from dlbd_estimators.solvers.smooth.newton import Newton
from dlbd_estimators.solvers.smooth.newton_cg import NewtonCG
from tests.solvers.dense import dense_derivatives, run
from tests.solvers.smooth.test_important_rows import N_BLOCKS, in_blocks, rows_of

SOLVERS = {
    "gradient_descent": GradientDescent,
    "newton": Newton,
    "newton_cg": NewtonCG,
    "lbfgs": LBFGS,
    "proximal_newton": ProximalNewton,
}


@cache
def begun(name, n_classes):
    """The problem, its rows, the state before the first step, and the solution."""
    X, y, weight = rows_of(np.random.default_rng(5), "weighted", n_classes)
    problem = in_blocks(X, y, weight, n_classes, strength=20.0)
    if name == "proximal_newton":
        problem = replace(problem, l1=L1(15.0))
    states = []
    solution = run(SOLVERS[name](), problem, tol=1e-7, save=lambda state, *_: states.append(state))
    return problem, (X, y, weight), states[0], solution


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_the_start_is_the_minimum_of_the_sample(name, n_classes):
    problem, (X, y, weight), state, _ = begun(name, n_classes)
    sample = problem.samples[-1]
    shorter = problem.samples[-2]
    if name == "newton" and 100 * len(shorter) >= 100 * problem.packing.size:
        sample = shorter  # kept rows correct its larger error
    blocks = np.array_split(np.arange(len(X)), N_BLOCKS)
    rows = np.concatenate([blocks[index] for index in sample])
    share = len(rows) / len(X)
    # The penalty has the size that it has beside all rows.
    smaller = replace(problem, penalty=replace(problem.penalty, strength=20.0 * share))
    value, gradient, hessian = dense_derivatives(
        smaller, X[rows], y[rows], state.parameters, weight[rows]
    )
    assert np.isfinite(value)
    if problem.l1 is not None:
        shape = problem.packing.shape
        coef, l1 = state.parameters.reshape(shape)[:, :3], 15.0 * share / weight[rows].sum()
        slope = gradient.reshape(shape)
        balanced = np.clip(slope[:, :3], -l1, l1)
        slope[:, :3] += np.where(coef != 0, l1 * np.sign(coef), -balanced)
    decrement = np.sqrt(gradient @ np.linalg.pinv(hessian, rcond=1e-12) @ gradient)
    assert decrement <= 0.1 * np.sqrt(problem.packing.size / len(rows))
    assert state.from_sample
    assert state.known.centre is not None
    if name in ("gradient_descent", "lbfgs"):  # the metric is the sample's Hessian, a step before
        step, wanted = state.factor.solve(gradient), np.linalg.pinv(hessian, rcond=1e-9) @ gradient
        rows_of_step = (step - wanted).reshape(problem.packing.shape)
        rows_of_step = rows_of_step - rows_of_step.mean(axis=0) * (n_classes > 2)
        assert np.linalg.norm(rows_of_step) <= 0.2 * np.linalg.norm(wanted)


#: Blocks that solving the sample reads, steps on all rows, and passes in all.
WORK = {
    ("gradient_descent", 2): (20, 6, 6.3125),
    ("gradient_descent", 3): (28, 6, 6.4375),
    ("lbfgs", 2): (20, 7, 7.3125),
    ("lbfgs", 3): (28, 7, 7.4375),
    ("newton", 2): (20, 2, 2.3125),
    ("newton", 3): (28, 2, 2.4375),
    ("newton_cg", 2): (64, 5, 15.0),
    ("newton_cg", 3): (108, 4, 15.6875),
    ("proximal_newton", 2): (22, 4, 4.34375),
    ("proximal_newton", 3): (40, 3, 3.625),
}


@pytest.mark.parametrize(("name", "n_classes"), sorted(WORK))
def test_the_number_of_passes(name, n_classes):
    """Exact, but that rounding may ask Newton-CG for a product more or less."""
    _, _, state, solution = begun(name, n_classes)
    n_blocks, n_steps, n_passes = WORK[name, n_classes]
    spare = 8 if name == "newton_cg" else 0
    assert abs(round(state.n_passes * N_BLOCKS) - n_blocks) <= spare
    assert solution.n_iter == n_steps
    assert abs(solution.n_passes - n_passes) <= (1.2 if spare else 1e-9)
