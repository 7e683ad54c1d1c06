"""The base of ElasticNet and Lasso: least squares with an l1 penalty and its duality gap."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse

from dlbd_estimators.base.callbacks import with_callbacks
from dlbd_estimators.base.parameters import check_choice, check_flag, invalid_parameter
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.linear_model.fit import check_stopping
from dlbd_estimators.linear_model.ignored_parameters import warn_once
from dlbd_estimators.linear_model.incremental import IncrementalLeastSquares
from dlbd_estimators.linear_model.solver_names import check_solver
from dlbd_estimators.solvers import Solution


class L1LeastSquares(IncrementalLeastSquares):
    """Base of the least-squares estimators that have an l1 penalty.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, at least 0.
    precompute : bool or array-like, default=False
        Accepted for compatibility with scikit-learn; it has no effect, since second moments are
        always computed. A matrix gives one warning that it is not used.
    max_iter : int, default=1000
        Largest number of steps of the solver; each step is a pass over the data. None means 1,000.
    tol : float, default=1e-7
        Largest acceptable error of a coefficient: the largest ``sd_j |dw_j|`` divided by the
        largest ``sd_j |w_j|``, where ``sd_j`` is the standard deviation of column j and ``dw_j``
        the error of its coefficient. It does not depend on the units of X. ``history_`` gives this
        ``"error"`` for each step; ``"error_is"`` is ``"bound"`` or ``"estimate"``.
        In addition, the duality gap divided by the mean square of the (centred) targets has to be
        at most ``max(min(1e-10, tol), tol**2)``. This gap is computed from the data, not from
        their rounded moments.
    warm_start : bool, default=False
        Whether to start from the solution of the last fit.
    positive : bool, default=False
        Whether to allow only coefficients of at least 0. The intercept may have any sign.
    random_state : int, RandomState or None, default=None
        Accepted for compatibility with scikit-learn; it has no effect.
    selection : {"cyclic", "random"}, default="cyclic"
        Accepted for compatibility with scikit-learn; it has no effect, since the order of
        coordinates does not change the minimum. ``"random"`` gives one warning.
    solver : {"auto", "coordinate_descent", "working_set"}, default="auto"
        ``"coordinate_descent"`` works on the second moments of all features. ``"working_set"``
        works on the second moments of a growing set of features, whose coefficients are not zero.
        ``"auto"`` chooses ``"coordinate_descent"`` for up to 4,000 features, or fewer if the
        workers have little memory, and ``"working_set"`` for more.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, float64.
    sparse_coef_ : scipy.sparse.csr_matrix of shape (1, n_features) or (n_targets, n_features)
        Coefficients as a sparse matrix, which does not store the zeros.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.
    dual_gap_ : float or ndarray of shape (n_targets,)
        Upper bound on how far the objective is above its minimum, from float64 residuals of all
        rows. If the l1 part is zero, it is half the squared Newton decrement.
    n_iter_ : int or list of int
        Number of steps of the solver, the same for all targets.
    """

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

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, check_input: bool = True) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.
        check_input : bool, default=True
            Accepted for compatibility with scikit-learn; it has no effect, since the input is
            always checked, without a pass over the data.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, MemoryError
            In the same cases as :meth:`dlbd_estimators.Ridge.fit`.

        Warns
        -----
        ConvergenceWarning
            ``tol`` was not reached, in ``max_iter`` steps or because of rounding.
        """
        return self._fit(X, y, sample_weight, *self._check_parameters())

    def _check_parameters(self) -> tuple[str, str]:
        check_stopping(self, unbounded=True)
        check_solver(self)
        for flag in ("warm_start", "copy_X", "positive"):
            check_flag(self, flag)
        check_choice(self, "selection", ("cyclic", "random"))
        if np.ndim(self.precompute) == 0 and not isinstance(self.precompute, bool | np.bool_):
            boolean = "an instance of 'bool' or an instance of 'numpy.bool'"
            raise invalid_parameter(self, "precompute", boolean, "an array-like")
        if np.ndim(self.precompute):
            warn_once(self, "precompute", "second moments are always computed from X.")
        if self.selection == "random":
            warn_once(self, "selection", "the order of coordinates does not change the minimiser.")
        return type(self).__name__.lower(), self.solver

    @property
    def sparse_coef_(self) -> sparse.csr_matrix:
        """Coefficients as a sparse matrix, which does not store the zeros."""
        return sparse.csr_matrix(self.coef_)

    def _start(self, packing: Packing) -> FloatArray | None:
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        coef = np.atleast_2d(self.coef_)
        shape = packing.n_outputs, packing.n_features
        if coef.shape != shape:
            raise ValueError(
                f"warm_start=True, but the last fit had coefficients of shape {coef.shape} and "
                f"these data need {shape}. Fit a new estimator."
            )
        return packing.pack(coef, np.asarray(self.intercept_))

    def _attributes(self, packing: Packing, single: bool, solution: Solution) -> dict[str, Any]:
        attributes = super()._attributes(packing, single, solution)
        # The gaps are unknown if a callback stopped the fit before they were computed.
        gaps = getattr(solution.state, "gaps", None)
        gaps = np.full(packing.n_outputs, np.inf) if gaps is None else gaps
        single_target = packing.n_outputs == 1
        attributes["dual_gap_"] = gaps[0] if single_target else gaps
        steps = solution.n_iter
        attributes["n_iter_"] = steps if single_target else [steps] * packing.n_outputs
        return attributes
