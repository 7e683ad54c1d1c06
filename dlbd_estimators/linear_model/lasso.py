"""Least squares with an l1 penalty."""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.parameters import check_number
from dlbd_estimators.base.to_sklearn import Namesake
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.l1_least_squares import L1LeastSquares


class Lasso(L1LeastSquares):
    """Least squares with an l1 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha |w|_1``; the intercept is not
    penalised, and targets are fitted each for itself.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, at least 0.
    fit_intercept, precompute, copy_X, max_iter, tol, warm_start, positive, random_state, \
            selection, solver, verbose
        As for :class:`ElasticNet`.

    Attributes
    ----------
    coef_, sparse_coef_, intercept_, dual_gap_, n_iter_
        As for :class:`ElasticNet`.
    n_features_in_, feature_names_in_, solver_, n_passes_, history_
        As for :class:`LinearRegression`.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import Lasso
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    >>> Lasso(alpha=0.1).fit(X, [0.0, 1.0, 2.0]).coef_.round(3)
    array([0.85, 0.  ])
    """

    _namesake = Namesake(
        "sklearn.linear_model.Lasso",
        attributes=("coef_", "intercept_", "n_iter_", "dual_gap_"),
        not_theirs=("solver",),
    )

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        precompute: Any = False,
        copy_X: bool = True,
        max_iter: int | None = 1000,
        tol: float = 1e-7,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
        solver: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.positive = positive
        self.random_state = random_state
        self.selection = selection
        self.solver = solver
        self.verbose = verbose

    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        check_number(self, "alpha", low=0.0)
        return L2(), L1(self.alpha, bool(self.positive), of_mean=True)
