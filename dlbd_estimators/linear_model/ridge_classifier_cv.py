"""Ridge classification whose penalty is chosen by cross-validation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.preprocessing import LabelBinarizer

from dlbd_estimators.base.callbacks import fit_task, with_callbacks
from dlbd_estimators.base.class_predictions import ClassLabels
from dlbd_estimators.base.class_weights import class_factors, count_labels
from dlbd_estimators.base.documentation import documented_like
from dlbd_estimators.base.parameters import check_choice, check_flag
from dlbd_estimators.base.to_sklearn import SklearnCounterpart
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.block import Blocks, Encoding
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.kernels.predictors import LinearPredictor
from dlbd_estimators.linear_model.cv_splits import divide_by_cv, refuse_metadata
from dlbd_estimators.linear_model.decision_function import DecisionFunction
from dlbd_estimators.linear_model.logistic import LogisticRegression
from dlbd_estimators.linear_model.logistic_paths import split_weights
from dlbd_estimators.linear_model.row_scores import (
    score_of_class_models,
    score_of_class_rows,
    targets_in_memory,
)
from dlbd_estimators.linear_model.search import check_alphas, least_squares_problem, search
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.smooth.ridge_search import (
    RidgeClassFolds,
    RidgeFolds,
    RidgeLeaveOneOut,
    RidgeSearchState,
)

#: Step 1 is the search. Step 2 is a further pass, if the moments are ill-conditioned.
_STEPS = 2


def _complete(model: Any) -> None:
    """Set the private attribute with which scikit-learn's class predicts labels."""
    model._label_binarizer = LabelBinarizer(pos_label=1, neg_label=-1).fit(model.classes_)


