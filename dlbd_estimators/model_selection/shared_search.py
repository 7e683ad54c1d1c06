"""The ``fit`` of the searches, which fits candidates in shared sweeps if possible."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Self

import numpy as np
import sklearn.model_selection
from scipy import sparse
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from dlbd_estimators.base.xarray_input import AcceptsXarray
from dlbd_estimators.model_selection.candidate_groups import groups_of, with_parameters
from dlbd_estimators.model_selection.fitted_candidates import (
    Candidate,
    FittedCandidates,
    lookup_scorers,
    scorers_of,
)
from dlbd_estimators.model_selection.search_splits import SearchSplits, is_ours

#: Arguments of ``fit`` with which shared sweeps are possible.
_KNOWN = {"groups", "sample_weight"}


class SharedSearch(AcceptsXarray):
    """Mixin that adds shared sweeps to one of scikit-learn's searches, the next base class.

    Parameters
    ----------
    estimator : estimator
        The model, or a pipeline that ends in it.
    scoring : str, callable, list, tuple or dict, optional
        The score by which candidates are compared; None means the model's own score. A list of
        names, a dict, or a callable that returns a dict gives several scores.
    n_jobs : int, optional
        Number of processes or threads for candidates that are fitted one by one. It has no effect
        on shared sweeps, for which Dask sets the number of threads.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate to all rows. With several scores, it is the name of the
        score that determines the best candidate. Or it is a callable that takes ``cv_results_`` and
        returns the index of the best candidate.
    cv : int, splitter, iterable or array of int, optional
        Which rows are held out. None means 5 folds, and a number means that many. For data in
        memory they are scikit-learn's folds. For lazy data they have consecutive rows, or for a
        classifier random rows of each block. It may be a splitter of
        :mod:`dlbd_estimators.model_selection` or of scikit-learn, or an iterable of splits. Or it
        is an array with the number of each row's fold; rows with the number -1 are training rows
        of all splits. For lazy data, scikit-learn's splitters need the positions of all rows:
        candidates are then fitted one by one.
    verbose : int, default=0
        1 prints the number of fits, more than 1 also one line for each fit.
    pre_dispatch : int or str, default="2*n_jobs"
        Largest number of fits that are dispatched to the ``n_jobs`` workers at a time.
    error_score : "raise" or float, default=nan
        Score of a candidate whose fit fails, or ``"raise"`` to raise the error. Shared sweeps
        always raise errors in the data or the folds.
    return_train_score : bool, default=False
        Whether to compute scores on the training rows, too.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        Scores, ranks, parameters and times in seconds of all candidates, by scikit-learn's keys.
        The time of shared sweeps is divided equally among their fits.
    best_estimator_ : estimator
        The best candidate, fitted to all rows. Only with ``refit``.
    best_score_ : float
        Mean score of the best candidate over all splits. Not with a callable ``refit``.
    best_params_ : dict
        Parameters of the best candidate.
    best_index_ : int
        Index of the best candidate in ``cv_results_``.
    scorer_ : callable or dict of str to callable
        The scorers.
    n_splits_ : int
        Number of splits.
    refit_time_ : float
        Seconds of the fit of the best candidate to all rows.
    multimetric_ : bool
        Whether there are several scores.
    classes_ : ndarray of shape (n_classes,)
        Class labels. Only for a classifier.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has names.
    n_passes_ : float
        Number of passes over the features, including the refit. Only if all candidates shared
        sweeps. Passes of scorers that need predictions are not counted.
    """

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
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets), optional
            Targets or labels.
        **params : dict
            ``sample_weight``, the ``groups`` of a splitter, and other arguments of the model's
            ``fit``.

        Returns
        -------
        self
            The fitted search.

        Raises
        ------
        ValueError
            All fits failed. Or, whatever ``error_score`` is: the model has no parameter of a given
            name, scikit-learn has no scorer of a given name, a split has no training row of a
            class, there are more folds than rows, or X or y holds NaN or infinity.
        LengthMismatch
            ``cv`` is an array whose length is not the number of rows.
        TypeError
            ``cv`` is an array of fold numbers that are no integers.

        Warns
        -----
        FitFailedWarning
            Some fits failed, and their scores are ``error_score``.
        UserWarning
            A scorer failed, or a score is not finite.
        ConvergenceWarning
            A fit did not reach ``tol``.
        """
        if get_config()["enable_metadata_routing"]:
            return super().fit(X, y, **params)  # type: ignore[misc, no-any-return]
        self._validate_params()
        vars(self).pop("n_passes_", None)
        scoring = lookup_scorers(self.estimator, self.scoring)
        drawn_from = getattr(self, "random_state", None)
        state_before = deepcopy(drawn_from)
        candidates = [dict(candidate) for candidate in self._candidates()]
        # A pipeline does not pass weights to a scaler, and a scaler does not centre sparse rows.
        bare = params.get("sample_weight") is not None or sparse.issparse(X)
        groups = groups_of(self.estimator, candidates, bare=bare)
        if y is None or set(params) - _KNOWN:
            groups = []
        if not groups and not is_ours(self.cv, X):
            if drawn_from is not None and isinstance(
                state_before, np.random.RandomState
            ):  # the same candidates are drawn again
                drawn_from.set_state(state_before.get_state())
            return super().fit(X, y, **params)  # type: ignore[misc, no-any-return]
        classify = is_classifier(self.estimator)
        splits = SearchSplits.of(self.cv, X, y, params.get("groups"), classify=classify)
        table = FittedCandidates(self.estimator, X, y, params.get("sample_weight"), splits)
        started_at = time.perf_counter()
        if splits.for_shared_fits is not None:
            table.fill(groups, train_scores=bool(self.return_train_score))
        seconds = time.perf_counter() - started_at
        if table.fitted:
            self._look_up(table, candidates, scoring, seconds)
        else:
            sklearn_search = self._sklearn_search(
                self.estimator, candidates, self.scoring, splits.cv, self.n_jobs
            )
            self._run_and_copy(sklearn_search, X, y, **params)
        return self

    def _look_up(
        self,
        table: FittedCandidates,
        candidates: list[dict[str, Any]],
        scoring: Any,
        seconds: float,
    ) -> None:
        """Let scikit-learn compare the candidates, and fit those that shared no sweeps."""
        shared = [
            index
            for index, candidate in enumerate(candidates)
            if table.find(with_parameters(self.estimator, candidate)) is not None
        ]
        alone = len(shared) < len(candidates)
        n_splits = table.n_splits
        cv = [([number], [n_splits + number]) for number in range(n_splits)]
        n_jobs = self.n_jobs if alone else None
        sklearn_search = self._sklearn_search(Candidate(table), candidates, scoring, cv, n_jobs)
        self._run_and_copy(sklearn_search, np.arange(2 * n_splits))
        self.scorer_ = scorers_of(self.estimator, self.scoring)
        # The times of shared fits cannot be measured separately: divide their sum among them.
        self.cv_results_["mean_fit_time"][shared] = seconds / (len(shared) * n_splits)
        self.cv_results_["std_fit_time"][shared] = 0.0
        best = None
        if self.refit:
            self.best_estimator_ = best = self.best_estimator_.model
            if hasattr(best, "feature_names_in_"):
                self.feature_names_in_ = best.feature_names_in_
        if not alone:
            self.n_passes_ = table.n_passes + _passes(best)

    def _sklearn_search(
        self, estimator: Any, candidates: list[dict[str, Any]], scoring: Any, cv: Any, n_jobs: Any
    ) -> Any:
        """Return scikit-learn's search for these candidates."""
        return sklearn.model_selection.GridSearchCV(
            estimator,
            [{name: [value] for name, value in candidate.items()} for candidate in candidates],
            scoring=scoring,
            n_jobs=n_jobs,
            refit=self.refit,
            cv=cv,
            verbose=self.verbose,
            pre_dispatch=self.pre_dispatch,
            error_score=self.error_score,
            return_train_score=self.return_train_score,
        )

    def _run_and_copy(self, sklearn_search: Any, X: Any, y: Any = None, **params: Any) -> None:
        """Run scikit-learn's search, and copy its fitted attributes."""
        sklearn_search.set_callbacks(*getattr(self, "_skl_callbacks", ()))
        sklearn_search.fit(X, y, **params)
        fitted_attributes = {
            name: value for name, value in vars(sklearn_search).items() if name.endswith("_")
        }
        vars(self).update(fitted_attributes)


def _passes(model: Any) -> float:
    """Return the number of passes of a fitted model; for a pipeline, the sum over its steps."""
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    return float(sum(getattr(step, "n_passes_", 0.0) for step in steps))
