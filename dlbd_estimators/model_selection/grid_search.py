"""All combinations of parameter values, compared by cross-validation."""

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

    It gives the results of scikit-learn's class of this name. If candidates differ only in the
    penalty of a linear model of this package, they are fitted to all splits in shared sweeps over
    the data. In a ``Pipeline`` a ``StandardScaler`` may come before the model. All other candidates
    are fitted one after the other; if X is lazy, to lazy rows.

    Parameters
    ----------
    param_grid : dict or list of dict
        Values to try, by the names of parameters. Of several dicts, all combinations in each.

    Notes
    -----
    Shared sweeps serve ``C`` of :class:`dlbd_estimators.LogisticRegression` with an L2 penalty,
    ``alpha`` of :class:`dlbd_estimators.Ridge` and :class:`dlbd_estimators.Lasso`, and ``alpha``
    and ``l1_ratio`` of :class:`dlbd_estimators.ElasticNet`; ``docs/search.md`` says which other
    parameters are allowed. Each split has its own mean and variance for the scaler. Accuracy, log
    loss, R2 and (root) mean squared error come from the sweeps; other scorers need predictions.

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
