"""An estimator that gives scikit-learn's search the models fitted in shared sweeps.

scikit-learn's ``GridSearchCV`` gets numbers instead of rows: number i stands for the training rows
of split i, and ``n_splits + i`` for its test rows. So scikit-learn itself collects the scores,
ranks the candidates, handles failures and refits the best one.
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
    as_candidate,
    key_of,
    steps_of,
    with_parameters,
)
from dlbd_estimators.model_selection.search_splits import Pairs, SearchSplits
from dlbd_estimators.model_selection.take_rows import in_memory


@dataclass(frozen=True)
class CandidateFits:
    """One candidate, fitted to each split.

    Attributes
    ----------
    models : list of estimator
        The fitted model of each split.
    scalers : list of transformer or None
        The fitted scaler of each split, if there is one before the model.
    test, train : dict of str to ndarray of shape (n_splits,)
        Scores on test and training rows that the sweeps computed, by scikit-learn's scorer names.
    """

    models: list[Any]
    scalers: list[Any] | None
    test: dict[str, Any]
    train: dict[str, Any]


@dataclass
class FittedCandidates:
    """The candidates that a search has fitted in shared sweeps, and the data for the others.

    Attributes
    ----------
    estimator : estimator
        The estimator whose parameters are searched.
    X, y, sample_weight
        The data, as the user passed them.
    splits : SearchSplits
        The splits of the rows.
    fitted : dict of str to CandidateFits
        The fitted candidates, by their keys.
    n_passes : float
        Number of passes over the data that the shared fits took.
    """

    estimator: Any
    X: Any
    y: Any
    sample_weight: Any
    splits: SearchSplits
    fitted: dict[str, CandidateFits] = field(default_factory=dict)
    n_passes: float = 0.0
    _pairs: Pairs | None = None
    _opened: tuple[Any, Any, Any] | None = None

    def fill(self, groups: Sequence[Group], *, train_scores: bool) -> None:
        """Fit the groups of candidates that can share sweeps."""
        for group in groups:
            scaling = None if group.scaler is None else SplitScalers(group.scaler)
            fits = group.models[0]._fit_on_splits(
                group.models,
                self.X,
                self.y,
                self.sample_weight,
                cv=self.splits.for_shared_fits,
                scaling=scaling,
                train_scores=train_scores,
            )
            if fits is None:
                continue
            self.n_passes += fits.n_passes
            for index, (key, models) in enumerate(zip(group.keys, fits.models, strict=True)):
                if models is not None:
                    self.fitted[key] = CandidateFits(
                        models,
                        None if scaling is None else scaling.fitted,
                        {name: each[index] for name, each in fits.test.items()},
                        {name: each[index] for name, each in fits.train.items()},
                    )

    @cached_property
    def n_splits(self) -> int:
        """Number of splits."""
        return self.splits.n_splits(self.X, self.y)

    def find(self, model: Any) -> CandidateFits | None:
        """Return the fits of a candidate; None if it was not fitted in shared sweeps."""
        return None if steps_of(model) is None else self.fitted.get(key_of(model))

    def rows(self, number: int) -> tuple[Any, Any, dict[str, Any]]:
        """Return features, targets and weights of the rows that a number stands for."""
        if self._pairs is None:
            self._pairs = self.splits.pairs(self.X, self.y)
            # This package replaces indexable: lazy data become arrays whose rows can be selected by
            # number (dlbd_estimators.base.rows_by_number).
            weight = self.sample_weight
            scalar = weight is None or np.isscalar(weight)
            found = sklearn.utils.indexable(self.X, self.y, None if scalar else weight)
            self._opened = found[0], found[1], weight if scalar else found[2]
        assert self._opened is not None
        X, y, weight = self._opened
        train, test = self._pairs[number % self.n_splits]
        positions = train if number < self.n_splits else test
        if weight is None:
            return in_memory(X, positions), in_memory(y, positions), {}
        taken = weight if np.isscalar(weight) else in_memory(weight, positions)
        return in_memory(X, positions), in_memory(y, positions), {"sample_weight": taken}


class Candidate(BaseEstimator):
    """A candidate whose ``fit`` looks up the fitted model, or fits it if there is none.

    Parameters
    ----------
    table : FittedCandidates
        The fitted candidates.
    """

    def __init__(self, table: FittedCandidates) -> None:
        self.table = table
        self.model = table.estimator
        self.found: CandidateFits | None = None

    def __sklearn_clone__(self) -> Self:
        return type(self)(self.table)

    def set_params(self, **parameters: Any) -> Self:
        self.model = with_parameters(self.table.estimator, parameters)
        return self

    def fit(self, X: Any, y: None = None) -> Self:
        """Fit the model to the rows of one number; several numbers mean all rows."""
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
            self.model = as_candidate(self.model, scaler, self.found.models[number])
        return self


@dataclass(frozen=True)
class CandidateScorer:
    """A scorer of candidates: it looks up the score, or calls scikit-learn's scorer.

    Attributes
    ----------
    scorer : callable
        A scorer of scikit-learn or of the user.
    name : str or None
        Name of the score in :class:`CandidateFits`; None means the model's own score.
    may_find : bool
        Whether the score may be in :class:`CandidateFits`.
    weighted : bool
        Whether the scorer takes weights.
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
        There is no scorer of such a name, or the model has no method ``score``.
    """
    if isinstance(scoring, list | tuple | set):
        return {name: get_scorer(name) for name in scoring}
    if isinstance(scoring, dict):
        return {name: get_scorer(each) for name, each in scoring.items()}
    return check_scoring(estimator, scoring)


def lookup_scorers(estimator: Any, scoring: Any) -> Any:
    """Return the scorers of :func:`scorers_of`, each as a :class:`CandidateScorer`."""
    scorers = scorers_of(estimator, scoring)

    def one(scorer: Any, given: Any) -> CandidateScorer:
        accepts = getattr(scorer, "_accept_sample_weight", None)
        named = given is None or isinstance(given, str)
        return CandidateScorer(scorer, given if named else None, named, bool(accepts and accepts()))

    if not isinstance(scorers, dict):
        return one(scorers, scoring)
    given = scoring if isinstance(scoring, dict) else {name: name for name in scoring}
    return {name: one(scorer, given[name]) for name, scorer in scorers.items()}
