"""Minimise a smooth convex objective that is known by passes over the data.

A solver is ``init -> step -> done`` over an explicit state, and asks for the passes that it
needs; :func:`minimize` owns the loop and runs them. ``SOLVERS`` names those a user can ask for.
"""

from __future__ import annotations

from dlbd_estimators.solvers.base import Solver
from dlbd_estimators.solvers.choose import ROW_SPACE, SOLVERS, advice, choose
from dlbd_estimators.solvers.driver import minimize, minimize_together
from dlbd_estimators.solvers.evaluation import Known
from dlbd_estimators.solvers.fit import Fit, Solution
from dlbd_estimators.solvers.objective import Objective, check_weight
from dlbd_estimators.solvers.room import room_for
from dlbd_estimators.solvers.row_space import row_space
from dlbd_estimators.solvers.status import SeparableWarning, Status

__all__ = [
    "ROW_SPACE",
    "SOLVERS",
    "Fit",
    "Known",
    "Objective",
    "SeparableWarning",
    "Solution",
    "Solver",
    "Status",
    "advice",
    "check_weight",
    "choose",
    "minimize",
    "minimize_together",
    "room_for",
    "row_space",
]
