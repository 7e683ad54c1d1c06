"""Choice of the solver: by its name, or by the expected time of a fit.

A pass reads each row (at the rate of decoding, or of memory) and computes its gradient and, for
Newton's method, its Hessian. From the solution of a sample, Newton's method takes about 2.5 passes,
and L-BFGS preconditioned with the sample's Hessian about 7. Newton's method by conjugate gradients,
which computes no Hessian matrix, takes about 5 steps and 30 Hessian-vector products. Without a
sample, L-BFGS has no preconditioner and takes far more passes, so the faster one of the two Newton
methods is chosen. The rates below were measured on one core of a server of 2023. Only their ratios
matter, and only roughly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN
from dlbd_estimators.solvers.matrix_memory import check_room, matrices_fit
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.proximal.coordinate_descent import CoordinateDescent
from dlbd_estimators.solvers.proximal.proximal_newton import ProximalNewton
from dlbd_estimators.solvers.proximal.working_set import WorkingSet
from dlbd_estimators.solvers.smooth.gradient_descent import GradientDescent
from dlbd_estimators.solvers.smooth.gram import Gram
from dlbd_estimators.solvers.smooth.lbfgs import LBFGS
from dlbd_estimators.solvers.smooth.nesterov import Nesterov
from dlbd_estimators.solvers.smooth.newton import Newton
from dlbd_estimators.solvers.smooth.newton_cg import NewtonCG
from dlbd_estimators.solvers.smooth.output_curvature import has_many_outputs, stride

#: All solvers that users can choose, by name.
SOLVERS: dict[str, type[Minimizer[Any]]] = {
    solver.name: solver
    for solver in (
        Gram,
        Newton,
        NewtonCG,
        LBFGS,
        GradientDescent,
        Nesterov,
        CoordinateDescent,
        ProximalNewton,
        WorkingSet,
    )
}

#: Names of solvers that take the same steps in coordinates of the row space, at lower cost.
ROW_SPACE = frozenset({"auto", Newton.name, NewtonCG.name})

#: Requirements of solvers, as error messages name them.
_NEEDS = {
    "gradient": "a loss with a gradient",
    "hessian": "a loss with a Hessian",
    "quadratic": "a quadratic loss",
    "smooth": "penalties with a gradient (no l1 part, no bounds)",
    "prox": "an l1 penalty or non-negative coefficients",
    "l1": "an l1 penalty",
}

_DECODE_BYTES_PER_SECOND = 1.2e9
_MEMORY_BYTES_PER_SECOND = 4e10
_GRADIENT_FLOPS_PER_SECOND = 1.2e10
_SECONDS_PER_OUTPUT = 1e-8
_HESSIAN_FLOPS_PER_SECOND = 6e10
#: Seconds to weight a row, and each of its columns, for each pair of outputs of a Hessian.
_SECONDS_PER_WEIGHT, _SECONDS_PER_WEIGHTED_COLUMN = 8e-8, 1.5e-9
#: Assumed share of the columns in which a sparse row has an entry; seconds to decode an entry, to
#: multiply it in a gradient, and to multiply two entries of a row in a Hessian.
_SPARSE_SHARE = 0.01
_SECONDS_PER_ENTRY = 1e-8
_SECONDS_PER_ENTRY_AND_OUTPUT = 8e-9
_SECONDS_PER_PAIR = 1e-8
#: Expected steps of Newton's method, by whether it starts from the solution of a sample; steps of
#: L-BFGS from a sample; steps and Hessian-vector products of Newton's method by conjugate
#: gradients, by whether it starts from the solution of a sample.
_NEWTON = {True: 2.5, False: 12.0}
_LBFGS = 7.0
_NEWTON_CG = {True: (5.0, 30.0), False: (12.0, 60.0)}
#: Steps of L-BFGS on sparse rows without a sample. It forms the Hessian of all rows once.
_LBFGS_ALONE = 28.0
#: For rows that are not in memory, Newton's method is preferred up to this multiple of the shortest
#: expected time: it takes a third of the passes, and storage may be far slower than assumed.
_NEWTON_PREFERRED = 1.75
#: Cost of a Hessian-vector product, in gradients; with many outputs, it is computed in float32.
_PRODUCT, _PRODUCT_OF_MANY_OUTPUTS = 1.5, 1.0
#: Cost of the Hessians of all samples, as a share of the cost of one Hessian of all rows.
_ON_SAMPLES = 0.25
#: Seconds of a pass over no rows.
_PASS_SECONDS = 5e-4
#: Assumed number of rows if it is unknown.
_MANY_ROWS = 1_000_000


def check_name(name: str) -> None:
    """Check that a solver of this name exists.

    Raises
    ------
    ValueError
        There is no such solver. The message lists all solvers.
    """
    if name != "auto" and name not in SOLVERS:
        raise ValueError(f"Unknown solver {name!r}. Choose 'auto' or one of {sorted(SOLVERS)}.")


def choose(name: str, problem: Problem) -> Minimizer[Any]:
    """Return the solver ``name`` for an objective, or the fastest one for ``"auto"``.

    Parameters
    ----------
    name : str
        ``"auto"`` or a key of :data:`SOLVERS`.
    problem : Problem
        The objective to minimise.

    Raises
    ------
    ValueError
        There is no such solver, or the objective does not meet its requirements.
    MatrixTooLarge
        The solver needs a matrix for which the workers have too little memory.
    """
    check_name(name)
    if name == "auto":
        return _cheapest(problem)()
    solver = SOLVERS[name]
    missing = solver.needs - problem.provides
    if missing:
        fitting = sorted(key for key, each in SOLVERS.items() if each.needs <= problem.provides)
        raise ValueError(
            f"solver={name!r} needs {' and '.join(_NEEDS[each] for each in sorted(missing))}, "
            f"which {problem.name} regression with these parameters does not have. Choose 'auto' "
            f"or one of {fitting}."
        )
    _check_size(problem, solver)
    _check_room(problem, solver)
    return solver()


def advice(name: str, solver: Minimizer[Any], problem: Problem) -> str:
    """Return advice for a fit that did not converge: a change that this fit has not tried.

    Parameters
    ----------
    name : str
        The name of the solver that the user passed.
    solver : Minimizer
        The solver that was used.
    problem : Problem
        The objective that was minimised.
    """
    if name != "auto" and not isinstance(solver, _cheapest(problem)):
        return "use solver='auto'"
    if isinstance(solver, LBFGS | GradientDescent):
        return "use solver='newton_cg'"
    if problem.loss.quadratic or problem.l1 is not None:
        return "accept a larger tol"
    return "strengthen the penalty (a smaller C)"


def _check_size(problem: Problem, solver: type[Minimizer[Any]]) -> None:
    """Check that a proximal solver's quadratic model has few enough parameters."""
    if "prox" in solver.needs and _quadratic_size(problem) > LARGEST_HESSIAN:
        advice = (
            "Use solver='working_set'"
            if problem.l1 and problem.l1.strength
            else ("Add an l1 penalty, or select columns first")
        )
        raise ValueError(
            f"solver={solver.name!r} keeps a quadratic model of at most {LARGEST_HESSIAN} "
            f"parameters, but this model has {_quadratic_size(problem)}. {advice}."
        )


