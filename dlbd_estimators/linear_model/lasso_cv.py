"""Lasso and elastic net whose penalty is chosen by cross-validation."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Integral
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.utils.validation import column_or_1d

from dlbd_estimators.base.callbacks import fit_task, with_callbacks
from dlbd_estimators.base.parameters import (
    check_choice,
    check_integer,
    check_n_jobs,
    check_number,
    refused,
)
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.block import ArrayLoader
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.cv_splits import divided, refuse_metadata
from dlbd_estimators.linear_model.fit import check_stopping
from dlbd_estimators.linear_model.ignored_parameters import tell_once
from dlbd_estimators.linear_model.least_squares import LeastSquares
from dlbd_estimators.linear_model.search import check_alphas, least_squares_problem, search
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.proximal.lasso_search import LassoSearch, LassoSearchState


class _SparseCV(LeastSquares):
    """What the searches for an l1 penalty share."""

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
        """Choose the penalty, and fit the model; other errors as for :meth:`LinearRegression.fit`.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).
        y : array-like or lazy array of shape (n_samples,)
            Targets.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.
        **params : dict
            Metadata for the splitter, which is refused: give the splits themselves.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            A fold without rows, more folds than rows, alphas out of range, several targets.
        TypeError
            A splitter that needs the positions of all rows, on lazy data.

        Warns
        -----
        ConvergenceWarning
            The duality gap did not come down to ``tol``.
        """
        refuse_metadata(self, params)
        l1_ratios, alphas = self._check_parameters()
        with fit_task(self, X, y, sample_weight) as task:
            data = training_data(self, X, y, sample_weight, classify=False)
            if data.y_shape and data.y_shape[0] > 1:
                raise ValueError(
                    f"For multi-task outputs, y of shape (n, {data.y_shape[0]}), fit one "
                    f"{type(self).__name__} a target."
                )
            if data.y_shape and isinstance(data.blocks.loader, ArrayLoader):
                column_or_1d(data.blocks.loader.y, warn=True)  # for its warning
            packing = Packing(1, data.blocks.n_features, bool(self.fit_intercept))
            with executor_for(data.blocks) as executor:
                blocks, splits = divided(self, data.blocks, executor)
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
            tell_once(self, "n_jobs", "threads are Dask's.")
        if isinstance(self.precompute, str):
            check_choice(self, "precompute", ("auto",))
        if np.ndim(self.precompute):
            tell_once(self, "precompute", "second moments are computed from X, whatever is passed.")
        if self.selection == "random":
            tell_once(self, "selection", "the order of coordinates does not change the minimiser.")
        l1_ratios = self._l1_ratios()
        if not isinstance(self.alphas, Integral) or isinstance(self.alphas, bool):
            return l1_ratios, check_alphas(self, open_low=False)
        check_integer(self, "alphas", low=1)
        if not l1_ratios.all():
            raise ValueError(
                "Automatic alpha grid generation is not supported for l1_ratio=0. Give the alphas "
                "to choose from, or take RidgeCV."
            )
        return l1_ratios, int(self.alphas)

    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        raise AssertionError("they are chosen")

    @property
    def sparse_coef_(self) -> sparse.csr_matrix:
        """Coefficients without the zeros."""
        return sparse.csr_matrix(self.coef_)

    def _attributes(self, packing: Packing, single: bool, solution: Solution) -> dict[str, Any]:
        attributes = super()._attributes(packing, single, solution)
        state = solution.state
        attributes["n_iter_"] = solution.n_iter
        gaps = getattr(state, "gaps", None)
        # Unknown where a callback stopped the search before the certificate.
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


class ElasticNetCV(_SparseCV):
    """Elastic net with built-in cross-validation.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha l1_ratio |w|_1
    + alpha (1 - l1_ratio) ||w||^2 / 2`` as :class:`ElasticNet` does, for the alpha and l1_ratio
    that predict held-out rows best. All alphas, l1_ratios and folds are served by one reading of
    the data, and one more proves the model.

    Parameters
    ----------
    l1_ratio : float or array-like of shape (n_l1_ratios,), default=0.5
        Shares of the l1 part to choose from, from 0 to 1.
    eps : float, default=1e-3
        Smallest of the alphas that are chosen for you, relative to the largest.
    alphas : int or array-like of shape (n_alphas,), default=100
        Alphas to choose from, or how many, evenly spaced in their logarithm; the largest is the
        least that leaves no coefficient.
    fit_intercept : bool, default=True
        Estimate ``b``; otherwise it is 0.
    precompute : "auto", bool or array-like, default="auto"
        Taken for scikit-learn's sake: second moments are always computed, and one that is passed is
        not used, which is told once.
    max_iter : int, default=1000
        Largest number of steps, each of which is a pass over the data.
    tol : float, default=1e-10
        Largest acceptable duality gap of the chosen model, relative to the mean square of the
        (centred) targets. The gap is that of the data themselves.
    cv : int, splitter, iterable or array of int, optional
        None is five folds. A number of folds of consecutive rows; a splitter of
        :mod:`dlbd_estimators.model_selection` or, for data in memory, of scikit-learn, or splits
        themselves; or an array that names each row's fold by a number, -1 for rows that are
        always trained on.
    copy_X : bool, default=True
        Taken for scikit-learn's sake: X is never changed.
    verbose : int or bool, default=0
        1 prints a line a step.
    n_jobs : int, optional
        Taken for scikit-learn's sake, and told of once: threads are Dask's.
    positive : bool, default=False
        Allow no negative coefficient.
    random_state, selection : int, RandomState or None, default=None; {"cyclic", "random"}
        Taken for scikit-learn's sake: the order of coordinates does not change the minimiser.

    Attributes
    ----------
    alpha_, l1_ratio_ : float
        What was chosen.
    coef_ : ndarray of shape (n_features,)
        Coefficients, float64.
    sparse_coef_ : scipy.sparse.csr_matrix of shape (1, n_features)
        The same, without the zeros.
    intercept_ : float
        Intercept.
    mse_path_ : ndarray of shape (n_alphas, n_folds) or (n_l1_ratios, n_alphas, n_folds)
        Mean squared error on each fold's held-out rows.
    alphas_ : ndarray of shape (n_alphas,) or (n_l1_ratios, n_alphas)
        The alphas, descending.
    dual_gap_ : float
        How much the objective can still fall, at most, by float64 residuals of all rows.
    n_iter_ : int
        Steps of the solver: the search, and at least one that proves the model.
    n_features_in_, feature_names_in_, solver_, n_passes_, history_
        As for :class:`LinearRegression`.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import ElasticNetCV
    >>> X = np.arange(20.0).reshape(10, 2) ** 0.5
    >>> ElasticNetCV(alphas=[1e-3, 1.0], cv=5).fit(X, X[:, 0]).alpha_
    0.001
    """

    def __init__(
        self,
        *,
        l1_ratio: Any = 0.5,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        precompute: Any = "auto",
        max_iter: int = 1000,
        tol: float = 1e-10,
        cv: Any = None,
        copy_X: bool = True,
        verbose: int = 0,
        n_jobs: int | None = None,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        self.l1_ratio = l1_ratio
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.tol = tol
        self.cv = cv
        self.copy_X = copy_X
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.positive = positive
        self.random_state = random_state
        self.selection = selection

    def _l1_ratios(self) -> FloatArray:
        try:
            ratios = np.atleast_1d(np.asarray(self.l1_ratio, dtype=np.float64))
        except (TypeError, ValueError):
            ratios = np.zeros(0)
        if ratios.ndim != 1 or not len(ratios) or not np.all((ratios >= 0) & (ratios <= 1)):
            raise refused(
                self,
                "l1_ratio",
                "a float in the range [0.0, 1.0]",
                "a non-empty array-like of such floats",
            )
        return ratios


class LassoCV(_SparseCV):
    """Lasso with built-in cross-validation.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha |w|_1`` as :class:`Lasso`
    does, for the alpha that predicts held-out rows best. All alphas and folds are served by one
    reading of the data, and one more proves the model.

    Parameters
    ----------
    eps, alphas, fit_intercept, precompute, max_iter, tol, copy_X, cv, verbose, n_jobs, positive, \
            random_state, selection
        As for :class:`ElasticNetCV`.

    Attributes
    ----------
    alpha_, coef_, sparse_coef_, intercept_, mse_path_, alphas_, dual_gap_, n_iter_
        As for :class:`ElasticNetCV`.
    n_features_in_, feature_names_in_, solver_, n_passes_, history_
        As for :class:`LinearRegression`.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LassoCV
    >>> X = np.arange(20.0).reshape(10, 2) ** 0.5
    >>> LassoCV(alphas=[1e-3, 1.0], cv=5).fit(X, X[:, 0]).alpha_
    0.001
    """

    def __init__(
        self,
        *,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        precompute: Any = "auto",
        max_iter: int = 1000,
        tol: float = 1e-10,
        copy_X: bool = True,
        cv: Any = None,
        verbose: int = 0,
        n_jobs: int | None = None,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.tol = tol
        self.copy_X = copy_X
        self.cv = cv
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.positive = positive
        self.random_state = random_state
        self.selection = selection

    def _l1_ratios(self) -> FloatArray:
        return np.ones(1)
