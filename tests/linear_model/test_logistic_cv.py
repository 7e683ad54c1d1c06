"""LogisticRegressionCV chooses what scikit-learn's does, in a handful of sweeps."""

from __future__ import annotations

from dataclasses import replace

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import linear_model
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold as TheirKFold
from sklearn.model_selection import ShuffleSplit as TheirShuffleSplit

from dlbd_estimators import LogisticRegression, LogisticRegressionCV
from dlbd_estimators.exceptions import InvalidParameter, LengthMismatch
from dlbd_estimators.linear_model import search as searches
from dlbd_estimators.model_selection import KFold, ShuffleSplit
from dlbd_estimators.solvers import minimize
from dlbd_estimators.solvers.saving import from_bytes, to_bytes
from dlbd_estimators.solvers.smooth import path_sample
from dlbd_estimators.solvers.smooth.logistic_search import LogisticSearch
from tests.strategies import cuts

N = 240
NEW = {"use_legacy_attributes": False, "l1_ratios": (0.0,), "scoring": "neg_log_loss"}
CS = np.logspace(-3, 2, 5)


def data(rng, n=N, n_classes=2, p=5):
    """Columns of different units, one far from zero."""
    scale = np.resize([1.0, 10.0, 0.1, 1.0, 1.0], p)
    Z = rng.normal(size=(n, p))
    y = Z @ rng.normal(size=p) + rng.logistic(size=n)
    y = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    return Z * scale + [*[0.0] * (p - 1), 50.0], np.array(["a", "b", "c", "d"])[y]


def assert_same(ours, theirs, rtol=1e-6):
    found, expected = vars(ours), vars(theirs)
    for name in ("C_", "l1_ratio_", "Cs_", "l1_ratios_", "classes_", "coef_", "intercept_"):
        one, other = np.asarray(found[name]), np.asarray(expected[name])
        assert one.shape == other.shape, name
        if other.dtype.kind != "f":
            assert (one == other).all(), name
        else:
            size = np.abs(other[np.isfinite(other)]).max(initial=0.0)
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * size, err_msg=name)
    assert np.shape(found["n_iter_"]) == np.shape(expected["n_iter_"])
    for name in ("scores_", "coefs_paths_"):
        one, other = found[name], expected[name]
        if not isinstance(other, dict):
            one, other = {0: one}, {0: other}
        assert one.keys() == other.keys()
        for key, values in other.items():
            assert one[key].shape == values.shape, name
            size = np.abs(values).max()
            np.testing.assert_allclose(one[key], values, rtol=rtol, atol=rtol * size, err_msg=name)


PARAMETERS = [
    {}, {"scoring": "accuracy"}, {"fit_intercept": False}, {"class_weight": "balanced"},
    {"class_weight": {"a": 2.0, "b": 0.5}}, {"refit": False}, {"Cs": 3}, {"l1_ratios": (0.0, 0.0)},
    {"use_legacy_attributes": True}, {"use_legacy_attributes": True, "l1_ratios": None},
    {"cv": TheirKFold(4, shuffle=True, random_state=0)},
    {"cv": TheirShuffleSplit(3, random_state=0), "refit": False}, {"Cs": [np.inf, 1e-3, 1.0]},
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("given", PARAMETERS, ids=str)
def test_the_choice_is_scikit_learns(given, n_classes, rng):
    X, y = data(rng, n_classes=n_classes)
    weight = rng.uniform(0.5, 2, N)
    given = {**NEW, "Cs": CS, "cv": 3, **given}
    ours = LogisticRegressionCV(**given).fit(X, y, sample_weight=weight)
    theirs = linear_model.LogisticRegressionCV(**given, solver="newton-cholesky", tol=1e-11)
    assert_same(ours, theirs.fit(X, y, sample_weight=weight))
    if given["scoring"] == "neg_log_loss":
        assert ours.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-6)
        lazy = ours.score(da.from_array(X, chunks=(70, -1)), da.from_array(y, chunks=100))
        assert lazy == pytest.approx(ours.score(X, y), rel=1e-12)


@pytest.mark.parametrize("scoring", ["roc_auc", "balanced_accuracy"])
def test_a_scorer_that_needs_predictions(scoring, rng):
    X, y = data(rng)
    given = {**NEW, "Cs": CS, "cv": 3, "scoring": scoring}
    theirs = linear_model.LogisticRegressionCV(**given, solver="newton-cholesky", tol=1e-11)
    ours = LogisticRegressionCV(**given).fit(X, y)
    assert_same(ours, theirs.fit(X, y))
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("given", [
    {"l1_ratios": (0.0, 0.5, 1.0)}, {"l1_ratios": (0.5,), "refit": False},
    {"l1_ratios": (0.2, 1.0), "use_legacy_attributes": True, "scoring": "accuracy"},
], ids=str)  # fmt: skip
def test_shares_of_l1(given, rng):
    X, y = data(rng, n=150, p=4)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    given = {**NEW, "Cs": [0.1, 1.0, 10.0], "cv": 3, **given}
    # With all coefficients zero saga stops before it has found the intercept.
    # A tuple of several is not taken without a refit.
    given["l1_ratios"] = np.array(given["l1_ratios"])
    theirs = linear_model.LogisticRegressionCV(**given, solver="saga", tol=1e-10, max_iter=20_000)
    ours = LogisticRegressionCV(**given).fit(X, y)
    assert_same(ours, theirs.fit(X, y), rtol=1e-5)


