"""Convert the parameters of a logistic regression to a penalty, a solver and a start."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.base.parameters import check_choice, check_flag, check_n_jobs, check_number
from dlbd_estimators.base.to_sklearn import SklearnCounterpart
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.linear_model.fit import check_stopping
from dlbd_estimators.linear_model.ignored_parameters import warn_once
from dlbd_estimators.linear_model.solver_names import logistic_solver
from dlbd_estimators.linear_model.sparse_coefficients import dense

#: The default of ``penalty``, as in scikit-learn.
UNSET = "deprecated"


def _adapt(parameters: dict[str, Any]) -> None:
    # scikit-learn's default solver does not support an l1 penalty.
    if parameters.get("l1_ratio", 0.0) > 0.0:
        parameters["solver"] = "saga"


#: How a logistic regression is converted to scikit-learn's class.
SKLEARN_COUNTERPART = SklearnCounterpart(
    "sklearn.linear_model.LogisticRegression",
    attributes=("coef_", "intercept_", "n_iter_", "classes_"),
    not_copied=("solver",),
    adapt=_adapt,
)


class Penalty(NamedTuple):
    """A penalty: its name in scikit-learn, and its values of C and l1_ratio."""

    name: str | None
    C: float
    l1_ratio: float


def has_l1_part(estimator: Any) -> bool:
    """Return whether the parameters describe an l1 penalty; the parameters are not checked."""
    if estimator.penalty == UNSET:
        return estimator.l1_ratio is not None and estimator.l1_ratio != 0
    return estimator.penalty in ("l1", "elasticnet")


def check_parameters(estimator: Any) -> tuple[Penalty, str]:
    """Check the parameters; return the penalty, and the name of this package's solver.

    Raises
    ------
    ValueError
        A parameter is out of range, or contradicts another.

    Warns
    -----
    ParameterWithoutEffect
        A parameter has no effect here.
    FutureWarning
        A parameter is deprecated in scikit-learn.
    UserWarning
        A parameter is ignored because of another one.
    """
    check_stopping(estimator, fewest=0)
    for flag in ("dual", "warm_start"):
        check_flag(estimator, flag)
    check_number(estimator, "intercept_scaling", low=0.0, open_low=True)
    check_n_jobs(estimator)
    penalty = penalty_of(estimator)
    solver = logistic_solver(estimator, penalty.name)
    if estimator.intercept_scaling != 1:
        warn_once(estimator, "intercept_scaling", "the intercept is never penalised.")
    if estimator.n_jobs is not None:
        why = "it is deprecated in scikit-learn 1.8, and Dask sets the number of threads."
        warn_once(estimator, "n_jobs", why, FutureWarning)
    return penalty, solver


def penalty_of(estimator: Any) -> Penalty:
    """Check ``penalty``, ``C`` and ``l1_ratio``, and return the penalty that they describe.

    Raises
    ------
    ValueError
        One of them is out of range, or ``penalty="elasticnet"`` comes without ``l1_ratio``.

    Warns
    -----
    FutureWarning
        ``penalty`` is given, or ``l1_ratio`` is None: scikit-learn has deprecated both.
    UserWarning
        ``penalty`` and another parameter contradict each other; ``penalty`` is used.
    """
    check_number(estimator, "C", low=0.0, open_low=True, infinite=True)
    check_number(estimator, "l1_ratio", low=0.0, high=1.0, none=True)
    check_choice(estimator, "penalty", ("l1", "l2", "elasticnet", UNSET), none=True)
    C, l1_ratio, name = estimator.C, estimator.l1_ratio, estimator.penalty
    if name == UNSET:
        if l1_ratio is None:
            warn_user(
                "'l1_ratio=None' was deprecated in scikit-learn 1.8. Pass l1_ratio=0 instead, "
                "which is the same.",
                FutureWarning,
            )
            l1_ratio = 0.0
        return Penalty(_name_of(C, l1_ratio), C, float(l1_ratio))
    warn_user(
        "'penalty' was deprecated in scikit-learn 1.8 and works here as long as it does there. "
        "Pass l1_ratio=0 for penalty='l2', l1_ratio=1 for 'l1', a number between for "
        "'elasticnet', and C=np.inf for None.",
        FutureWarning,
    )
    if name == "elasticnet":
        if l1_ratio is None:
            raise ValueError("l1_ratio must be specified when penalty is elasticnet.")
        return Penalty(name, C, float(l1_ratio))
    _warn_of_contradictions(name, C, l1_ratio)
    if name is None:
        return Penalty(None, np.inf, 0.0)
    return Penalty(name, C, 1.0 if name == "l1" else 0.0)


def last_solution(
    estimator: Any, packing: Packing, classes: NDArray[Any], *, shifted: bool
) -> FloatArray | None:
    """Return the parameters to start from with ``warm_start``; None lets the solver choose.

    Parameters
    ----------
    estimator : LogisticRegression
        The estimator. It has coefficients if it was fitted before.
    packing : Packing
        Order of the parameters.
    classes : ndarray of shape (n_classes,)
        Classes of the new data.
    shifted : bool
        Whether a shift common to the coefficients of all classes changes the objective, as it does
        with an l1 penalty.

    Raises
    ------
    ValueError
        The last fit had other classes or another number of features.
    """
    if not (estimator.warm_start and hasattr(estimator, "coef_")):
        return None
    shape = packing.n_outputs, packing.n_features
    if estimator.coef_.shape != shape or not np.array_equal(estimator.classes_, classes):
        raise ValueError(
            f"warm_start=True, but the last fit had classes {estimator.classes_} and coefficients "
            f"of shape {estimator.coef_.shape}; these data have classes {classes} and need "
            f"{shape}. Fit a new estimator."
        )
    coef, intercept = dense(estimator.coef_), estimator.intercept_
    if packing.n_outputs > 1 and not shifted:
        # A shift common to all classes changes no probability; solvers require that it is zero.
        coef, intercept = coef - coef.mean(axis=0), intercept - intercept.mean()
    return packing.pack(coef, intercept)


def _warn_of_contradictions(name: str | None, C: float, l1_ratio: float | None) -> None:
    if l1_ratio is not None and 0 < l1_ratio < 1:
        warn_user(
            f"l1_ratio parameter is only used when penalty is 'elasticnet'. Got (penalty={name})",
            UserWarning,
        )
    if name is not None and l1_ratio != (1.0 if name == "l1" else 0.0):
        warn_user(
            f"Inconsistent values: penalty={name} with l1_ratio={l1_ratio}. penalty is used; "
            f"leave it out and pass only l1_ratio.",
            UserWarning,
        )
    if name is None and C != 1.0:
        warn_user("Setting penalty=None will ignore the C and l1_ratio parameters", UserWarning)


def _name_of(C: float, l1_ratio: float) -> str | None:
    if np.isinf(C):
        return None
    return "l2" if l1_ratio == 0 else "l1" if l1_ratio == 1 else "elasticnet"
