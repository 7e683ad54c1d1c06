"""The preconditioner of Newton-CG: the Hessian of each output alone, and its precision.

With many outputs, this Hessian and the products with the whole one are computed in float32, in half
the time. The gradient, which determines the minimum, always is in float64. If float32 is not
accurate enough, because columns are nearly dependent, float64 is used here too. With few outputs,
the work on a row takes no longer than its conversion to float32.
"""

from __future__ import annotations

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN, rounding
from dlbd_estimators.solvers.matrix_memory import matrices_fit
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.conjugate_gradients import PerOutput, Preconditioner
from dlbd_estimators.solvers.smooth.preconditioner import Standardised

#: Number of rows for each parameter that the preconditioner is formed from, if there are more rows.
_ROWS_PER_PARAMETER = 8
#: Up to this number, outputs are few.
_FEW_OUTPUTS = 8
#: With many outputs, the preconditioner takes as long as the gradient. Once a decrement was below
#: this, the curvature hardly changes, and the preconditioner is not formed anew.
_NEAR = 0.3
#: Largest share of a decrement that rounding may leave; above it, float64 is used.
_ROUGH = 1e-3


def preconditioner_fits(problem: Problem) -> bool:
    """Return whether there is memory for the Hessians of all outputs."""
    outputs, width = problem.packing.shape
    n_entries = outputs * width**2
    return n_entries <= LARGEST_HESSIAN**2 and matrices_fit(problem, n_entries)


def stride(problem: Problem) -> int:
    """Return how many rows each row that forms the preconditioner represents."""
    return max(1, (problem.n_rows or 0) // (_ROWS_PER_PARAMETER * problem.packing.size))


def preconditioner(
    problem: Problem, own_curvature: FloatArray | None, columns: Columns
) -> Preconditioner:
    """Return the preconditioner; without Hessians, it is that of the standardised columns.

    Parameters
    ----------
    problem : Problem
        The problem.
    own_curvature : ndarray of shape (n_outputs, width, width) or None
        The Hessian of each output alone.
    columns : Columns
        Moments of the columns.
    """
    if own_curvature is None:
        return Standardised(problem, columns)
    return PerOutput(own_curvature)


def condition(metric: Preconditioner) -> float:
    """Return the condition number of a preconditioner."""
    return metric.condition if isinstance(metric, PerOutput) else 1.0


def has_many_outputs(problem: Problem) -> bool:
    """Return whether products and preconditioners are computed in float32."""
    return problem.packing.n_outputs > _FEW_OUTPUTS


def forms_anew(problem: Problem, own_curvature: FloatArray | None, decrement: float) -> bool:
    """Return whether the next pass forms the Hessian of each output.

    Parameters
    ----------
    problem : Problem
        The problem.
    own_curvature : ndarray or None
        The Hessians that a pass has formed; None if there are none.
    decrement : float
        The smallest decrement so far.
    """
    return own_curvature is None or decrement > _NEAR or not has_many_outputs(problem)


def forming_dtype(problem: Problem, wanted: str) -> str:
    """Return the precision in which a pass forms the Hessian of each output."""
    return wanted if has_many_outputs(problem) else "float64"


def is_rough(metric: Preconditioner, dtype: str) -> bool:
    """Return whether a preconditioner that was formed in ``dtype`` has to be formed in float64."""
    return takes_float64(lost_in_products(metric, dtype, 1.0))


def product_dtype(problem: Problem, metric: Preconditioner, wanted: str) -> str:
    """Return the precision of products; without Hessians, the condition number is unknown."""
    if not isinstance(metric, PerOutput) or is_rough(metric, wanted):
        return "float64"
    return forming_dtype(problem, wanted)


def lost_in_products(metric: Preconditioner, dtype: str, smallest: float) -> float:
    """Return the share of a decrement that the rounding of products may leave; 0 for float64.

    Parameters
    ----------
    metric : Preconditioner
        The preconditioner.
    dtype : str
        Precision of the products.
    smallest : float
        The smallest curvature that the products have shown, relative to the preconditioner.
    """
    return rounding(dtype) * condition(metric) / smallest if dtype == "float32" else 0.0


def takes_float64(lost: float) -> bool:
    """Return whether so large a share of a decrement is lost that float64 is needed."""
    return lost > _ROUGH