def few_rows_here(monkeypatch, n=1_500):
    """Hold fewer rows in this process than the data have, so that sweeps are needed."""
    monkeypatch.setattr(path_sample, "_MOST_ROWS", n)


@pytest.mark.parametrize("given", [{}, {"class_weight": {"a": 3.0}}, {"refit": False}], ids=str)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_sweeps_come_as_near_as_they_say(given, n_classes, rng, monkeypatch):
    few_rows_here(monkeypatch)
    n = 16_000
    X, y = data(rng, n, n_classes)
    names = rng.integers(0, 3, n)
    lazy = da.from_array(X, chunks=(400, -1)), da.from_array(y, chunks=400)
    found = LogisticRegressionCV(Cs=CS, cv=names, **NEW, **given).fit(*lazy)
    assert found.n_passes_ < 6
    factors = {key: each for key, each in given.items() if key == "class_weight"}
    spread = X.std(axis=0)
    for split, place in ((0, 0), (1, 2), (2, 4)):
        train = names != split
        alone = LogisticRegression(C=CS[place], tol=1e-10, **factors).fit(X[train], y[train])
        path = found.coefs_paths_[split, 0, place, :, :-1]
        error = np.abs((path - alone.coef_) * spread).max() / np.abs(alone.coef_ * spread).max()
        assert error < 1e-3
        score = -log_loss(y[~train], alone.predict_proba(X[~train]))
        assert found.scores_[split, 0, place] == pytest.approx(score, abs=1e-4)
    if not given.get("refit", True):
        return
    alone = LogisticRegression(C=found.C_, tol=1e-10, **factors).fit(X, y)
    size = np.abs(alone.coef_ * spread).max()
    np.testing.assert_allclose(found.coef_ * spread, alone.coef_ * spread, atol=1e-6 * size)


def test_drawn_rows_correct_the_step_of_the_refit(monkeypatch):
    few_rows_here(monkeypatch, 7_000)
    n, rng = 16_000, np.random.default_rng(1)
    X, y = data(rng, n, p=20)
    lazy = da.from_array(X, chunks=(400, -1)), da.from_array(y, chunks=400)
    found = LogisticRegressionCV(Cs=[1.0], cv=rng.integers(0, 3, n), **NEW).fit(*lazy)
    # Three sweeps and the sample; without the correction one more pass.
    assert found.n_passes_ == pytest.approx(3.1)
    assert found.history_[-1]["error_is"] == "estimate"
    assert largest_error(found, X, y) <= found.history_[-1]["error"] <= 1e-7


def test_coefficients_sum_to_zero_over_the_classes(rng, monkeypatch):
    few_rows_here(monkeypatch)
    n = 16_000
    X, y = data(rng, n, 3)
    lazy = da.from_array(X, chunks=(400, -1)), da.from_array(y, chunks=400)
    found = LogisticRegressionCV(Cs=CS, cv=rng.integers(0, 3, n), **NEW).fit(*lazy)
    size = np.abs(found.coef_).max()
    np.testing.assert_allclose(found.coef_.sum(axis=0), 0.0, atol=1e-14 * size)
    assert largest_error(found, X, y) <= found.history_[-1]["error"] + 1e-11


def largest_error(found, X, y):
    """Return the largest error of a coefficient, in standard units, relative to the largest."""
    alone = LogisticRegression(C=found.C_, tol=1e-12).fit(X, y)
    spread = X.std(axis=0)
    error = np.abs((found.coef_ - alone.coef_) * spread).max()
    return error / np.abs(alone.coef_ * spread).max()


