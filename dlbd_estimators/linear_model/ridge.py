"""Least squares with an L2 penalty."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dlbd_estimators.base.documentation import documented_by_bases
from dlbd_estimators.base.parameters import check_flag, invalid_parameter
from dlbd_estimators.base.to_sklearn import SklearnCounterpart
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.fit import check_stopping
from dlbd_estimators.linear_model.incremental import IncrementalLeastSquares
from dlbd_estimators.linear_model.least_squares_splits import (
    fit_least_squares_on_splits,
    may_share,
)
from dlbd_estimators.linear_model.solver_names import ridge_solver
from dlbd_estimators.linear_model.split_fits import FitOnSplits
from dlbd_estimators.linear_model.stored_covariance import check_storable
from dlbd_estimators.solvers import Solution


@documented_by_bases
class Ridge(IncrementalLeastSquares):
    """Least squares with an L2 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 + alpha ||w||^2``, where ``s_i`` is the weight of
    row i. The intercept ``b`` is not penalised.

    Parameters
    ----------
    alpha : float or array-like of shape (n_targets,), default=1.0
        Strength of the penalty, at least 0: one number for all targets, or one for each target.
    max_iter : int, optional
        Largest number of steps of an iterative solver; None means 1,000.
    tol : float, default=1e-7
        Largest acceptable error of a coefficient: the largest ``sd_j |dw_j|`` divided by the
        largest ``sd_j |w_j|``, where ``sd_j`` is the standard deviation of column j and ``dw_j``
        the error of its coefficient. It does not depend on the units of X. ``history_`` gives this
        ``"error"`` for each step; ``"error_is"`` is ``"bound"`` or ``"estimate"``.
        ``"gram"`` is a direct solver: it does not stop at ``tol``.
    solver : {"auto", "gram", "newton", "newton_cg", "lbfgs", "gradient_descent", "nesterov", \
            "coordinate_descent", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga"}, \
            default="auto"
        ``"gram"`` takes one pass over the data, or two if the columns are nearly dependent and
        the penalty is weak. ``"auto"`` chooses as in :class:`LinearRegression`. The last six are
        names of scikit-learn's solvers. They reach the same minimum, so each of them means
        ``"auto"`` here. If ``positive`` is True, ``"lbfgs"`` also means ``"auto"``.
    store_covariance : bool, default=False
        Whether to keep the sums from which ``inference.coefficient_table(model)`` computes standard
        errors without X, ``8 (n_features + 1)^2`` bytes. It takes one more pass, except for float64
        data and the solver ``"gram"``. Only with one target.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, float64. They have one dimension if y has a single target, and so have the
        predictions.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    n_iter_ : ndarray of shape (n_targets,)
        Number of steps of the solver, the same for all targets; 1 or 2 with ``"gram"``.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import Ridge
    >>> X = np.array([[-1.0], [0.0], [1.0]])
    >>> Ridge(alpha=2.0).fit(X, [-2.0, 0.0, 2.0]).coef_
    array([1.])
    """

    _sklearn_counterpart = SklearnCounterpart(
        "sklearn.linear_model.Ridge",
        attributes=("coef_", "intercept_", "n_iter_"),
        not_copied=("solver",),
    )

    #: Parameters in which models that a search fits together may differ. Not inherited.
    _shared_parameters = ("alpha", "fit_intercept", "tol", "solver")
    _may_share = may_share
    _fit_on_splits: ClassVar[FitOnSplits] = staticmethod(fit_least_squares_on_splits)

    def __init__(
        self,
        alpha: Any = 1.0,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        max_iter: int | None = None,
        tol: float = 1e-7,
        solver: str = "auto",
        positive: bool = False,
        random_state: Any = None,
        verbose: int = 0,
        checkpoint: Any = None,
        store_covariance: bool = False,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.positive = positive
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint
        self.store_covariance = store_covariance

    def _check_parameters(self) -> tuple[str, str]:
        check_stopping(self, unbounded=True)
        for flag in ("copy_X", "positive"):
            check_flag(self, flag)
        bounded = "positive=True bounds them" if self.positive else None
        check_storable(self, reason=bounded)
        return "ridge", ridge_solver(self)

    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        strength = _strength(self, self.alpha, n_outputs)
        if self.positive and np.ndim(strength):
            raise ValueError(
                "positive=True takes one alpha for all targets, but alpha has one for each. Fit "
                "one Ridge for each target."
            )
        return L2(strength), L1(positive=True) if self.positive else None

    def _attributes(self, packing: Packing, single: bool, solution: Solution) -> dict[str, Any]:
        attributes = super()._attributes(packing, single, solution)
        attributes["n_iter_"] = np.full(packing.n_outputs, solution.n_iter, dtype=np.int32)
        return attributes


def _strength(estimator: Any, alpha: Any, n_outputs: int) -> Any:
    """Return alpha as a float for all targets, or as an array with a float for each target."""
    given = np.asarray(alpha)
    try:
        if given.dtype.kind not in "biufO":
            raise TypeError("a text, for example")
        strength = given.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise invalid_parameter(
            estimator, "alpha", "a float in the range [0.0, inf)", "an array-like"
        ) from error
    if strength.ndim > 1 or strength.size not in (1, n_outputs):
        raise ValueError(
            f"Number of targets and number of penalties do not correspond: {strength.size} != "
            f"{n_outputs}. Pass one alpha, or one for each target; it has shape {strength.shape}."
        )
    if not (np.isfinite(strength).all() and (strength >= 0).all()):
        raise invalid_parameter(
            estimator, "alpha", "a float in the range [0.0, inf)", "an array-like"
        )
    return float(strength.reshape(-1)[0]) if strength.size == 1 else strength
