"""The fit of the searches: candidates that sweeps can serve together, and all others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import sklearn.model_selection
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from dlbd_estimators.model_selection.candidate_groups import with_parameters
from dlbd_estimators.model_selection.fitted_candidates import (
    Candidate,
    Table,
    looked_up,
    scorers_of,
)
from dlbd_estimators.model_selection.search_splits import SearchSplits

#: What a fit is given that is no parameter of the model's fit, or that sweeps take.
_KNOWN = {"groups", "sample_weight"}


class SharedSearch:
    """Adds shared sweeps to one of scikit-learn's searches, which comes next in line."""

    estimator: Any
    scoring: Any
    n_jobs: int | None
    refit: Any
    cv: Any
    verbose: int
    pre_dispatch: Any
    error_score: Any
    return_train_score: bool
    cv_results_: dict[str, Any]
    best_estimator_: Any
    _validate_params: Any

    def _candidates(self) -> Iterable[Mapping[str, Any]]:
        """Return the parameters of each candidate."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit and score all candidates, and fit the best one to all rows.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets), optional
            Targets or labels.
        **params : dict
            ``sample_weight``, ``groups`` of a splitter, and what else the model's ``fit`` takes.

        Returns
        -------
        self
            The fitted search.

        Raises
        ------
        ValueError
            The model has no parameter of a name, scikit-learn no scorer, a split trains on no row
            of a class, there are more folds than rows, or X or y holds NaN or infinity: these are
            raised whatever ``error_score`` is. All fits failed.
        LengthMismatch
            ``cv`` names the folds of another number of rows.
        TypeError
            ``cv`` names folds by something else than integers.

        Warns
        -----
        FitFailedWarning
            Some fits failed, and their scores are ``error_score``.
        UserWarning
            A scorer failed, or a score is not finite.
        ConvergenceWarning
            A model was not found to ``tol``.
        """
        if get_config()["enable_metadata_routing"]:
            return super().fit(X, y, **params)  # type: ignore[misc, no-any-return]
        self._validate_params()
        vars(self).pop("n_passes_", None)
        candidates = [dict(each) for each in self._candidates()]
        for each in candidates:
            with_parameters(self.estimator, each)  # an unknown name is an error of all fits
        splits = SearchSplits.of(
            self.cv, X, y, params.get("groups"), classify=is_classifier(self.estimator)
        )
        given = {
            "param_grid": [{name: [value] for name, value in each.items()} for each in candidates],
            "refit": self.refit,
            "verbose": self.verbose,
            "error_score": self.error_score,
            "return_train_score": self.return_train_score,
        }
        n_splits = splits.n_splits(X, y)
        table = Table(self.estimator, X, y, params.get("sample_weight"), splits, n_splits)
        began = time.perf_counter()
        scoring = looked_up(self.estimator, self.scoring)
        if y is not None and splits.together is not None and not set(params) - _KNOWN:
            table.fill(candidates, train_scores=bool(self.return_train_score))
        seconds = time.perf_counter() - began
        if not table.fitted:
            self._take(
                _theirs(
                    self.estimator,
                    scoring=self.scoring,
                    cv=splits.cv,
                    n_jobs=self.n_jobs,
                    pre_dispatch=self.pre_dispatch,
                    **given,
                ),
                X,
                y,
                **params,
            )
            return self
        shared = [
            place
            for place, each in enumerate(candidates)
            if table.find(with_parameters(self.estimator, each)) is not None
        ]
        self._take(
            _theirs(
                Candidate(table),
                scoring=scoring,
                cv=[([number], [n_splits + number]) for number in range(n_splits)],
                n_jobs=None if len(shared) == len(candidates) else self.n_jobs,
                **given,
            ),
            np.arange(2 * n_splits),
        )
        self.scorer_ = scorers_of(self.estimator, self.scoring)
        # What a shared fit took is no one's own.
        self.cv_results_["mean_fit_time"][shared] = seconds / (len(shared) * n_splits)
        self.cv_results_["std_fit_time"][shared] = 0.0
        best = None
        if self.refit:
            self.best_estimator_ = best = self.best_estimator_.model
            if hasattr(best, "feature_names_in_"):
                self.feature_names_in_ = best.feature_names_in_
        if len(shared) == len(candidates):
            self.n_passes_ = table.n_passes + _passes(best)
        return self

    def _take(self, theirs: Any, X: Any, y: Any = None, **params: Any) -> None:
        """Run scikit-learn's search, and take over what it finds."""
        theirs.set_callbacks(*getattr(self, "_skl_callbacks", ()))
        theirs.fit(X, y, **params)
        found = {name: value for name, value in vars(theirs).items() if name.endswith("_")}
        vars(self).update(found)


def _theirs(estimator: Any, **given: Any) -> Any:
    return sklearn.model_selection.GridSearchCV(estimator, **given)


def _passes(model: Any) -> float:
    """Return the passes of a fit, if there was one: of a pipeline, those of its steps."""
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    return float(sum(getattr(step, "n_passes_", 0.0) for step in steps))
