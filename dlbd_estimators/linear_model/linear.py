"""Least squares, with and without an L2 penalty."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.base.callbacks import with_callbacks
from dlbd_estimators.base.parameters import check_flag, check_n_jobs, refused
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.fit import check_stopping
from dlbd_estimators.linear_model.ignored_parameters import tell_once
from dlbd_estimators.linear_model.least_squares import LeastSquares
from dlbd_estimators.linear_model.solver_names import check_solver, ridge_solver
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.smooth.gram import GramState


class LinearRegression(LeastSquares):
    """Ordinary least squares.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2``, where ``s_i`` is the weight of row i. If several
    ``w`` reach the minimum, the result is the one of least norm, as in scikit-learn.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Whether to estimate the intercept ``b``; if not, it is 0.
    copy_X : bool, default=True
        Accepted for compatibility with scikit-learn; it has no effect, since X is never changed.
    tol : float, default=1e-10
        For iterative solvers: largest acceptable distance to the minimiser in the metric of
        the Hessian, relative to the standard deviation of y (scale-free). ``"gram"`` is
        direct. Unlike scikit-learn's parameter of this name it is no cut-off of singular
        values.
    n_jobs : int, optional
        Accepted for compatibility with scikit-learn; it has no effect, since Dask sets the number
        of threads. A warning says so once.
    positive : bool, default=False
        Allow no negative coefficient; the intercept may have any sign. It takes one more pass,
        which proves that the solution is the minimum.
    max_iter : int, default=1000
        Largest number of steps of an iterative solver.
    solver : {"auto", "gram", "newton", "lbfgs", "gradient_descent", "coordinate_descent"}, \
            default="auto"
        ``"gram"`` takes one pass over the data, or two if the columns are nearly dependent.
        ``"auto"`` is ``"coordinate_descent"`` with ``positive``. Otherwise it is ``"gram"`` for up
        to 4,000 features, if the workers have memory for a matrix of all pairs of features, and
        ``"lbfgs"`` for more.
    random_state : int, RandomState or None, default=None
        Seed that chooses the blocks of a sample, if the solver uses a sample. None is a fixed
        seed: the same data give the same result.
    verbose : int or bool, default=0
        1 or True prints one line for each step: loss, gradient, error, seconds and reading speed.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, float64.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    rank_ : int
        Rank of the centred X (with ``"gram"``).
    singular_ : ndarray of shape (n_features,)
        Singular values of the centred X, with rows scaled by the square roots of their weights
        (with ``"gram"``).
    n_iter_ : int
        Number of steps of the solver; 1 or 2 with ``"gram"``.
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

    Notes
    -----
    ``"gram"`` solves the normal equations. Columns are centred, products are formed in the dtype
    of X and summed in float64, and the sums of blocks are merged by the update of Chan, Golub and
    LeVeque (1983). If the condition of the sums puts the sixth digit of a coefficient in doubt, a
    second pass repairs it: a gradient in float64, or a blocked orthogonal factorisation (TSQR).

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LinearRegression
    >>> X = np.array([[1.0], [2.0], [3.0]])
    >>> LinearRegression().fit(X, [2.0, 4.0, 6.0]).predict([[4.0]]).round(6)
    array([8.])
    """

    _flat_column = False  # nor has scikit-learn's

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        tol: float = 1e-10,
        n_jobs: int | None = None,
        positive: bool = False,
        max_iter: int = 1000,
        solver: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
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

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LinearRegression:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        LinearRegression
            The fitted estimator.

        Raises
        ------
        ValueError
            X, y or sample_weight holds NaN or infinity (the message names block, row and column),
            lengths differ, the solver is unknown, or a parameter is out of range.
        TypeError
            X or y is not numeric.
        MemoryError
            A block does not fit in the memory of a worker, or a sparse X does not fit once it is
            dense. It is raised before anything is read.

        Warns
        -----
        ConvergenceWarning
            ``tol`` was not reached, in ``max_iter`` steps or because of rounding.
        """
        check_stopping(self)
        _check_flags(self)
        check_n_jobs(self)
        check_solver(self)
        if self.n_jobs is not None:
            tell_once(self, "n_jobs", "threads are Dask's.")
        return self._fit(X, y, sample_weight, "linear", self.solver)

    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        return L2(), L1(positive=True) if self.positive else None

    def _attributes(self, packing: Packing, single: bool, solution: Solution) -> dict[str, Any]:
        attributes = super()._attributes(packing, single, solution)
        if isinstance(solution.state, GramState):
            attributes["rank_"] = solution.state.rank
            attributes["singular_"] = solution.state.singular
        return attributes


