"""Least squares with an l1 penalty."""

from __future__ import annotations

from typing import ClassVar

from dlbd_estimators.base.documentation import documented_by_bases
from dlbd_estimators.base.parameters import check_number
from dlbd_estimators.base.to_sklearn import SklearnCounterpart
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.l1_least_squares import L1LeastSquares
from dlbd_estimators.linear_model.least_squares_splits import (
    fit_least_squares_on_splits,
    may_share,
)
from dlbd_estimators.linear_model.split_fits import FitOnSplits


@documented_by_bases
class Lasso(L1LeastSquares):
    """Least squares with an l1 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha |w|_1``, where ``s_i`` is the
    weight of row i. The intercept ``b`` is not penalised. Each target is fitted separately.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import Lasso
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    >>> Lasso(alpha=0.1).fit(X, [0.0, 1.0, 2.0]).coef_.round(3)
    array([0.85, 0.  ])
    """

    _sklearn_counterpart = SklearnCounterpart(
        "sklearn.linear_model.Lasso",
        attributes=("coef_", "intercept_", "n_iter_", "dual_gap_"),
        not_copied=("solver",),
    )

    #: Parameters in which models that a search fits together may differ. Not inherited.
    _shared_parameters = ("alpha", "fit_intercept", "positive", "tol")
    _may_share = may_share
    _fit_on_splits: ClassVar[FitOnSplits] = staticmethod(fit_least_squares_on_splits)

    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        check_number(self, "alpha", low=0.0)
        return L2(), L1(self.alpha, bool(self.positive), of_mean=True)
