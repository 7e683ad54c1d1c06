"""With a tolerance below rounding error, solvers end after few steps, and at the minimum."""

from __future__ import annotations

import pytest

from dlbd_estimators.solvers import Status
from dlbd_estimators.solvers.smooth.lbfgs import LBFGS
from dlbd_estimators.solvers.smooth.newton import Newton
from dlbd_estimators.solvers.smooth.newton_cg import NewtonCG
from tests.solvers.dense import dense_decrement, run
from tests.solvers.steps import problem_for, small


@pytest.mark.parametrize("kind", ["two classes", "classes", "targets"])
@pytest.mark.parametrize(("solver", "most"), [(Newton, 12), (NewtonCG, 16), (LBFGS, 90)])
def test_a_tolerance_of_zero(solver, most, kind):
    X, y, weight = small(kind)
    problem = problem_for(kind, X, y, weight)
    solution = run(solver(), problem, tol=0.0, max_iter=300, quiet=True)
    assert solution.n_iter <= most
    assert solution.status is Status.STALLED
    unit = solution.state.known.unit
    assert dense_decrement(problem, X, y, solution.parameters, weight) / unit <= 1e-11