def _check_room(problem: Problem, solver: type[Minimizer[Any]]) -> None:
    """Check that the solver's matrix fits in the memory of the workers."""
    side = solver.matrix_side(problem.packing)
    if side:
        check_room(problem, solver.name, side, _without_matrix(problem))


def _without_matrix(problem: Problem) -> str:
    if problem.l1 is None:
        return "Use solver='lbfgs', which needs no matrix"
    if problem.l1.strength:
        return "Use solver='working_set', which needs a matrix of some columns only"
    return "Select columns first"


def _fits(problem: Problem, solver: type[Minimizer[Any]]) -> bool:
    return matrices_fit(problem, solver.matrix_side(problem.packing) ** 2)


def _quadratic_size(problem: Problem) -> int:
    packing = problem.packing
    return packing.n_features if problem.loss.quadratic else packing.size


def _cheapest(problem: Problem) -> type[Minimizer[Any]]:
    packing = problem.packing
    if problem.l1 is not None:
        direct = CoordinateDescent if problem.loss.quadratic else ProximalNewton
        few = _quadratic_size(problem) <= LARGEST_HESSIAN
        if problem.l1.strength and not (few and _fits(problem, direct)):
            return WorkingSet
        _check_size(problem, direct)
        _check_room(problem, direct)
        return direct
    if problem.loss.quadratic:
        few = packing.n_features <= LARGEST_HESSIAN
        return Gram if few and _fits(problem, Gram) else LBFGS
    costs = expected_seconds(problem)
    preferred = 1.0 if problem.blocks.in_memory else _NEWTON_PREFERRED
    if costs.get(Newton, np.inf) <= preferred * min(costs.values()):
        return Newton
    return min(costs, key=lambda solver: costs[solver])