class Ridge(LeastSquares):
    """Least squares with an L2 penalty.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 + alpha ||w||^2``, where ``s_i`` is the weight of
    row i. The intercept ``b`` is not penalised.

    Parameters
    ----------
    alpha : float or array-like of shape (n_targets,), default=1.0
        Strength of the penalty, at least 0: one number for all targets, or one for each target.
    fit_intercept : bool, default=True
        Whether to estimate the intercept ``b``; if not, it is 0.
    copy_X : bool, default=True
        Accepted for compatibility with scikit-learn; it has no effect, since X is never changed.
    max_iter : int, optional
        Largest number of steps of an iterative solver; None means 1,000.
    tol : float, default=1e-10
        For iterative solvers: largest acceptable distance to the minimiser in the metric of
        the Hessian, relative to the standard deviation of y. ``"gram"`` is direct.
    solver : {"auto", "gram", "newton", "lbfgs", "gradient_descent", "coordinate_descent", "svd", \
            "cholesky", "lsqr", "sparse_cg", "sag", "saga"}, default="auto"
        ``"gram"`` takes one pass over the data, or two if the columns are nearly dependent and
        the penalty is weak. ``"auto"`` chooses as in :class:`LinearRegression`. The last six are
        names of scikit-learn's solvers. They have the same minimum and mean ``"auto"`` here; with
        ``positive``, ``"lbfgs"`` means ``"auto"`` too.
    positive : bool, default=False
        Allow no negative coefficient; the intercept may have any sign. It takes one more pass,
        which proves that the solution is the minimum.
    random_state : int, RandomState or None, default=None
        Seed that chooses the blocks of a sample, if the solver uses a sample. None is a fixed
        seed: the same data give the same result.
    verbose : int or bool, default=0
        1 or True prints one line for each step: loss, gradient, error, seconds and reading speed.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, float64; of one dimension if y has a single target, like the predictions.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    n_iter_ : ndarray of shape (n_targets,)
        Number of steps of the solver, the same for all targets; 1 or 2 with ``"gram"``.
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
    >>> from dlbd_estimators import Ridge
    >>> X = np.array([[-1.0], [0.0], [1.0]])
    >>> Ridge(alpha=2.0).fit(X, [-2.0, 0.0, 2.0]).coef_
    array([1.])
    """

    def __init__(
        self,
        alpha: Any = 1.0,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        max_iter: int | None = None,
        tol: float = 1e-10,
        solver: str = "auto",
        positive: bool = False,
        random_state: Any = None,
        verbose: int = 0,
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

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Ridge:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        Ridge
            The fitted estimator.

        Raises
        ------
        ValueError
            X, y or sample_weight holds NaN or infinity (the message names block, row and column),
            lengths differ, the solver is unknown, or a parameter is out of range.
        TypeError
            X or y is not numeric.
        MemoryError
            A block does not fit in the memory of a worker, or a sparse X does not fit once it is
            dense. It is raised before anything is read.

        Warns
        -----
        ConvergenceWarning
            ``tol`` was not reached, in ``max_iter`` steps or because of rounding.
        """
        check_stopping(self, unbounded=True)
        _check_flags(self)
        return self._fit(X, y, sample_weight, "ridge", ridge_solver(self))

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


def _check_flags(estimator: Any) -> None:
    for name in ("copy_X", "positive"):
        check_flag(estimator, name)


def _strength(estimator: Any, alpha: Any, n_outputs: int) -> Any:
    """Check alpha, and bring one for all targets or one for each to floats."""
    strength = np.asarray(alpha, dtype=np.float64)
    if strength.ndim > 1 or strength.size not in (1, n_outputs):
        raise ValueError(
            f"Number of targets and number of penalties do not correspond: {strength.size} != "
            f"{n_outputs}. Pass one alpha, or one for each target; it has shape {strength.shape}."
        )
    if not (np.isfinite(strength).all() and (strength >= 0).all()):
        raise refused(estimator, "alpha", "a float in the range [0.0, inf)", "an array-like")
    return float(strength.reshape(-1)[0]) if strength.size == 1 else strength
