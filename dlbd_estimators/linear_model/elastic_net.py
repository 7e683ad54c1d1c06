"""Least squares with an l1 and an L2 penalty."""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.parameters import check_number
from dlbd_estimators.base.to_sklearn import Namesake
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.l1_least_squares import L1LeastSquares


class ElasticNet(L1LeastSquares):
    """Least squares with an l1 and an L2 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha l1_ratio |w|_1
    + alpha (1 - l1_ratio) ||w||^2 / 2``; the intercept is not penalised, and targets are fitted
    each for itself.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, at least 0.
    l1_ratio : float, default=0.5
        Share of the l1 part, from 0 to 1.
    fit_intercept : bool, default=True
        Estimate ``b``; otherwise it is 0.
    precompute : bool or array-like, default=False
        Taken for scikit-learn's sake: second moments are always computed, and one that is passed is
        not used, which is told once.
    max_iter : int, default=1000
        Largest number of steps of the solver, each of which is a pass over the data; None is 1,000.
    copy_X : bool, default=True
        Taken for scikit-learn's sake: X is never changed.
    tol : float, default=1e-7
        Largest acceptable error of a coefficient, in standard units of its column and relative to
        the largest coefficient in these units: no change of units changes it. ``history_`` tells
        the ``"error"`` of each step, and in ``"error_is"`` whether that is a bound or an estimate.
        The duality gap, relative to the mean square of the (centred) targets, is at most 1e-10
        then, or ``tol`` if that is less, or its square if that is more; it is that of the data
        themselves, not of their rounded moments.
    warm_start : bool, default=False
        Start from the last solution.
    positive : bool, default=False
        Allow no negative coefficient.
    random_state, selection : int, RandomState or None, default=None; {"cyclic", "random"}
        Taken for scikit-learn's sake: the order of coordinates does not change the minimiser.
        ``"random"`` is told of once.
    solver : {"auto", "coordinate_descent"}, default="auto"
        Coordinate descent on second moments up to 4,000 features, or fewer where workers have
        little memory, and beyond on those of a growing set of features that are not zero.
    verbose : int or bool, default=0
        1 prints a line a step: loss, gradient, error, seconds and reading speed.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, float64.
    sparse_coef_ : scipy.sparse.csr_matrix of shape (1, n_features) or (n_targets, n_features)
        The same, without the zeros.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    dual_gap_ : float or ndarray of shape (n_targets,)
        How much the objective can still fall, at most, by float64 residuals of all rows. Without
        an l1 part it is half the squared Newton decrement.
    n_iter_ : int or list of int
        Steps of the solver, the same for all targets.
    n_features_in_, feature_names_in_, solver_, n_passes_, history_
        As for :class:`LinearRegression`.

    Notes
    -----
    One pass brings the second moments; coordinate descent and, where columns are nearly
    dependent, feature-sign search (Lee et al. 2006) solve the problem without the data; one more
    pass proves the solution by its duality gap, and repairs what rounding of the moments cost.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import ElasticNet
    >>> X = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    >>> ElasticNet(alpha=0.1).fit(X, [0.0, 1.0, 2.0]).coef_.round(3)
    array([0.451, 0.451])
    """

    _namesake = Namesake(
        "sklearn.linear_model.ElasticNet",
        attributes=("coef_", "intercept_", "n_iter_", "dual_gap_"),
        not_theirs=("solver",),
    )

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
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.copy_X = copy_X
        self.tol = tol
        self.warm_start = warm_start
        self.positive = positive
        self.random_state = random_state
        self.selection = selection
        self.solver = solver
        self.verbose = verbose

    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        check_number(self, "alpha", low=0.0)
        check_number(self, "l1_ratio", low=0.0, high=1.0)
        l1 = L1(self.alpha * self.l1_ratio, bool(self.positive), of_mean=True)
        return L2(self.alpha * (1.0 - self.l1_ratio), of_mean=True), l1
