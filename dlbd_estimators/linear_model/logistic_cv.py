"""Logistic regression whose penalty is chosen by cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import get_scorer
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.callbacks import FitTask, fit_task, with_callbacks
from dlbd_estimators.base.documentation import documented_like
from dlbd_estimators.base.to_sklearn import SklearnCounterpart
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.blocks.sources import is_lazy, refuse_lazy
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.linear_model.cv_splits import refuse_metadata
from dlbd_estimators.linear_model.fit import solve
from dlbd_estimators.linear_model.logistic import LogisticRegression
from dlbd_estimators.linear_model.logistic_choice import Settings, choose_best, results, settings_of
from dlbd_estimators.linear_model.logistic_parameters import UNSET
from dlbd_estimators.linear_model.logistic_paths import (
    SCORES_FROM_SUMS,
    SearchData,
    fit_paths,
    mean_log_loss,
    score_paths,
)
from dlbd_estimators.linear_model.row_scores import scores_of_classifiers
from dlbd_estimators.linear_model.search import search
from dlbd_estimators.linear_model.unconverged_models import warn_of_unconverged
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.smooth.logistic_search import LogisticSearch
from dlbd_estimators.solvers.smooth.logistic_search_state import LogisticSearchState


class LogisticRegressionCV(LogisticRegression):
    """Logistic regression with built-in cross-validation.

    Minimises ``C sum_i s_i loss(y_i, x_i W + b) + (1 - l1_ratio) ||W||^2 / 2 + l1_ratio |W|_1``
    as :class:`LogisticRegression` does, for the C and l1_ratio that predict held-out rows best.
    The models of all values and folds are fitted together, in shared passes over the data.

    Parameters
    ----------
    Cs : int or array-like of shape (n_Cs,), default=10
        Inverse strengths to choose from, greater than 0; or how many to generate in [1e-4, 1e4].
    l1_ratios : array-like of shape (n_l1_ratios,), optional
        Shares of the l1 part to choose from, from 0 to 1. The default is 0, and then the
        attributes have no axis for l1_ratios, as in scikit-learn 1.9.
    fit_intercept : bool, default=True
        Whether to estimate the intercept ``b``; if not, it is 0.
    cv : int, splitter, iterable or array of int, default=None
        Which rows are held out. None means 5 folds and a number that many: stratified for data in
        memory, as in scikit-learn, and of random rows for lazy data. It may be a splitter of
        :mod:`dlbd_estimators.model_selection`; for data in memory also one of scikit-learn, or an
        iterable of splits. Or it is an array with the number of each row's fold; rows with the
        number -1 are training rows of all splits.
    dual : bool, default=False
        Accepted for compatibility with scikit-learn, only with ``"liblinear"``; no effect.
    penalty : {"l1", "l2", "elasticnet"} or None, optional
        Deprecated, as in scikit-learn. Pass ``l1_ratios`` instead, and ``Cs=(np.inf,)`` instead
        of None.
    scoring : str or callable, optional
        Score of held-out rows: ``"accuracy"``, the default as in scikit-learn 1.9, or
        ``"neg_log_loss"``. scikit-learn's other scorer names, and callables, need data in memory.
    solver : str, default="auto"
        A solver of :class:`LogisticRegression`, for models with an l1 part. Models without one are
        fitted by the search itself, and the chosen one by Newton's method.
    tol : float, default=1e-7
        Largest acceptable error of a coefficient, as in :class:`LogisticRegression`.
    max_iter : int, default=100
        Largest number of steps.
    class_weight : dict, "balanced" or None, default=None
        Factor by which the weights of the rows of each class are multiplied; ``"balanced"`` gives
        all classes the same total weight, and None is a factor of 1.
    n_jobs : int, optional
        Accepted for compatibility with scikit-learn; no effect.
    verbose : int or bool, default=0
        1 or True prints one line for each step.
    refit : bool, default=True
        Whether to fit the chosen model to all rows. If not, the coefficients of the best models of
        all folds are averaged.
    intercept_scaling : float, default=1.0
        Accepted for compatibility with scikit-learn; no effect.
    random_state : int, RandomState or None, default=None
        Seed that chooses the sample that the search starts from; None is a fixed seed.
    use_legacy_attributes : bool, optional
        By default, attributes have the shapes of scikit-learn 1.9. False gives those of 1.10.
    checkpoint : str or path, optional
        Folder, or URL of an object store, to which the fit is written after each step. A later
        ``fit`` with the same parameters and data continues from there, with a bit-identical
        result. ``{}`` in the path is replaced by a hash of the parameters and data, so that each
        fit of a search has its own folder. See ``docs/reliability.md``.

    Attributes
    ----------
    C_, l1_ratio_ : ndarray of shape (1,) or (n_classes,), or float
        The chosen values; floats if ``use_legacy_attributes=False``.
    Cs_, l1_ratios_ : ndarray
        All values that were tried.
    scores_ : dict of class to ndarray of shape (n_folds, n_Cs) or (n_folds, n_Cs, n_l1_ratios)
        Scores. Without legacy attributes, one ndarray of shape (n_folds, n_l1_ratios, n_Cs).
    coefs_paths_ : dict of class to ndarray of shape (n_folds, n_Cs[, n_l1_ratios], n_dof)
        Coefficients and, last, the intercept. Without legacy attributes, one ndarray of shape
        (n_folds, n_l1_ratios, n_Cs, n_classes, n_dof), where n_classes is 1 for two classes.
    n_iter_ : ndarray of shape (1, n_folds, n_Cs[, n_l1_ratios])
        Number of solver steps. Without legacy attributes, of shape (n_folds, n_l1_ratios, n_Cs).
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, float64. For two classes, they give the log-odds of ``classes_[1]``.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has names.
    solver_ : str
        The solver used.
    n_passes_ : float
        Passes over the features. A pass over a sample counts as its share of the rows.
    history_ : list of dict
        The steps of the chosen model.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LogisticRegressionCV
    >>> X = np.array([[-2.0], [-1.5], [-1.0], [1.0], [1.5], [2.0]])
    >>> y = ["no", "no", "no", "yes", "yes", "yes"]
    >>> LogisticRegressionCV(Cs=[0.1, 1.0], cv=3).fit(X, y).predict([[0.5]])
    array(['yes'], dtype='<U3')
    """

    _sklearn_counterpart = SklearnCounterpart(
        "sklearn.linear_model.LogisticRegressionCV",
        attributes=(
            "C_", "Cs_", "classes_", "coef_", "coefs_paths_", "intercept_", "l1_ratio_",
            "l1_ratios_", "n_iter_", "scores_",
        ),
        not_copied=("solver",),
    )  # fmt: skip

    def __init__(
        self,
        *,
        Cs: Any = 10,
        l1_ratios: Any = "warn",
        fit_intercept: bool = True,
        cv: Any = None,
        dual: bool = False,
        penalty: str | None = UNSET,
        scoring: Any = "warn",
        solver: str = "auto",
        tol: float = 1e-7,
        max_iter: int = 100,
        class_weight: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        refit: bool = True,
        intercept_scaling: float = 1.0,
        random_state: Any = None,
        use_legacy_attributes: Any = "warn",
        checkpoint: Any = None,
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.dual = dual
        self.penalty = penalty
        self.scoring = scoring
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.refit = refit
        self.intercept_scaling = intercept_scaling
        self.random_state = random_state
        self.use_legacy_attributes = use_legacy_attributes
        self.checkpoint = checkpoint

    @documented_like(LogisticRegression.fit)
    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> LogisticRegressionCV:
        """Choose C and l1_ratio, and fit the model.

        Parameters
        ----------
        **params : dict
            Metadata for splitter and scorer. It is refused: pass the splits as ``cv`` instead.

        Returns
        -------
        LogisticRegressionCV
            The fitted estimator.

        Raises
        ------
        ValueError
            X or sample_weight holds NaN or infinity, lengths differ, y has a single class, a fold
            has no training row of a class, folds outnumber rows, or a parameter is out of range.
        TypeError
            X is not numeric, or X is lazy and the splitter or the scorer needs rows in memory.
        MemoryError
            A block or a Hessian does not fit in the memory of a worker.

        Warns
        -----
        ConvergenceWarning
            A model of the search did not converge, or the chosen one did not reach ``tol``.
        """
        refuse_metadata(self, params)
        settings = settings_of(self)
        with fit_task(self, X, y, sample_weight) as task:
            data = training_data(self, X, y, sample_weight, classify=True)
            if not data.blocks.in_memory and settings.scoring not in SCORES_FROM_SUMS:
                raise TypeError(
                    f"scoring={settings.scoring!r} needs the predictions of all rows; X is lazy. "
                    f"Use 'accuracy', 'neg_log_loss', or GridSearchCV over LogisticRegression."
                )
            with executor_for(data.blocks) as executor:
                of_all = SearchData.of(self, executor, data.blocks, task)
                search_of = self._search_l1 if settings.l1_ratios.any() else self._search_l2
                search_of(executor, of_all, settings, task)
        return self

    def _search_l2(
        self, executor: Executor, data: SearchData, settings: Settings, task: FitTask
    ) -> None:
        """Fit the models of all strengths and splits in shared passes, without an l1 part."""
        packing, splits = data.packing, data.splits
        score: Any = settings.scoring
        if score not in SCORES_FROM_SUMS:

            def score(models: FloatArray) -> FloatArray:
                options = settings.scoring, data.plain, splits
                return scores_of_classifiers(*options, models, packing, data.classes)

        solver = LogisticSearch(
            settings.Cs, splits, data.factors, data.totals, score=score, refit=bool(self.refit)
        )
        problem = data.problem(1.0, 0.0)

        def model(solution: Solution) -> dict[str, Any]:
            coef, intercept = packing.unpack(solution.parameters)
            fitted = {"classes_": data.classes, "coef_": coef, "intercept_": intercept}
            state = solution.state
            if not isinstance(state, LogisticSearchState) or state.scores is None:
                return fitted  # a callback stopped the search before anything was scored
            scores, n_ratios = state.scores[:, None], len(settings.l1_ratios)
            scores = np.repeat(scores, n_ratios, axis=1)
            paths = np.repeat(solver.paths(problem, state)[:, None], n_ratios, axis=1)
            n_iter = np.full(scores.shape, state.sweeps, dtype=np.int32)
            choice = choose_best(settings, scores, paths, refit=bool(self.refit))
            paths = paths.reshape(*scores.shape, *packing.shape)
            return fitted | results(settings, choice, scores, paths, n_iter, data.classes)

        options: Any = {"task": task, "model": model, "advice": "leave out the largest Cs"}
        warn_of_unconverged(task, solver, search(self, executor, problem, solver, **options))

    def _search_l1(
        self, executor: Executor, data: SearchData, settings: Settings, task: FitTask
    ) -> None:
        """Fit all models in shared passes, score them in one pass, and fit the chosen model."""
        packing, splits, scoring = data.packing, data.splits, settings.scoring
        before = executor.spent.cost.n_blocks
        paths = fit_paths(
            executor,
            data,
            settings.Cs,
            settings.l1_ratios,
            solver_name=settings.solver,
            tol=float(self.tol),
            max_iter=int(self.max_iter),
            checkpoint=task.checkpoint,
        )
        flat = paths.parameters.reshape(len(splits.train), -1, packing.size)
        if scoring in SCORES_FROM_SUMS:
            scores = score_paths(scoring, executor, data.plain, splits, flat, packing)
        else:
            scores = scores_of_classifiers(scoring, data.plain, splits, flat, packing, data.classes)
        scores = scores.reshape(paths.n_iter.shape)
        choice = choose_best(settings, scores, paths.parameters, refit=bool(self.refit))
        shape = (*scores.shape, *packing.shape)
        fitted = results(
            settings, choice, scores, paths.parameters.reshape(shape), paths.n_iter, data.classes
        )

        def attributes(parameters: FloatArray) -> dict[str, Any]:
            coef, intercept = packing.unpack(parameters)
            passes = (executor.spent.cost.n_blocks - before) / data.blocks.n_blocks
            return {**fitted, "coef_": coef, "intercept_": intercept, "n_passes_": passes}

        if not self.refit:
            task.start(executor, data.blocks, print_lines=bool(self.verbose))
            self.__dict__.update(attributes(choice.parameters), solver_=paths.solver, history_=[])
            return
        problem = data.problem(choice.C, choice.l1_ratio)

        def model(solution: Solution) -> dict[str, Any]:
            return attributes(solution.parameters)

        options: Any = {"solver_name": settings.solver, "task": task, "model": model}
        solve(self, executor, problem, choice.parameters, **options)

    @documented_like(LogisticRegression.score)
    def score(self, X: Any, y: Any, sample_weight: Any = None, **score_params: Any) -> float:
        """Return the score that ``scoring`` names, as a float also for lazy data.

        Parameters
        ----------
        y : array-like or lazy array of shape (n_samples,)
            True labels.
        **score_params : dict
            Metadata for the scorer, which is refused.

        Returns
        -------
        float
            The score: larger is better.

        Raises
        ------
        TypeError
            The scorer needs predictions in memory, and X is lazy.
        """
        check_is_fitted(self)
        refuse_metadata(self, score_params)
        scoring = settings_of(self).scoring
        if scoring == "accuracy":
            return super().score(X, y, sample_weight)
        if not is_lazy(X):
            refuse_lazy(y=y, sample_weight=sample_weight)
            scorer = get_scorer(scoring)
            options = {} if sample_weight is None else {"sample_weight": sample_weight}
            return float(scorer(self, X, y, **options))
        if scoring != "neg_log_loss":
            raise TypeError(
                f"scoring={scoring!r} needs predictions in memory, and X is lazy. Call a metric of "
                f"dlbd_estimators.metrics on predictions."
            )
        data = training_data(self, X, y, sample_weight, classify=True, reset=False)
        return -mean_log_loss(self, data.blocks.encoded(Encoding(self.classes_)))
