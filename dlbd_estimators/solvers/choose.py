"""Which solver: by name, or by what a pass is expected to cost.

A pass over one row reads it (bytes at the rate of decoding, or of memory), forms its
gradient and, for Newton, its Hessian. From the solution of a sample Newton needs about 3
passes, L-BFGS with the sample's Hessian as metric about 8. The cheaper one is taken. The rates
below were measured on one core of a server of 2023; only their ratios matter, and only
roughly.
"""

from __future__ import annotations

from typing import Any

from dlbd_estimators.objectives.packing import Packing
from dlbd_estimators.solvers.base import Solver
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN
from dlbd_estimators.solvers.gradient_descent import GradientDescent
from dlbd_estimators.solvers.gram import Gram
from dlbd_estimators.solvers.lbfgs import LBFGS
from dlbd_estimators.solvers.newton import Newton
from dlbd_estimators.solvers.objective import Objective

#: Every solver a user can name.
SOLVERS: dict[str, type[Solver[Any]]] = {
    solver.name: solver for solver in (Gram, Newton, LBFGS, GradientDescent)
}

_DECODE_BYTES_PER_SECOND = 1.2e9
_MEMORY_BYTES_PER_SECOND = 1.5e10
_GRADIENT_FLOPS_PER_SECOND = 8e9
_SECONDS_PER_OUTPUT = 1.5e-8
_HESSIAN_FLOPS_PER_SECOND = 4e10
#: Passes of Newton and of L-BFGS from the solution of a sample, and from nothing.
_PASSES = {True: (3.0, 8.0), False: (7.0, 25.0)}


def check_name(name: str) -> None:
    """Refuse a solver that does not exist.

    Raises
    ------
    ValueError
        With the names of those that do.
    """
    if name != "auto" and name not in SOLVERS:
        raise ValueError(f"Unknown solver {name!r}. Choose 'auto' or one of {sorted(SOLVERS)}.")


def choose(name: str, objective: Objective) -> Solver[Any]:
    """Return the solver ``name`` for an objective, or the cheapest for ``"auto"``.

    Parameters
    ----------
    name : str
        ``"auto"`` or a key of :data:`SOLVERS`.
    objective : Objective
        What will be minimised.

    Raises
    ------
    ValueError
        No such solver, or it needs what the objective does not provide.
    """
    check_name(name)
    if name == "auto":
        return _cheapest(objective)()
    solver = SOLVERS[name]
    missing = solver.needs - objective.provides
    if missing:
        fitting = sorted(key for key, each in SOLVERS.items() if each.needs <= objective.provides)
        raise ValueError(
            f"solver={name!r} needs an objective that is {' and '.join(sorted(missing))}, which "
            f"{objective.name} regression with the {objective.loss.name} loss is not. Choose "
            f"'auto' or one of {fitting}."
        )
    return solver()


def _cheapest(objective: Objective) -> type[Solver[Any]]:
    packing = objective.packing
    if objective.loss.quadratic:
        return Gram if packing.n_features <= LARGEST_HESSIAN else LBFGS
    if packing.size > LARGEST_HESSIAN:
        return LBFGS
    blocks = objective.blocks
    passes = _PASSES[bool(objective.samples)]
    fused, plain = seconds_per_row(packing, blocks.in_memory, blocks.itemsize)
    return Newton if passes[0] * fused <= passes[1] * plain else LBFGS


def seconds_per_row(packing: Packing, in_memory: bool, itemsize: int) -> tuple[float, float]:
    """Expected time of a pass for each row, with the Hessian and without."""
    outputs, features = packing.n_outputs, packing.n_features
    rate = _MEMORY_BYTES_PER_SECOND if in_memory else _DECODE_BYTES_PER_SECOND
    read = features * itemsize / rate
    gradient = 4 * features * outputs / _GRADIENT_FLOPS_PER_SECOND + outputs * _SECONDS_PER_OUTPUT
    free = max(outputs - 1, 1)
    squares, products = free, free * (free - 1) / 2
    hessian = (squares + 2 * products) * features**2 / _HESSIAN_FLOPS_PER_SECOND
    return read + gradient + hessian, read + gradient
