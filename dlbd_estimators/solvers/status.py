"""How a fit can end, and the text of the warning if it ends without a minimum."""

from __future__ import annotations

import warnings
from enum import Enum

from sklearn.exceptions import ConvergenceWarning


class SeparableWarning(ConvergenceWarning):
    """The classes, or some of their rows, are separable and no penalty bounds the coefficients."""


class Status(Enum):
    """Why a solver stopped; the value is the text of the warning, if there is one."""

    CONVERGED = ""
    DONE = "The one step that was asked for was made."
    STOPPED = "{solver} was asked to stop."
    INTERRUPTED = "{solver} was interrupted by the user."
    DIVERGED = "{solver} diverged; the model is the best one before the divergence."
    MAX_ITER = (
        "{prefix}{solver} did not converge in max_iter={max_iter} iterations: the error bound is "
        "{error:.1e}, tol is {tol:.1e}. Increase max_iter, or {advice}.{hint}"
    )
    STALLED = (
        "{prefix}{solver} stopped at the limit of floating-point precision with an error bound of "
        "{error:.1e}, above tol={tol:.1e}. {columns} may be nearly collinear."
    )
    SEPARABLE = (
        "The classes are perfectly separable and there is no penalty: the coefficients have "
        "no finite optimum. They were left at the first point that separates all rows. Set "
        "a finite C to bound them."
    )
    QUASI_SEPARABLE = (
        "Some rows are perfectly separable (for example, one column determines their class) and "
        "there is no penalty: growing coefficients improve the fit of these rows without end and "
        "do not worsen the others, so that there is no finite optimum. Set a finite C to bound "
        "them."
    )

    @property
    def is_warned_of(self) -> bool:
        """Whether the user is warned: not if the fit succeeded or the user asked for the stop."""
        return self not in (Status.CONVERGED, Status.DONE, Status.STOPPED)

    @property
    def category(self) -> type[Warning]:
        """Class of the warning."""
        if self is Status.INTERRUPTED:
            return UserWarning
        separable = self in (Status.SEPARABLE, Status.QUASI_SEPARABLE)
        return SeparableWarning if separable else ConvergenceWarning


def issue_warning(_status: str, message: str, category: type[Warning]) -> None:
    """Issue a Python warning, for fits whose caller does not handle warnings itself."""
    warnings.warn(message, category, stacklevel=2)
