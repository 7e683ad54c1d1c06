"""Random combinations of parameter values, compared by cross-validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sklearn.model_selection
from sklearn.model_selection import ParameterSampler

from dlbd_estimators.model_selection.shared_search import SharedSearch


class RandomizedSearchCV(SharedSearch, sklearn.model_selection.RandomizedSearchCV):
    """Search over random combinations of parameter values.

    scikit-learn's class of this name, with its draws and results. Candidates share sweeps over the
    data as those of :class:`GridSearchCV` do.

    Parameters
    ----------
    estimator : estimator
        The model, or a pipeline that ends in it.
    param_distributions : dict or list of dict
        By the parameter's name a list of values, or a distribution with a method ``rvs``; of
        several dicts, one is drawn first.
    n_iter : int, default=10
        How many candidates are drawn.
    scoring : str, callable, list, tuple or dict, optional
        What is best: None is the model's own score. Several scores by a list of names, a dict, or
        a callable that returns a dict.
    n_jobs : int, optional
        Processes or threads for candidates that are fitted by themselves. It has no effect on
        shared sweeps, whose threads are Dask's.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate to all rows; of several scores, the name of the one that
        decides; or a callable that takes ``cv_results_`` and returns the best index.
    cv : int, splitter, iterable or array of int, optional
        As for :class:`GridSearchCV`.
    verbose : int, default=0
        1 prints what is fitted, more than 1 also each fit.
    pre_dispatch : int or str, default="2*n_jobs"
        How many fits ``n_jobs`` is given at a time.
    random_state : int, RandomState or None, default=None
        Seed of the draws; it gives those of scikit-learn's class.
    error_score : "raise" or float, default=nan
        Score of a candidate whose own fit fails, or ``"raise"`` to raise its error. Errors in the
        data or the folds are always raised by shared sweeps.
    return_train_score : bool, default=False
        Whether to score on the rows that are trained on, too.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        Scores, ranks, parameters and seconds of all candidates, by scikit-learn's keys. Shared
        sweeps count as many seconds for each of their fits.
    best_estimator_ : estimator
        The best candidate, fitted to all rows; with ``refit``.
    best_score_ : float
        Its mean score; not with a callable ``refit``.
    best_params_ : dict
        Its parameters.
    best_index_ : int
        Its place in ``cv_results_``.
    scorer_ : callable or dict of str to callable
        What scores.
    n_splits_ : int
        Number of splits.
    refit_time_ : float
        Seconds of the fit to all rows.
    multimetric_ : bool
        Whether there are several scores.
    classes_ : ndarray of shape (n_classes,)
        Labels, of a classifier.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had names.
    n_passes_ : float
        Passes over the features, that of the refit among them; where all candidates shared sweeps.
        Those of scorers that need predictions are not counted.

    Examples
    --------
    >>> import dask.array as da
    >>> from scipy.stats import loguniform
    >>> from dlbd_estimators import Ridge
    >>> from dlbd_estimators.model_selection import RandomizedSearchCV
    >>> X = da.arange(20.0, chunks=5).reshape(10, 2)
    >>> alphas = {"alpha": loguniform(1e-3, 1e3)}
    >>> search = RandomizedSearchCV(Ridge(), alphas, n_iter=4, cv=2, random_state=0)
    >>> search.fit(X, X[:, 0]).n_splits_
    2
    """

    def _candidates(self) -> Iterable[Mapping[str, Any]]:
        candidates: Iterable[Mapping[str, Any]] = ParameterSampler(
            self.param_distributions, self.n_iter, random_state=self.random_state
        )
        return candidates
