"""A fit of a search says which part of it it is; a search that is over is one line of the list."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - for the import below
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_validate,
)
from sklearn.pipeline import make_pipeline

from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.base import search_candidate
from dlbd_estimators.monitoring import listening
from dlbd_estimators.monitoring.figures import courses_of, curves_of
from dlbd_estimators.monitoring.fits import FitLog
from dlbd_estimators.monitoring.listing import entries_of
from dlbd_estimators.monitoring.table import rows_of
from dlbd_estimators.preprocessing import MinMaxScaler, StandardScaler


@pytest.fixture
def data(rng):
    X = rng.normal(size=(200, 3))
    return X, (X[:, 0] + rng.normal(size=200) > 0).astype(int)


def parts_of(fit, *arguments):
    """What each fit of a program says of its part."""
    heard = []
    with listening(heard.append):
        fit(*arguments)
    return [event["part"] for event in heard if event["event"] == "fit_started"]


@pytest.mark.parametrize("lazy", [False, True])
def test_a_search_tells_candidate_and_fold(data, lazy):
    X, y = data
    if lazy:
        X, y = da.from_array(X, chunks=(50, 3)), da.from_array(y, chunks=50)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0], "standardscaler": [StandardScaler(), MinMaxScaler()]},
        cv=3,
    )
    *evaluations, refit = parts_of(search.fit, X, y)
    assert len({part["id"] for part in [*evaluations, refit]}) == 1
    expected = [
        ({name: repr(value) for name, value in candidate.items()}, fold)
        for candidate in search.cv_results_["params"]
        for fold in (1, 2, 3)
    ]
    assert [(part["parameters"], part["fold"]) for part in evaluations] == expected
    for part in evaluations:
        assert (part["of"], part["n_fits"], part["n_folds"]) == ("GridSearchCV", 12, 3)
        assert not part["refit"]
    assert refit["refit"]
    assert (refit["parameters"], refit["fold"]) == (None, None)


def test_other_searches_tell_theirs(data):
    grid = {"C": [0.1, 1.0, 10.0, 100.0]}
    for search, n_fits in (
        (RandomizedSearchCV(LogisticRegression(), grid, n_iter=2, cv=2, random_state=0), 4),
        (HalvingGridSearchCV(LogisticRegression(), grid, cv=2), 8 + 4 + 2),
    ):
        *evaluations, refit = parts_of(search.fit, *data)
        assert refit["refit"]
        assert {part["fold"] for part in evaluations} == {1, 2}
        assert {part["of"] for part in evaluations} == {type(search).__name__}
        assert len(evaluations) <= n_fits


def test_what_stands_alone_is_part_of_nothing(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), make_pipeline(MinMaxScaler(), Ridge()))
    for fit in (
        lambda: Ridge().fit(X, y),
        lambda: pipeline.fit(X, y),
        lambda: VotingClassifier([("a", LogisticRegression())]).fit(X, y),
        lambda: MLPClassifier((2,)).partial_fit(X, y, classes=[0, 1]),
        lambda: cross_validate(Ridge(), X, y, cv=2),
    ):
        assert set(parts_of(fit)) == {None}


def test_nothing_breaks_if_scikit_learn_calls_it_otherwise(data, monkeypatch):
    monkeypatch.setattr(search_candidate, "_EVALUATION", ("sklearn", "renamed"))
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
    *evaluations, _ = parts_of(search.fit, *data)
    assert [part["parameters"] for part in evaluations] == [None] * 4
    assert {(part["of"], part["n_fits"], part["fold"]) for part in evaluations} == {
        ("GridSearchCV", 4, None)
    }


def test_long_parameters_are_cut():
    short = search_candidate._short(np.arange(1_000))
    assert len(short) == 60
    assert short.endswith("...")


def recorded(*programs):
    """The record of fits, as a scheduler keeps it."""
    log = FitLog()
    with listening(lambda event: log.add(event, "c")):
        for program in programs:
            program()
    return log


def test_a_search_that_is_over_is_one_line(data):
    X, y = data
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3)
    log = recorded(lambda: Ridge().fit(X, y), lambda: search.fit(X, y), lambda: Ridge().fit(X, y))
    entries = entries_of(log)
    assert [entry.name for entry in entries] == ["Ridge 2", "GridSearchCV 1", "Ridge 1"]
    assert [entry.part for entry in entries] == ["", "7 fits, LogisticRegression", ""]
    assert entries[1].newest.part == "refit"
    assert len({fit.hue for entry in entries for fit in entry.fits}) >= 7
    assert len({entry.newest.hue for entry in entries}) == 3
    rows = rows_of(entries)
    steps = sum(fit.n_steps for fit in entries[1].fits)
    assert rows["step"][1] == f"{steps:,} in all"
    passes = sum(fit.last("pass") for fit in entries[1].fits)
    assert rows["pass"][1] == f"{passes:.2f}"


def test_a_search_that_goes_on_is_listed_fit_by_fit(data):
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
    seen = []
    log = FitLog()

    def look(event):
        log.add(event, "c")
        seen.append([(entry.name, entry.part) for entry in entries_of(log)])

    with listening(look):
        search.fit(*data)
    # All evaluations are over, and nobody knows yet whether there is a refit; then there is.
    assert max(len(lines) for lines in seen) == 5
    assert seen[-1] == [("GridSearchCV 1", "5 fits, LogisticRegression")]
    third = next(lines for lines in seen if len(lines) == 3)
    assert third == [
        ("LogisticRegression 3", "GridSearchCV 1: C=1.0, fold 1/2"),
        ("LogisticRegression 2", "GridSearchCV 1: C=0.1, fold 2/2"),
        ("LogisticRegression 1", "GridSearchCV 1: C=0.1, fold 1/2"),
    ]


def test_how_the_fits_of_a_search_ended_is_counted(data):
    X, y = data
    search = GridSearchCV(
        LogisticRegression(), {"solver": ["auto", "lbfgs"], "max_iter": [1]}, cv=2, refit=False
    )
    with pytest.warns(match="did not converge"):
        log = recorded(lambda: search.fit(X, y))
    (entry,) = entries_of(log)
    assert entry.state == "max iter"
    assert "max_iter=1" in entry.message
    log.mark_lost("c")
    assert entries_of(log)[0].state == "max iter"


def test_only_losses_of_one_kind_share_an_axis(data):
    X, y = data
    log = recorded(
        lambda: Ridge().fit(X, y),
        lambda: LogisticRegression(C=0.1).fit(X, y),
        lambda: LogisticRegression().fit(X, y),
    )
    curves = curves_of([fit for _, fit in log])
    assert [bool(np.isnan(each).all()) for each in curves["same_loss"]] == [False, False, True]
    assert not np.isnan(curves["loss"][2]).any()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_fit_has_a_course_beside_its_loss(data):
    X, y = data
    lazy = da.from_array(X, chunks=(50, 3)), da.from_array(y, chunks=50)
    cases = {
        ("error", "gradient_norm", "excess"): LogisticRegression(solver="lbfgs"),
        ("excess", "learning_rate"): MLPClassifier((2,), max_iter=3, random_state=0),
        ("validation_score", "excess", "learning_rate"): MLPClassifier(
            (2,), max_iter=3, random_state=0, early_stopping=True
        ),
        ("excess",): MLPClassifier((2,), solver="lbfgs", max_iter=5, random_state=0),
    }
    for expected, model in cases.items():
        ((_, fit),) = recorded(lambda model=model: model.fit(*lazy))
        assert tuple(courses_of([fit])) == expected