class RidgeClassifierCV(DecisionFunction, ClassLabels):
    """Ridge classification with built-in cross-validation.

    Minimises ``sum_i s_i (t_i - x_i w - b)^2 + alpha ||w||^2`` for each class, where ``s_i`` is the
    weight of row i, and ``t_i`` is 1 for rows of the class and -1 for all others. The predicted
    class is the one whose model gives the largest value. Two classes need one model only. The
    chosen alpha is the one that predicts held-out rows best.

    Parameters
    ----------
    alphas : float or array-like of shape (n_alphas,), default=(0.1, 1.0, 10.0)
        Strengths to choose from: greater than 0 with ``cv=None``, otherwise at least 0.
    fit_intercept : bool, default=True
        Whether to estimate the intercept ``b``; if not, it is 0.
    scoring : str or callable, optional
        How predictions of held-out rows are scored. None means the negative mean squared error with
        leave-one-out, and the accuracy with folds. scikit-learn's other scorer names, and
        callables, need data in memory.
    cv : int, splitter, iterable or array of int, optional
        Which rows are held out. None means leave-one-out, and a number means that many folds:
        stratified for data in memory, as in scikit-learn, and random rows for lazy data. It may be
        a splitter of :mod:`dlbd_estimators.model_selection`. For data in memory, it may also be a
        splitter of scikit-learn, or an iterable of splits. Or it is an array with the number of
        each row's fold; rows with the number -1 are training rows of all splits.
    class_weight : dict, "balanced" or None, default=None
        Factor by which the weights of the rows of each class are multiplied, in fits and scores.
        ``"balanced"`` is ``n_samples / (n_classes * n_samples_of_the_class)``, and None is 1.
    store_cv_results : bool, default=False
        Whether to keep the leave-one-out values of each row. Data must be in memory.
    checkpoint : str or path, optional
        Folder, or URL of an object store, to which the fit is written after each step. A later
        ``fit`` with the same parameters and data continues from there, with a bit-identical
        result. ``{}`` in the path is replaced by a hash of the parameters and data, so that each
        fit of a search has its own folder. See ``docs/reliability.md``.

    Attributes
    ----------
    alpha_ : float
        The alpha that was chosen.
    best_score_ : float
        The score of that alpha; with folds, the mean of the scores of all folds.
    cv_results_ : ndarray of shape (n_samples, n_targets, n_alphas)
        With ``store_cv_results``: squared errors if ``scoring`` is None, otherwise predictions.
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    coef_ : ndarray of shape (n_features,) or (n_classes, n_features)
        Coefficients, float64. For two classes, they are the coefficients for ``classes_[1]``.
    intercept_ : float or ndarray of shape (1,) or (n_classes,)
        Intercepts; 0.0 with ``fit_intercept=False``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has names.
    solver_ : str
        The solver used.
    n_passes_ : float
        Number of passes over the features: 2, or 3 if columns are nearly dependent.
    history_ : list of dict
        One entry for each step.

    Notes
    -----
    The first pass computes the second moments of features and classes. With folds, the second pass
    counts the misclassified rows for all alphas and folds. With leave-one-out, it computes the
    errors of all rows. For two classes, leave-one-out with ``scoring`` differs from scikit-learn,
    which sees only one class and therefore always chooses the first alpha; this class scores both
    classes. As in scikit-learn, ``class_weight="balanced"`` counts rows and ignores their
    ``sample_weight``.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import RidgeClassifierCV
    >>> X = np.array([[-2.0], [-1.5], [-1.0], [1.0], [1.5], [2.0]])
    >>> y = ["no", "no", "no", "yes", "yes", "yes"]
    >>> RidgeClassifierCV(alphas=[0.1, 1.0], cv=3).fit(X, y).predict([[0.5]])
    array(['yes'], dtype='<U3')
    """

    _sklearn_counterpart = SklearnCounterpart(
        "sklearn.linear_model.RidgeClassifierCV",
        attributes=("coef_", "intercept_", "alpha_", "best_score_", "cv_results_", "classes_"),
        complete=_complete,
    )

    def __init__(
        self,
        alphas: Any = (0.1, 1.0, 10.0),
        *,
        fit_intercept: bool = True,
        scoring: Any = None,
        cv: Any = None,
        class_weight: Any = None,
        store_cv_results: bool = False,
        checkpoint: Any = None,
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.class_weight = class_weight
        self.store_cv_results = store_cv_results
        self.checkpoint = checkpoint

    @documented_like(LogisticRegression.fit)
    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> RidgeClassifierCV:
        """Choose alpha, and fit the model.

        Parameters
        ----------
        **params : dict
            Metadata for splitter and scorer. It is refused: pass the splits as ``cv`` instead.

        Returns
        -------
        RidgeClassifierCV
            The fitted estimator.

        Raises
        ------
        ValueError
            X or sample_weight holds NaN or infinity, lengths differ, y has a single class, a fold
            has no training row of a class, there are more folds than rows, an alpha is out of
            range, or a score is NaN.
        TypeError
            X is not numeric, or X is lazy and the splitter or the scorer needs rows in memory.
        MemoryError
            A block, or the second moments, do not fit in the memory of a worker.
        """
        refuse_metadata(self, params)
        alphas = self._check_parameters()
        with fit_task(self, X, y, sample_weight, max_steps=_STEPS) as task:
            data = training_data(self, X, y, sample_weight, classify=True)
            self._refuse_lazy(data.blocks)
            with executor_for(data.blocks) as executor:
                counts = count_labels(self, executor, data.blocks, "ridge-classifier-cv")
                task.checkpoint.open(executor, data.blocks)
                task.checkpoint.add_to_fingerprint("classes", counts.labels)
                task.checkpoint.add_to_fingerprint("weights of classes", counts.weights)
                classes = counts.labels
                as_rows = replace(counts, weights=counts.counts.astype(float))
                encoding = Encoding(classes, class_factors(self, as_rows), signs=True)
                blocks, solver = self._solver(alphas, data.blocks, executor, encoding)
                n_outputs = 1 if len(classes) == 2 else len(classes)
                packing = Packing(n_outputs, blocks.n_features, bool(self.fit_intercept))
                problem = least_squares_problem(
                    executor,
                    blocks,
                    packing,
                    L2(float(alphas[0])),
                    None,
                    name="ridge-classifier-cv",
                    otherwise="take LogisticRegression",
                )

                def model(solution: Solution) -> dict[str, Any]:
                    return {
                        "classes_": classes,
                        **self._fitted_attributes(packing, solution, blocks),
                    }

                search(self, executor, problem, solver, task=task, model=model, advice="")
        return self

    def _check_parameters(self) -> FloatArray:
        for flag in ("fit_intercept", "store_cv_results"):
            check_flag(self, flag)
        if self.scoring is not None and not callable(self.scoring):
            check_choice(self, "scoring", get_scorer_names())
        if self.cv is not None and self.store_cv_results:
            raise ValueError(
                "cv!=None and store_cv_results=True are incompatible: store_cv_results is for "
                "leave-one-out (cv=None). Remove one of them."
            )
        return check_alphas(self, open_low=self.cv is None)

    def _refuse_lazy(self, blocks: Blocks) -> None:
        if blocks.in_memory:
            return
        if self.store_cv_results:
            raise TypeError(
                "store_cv_results=True keeps a value of each row, but X is lazy. Set it to False, "
                "or fit rows in memory."
            )
        by_pass = self.scoring is None or (self.cv is not None and self.scoring == "accuracy")
        if not by_pass:
            raise TypeError(
                f"scoring={self.scoring!r} needs the predictions of all rows, but X is lazy. "
                f"Use cv=5 with scoring='accuracy', or scoring=None."
            )

    def _solver(
        self, alphas: FloatArray, blocks: Blocks, executor: Executor, encoding: Encoding
    ) -> tuple[Blocks, RidgeFolds | RidgeLeaveOneOut]:
        """Return the blocks with encoded targets, and the solver that searches."""
        classes = encoding.classes
        assert classes is not None
        if self.cv is None:
            found = blocks.encoded(encoding)
            if blocks.sizes is not None and sum(blocks.sizes) < 2:
                raise ValueError("cv=None leaves one row out and fits the others: X has one row.")
            score = None
            if self.scoring is not None:
                raw = blocks.encoded(Encoding(raw=True))
                labels = np.concatenate(
                    [raw.load(block_number).y for block_number in range(raw.n_blocks)]
                )
                score = score_of_class_rows(self.scoring, found, labels, classes)
            by_rows, keep = score is not None, bool(self.store_cv_results)
            return found, RidgeLeaveOneOut(alphas, score=score, by_rows=by_rows, keep_errors=keep)
        parts, splits = divide_by_cv(self, blocks, executor, classify=True)
        split_weights(executor, parts, splits, classes, encoding.class_weight)  # for its checks
        found = parts.encoded(encoding)
        if self.scoring is None or self.scoring == "accuracy":
            return found, RidgeClassFolds(alphas, splits)
        weighted = parts.encoded(Encoding(classes, encoding.class_weight))
        by_models = score_of_class_models(self.scoring, weighted, splits, classes)
        return found, RidgeFolds(alphas, splits, score=by_models, by_predictions=True)

    def _fitted_attributes(
        self, packing: Packing, solution: Solution, blocks: Blocks
    ) -> dict[str, Any]:
        coef, intercept = packing.unpack(solution.parameters)
        found: dict[str, Any] = {
            "coef_": coef[0] if packing.n_outputs == 1 else coef,
            "intercept_": intercept if self.fit_intercept else 0.0,
        }
        state = solution.state
        if not isinstance(state, RidgeSearchState) or state.alphas is None:
            return found  # a callback stopped the search before anything was chosen
        assert state.best_scores is not None
        found["alpha_"] = float(state.alphas[0])
        found["best_score_"] = float(state.best_scores[0])
        if state.errors is not None:
            y, weight = targets_in_memory(blocks)
            values = np.moveaxis(state.errors, 1, 2)  # (n_rows, n_targets, n_alphas)
            if self.scoring is None:
                values = values**2 if weight is None else values**2 * weight[:, None, None]
            else:
                values = y[:, :, None] - values
            found["cv_results_"] = values
        return found

    def _model(self) -> LinearPredictor:
        coef = np.atleast_2d(self.coef_)
        intercept = np.asarray(self.intercept_, dtype=np.float64)
        return LinearPredictor(coef, np.broadcast_to(intercept, (len(coef),)))
