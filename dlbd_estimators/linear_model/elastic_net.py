"""Least squares with an l1 and an L2 penalty."""

from __future__ import annotations

from typing import Any, ClassVar

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
class ElasticNet(L1LeastSquares):
    """Least squares with an l1 and an L2 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha l1_ratio |w|_1
    + alpha (1 - l1_ratio) ||w||^2 / 2``, where ``s_i`` is the weight of row i. The intercept ``b``
    is not penalised. Each target is fitted separately.

    Parameters
    ----------
    l1_ratio : float, default=0.5
        Share of the l1 part, from 0 to 1.

    Notes
    -----
    The first pass computes the second moments. Coordinate descent solves the problem on these
    moments, without reading the data again. If columns are nearly dependent, feature-sign search
    (Lee et al. 2006) continues from its result. One more pass computes the duality gap, which
    proves how accurate the solution is, and corrects the rounding error of the moments.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import ElasticNet
    >>> X = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    >>> ElasticNet(alpha=0.1).fit(X, [0.0, 1.0, 2.0]).coef_.round(3)
    array([0.446, 0.446])
    """

    _sklearn_counterpart = SklearnCounterpart(
        "sklearn.linear_model.ElasticNet",
        attributes=("coef_", "intercept_", "n_iter_", "dual_gap_"),
        not_copied=("solver",),
    )

    #: Parameters in which models that a search fits together may differ. Not inherited.
    _shared_parameters = ("alpha", "l1_ratio", "fit_intercept", "positive", "tol")
    _may_share = may_share
    _fit_on_splits: ClassVar[FitOnSplits] = staticmethod(fit_least_squares_on_splits)

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        precompute: Any = False,
        max_iter: int | None = 1000,
        copy_X: bool = True,
        tol: float = 1e-7,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
        solver: str = "auto",
        verbose: int = 0,
        checkpoint: Any = None,
    ) -> None:
        super().__init__(
            alpha,
            fit_intercept=fit_intercept,
            precompute=precompute,
            copy_X=copy_X,
            max_iter=max_iter,
            tol=tol,
            warm_start=warm_start,
            positive=positive,
            random_state=random_state,
            selection=selection,
            solver=solver,
            verbose=verbose,
            checkpoint=checkpoint,
        )
        self.l1_ratio = l1_ratio

    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        check_number(self, "alpha", low=0.0)
        check_number(self, "l1_ratio", low=0.0, high=1.0)
        l1 = L1(self.alpha * self.l1_ratio, bool(self.positive), of_mean=True)
        return L2(self.alpha * (1.0 - self.l1_ratio), of_mean=True), l1
