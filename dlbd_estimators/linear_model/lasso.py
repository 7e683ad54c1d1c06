"""Least squares with an l1 penalty."""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.parameters import check_number
from dlbd_estimators.base.to_sklearn import Namesake
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.l1_least_squares import L1LeastSquares
from dlbd_estimators.linear_model.least_squares_splits import (
    fit_least_squares_on_splits,
    may_share,
)


class Lasso(L1LeastSquares):
    """Least squares with an l1 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha |w|_1``, where ``s_i`` is the
    weight of row i. The intercept ``b`` is not penalised. Each target is fitted on its own.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, at least 0.
    fit_intercept : bool, default=True
        Whether to estimate the intercept ``b``; if not, it is 0.
    precompute : bool or array-like, default=False
        Accepted for compatibility with scikit-learn; it has no effect, since second moments are
        always computed. If a matrix is passed, a warning says once that it is not used.
    copy_X : bool, default=True
        Accepted for compatibility with scikit-learn; it has no effect, since X is never changed.
    max_iter : int, default=1000
        Largest number of steps of the solver; each step is a pass over the data. None means 1,000.
    tol : float, default=1e-7
        Largest acceptable error of a coefficient, in standard units of its column and relative to
        the largest coefficient in these units: no change of units changes it. ``history_`` gives
        the ``"error"`` of each step, and in ``"error_is"`` whether that is a bound or an estimate.
        The duality gap, relative to the mean square of the (centred) targets, is at most 1e-10
        then, or ``tol`` if that is less, or its square if that is more; it is that of the data
        themselves, not of their rounded moments.
    warm_start : bool, default=False
        Whether to start from the solution of the last fit.
    positive : bool, default=False
        Allow no negative coefficient; the intercept may have any sign.
    random_state : int, RandomState or None, default=None
        Accepted for compatibility with scikit-learn; it has no effect.
    selection : {"cyclic", "random"}, default="cyclic"
        Accepted for compatibility with scikit-learn; it has no effect, since the order of
        coordinates does not change the minimum. A warning says so once for ``"random"``.
    solver : {"auto", "coordinate_descent", "working_set"}, default="auto"
        ``"coordinate_descent"`` works on the second moments of all features, and
        ``"working_set"`` on those of a growing set of features whose coefficients are not zero.
        ``"auto"`` is the first for up to 4,000 features, or fewer if the workers have little
        memory, and the second for more.
    verbose : int or bool, default=0
        1 or True prints one line for each step: loss, gradient, error, seconds and reading speed.
    checkpoint : str or path, optional
        Folder, or URL of an object store, to which the fit is written after each step. A later
        ``fit`` with the same parameters and data goes on from there, with the same bits. ``{}`` in
        it stands for what tells one fit from another, as a search needs it. See
        ``docs/reliability.md``.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, float64.
    sparse_coef_ : scipy.sparse.csr_matrix of shape (1, n_features) or (n_targets, n_features)
        The same, without the zeros.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    dual_gap_ : float or ndarray of shape (n_targets,)
        Upper bound on how far the objective is above its minimum, from float64 residuals of all
        rows. Without an l1 part it is half the squared Newton decrement.
    n_iter_ : int or list of int
        Number of steps of the solver, the same for all targets.
    n_samples_seen_ : int
        Number of rows until now; after ``partial_fit`` and ``merge`` alone.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had names.
    solver_ : str
        The solver used.
    n_passes_ : float
        Passes over the data.
    history_ : list of dict
        One entry a step; see :class:`dlbd_estimators.solvers.history.Record`.

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

    #: What models may differ in that a search fits together; of this very class alone.
    _shared_parameters = ("alpha", "fit_intercept", "positive", "tol")
    _may_share = may_share
    _fit_on_splits = staticmethod(fit_least_squares_on_splits)

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
        checkpoint: Any = None,
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
        self.checkpoint = checkpoint

    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        check_number(self, "alpha", low=0.0)
        return L2(), L1(self.alpha, bool(self.positive), of_mean=True)