def expected_seconds(problem: Problem) -> dict[type[Minimizer[Any]], float]:
    """Return the expected seconds of a fit on one core, for each solver of a smooth objective."""
    packing, blocks = problem.packing, problem.blocks
    sampled, n_rows = bool(problem.samples), problem.n_rows or _MANY_ROWS
    fused, plain = seconds_per_row(packing, blocks.in_memory, blocks.itemsize)
    if blocks.sparse:
        fused, plain = seconds_per_sparse_row(packing)
    hessian = fused - plain
    outputs, width = packing.shape
    preconditioner = outputs * width**2 / _HESSIAN_FLOPS_PER_SECOND / stride(problem)
    steps, products = _NEWTON_CG[sampled]
    product = (_PRODUCT_OF_MANY_OUTPUTS if has_many_outputs(problem) else _PRODUCT) * plain
    costs: dict[type[Minimizer[Any]], float] = {
        NewtonCG: n_rows * (steps * (plain + preconditioner) + products * product)
        + (steps + products) * _PASS_SECONDS
    }
    on_samples = _ON_SAMPLES * hessian if sampled else 0.0
    few = packing.size <= LARGEST_HESSIAN
    if few and _fits(problem, Newton):
        factor = packing.size**3 / _HESSIAN_FLOPS_PER_SECOND + _PASS_SECONDS
        costs[Newton] = n_rows * (_NEWTON[sampled] * fused + on_samples) + _NEWTON[sampled] * factor
        if sampled:
            costs[LBFGS] = n_rows * (_LBFGS * plain + on_samples) + _LBFGS * _PASS_SECONDS
        elif blocks.sparse:
            costs[LBFGS] = n_rows * (_LBFGS_ALONE * plain + hessian) + factor
    elif not blocks.in_memory and (
        width > LARGEST_HESSIAN or (few and not matrices_fit(problem, outputs * width**2))
    ):
        # If reading dominates, L-BFGS takes fewer passes, although it may not converge.
        costs = {LBFGS: 0.0}
    return costs


def seconds_per_sparse_row(packing: Packing) -> tuple[float, float]:
    """Return the expected seconds of a pass for each sparse row, with the Hessian and without.

    The number of entries is not known before the rows are read, so a share is assumed.
    """
    outputs, entries = packing.n_outputs, _SPARSE_SHARE * packing.n_features
    plain = entries * (_SECONDS_PER_ENTRY + outputs * _SECONDS_PER_ENTRY_AND_OUTPUT)
    free = max(outputs - 1, 1)
    hessian = free * (free + 1) / 2 * entries**2 * _SECONDS_PER_PAIR
    return plain + outputs * _SECONDS_PER_OUTPUT + hessian, plain + outputs * _SECONDS_PER_OUTPUT


def seconds_per_row(packing: Packing, in_memory: bool, itemsize: int) -> tuple[float, float]:
    """Return the expected seconds of a pass for each row, with the Hessian and without."""
    outputs, features = packing.n_outputs, packing.n_features
    rate = _MEMORY_BYTES_PER_SECOND if in_memory else _DECODE_BYTES_PER_SECOND
    read = features * itemsize / rate
    gradient = 4 * features * outputs / _GRADIENT_FLOPS_PER_SECOND + outputs * _SECONDS_PER_OUTPUT
    free = max(outputs - 1, 1)
    squares, products = free, free * (free - 1) / 2
    hessian = (squares + 2 * products) * features**2 / _HESSIAN_FLOPS_PER_SECOND
    weighting = _SECONDS_PER_WEIGHT + features * _SECONDS_PER_WEIGHTED_COLUMN
    hessian += (squares + products) * weighting
    return read + gradient + hessian, read + gradient
