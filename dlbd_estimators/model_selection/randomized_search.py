"""Search over random combinations of parameter values by cross-validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sklearn.model_selection
from sklearn.model_selection import ParameterSampler

from dlbd_estimators.base.documentation import documented_by_bases
from dlbd_estimators.model_selection.shared_search import SharedSearch


@documented_by_bases
class RandomizedSearchCV(SharedSearch, sklearn.model_selection.RandomizedSearchCV):
    """Search over random combinations of parameter values.

    The candidates and the results are those of scikit-learn's class of the same name. If candidates
    differ only in the penalty of a linear model of this package, they are fitted to all splits in
    shared sweeps over the data, under the conditions of :class:`GridSearchCV`.

    Parameters
    ----------
    param_distributions : dict or list of dict
        Lists of values, or distributions with a method ``rvs``, by parameter name. For a list, one
        dict is drawn for each candidate.
    n_iter : int, default=10
        Number of candidates to draw.
    random_state : int, RandomState or None, default=None
        Seed of the draws. The same seed draws the same candidates as in scikit-learn.

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
