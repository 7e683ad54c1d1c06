"""The base of the estimators that search for an l1 penalty."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Integral
from typing import Any, Self

import numpy as np
from scipy import sparse

from dlbd_estimators.base.callbacks import fit_task, with_callbacks
from dlbd_estimators.base.parameters import (
    check_choice,
    check_n_jobs,
    check_number,
    invalid_parameter,
)
from dlbd_estimators.base.user_warnings import warn_of_column_vector
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.block import ArrayLoader
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.cv_splits import divide_by_cv, refuse_metadata
from dlbd_estimators.linear_model.fit import check_stopping
from dlbd_estimators.linear_model.ignored_parameters import warn_once
from dlbd_estimators.linear_model.least_squares import LinearRegressorBase
from dlbd_estimators.linear_model.search import check_alphas, least_squares_problem, search
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.proximal.lasso_search import LassoSearch, LassoSearchState


class L1SearchCV(LinearRegressorBase):
    """Base of the estimators that search for an l1 penalty.

    Parameters
    ----------
    eps : float, default=1e-3
        The smallest alpha, relative to the largest, if ``alphas`` is a number.
    alphas : int or array-like of shape (n_alphas,), default=100
        Alphas to choose from, or the number of alphas to generate. Generated alphas are evenly
        spaced in their logarithm. The largest is the smallest alpha for which all coefficients
        are 0.
    precompute : "auto", bool or array-like, default="auto"
        Accepted for compatibility with scikit-learn; it has no effect, since second moments are
        always computed. A matrix gives one warning that it is not used.
    max_iter : int, default=1000
        Largest number of steps, each of which is a pass over the data.
    tol : float, default=1e-7
        Largest acceptable error of a coefficient of the chosen model, as in :class:`Lasso`. It also
        bounds the duality gap on the data.
    cv : int, splitter, iterable or array of int, optional
        Which rows are held out. None means five folds, and a number means that many folds
        of consecutive rows. It may be a splitter of :mod:`dlbd_estimators.model_selection`. For
        data in memory, it may also be a splitter of scikit-learn, or an iterable of splits. Or it
        is an array with the number of each row's fold; rows with the number -1 are training rows
        of all splits.
    copy_X : bool, default=True
        Accepted for compatibility with scikit-learn; it has no effect, since X is never changed.
    verbose : int or bool, default=0
        1 or True prints one line for each step.
    n_jobs : int, optional
        Accepted for compatibility with scikit-learn; it has no effect, since Dask sets the number
        of threads. A value other than None gives one warning.
    positive : bool, default=False
        Whether to allow only coefficients of at least 0. The intercept may have any sign.
    random_state : int, RandomState or None, default=None
        Accepted for compatibility with scikit-learn; it has no effect.
    selection : {"cyclic", "random"}, default="cyclic"
        Accepted for compatibility with scikit-learn; it has no effect, since the order of
        coordinates does not change the minimum. ``"random"`` gives one warning.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients, float64.
    sparse_coef_ : scipy.sparse.csr_matrix of shape (1, n_features)
        Coefficients as a sparse matrix, which does not store the zeros.
    intercept_ : float
        Intercept.
    dual_gap_ : float
        Upper bound on how far the objective is above its minimum, from float64 residuals of all
        rows.
    n_iter_ : int
        Number of steps of the solver: the steps of the search, and at least one step that checks
        the duality gap of the chosen model.
    """

    alphas: Any
    cv: Any
    eps: float
    n_jobs: int | None
    precompute: Any
    selection: str

    @abstractmethod
    def _l1_ratios(self) -> FloatArray:
        """Check the shares of l1 to choose from, and return them."""

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Self:
        """Choose the penalty, and fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,)
            Targets.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.
        **params : dict
            Metadata for the splitter. It is refused: pass the splits as ``cv`` instead.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            X, y or sample_weight holds NaN or infinity, lengths differ, y has several targets, a
            fold has no rows, there are more folds than rows, or a parameter is out of range.
        TypeError
            X is not numeric, or X is lazy and the splitter needs the positions of all rows.
        MemoryError
            A block, or the second moments, do not fit in the memory of a worker.

        Warns
        -----
        ConvergenceWarning
            The solver did not reach ``tol``.
        """
        refuse_metadata(self, params)
        l1_ratios, alphas = self._check_parameters()
        with fit_task(self, X, y, sample_weight) as task:
            data = training_data(self, X, y, sample_weight, classify=False)
            if data.y_shape and data.y_shape[0] > 1:
                raise ValueError(
                    f"For multi-task outputs, y of shape (n, {data.y_shape[0]}), fit one "
                    f"{type(self).__name__} for each target."
                )
            if data.y_shape and isinstance(data.blocks.loader, ArrayLoader):
                warn_of_column_vector(data.blocks.loader.y)
            packing = Packing(1, data.blocks.n_features, bool(self.fit_intercept))
            with executor_for(data.blocks) as executor:
                blocks, splits = divide_by_cv(self, data.blocks, executor)
                problem = least_squares_problem(
                    executor,
                    blocks,
                    packing,
                    L2(),
                    L1(positive=bool(self.positive)),
                    name=type(self).__name__.lower(),
                    otherwise="take scikit-learn's GridSearchCV over ElasticNet",
                )
                solver = LassoSearch(
                    splits, l1_ratios, alphas, eps=self.eps, positive=bool(self.positive)
                )

                def model(solution: Solution) -> dict[str, Any]:
                    return self._attributes(packing, True, solution)

                search(
                    self,
                    executor,
                    problem,
                    solver,
                    task=task,
                    model=model,
                    advice="accept a larger tol",
                )
        return self

    def _check_parameters(self) -> tuple[FloatArray, FloatArray | int]:
        check_stopping(self)
        check_number(self, "eps", low=0.0, open_low=True)
        check_choice(self, "selection", ("cyclic", "random"))
        check_n_jobs(self)
        if self.n_jobs is not None:
            warn_once(self, "n_jobs", "Dask sets the number of threads.")
        if isinstance(self.precompute, str):
            check_choice(self, "precompute", ("auto",))
        if np.ndim(self.precompute):
            warn_once(self, "precompute", "second moments are always computed from X.")
        if self.selection == "random":
            warn_once(self, "selection", "the order of coordinates does not change the minimiser.")
        l1_ratios = self._l1_ratios()
        if not isinstance(self.alphas, Integral) or isinstance(self.alphas, bool):
            return l1_ratios, check_alphas(self, open_low=False)
        if self.alphas < 1:
            ints, floats = "an int in the range [1, inf)", "a non-empty array-like of floats"
            raise invalid_parameter(self, "alphas", ints, f"{floats} in the range [0.0, inf)")
        if not l1_ratios.all():
            raise ValueError(
                "Automatic alpha grid generation is not supported for l1_ratio=0. Give the alphas "
                "to choose from, or take RidgeCV."
            )
        return l1_ratios, int(self.alphas)

    @property
    def sparse_coef_(self) -> sparse.csr_matrix:
        """Coefficients as a sparse matrix, which does not store the zeros."""
        return sparse.csr_matrix(self.coef_)

    def _attributes(self, packing: Packing, single: bool, solution: Solution) -> dict[str, Any]:
        attributes = super()._attributes(packing, single, solution)
        state = solution.state
        attributes["n_iter_"] = solution.n_iter
        gaps = getattr(state, "gaps", None)
        # The gaps are unknown if a callback stopped the search before they were computed.
        attributes["dual_gap_"] = np.inf if gaps is None else gaps[0]
        if isinstance(state, LassoSearchState) and state.alphas is not None:
            assert state.errors is not None
            grid = isinstance(self.alphas, Integral) and len(state.alphas) > 1
            attributes["alphas_"] = state.alphas if grid else state.alphas[0]
            attributes["mse_path_"] = np.squeeze(state.errors)
            attributes["alpha_"] = state.alpha
            if hasattr(self, "l1_ratio"):
                attributes["l1_ratio_"] = state.l1_ratio
        return attributes

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        return tags
