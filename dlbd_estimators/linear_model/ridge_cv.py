"""Ridge regression whose penalty is chosen by cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names

from dlbd_estimators.base.callbacks import fit_task, with_callbacks
from dlbd_estimators.base.documentation import documented_by_bases
from dlbd_estimators.base.parameters import check_choice, check_flag
from dlbd_estimators.base.to_sklearn import SklearnCounterpart
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.block import ArrayLoader, Blocks
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.linear_model.cv_splits import divide_by_cv, refuse_metadata
from dlbd_estimators.linear_model.least_squares import LinearRegressorBase
from dlbd_estimators.linear_model.row_scores import (
    score_of_models,
    score_of_rows,
    targets_in_memory,
)
from dlbd_estimators.linear_model.search import check_alphas, least_squares_problem, search
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.moment_scores import QUADRATIC
from dlbd_estimators.solvers.smooth.ridge_search import (
    RidgeFolds,
    RidgeLeaveOneOut,
    RidgeSearchState,
)

#: Step 1 is the search. Step 2 is a further pass, if the moments are ill-conditioned.
_STEPS = 2


@documented_by_bases
class RidgeCV(LinearRegressorBase):
    """Ridge regression with built-in cross-validation.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 + alpha ||w||^2`` as :class:`Ridge` does, for the
    alpha that predicts held-out rows best. All alphas and all folds together need one pass over the
    data. Leave-one-out, the default, takes two passes.

    Parameters
    ----------
    alphas : float or array-like of shape (n_alphas,), default=(0.1, 1.0, 10.0)
        Strengths to choose from: greater than 0 with ``cv=None``, otherwise at least 0.
    scoring : str or callable, optional
        How predictions of held-out rows are scored. None means R2 with folds, and the negative mean
        squared error with leave-one-out. ``"r2"``, ``"neg_mean_squared_error"`` and
        ``"neg_root_mean_squared_error"`` are computed from second moments. scikit-learn's other
        scorer names, and callables, need the predictions of all rows: data must be in memory.
    cv : int, splitter, iterable or array of int, optional
        Which rows are held out. None means leave-one-out, and a number means that many folds
        of consecutive rows. It may be a splitter of :mod:`dlbd_estimators.model_selection`. For
        data in memory, it may also be a splitter of scikit-learn, or an iterable of splits. Or it
        is an array with the number of each row's fold; rows with the number -1 are training rows
        of all splits.
    gcv_mode : {"auto", "svd", "eigen"}, optional
        Accepted for compatibility with scikit-learn; it has no effect, since leave-one-out errors
        are always computed from the eigenvectors of the Gram matrix.
    store_cv_results : bool, default=False
        Whether to keep the leave-one-out values of each row. Data must be in memory.
    alpha_per_target : bool, default=False
        Whether to choose a separate alpha for each target. Only with leave-one-out.

    Attributes
    ----------
    alpha_ : float or ndarray of shape (n_targets,)
        The alpha that was chosen.
    best_score_ : float or ndarray of shape (n_targets,)
        The score of that alpha; with folds, the mean of the scores of all folds.
    cv_results_ : ndarray of shape (n_samples, n_alphas) or (n_samples, n_targets, n_alphas)
        With ``store_cv_results``: squared errors if ``scoring`` is None, otherwise predictions.
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, float64.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.

    Notes
    -----
    Models are fitted and scored with ``sample_weight``. The mean over folds gives each fold the
    same weight, whatever the weights of its rows.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import RidgeCV
    >>> X = np.arange(20.0).reshape(10, 2) ** 0.5
    >>> RidgeCV(alphas=[1e-3, 1.0, 1e3], cv=5).fit(X, X[:, 0]).alpha_
    0.001
    """

    _sklearn_counterpart = SklearnCounterpart(
        "sklearn.linear_model.RidgeCV",
        attributes=("coef_", "intercept_", "alpha_", "best_score_", "cv_results_"),
    )

    def __init__(
        self,
        alphas: Any = (0.1, 1.0, 10.0),
        *,
        fit_intercept: bool = True,
        scoring: Any = None,
        cv: Any = None,
        gcv_mode: str | None = None,
        store_cv_results: bool = False,
        alpha_per_target: bool = False,
        checkpoint: Any = None,
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.gcv_mode = gcv_mode
        self.store_cv_results = store_cv_results
        self.alpha_per_target = alpha_per_target
        self.checkpoint = checkpoint

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> RidgeCV:
        """Choose alpha, and fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.
        **params : dict
            Metadata for splitter and scorer. It is refused: pass the splits as ``cv`` instead.

        Returns
        -------
        RidgeCV
            The fitted estimator.

        Raises
        ------
        ValueError
            X, y or sample_weight holds NaN or infinity, lengths differ, a fold has no rows, there
            are more folds than rows, an alpha is out of range, or a score is NaN.
        TypeError
            X or y is not numeric, or X is lazy and the splitter or the scorer needs rows in memory.
        MemoryError
            A block, or the second moments, do not fit in the memory of a worker.
        """
        refuse_metadata(self, params)
        alphas = self._check_parameters()
        with fit_task(self, X, y, sample_weight, max_steps=_STEPS) as task:
            data = training_data(self, X, y, sample_weight, classify=False)
            n_outputs = data.y_shape[0] if data.y_shape else 1
            packing = Packing(n_outputs, data.blocks.n_features, bool(self.fit_intercept))
            with executor_for(data.blocks) as executor:
                blocks, solver = self._solver(alphas, data.blocks, executor)
                problem = least_squares_problem(
                    executor,
                    blocks,
                    packing,
                    L2(float(alphas[0])),
                    None,
                    name="ridge-cv",
                    otherwise="take scikit-learn's GridSearchCV over Ridge(solver='lbfgs')",
                )

                def model(solution: Solution) -> dict[str, Any]:
                    return self._fitted_attributes(packing, not data.y_shape, solution, blocks)

                search(self, executor, problem, solver, task=task, model=model, advice="")
        return self

    def _check_parameters(self) -> FloatArray:
        for flag in ("fit_intercept", "store_cv_results", "alpha_per_target"):
            check_flag(self, flag)
        check_choice(self, "gcv_mode", ("auto", "svd", "eigen"), none=True)
        if self.scoring is not None and not callable(self.scoring):
            check_choice(self, "scoring", get_scorer_names())
        for flag in ("store_cv_results", "alpha_per_target"):
            if self.cv is not None and getattr(self, flag):
                raise ValueError(
                    f"cv!=None and {flag}=True are incompatible: {flag} is for leave-one-out "
                    f"(cv=None). Remove one of them."
                )
        return check_alphas(self, open_low=self.cv is None)

    def _solver(
        self, alphas: FloatArray, blocks: Blocks, executor: Executor
    ) -> tuple[Blocks, RidgeFolds | RidgeLeaveOneOut]:
        by_moments = None if self.scoring is None else QUADRATIC.get(self._scoring_name)
        if not blocks.in_memory and (self.scoring is not None and by_moments is None):
            raise TypeError(
                f"scoring={self.scoring!r} needs the predictions of all rows, but X is lazy. Use "
                f"one of {sorted(QUADRATIC)}, or scikit-learn's GridSearchCV over Ridge."
            )
        if self.cv is None:
            return blocks, self._leave_one_out(alphas, blocks, by_moments)
        divided_blocks, splits = divide_by_cv(self, blocks, executor)
        if self.scoring is None or by_moments is not None:
            score = QUADRATIC["r2"] if by_moments is None else by_moments
            return divided_blocks, RidgeFolds(alphas, splits, score=score)
        by_models = score_of_models(
            self.scoring, divided_blocks, splits, alphas, self.fit_intercept
        )
        return divided_blocks, RidgeFolds(alphas, splits, score=by_models, by_predictions=True)

    @property
    def _scoring_name(self) -> str:
        return self.scoring if isinstance(self.scoring, str) else ""

    def _leave_one_out(self, alphas: FloatArray, blocks: Blocks, by_moments: Any) -> Any:
        if self.store_cv_results and not blocks.in_memory:
            raise TypeError(
                "store_cv_results=True keeps a value of each row, but X is lazy. Set it to False, "
                "or fit rows in memory."
            )
        if blocks.sizes is not None and sum(blocks.sizes) < 2:
            raise ValueError(
                "cv=None leaves one row out and fits the others, but X has 1 sample(s), while a "
                "minimum of 2 is required."
            )
        by_rows = self.scoring is not None and by_moments is None
        score: Any = by_moments
        if by_rows:
            assert isinstance(blocks.loader, ArrayLoader)
            score = score_of_rows(
                self.scoring,
                blocks,
                single=blocks.loader.y.ndim == 1,
                per_target=bool(self.alpha_per_target),
            )
        return RidgeLeaveOneOut(
            alphas,
            score=score,
            by_rows=by_rows,
            per_target=bool(self.alpha_per_target),
            keep_errors=bool(self.store_cv_results),
        )

    def _fitted_attributes(
        self, packing: Packing, single: bool, solution: Solution, blocks: Blocks
    ) -> dict[str, Any]:
        attributes = self._attributes(packing, single, solution)
        state = solution.state
        if not isinstance(state, RidgeSearchState) or state.alphas is None:
            return attributes  # a callback stopped the search before anything was chosen
        assert state.best_scores is not None
        per_target = bool(self.alpha_per_target) and packing.n_outputs > 1
        attributes["alpha_"] = state.alphas if per_target else float(state.alphas[0])
        attributes["best_score_"] = state.best_scores if per_target else float(state.best_scores[0])
        if state.errors is not None:
            attributes["cv_results_"] = self._row_results(state.errors, blocks, single)
        return attributes

    def _row_results(self, errors: FloatArray, blocks: Blocks, single: bool) -> FloatArray:
        y, weight = targets_in_memory(blocks)
        values = np.moveaxis(errors, 1, 2)  # (n_rows, n_targets, n_alphas)
        if self.scoring is None:
            values = values**2 if weight is None else values**2 * weight[:, None, None]
        else:
            values = y[:, :, None] - values
        return values[:, 0] if single else values
