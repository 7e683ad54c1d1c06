"""Models that sweeps have fitted, as an estimator that scikit-learn's search can work with.

scikit-learn's ``GridSearchCV`` then runs over the numbers of the splits in place of rows: number i
stands for the rows that split i trains on, and ``n_splits + i`` for those that it tests on. So
scores, ranks, failures, the choice and the refit are scikit-learn's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import sklearn.utils
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import check_scoring, get_scorer

from dlbd_estimators.model_selection.candidate_groups import (
    Group,
    SplitScalers,
    joined,
    key_of,
    steps_of,
    with_parameters,
)
from dlbd_estimators.model_selection.search_splits import Pairs, SearchSplits
from dlbd_estimators.model_selection.take_rows import in_memory


@dataclass(frozen=True)
class Fitted:
    """One candidate, fitted to each split.

    Attributes
    ----------
    models : list of estimator
        By split.
    scalers : list of transformer or None
        The step before, by split.
    test, train : dict of str to ndarray of shape (n_splits,)
        Scores that the sweeps gave, by scikit-learn's names.
    """

    models: list[Any]
    scalers: list[Any] | None
    test: dict[str, Any]
    train: dict[str, Any]


@dataclass
class Table:
    """What a search has fitted, and the rows that it has not looked at yet.

    Attributes
    ----------
    estimator : estimator
        What is searched for.
    X, y, sample_weight
        As the user passed them.
    splits : SearchSplits
        How they are divided.
    fitted : dict of str to Fitted
        By candidate.
    n_passes : float
        Readings of the data that it took.
    """

    estimator: Any
    X: Any
    y: Any
    sample_weight: Any
    splits: SearchSplits
    fitted: dict[str, Fitted] = field(default_factory=dict)
    n_passes: float = 0.0
    _pairs: Pairs | None = None
    _opened: tuple[Any, Any, Any] | None = None

    def fill(self, groups: Sequence[Group], *, train_scores: bool) -> None:
        """Fit the candidates that sweeps can serve."""
        for group in groups:
            scaling = None if group.scaler is None else SplitScalers(group.scaler)
            fits = group.models[0]._fit_on_splits(
                group.models,
                self.X,
                self.y,
                self.sample_weight,
                cv=self.splits.together,
                scaling=scaling,
                train_scores=train_scores,
            )
            if fits is None:
                continue
            self.n_passes += fits.n_passes
            for place, (key, models) in enumerate(zip(group.keys, fits.models, strict=True)):
                if models is not None:
                    self.fitted[key] = Fitted(
                        models,
                        None if scaling is None else scaling.fitted,
                        {name: each[place] for name, each in fits.test.items()},
                        {name: each[place] for name, each in fits.train.items()},
                    )

    @cached_property
    def n_splits(self) -> int:
        """Number of splits."""
        return self.splits.n_splits(self.X, self.y)

    def find(self, model: Any) -> Fitted | None:
        """Return what was fitted of a candidate, if it was."""
        return None if steps_of(model) is None else self.fitted.get(key_of(model))

    def rows(self, number: int) -> tuple[Any, Any, dict[str, Any]]:
        """Return features, targets and weights of the rows that a number stands for."""
        if self._pairs is None:
            self._pairs = self.splits.pairs(self.X, self.y)
            # Lazy data that give rows by their numbers (dlbd_estimators.base.by_number).
            weight = self.sample_weight
            scalar = weight is None or np.isscalar(weight)
            found = sklearn.utils.indexable(self.X, self.y, None if scalar else weight)
            self._opened = found[0], found[1], weight if scalar else found[2]
        assert self._opened is not None
        X, y, weight = self._opened
        train, test = self._pairs[number % self.n_splits]
        where = train if number < self.n_splits else test
        if weight is None:
            return in_memory(X, where), in_memory(y, where), {}
        taken = weight if np.isscalar(weight) else in_memory(weight, where)
        return in_memory(X, where), in_memory(y, where), {"sample_weight": taken}


class Candidate(BaseEstimator):
    """Stands for a candidate: its ``fit`` looks up what was fitted, or fits what was not.

    Parameters
    ----------
    table : Table
        What there is.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.model = table.estimator
        self.found: Fitted | None = None

    def __sklearn_clone__(self) -> Self:
        return type(self)(self.table)

    def set_params(self, **parameters: Any) -> Self:
        self.model = with_parameters(self.table.estimator, parameters)
        return self

    def fit(self, X: Any, y: None = None) -> Self:
        """Fit the model to the rows of one number, or for several to all rows."""
        table = self.table
        if len(X) > 1:  # the refit
            given = {} if table.sample_weight is None else {"sample_weight": table.sample_weight}
            self.model = clone(self.model).fit(table.X, table.y, **given)
            return self
        number = int(X[0])
        self.found = table.find(self.model)
        if self.found is None:
            rows, targets, given = table.rows(number)
            self.model = clone(self.model).fit(rows, targets, **given)
        else:
            scaler = None if self.found.scalers is None else self.found.scalers[number]
            self.model = joined(self.model, scaler, self.found.models[number])
        return self


@dataclass(frozen=True)
class Score:
    """A scorer of candidates: it looks up the score, or lets scikit-learn's scorer predict.

    Attributes
    ----------
    scorer : callable
        scikit-learn's, or the user's.
    name : str or None
        By which sums over rows may have given it; None is the model's own.
    may_find : bool
        Whether they may.
    weighted : bool
        Whether it takes weights.
    """

    scorer: Callable[..., Any]
    name: str | None
    may_find: bool
    weighted: bool

    def __call__(self, candidate: Candidate, X: Any, y: None = None) -> Any:
        table, number = candidate.table, int(X[0])
        found = candidate.found
        if found is not None and self.may_find:
            scores = found.train if number < table.n_splits else found.test
            name = self.name or ("accuracy" if "accuracy" in scores else "r2")
            if name in scores:
                return float(scores[name][number % table.n_splits])
        rows, targets, given = table.rows(number)
        return self.scorer(candidate.model, rows, targets, **(given if self.weighted else {}))


def scorers_of(estimator: Any, scoring: Any) -> Any:
    """Return scikit-learn's scorer, or a dict of several by name.

    Raises
    ------
    ValueError
        There is no scorer of such a name, or the model has no score of its own.
    """
    if isinstance(scoring, list | tuple | set):
        return {name: get_scorer(name) for name in scoring}
    if isinstance(scoring, dict):
        return {name: get_scorer(each) for name, each in scoring.items()}
    return check_scoring(estimator, scoring)


def looked_up(estimator: Any, scoring: Any) -> Any:
    """Return the same as :class:`Score`."""
    scorers = scorers_of(estimator, scoring)

    def one(scorer: Any, given: Any) -> Score:
        accepts = getattr(scorer, "_accept_sample_weight", None)
        named = given is None or isinstance(given, str)
        return Score(scorer, given if named else None, named, bool(accepts and accepts()))

    if not isinstance(scorers, dict):
        return one(scorers, scoring)
    given = scoring if isinstance(scoring, dict) else {name: name for name in scoring}
    return {name: one(scorer, given[name]) for name, scorer in scorers.items()}
