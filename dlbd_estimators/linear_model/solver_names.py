"""scikit-learn's names of solvers, and the solver of this package that each of them means.

In scikit-learn these solvers reach the same minimum, so each name means the most similar solver of
this package. A name refuses the same parameters as in scikit-learn, so that code which runs with
both packages has the same meaning in both.
"""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.parameters import check_choice
from dlbd_estimators.linear_model.choose_solver import SOLVERS
from dlbd_estimators.linear_model.ignored_parameters import warn_once

_LOGISTIC = {
    "liblinear": "auto",
    "newton-cg": "auto",
    "newton-cholesky": "newton",
    "sag": "auto",
    "saga": "auto",
}
_RIDGE = dict.fromkeys(("svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga"), "auto")

#: First words of scikit-learn's warnings by solver name, because users filter warnings by them.
_NOT_CONVERGED = {
    "lbfgs": "lbfgs failed to converge. ",
    "liblinear": "Liblinear failed to converge, increase the number of iterations. ",
    "newton-cg": "newton-cg failed to converge. Increase the number of iterations. ",
    "newton-cholesky": "Newton solver did not converge after {} iterations. ",
    "sag": "The max_iter was reached which means the coef_ did not converge. ",
    "saga": "The max_iter was reached which means the coef_ did not converge. ",
}


def warning_prefix(estimator: Any) -> str:
    """Return the first words of the warning for a fit that has not converged."""
    return _NOT_CONVERGED.get(estimator.solver, "").format(estimator.max_iter)


def check_solver(estimator: Any, others: tuple[str, ...] = ()) -> None:
    """Check the estimator's parameter ``solver``.

    Parameters
    ----------
    estimator : estimator
        The estimator with the parameter.
    others : tuple of str
        scikit-learn's names, which are accepted in addition to the names of this package.

    Raises
    ------
    InvalidParameter
        There is no such solver. The message lists all solvers.
    """
    check_choice(estimator, "solver", ("auto", *SOLVERS, *others))


def logistic_solver(estimator: Any, penalty: str | None) -> str:
    """Return the name of this package's solver for a logistic regression.

    Parameters
    ----------
    estimator : LogisticRegression
        The estimator, whose parameters ``solver`` and ``dual`` are used.
    penalty : {"l1", "l2", "elasticnet"} or None
        The penalty that the other parameters describe.

    Raises
    ------
    ValueError
        scikit-learn's solver of this name does not support this penalty or ``dual=True``.
    """
    check_solver(estimator, tuple(_LOGISTIC))
    name: str = estimator.solver
    if name in _LOGISTIC or name == "lbfgs":
        _check_sklearn_name(name, penalty, dual=estimator.dual)
    if estimator.dual:
        warn_once(estimator, "dual", "the primal problem is solved, which has the same minimiser.")
    return _LOGISTIC.get(name, name)


def _check_sklearn_name(name: str, penalty: str | None, *, dual: bool) -> None:
    advice = "Use solver='auto' for all penalties."
    if name not in ("liblinear", "saga") and penalty not in ("l2", None):
        raise ValueError(
            f"Solver {name} supports only 'l2' or None penalties, got {penalty} penalty. {advice}"
        )
    if dual and name != "liblinear":
        raise ValueError(f"Solver {name} supports only dual=False, got dual=True. Leave it out.")
    if name == "liblinear" and penalty == "elasticnet":
        raise ValueError(
            f"Only 'saga' solver supports elasticnet penalty, got solver={name}. {advice}"
        )
    if name == "liblinear" and penalty is None:
        raise ValueError(
            f"C=np.inf as well as penalty=None is not supported for the {name} solver. {advice}"
        )


def check_liblinear(estimator: Any, n_classes: int) -> None:
    """Check that ``"liblinear"`` has two classes, and warn that its intercept is not penalised.

    Raises
    ------
    ValueError
        There are more than two classes.
    """
    if estimator.solver != "liblinear":
        return
    if n_classes > 2:
        raise ValueError(
            "The 'liblinear' solver does not support multiclass classification (n_classes >= 3). "
            "Use solver='auto' for softmax regression, or wrap the estimator in a "
            "OneVsRestClassifier."
        )
    if estimator.fit_intercept:
        warn_once(
            estimator,
            "solver",
            "'liblinear' penalises the intercept in scikit-learn. Here the intercept is not "
            "penalised, so the result is that of scikit-learn's other solvers.",
        )


def ridge_solver(estimator: Any) -> str:
    """Return the name of this package's solver for a ridge regression.

    Raises
    ------
    ValueError
        scikit-learn's solver of this name does not support ``positive=True``.
    """
    check_solver(estimator, tuple(_RIDGE))
    name: str = estimator.solver
    if estimator.positive and name in _RIDGE:
        raise ValueError(
            f"solver={name!r} does not support positive fitting. Use solver='auto', or "
            f"positive=False."
        )
    if estimator.positive and name == "lbfgs":
        return "auto"  # scikit-learn's only solver with bounds
    return _RIDGE.get(name, name)