def test_sweeps_in_float32_that_do_not_come_nearer_are_repeated_in_float64(rng, monkeypatch):
    few_rows_here(monkeypatch)
    dtypes = []
    scored = LogisticSearch._scored

    def recorded(self, problem, state, *args):
        dtypes.append(state.dtype)
        return scored(self, problem, state, *args)

    monkeypatch.setattr(LogisticSearch, "_scored", recorded)
    n = 8_000
    Z = rng.normal(size=(n, 4))
    X = Z[:, :1] + 1e-4 * Z  # differences of the columns are lost in float32
    y = (1e3 * (X[:, 1] - X[:, 2]) + rng.logistic(size=n) > 0).astype(int)
    lazy = da.from_array(X, chunks=(200, -1)), da.from_array(y, chunks=200)
    found = LogisticRegressionCV(Cs=[1e6], cv=np.arange(n) % 3, **NEW).fit(*lazy)
    assert dtypes[0] == "float32"
    assert dtypes[-1] == "float64"
    alone = LogisticRegression(C=1e6, tol=1e-10).fit(X, y)
    np.testing.assert_allclose(found.coef_, alone.coef_, rtol=1e-6)


@pytest.mark.parametrize("cv", [
    np.arange(N) % 3, KFold(4, shuffle=True, random_state=3), ShuffleSplit(3, random_state=3), 3,
], ids=str)  # fmt: skip
def test_lazy_rows_are_chosen_as_in_memory(cv, rng):
    X, y = data(rng)
    ragged = isinstance(cv, np.ndarray)
    chunks = (100, 0, 50, 90) if ragged else 80
    lazy = da.from_array(X, chunks=(chunks, 5)), da.from_array(y, chunks=70 if ragged else 80)
    found = LogisticRegressionCV(Cs=CS, cv=cv, **NEW).fit(*lazy)
    assert found.n_passes_ == 2
    if isinstance(cv, int):  # rows at random from each block
        assert found.scores_.shape == (3, 1, len(CS))
        return
    rows = cv if isinstance(cv, np.ndarray) else list(cv.split(lazy[0]))
    assert_same(found, LogisticRegressionCV(Cs=CS, cv=rows, **NEW).fit(X, y), rtol=1e-9)


def test_lengths_nobody_knows_are_counted_first(rng):
    X, y = data(rng)
    keep = rng.random(N) < 0.8
    whole = da.from_array(np.column_stack([X, keep]), chunks=(60, -1))
    kept = whole[:, -1] > 0
    given = {**NEW, "Cs": CS, "cv": KFold(3)}
    found = LogisticRegressionCV(**given).fit(
        whole[kept][:, :-1], da.from_array(y, chunks=60)[kept]
    )
    rows = TheirKFold(3)
    expected = LogisticRegressionCV(**{**given, "cv": rows}).fit(X[keep], y[keep])
    assert_same(found, expected, rtol=1e-9)


@settings(max_examples=8)
@given(st.integers(40, 60), st.data())
def test_the_cut_into_chunks_changes_nothing(n, data_of):
    X, y = data(np.random.default_rng(n), n=n)
    sizes = data_of.draw(cuts(n))
    lazy = da.from_array(X, chunks=(sizes, -1)), da.from_array(y, chunks=(sizes,))
    given = {**NEW, "Cs": [0.1, 1.0], "cv": np.arange(n) % 3}
    cut = LogisticRegressionCV(**given).fit(*lazy)
    assert_same(cut, LogisticRegressionCV(**given).fit(X, y), rtol=1e-8)


def test_integer_weights_are_rows_that_stand_several_times(rng):
    X, y = data(rng)
    times, names = rng.integers(0, 3, N), np.arange(N) % 3
    given = {**NEW, "Cs": CS}
    weighted = LogisticRegressionCV(cv=names, **given).fit(X, y, sample_weight=times.astype(float))
    repeated = LogisticRegressionCV(cv=np.repeat(names, times), **given).fit(
        np.repeat(X, times, axis=0), np.repeat(y, times)
    )
    assert_same(weighted, repeated, rtol=1e-9)


