"""Ordinary least squares."""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.documentation import documented_by_bases
from dlbd_estimators.base.parameters import check_flag, check_n_jobs
from dlbd_estimators.base.to_sklearn import SklearnCounterpart
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.fit import check_stopping
from dlbd_estimators.linear_model.ignored_parameters import warn_once
from dlbd_estimators.linear_model.incremental import IncrementalLeastSquares
from dlbd_estimators.linear_model.solver_names import check_solver
from dlbd_estimators.linear_model.stored_covariance import check_storable
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.smooth.gram import GramState


@documented_by_bases
class LinearRegression(IncrementalLeastSquares):
    """Ordinary least squares.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2``, where ``s_i`` is the weight of row i. If several
    ``w`` reach the minimum, the result is the one of least norm, as in scikit-learn.

    Parameters
    ----------
    tol : float, default=1e-7
        Largest acceptable error of a coefficient: the largest ``sd_j |dw_j|`` divided by the
        largest ``sd_j |w_j|``, where ``sd_j`` is the standard deviation of column j and ``dw_j``
        the error of its coefficient. It does not depend on the units of X. ``history_`` gives this
        ``"error"`` for each step; ``"error_is"`` is ``"bound"`` or ``"estimate"``.
        ``"gram"`` is a direct solver: it does not stop at ``tol``. Unlike scikit-learn's ``tol``,
        this parameter is no cut-off of singular values.
    n_jobs : int, optional
        Accepted for compatibility with scikit-learn; it has no effect, since Dask sets the number
        of threads. A value other than None gives one warning.
    max_iter : int, default=1000
        Largest number of steps of an iterative solver.
    solver : {"auto", "gram", "newton", "newton_cg", "lbfgs", "gradient_descent", "nesterov", \
            "coordinate_descent"}, default="auto"
        ``"gram"`` takes one pass over the data, or two if the columns are nearly dependent.
        ``"auto"`` chooses ``"coordinate_descent"`` if ``positive`` is True. Otherwise it chooses
        ``"gram"`` for up to 4,000 features, if the workers have memory for a matrix of shape
        (n_features, n_features), and ``"lbfgs"`` in all other cases. ``"gradient_descent"`` takes
        gradient steps with momentum in the metric of a sample's Hessian; ``"nesterov"`` takes
        Nesterov's accelerated steps along the plain gradient of standardised columns, which shows
        how many more passes they need.
    store_covariance : bool, default=False
        Whether to keep the sums from which ``inference.coefficient_table(model)`` computes standard
        errors without X, ``8 (n_features + 1)^2`` bytes. It takes one more pass, except for float64
        data and the solver ``"gram"``. Only with one target.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, float64.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    rank_ : int
        Rank of the centred X. Only with ``"gram"``.
    singular_ : ndarray of shape (n_features,)
        Singular values of the centred X, with rows scaled by the square roots of their weights.
        Only with ``"gram"``.
    n_iter_ : int
        Number of steps of the solver; 1 or 2 with ``"gram"``.

    Notes
    -----
    ``"gram"`` solves the normal equations. Columns are centred, products are formed in the dtype
    of X and summed in float64, and the sums of blocks are merged by the update of Chan, Golub and
    LeVeque (1983). If the condition number of the sums makes the sixth digit of a coefficient
    uncertain, a second pass corrects it: by a gradient in float64, or by a blocked orthogonal
    factorisation (TSQR).

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LinearRegression
    >>> X = np.array([[1.0], [2.0], [3.0]])
    >>> LinearRegression().fit(X, [2.0, 4.0, 6.0]).predict([[4.0]]).round(6)
    array([8.])
    """

    _sklearn_counterpart = SklearnCounterpart(
        "sklearn.linear_model.LinearRegression",
        attributes=("coef_", "intercept_", "rank_", "singular_"),
        not_copied=("solver", "tol"),
    )
    _flat_column = False  # as in scikit-learn

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        tol: float = 1e-7,
        n_jobs: int | None = None,
        positive: bool = False,
        max_iter: int = 1000,
        solver: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
        checkpoint: Any = None,
        store_covariance: bool = False,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.tol = tol
        self.n_jobs = n_jobs
        self.positive = positive
        self.max_iter = max_iter
        self.solver = solver
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint
        self.store_covariance = store_covariance

    def _check_parameters(self) -> tuple[str, str]:
        check_stopping(self)
        for flag in ("copy_X", "positive"):
            check_flag(self, flag)
        bounded = "positive=True bounds them" if self.positive else None
        check_storable(self, reason=bounded)
        check_n_jobs(self)
        check_solver(self)
        if self.n_jobs is not None:
            warn_once(self, "n_jobs", "Dask sets the number of threads.")
        return "linear", self.solver

    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        return L2(), L1(positive=True) if self.positive else None

    def _attributes(self, packing: Packing, single: bool, solution: Solution) -> dict[str, Any]:
        attributes = super()._attributes(packing, single, solution)
        if isinstance(solution.state, GramState):
            attributes["rank_"] = solution.state.rank
            attributes["singular_"] = solution.state.singular
        return attributes
