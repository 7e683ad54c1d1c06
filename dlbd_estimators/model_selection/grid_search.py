"""All combinations of parameter values, compared by cross-validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sklearn.model_selection
from sklearn.model_selection import ParameterGrid

from dlbd_estimators.model_selection.shared_search import SharedSearch


class GridSearchCV(SharedSearch, sklearn.model_selection.GridSearchCV):
    """Search over all combinations of given parameter values.

    scikit-learn's class of this name, with its results. Candidates that differ in the penalty of a
    linear model of this package alone are fitted to all splits in shared sweeps over the data; the
    model may stand behind a ``StandardScaler`` in a ``Pipeline``. All others are fitted one after
    the other, to lazy rows where X is lazy.

    Parameters
    ----------
    estimator : estimator
        The model, or a pipeline that ends in it.
    param_grid : dict or list of dict
        Values to try by the parameter's name; of several dicts, the combinations of each.
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
        None is 5 folds. A number of folds: for data in memory scikit-learn's; for lazy data
        consecutive rows, or for a classifier rows at random from each block. A splitter of
        :mod:`dlbd_estimators.model_selection` or of scikit-learn, splits, or an array with the
        number of each row's fold, -1 for rows that are always trained on. On lazy data, candidates
        share no sweeps with scikit-learn's splitters, which need the positions of all rows.
    verbose : int, default=0
        1 prints what is fitted, more than 1 also each fit.
    pre_dispatch : int or str, default="2*n_jobs"
        How many fits ``n_jobs`` is given at a time.
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

    Notes
    -----
    Shared sweeps serve ``C`` of :class:`dlbd_estimators.LogisticRegression` with an L2 penalty,
    ``alpha`` of :class:`dlbd_estimators.Ridge` and :class:`dlbd_estimators.Lasso`, and ``alpha``
    and ``l1_ratio`` of :class:`dlbd_estimators.ElasticNet`; ``docs/search.md`` says which other
    parameters go with it. Each split has its own mean and variance for the scaler. Accuracy, log
    loss, R2 and (root) mean squared error follow from the sweeps; other scorers predict.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators import Ridge
    >>> from dlbd_estimators.model_selection import GridSearchCV
    >>> X = da.arange(20.0, chunks=5).reshape(10, 2)
    >>> search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, cv=2)
    >>> search.fit(X, X[:, 0]).best_params_
    {'alpha': 0.1}
    """

    def _candidates(self) -> Iterable[Mapping[str, Any]]:
        candidates: Iterable[Mapping[str, Any]] = ParameterGrid(self.param_grid)
        return candidates
