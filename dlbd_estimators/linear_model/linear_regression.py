"""Ordinary least squares."""

from __future__ import annotations

from typing import Any

from dlbd_estimators.base.callbacks import with_callbacks
from dlbd_estimators.base.parameters import check_n_jobs
from dlbd_estimators.base.to_sklearn import Namesake
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.fit import check_stopping
from dlbd_estimators.linear_model.ignored_parameters import tell_once
from dlbd_estimators.linear_model.least_squares import LeastSquares
from dlbd_estimators.linear_model.solver_names import check_solver
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.smooth.gram import GramState


class LinearRegression(LeastSquares):
    """Ordinary least squares.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2``; where X does not determine ``w``, the
    solution of least norm is returned, as scikit-learn does.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Estimate ``b``; otherwise it is 0.
    copy_X : bool, default=True
        Taken for scikit-learn's sake: X is never changed.
    tol : float, default=1e-7
        Largest acceptable error of a coefficient, in standard units of its column and relative to
        the largest coefficient in these units: no change of units changes it. ``history_`` tells
        the ``"error"`` of each step, and in ``"error_is"`` whether that is a bound or an estimate.
        ``"gram"`` is direct and goes as far as it can. Unlike scikit-learn's parameter of this
        name it is no cut-off of singular values.
    n_jobs : int, optional
        Taken for scikit-learn's sake, and told of once: threads are Dask's.
    positive : bool, default=False
        Allow no negative coefficient; the intercept is free. Takes one pass more, which proves the
        solution.
    max_iter : int, default=1000
        Largest number of steps of an iterative solver.
    solver : {"auto", "gram", "newton", "lbfgs", "gradient_descent", "coordinate_descent"}, \
            default="auto"
        ``"gram"`` takes one pass over the data, or two where the columns are nearly
        dependent. ``"auto"`` is ``"gram"`` up to 4,000 features, if workers have memory
        for their products, else ``"lbfgs"``;
        with ``positive`` it is ``"coordinate_descent"``.
    random_state : int, RandomState or None, default=None
        Chooses the blocks of a sample, where the solver uses one; None is a fixed seed.
    verbose : int or bool, default=0
        1 prints a line a step: loss, gradient, error, seconds and reading speed.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, float64.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    rank_ : int
        Rank of the centred X (with ``"gram"``).
    singular_ : ndarray of shape (n_features,)
        Singular values of the centred X, weighted (with ``"gram"``).
    n_iter_ : int
        Steps of the solver; with ``"gram"`` one, or two.
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
    The second moments come from float64 sums of products in the dtype of X, centred first,
    and blocks are merged by the update of Chan, Golub and LeVeque (1983). If their condition
    threatens the sixth digit, a second pass repairs it: a gradient in float64, or a blocked
    orthogonal factorisation (TSQR).

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LinearRegression
    >>> X = np.array([[1.0], [2.0], [3.0]])
    >>> LinearRegression().fit(X, [2.0, 4.0, 6.0]).predict([[4.0]]).round(6)
    array([8.])
    """

    _namesake = Namesake(
        "sklearn.linear_model.LinearRegression",
        attributes=("coef_", "intercept_", "rank_", "singular_"),
        not_theirs=("solver", "tol"),
    )
    _flat_column = False  # nor has scikit-learn's

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
            NaN or infinity (names block, row and column), lengths that differ, unknown
            solver, parameters out of range.
        TypeError
            X or y is not numeric.
        MemoryError
            A block does not fit in a worker, or sparse rows do not fit in memory once they are
            dense; raised before reading.
        """
        check_stopping(self)
        check_n_jobs(self)
        check_solver(self)
        if self.n_jobs is not None:
            tell_once(self, "n_jobs", "threads are Dask's.")
        return self._fit(X, y, sample_weight, "linear", self.solver)

    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        return L2(), L1(positive=True) if self.positive else None

    def _attributes(self, packing: Packing, single: bool, solution: Solution) -> dict[str, Any]:
        attributes = super()._attributes(packing, single, solution)
        attributes["n_iter_"] = solution.n_iter
        if isinstance(solution.state, GramState):
            attributes["rank_"] = solution.state.rank
            attributes["singular_"] = solution.state.singular
        return attributes
