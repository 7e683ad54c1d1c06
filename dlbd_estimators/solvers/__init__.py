"""Minimise a convex objective that is evaluated by passes over the data.

A solver works on an explicit state: ``init`` creates it, and ``step`` makes one step from it. Both
yield requests for passes. :func:`minimize` runs the loop and serves the requests.
"""

from __future__ import annotations

from dlbd_estimators.solvers.driver import minimize, minimize_together
from dlbd_estimators.solvers.evaluation import Known
from dlbd_estimators.solvers.fit import Fit, Solution
from dlbd_estimators.solvers.matrix_memory import room_for
from dlbd_estimators.solvers.problem import Problem, check_weight
from dlbd_estimators.solvers.row_space import row_space
from dlbd_estimators.solvers.solver import Solver
from dlbd_estimators.solvers.status import SeparableWarning, Status

__all__ = [
    "Fit",
    "Known",
    "Problem",
    "SeparableWarning",
    "Solution",
    "Solver",
    "Status",
    "check_weight",
    "minimize",
    "minimize_together",
    "room_for",
    "row_space",
]
