"""Search over all combinations of parameter values by cross-validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sklearn.model_selection
from sklearn.model_selection import ParameterGrid

from dlbd_estimators.base.documentation import documented_by_bases
from dlbd_estimators.model_selection.shared_search import SharedSearch


@documented_by_bases
class GridSearchCV(SharedSearch, sklearn.model_selection.GridSearchCV):
    """Search over all combinations of given parameter values.

    The results are those of scikit-learn's class of the same name. If candidates differ only in the
    penalty of a linear model of this package, they are fitted to all splits together, in shared
    passes over the data (sweeps). In a ``Pipeline`` a ``StandardScaler`` may come before the model.
    All other candidates are fitted one after the other; if X is lazy, their rows stay lazy.

    Parameters
    ----------
    param_grid : dict or list of dict
        Values to try, by parameter name. For a list, all combinations within each dict are tried.

    Notes
    -----
    Shared sweeps serve ``C`` of :class:`dlbd_estimators.LogisticRegression` with an L2 penalty,
    ``alpha`` of :class:`dlbd_estimators.Ridge` and :class:`dlbd_estimators.Lasso`, and ``alpha``
    and ``l1_ratio`` of :class:`dlbd_estimators.ElasticNet`; ``docs/search.md`` lists the other
    parameters that are allowed. Each split has its own mean and variance for the scaler. Accuracy,
    log loss, R2 and (root) mean squared error are computed in the sweeps. Other scorers need
    predictions.

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