def test_the_model_is_that_of_the_chosen_strength(rng):
    X, y = data(rng)
    found = LogisticRegressionCV(Cs=CS, cv=3, **NEW, tol=1e-12).fit(X, y)
    alone = LogisticRegression(C=found.C_, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(found.coef_, alone.coef_, rtol=1e-10)
    assert found.solver_ == "newton"
    assert [entry["iteration"] for entry in found.history_] == [1, 2]


def test_scores_count_no_class_weights_where_blocks_are_kept(rng):
    X = rng.normal(size=(600, 3))
    y = np.where(X[:, 0] + rng.logistic(size=600) > 1.0, 7, 3)
    given = {
        "Cs": [0.1, 1.0], "l1_ratios": [1.0], "cv": np.arange(600) % 2, "class_weight": {7: 20.0},
        "scoring": "neg_log_loss", "use_legacy_attributes": False,
    }  # fmt: skip
    # Those that are cut out of a larger array are not kept between passes; copies are.
    lazy = [da.from_array(each, chunks={0: 100}).map_blocks(np.copy) for each in (X, y)]
    expected = LogisticRegressionCV(**given).fit(X, y)
    model = LogisticRegressionCV(**given).fit(*lazy)
    np.testing.assert_allclose(model.scores_, expected.scores_, rtol=1e-6)


def test_a_class_without_weight_counts_in_scores(rng):
    X, y = data(rng, n_classes=3)
    given = {**NEW, "Cs": CS, "cv": 3, "class_weight": {"c": 0.0}, "scoring": "accuracy"}
    found = LogisticRegressionCV(**given).fit(X, y)
    assert found.scores_.max() < 0.7  # a third of the rows is wrong in any case


def test_a_search_resumed_at_any_step_has_the_bits_of_one_never_stopped(rng, monkeypatch):
    few_rows_here(monkeypatch, 200)
    X, y = data(rng, 4_000)
    lazy = da.from_array(X, chunks=(100, -1)), da.from_array(y, chunks=100)
    seen = []

    def stopping(executor, fit):
        states = []
        whole = minimize(executor, replace(fit, before_step=states.append, on_step=None))
        for state in states:
            again = from_bytes(fit.solver, to_bytes(state))
            assert to_bytes(again) == to_bytes(state)
            resumed = minimize(executor, replace(fit, start=again, before_step=None, on_step=None))
            np.testing.assert_array_equal(resumed.parameters, whole.parameters)
            assert resumed.n_passes == whole.n_passes
        seen.extend(states)
        return whole

    monkeypatch.setattr(searches, "minimize", stopping)
    LogisticRegressionCV(Cs=CS, cv=KFold(3), **NEW).fit(*lazy)
    assert len(seen) > 2


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_cluster_gives_the_bits_of_threads(n_classes, rng, monkeypatch):
    few_rows_here(monkeypatch, 300)
    X, y = data(rng, 4_000, n_classes)
    lazy = da.from_array(X, chunks=(130, -1)), da.from_array(y, chunks=130)
    given = {**NEW, "Cs": CS, "cv": KFold(3, shuffle=True, random_state=0)}
    there = LogisticRegressionCV(**given).fit(*lazy)
    for threads in (1, 4):
        with dask.config.set(scheduler="threads", num_workers=threads):
            here = LogisticRegressionCV(**given).fit(*lazy)
        for name in ("coef_", "intercept_", "scores_", "coefs_paths_", "C_", "n_passes_"):
            np.testing.assert_array_equal(getattr(there, name), getattr(here, name))


BAD = [
    ({"Cs": [1.0, -1.0]}, InvalidParameter, "Cs"),
    ({"Cs": []}, InvalidParameter, "Cs"),
    ({"Cs": 0}, InvalidParameter, "Cs"),
    ({"l1_ratios": [2.0]}, ValueError, "between 0 and 1"),
    ({"cv": 1}, InvalidParameter, "cv"),
    ({"cv": np.arange(5)}, LengthMismatch, "fold numbers for 5 rows"),
    ({"scoring": "r3"}, InvalidParameter, "scoring"),
    ({"scoring": lambda *_, **__: np.nan}, ValueError, "score of split 0 is nan"),
    ({"cv": [(np.arange(10), np.arange(0))]}, ValueError, "no rows to test on"),
    ({"refit": 3}, InvalidParameter, "refit"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "error", "match"), BAD, ids=[match for *_, match in BAD])
def test_bad_parameters_say_what_to_do(given, error, match, rng):
    X, y = data(rng)
    with pytest.raises(error, match=match):
        LogisticRegressionCV(**{**NEW, **given}).fit(X, y)


def test_a_split_that_trains_on_no_row_of_a_class(rng):
    X, y = data(rng)
    with pytest.raises(ValueError, match=r"trains on no rows of class 'b'.* shuffle=True"):
        LogisticRegressionCV(cv=(y == "a").astype(int), **NEW).fit(X, y)


@pytest.mark.parametrize(("given", "match"), [
    ({"cv": TheirKFold(3)}, "positions of all rows"),
    ({"scoring": "roc_auc"}, "predictions of all rows"),
], ids=str)  # fmt: skip
def test_what_needs_all_rows_is_refused_on_lazy_data(given, match, rng):
    X, y = data(rng)
    lazy = da.from_array(X, chunks=100), da.from_array(y, chunks=100)
    with pytest.raises(TypeError, match=match):
        LogisticRegressionCV(**{**NEW, **given}).fit(*lazy)


def test_too_many_features_are_refused_before_they_are_read():
    X, y = da.zeros((10, 5_000), chunks=(5, -1)), da.arange(10, chunks=5) % 2
    with pytest.raises(ValueError, match=r"5001 parameters.* GridSearchCV"):
        LogisticRegressionCV(**NEW, cv=2).fit(X, y)


def test_a_value_that_is_not_finite_is_named(rng):
    X, y = data(rng)
    X[123, 2] = np.nan
    with pytest.raises(ValueError, match="row 123"):
        LogisticRegressionCV(cv=3, **NEW).fit(X, y)
