"""RidgeCV chooses what scikit-learn's does, in one pass over folds and two by leave-one-out."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import linear_model
from sklearn.metrics import make_scorer, mean_pinball_loss
from sklearn.model_selection import KFold as TheirKFold
from sklearn.model_selection import PredefinedSplit
from sklearn.model_selection import ShuffleSplit as TheirShuffleSplit

from dlbd_estimators import Ridge, RidgeCV
from dlbd_estimators.exceptions import InvalidParameter, LengthMismatch
from dlbd_estimators.model_selection import KFold, ShuffleSplit
from tests.strategies import cuts

ALPHAS = np.logspace(-2, 4, 13)
N = 300


def data(rng, n=N, targets=1):
    """Columns of different units, one far from zero."""
    X = rng.normal(size=(n, 7)) * [1, 10, 0.1, 1, 1, 1, 1] + [0, 0, 0, 500, 0, 0, 0]
    y = X @ rng.normal(size=(7, targets)) + 2.0 * rng.normal(size=(n, targets)) + 3.0
    return X, y[:, 0] if targets == 1 else y


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours.alpha_, theirs.alpha_, rtol=1e-12)
    np.testing.assert_allclose(ours.best_score_, theirs.best_score_, rtol=1e-6)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6, atol=1e-6)
    for name in ("alpha_", "best_score_", "coef_", "intercept_"):
        assert np.shape(getattr(ours, name)) == np.shape(getattr(theirs, name)), name


PARAMETERS = [
    {}, {"scoring": "r2"}, {"scoring": "neg_mean_absolute_error"}, {"alpha_per_target": True},
    {"cv": 5}, {"cv": 3, "scoring": "neg_root_mean_squared_error"},
    {"cv": 3, "scoring": "neg_mean_absolute_error"},
    {"cv": 3, "scoring": make_scorer(mean_pinball_loss, greater_is_better=False)},
    {"cv": TheirKFold(4, shuffle=True, random_state=0), "scoring": "neg_mean_squared_error"},
    {"cv": TheirShuffleSplit(4, random_state=0)},
    {"cv": PredefinedSplit(np.arange(N) % 4 - 1)},
]  # fmt: skip


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("given", PARAMETERS, ids=str)
def test_the_choice_is_scikit_learns(given, targets, weighted, fit_intercept, rng):
    X, y = data(rng, targets=targets)
    weight = rng.uniform(0, 2, N) if weighted else None
    given = {"alphas": ALPHAS, "fit_intercept": fit_intercept, **given}
    ours = RidgeCV(**given).fit(X, y, sample_weight=weight)
    theirs = linear_model.RidgeCV(**given).fit(X, y, sample_weight=weight)
    assert_same(ours, theirs)
    assert ours.n_passes_ == (1 if "cv" in given else 2)


def test_an_alpha_for_each_target_by_a_scorer(rng):
    X, y = data(rng, targets=3)
    given = {"alphas": ALPHAS, "alpha_per_target": True, "scoring": "r2"}
    assert_same(RidgeCV(**given).fit(X, y), linear_model.RidgeCV(**given).fit(X, y))


@pytest.mark.parametrize("scoring", [None, "r2", "neg_mean_absolute_error"])
@pytest.mark.parametrize("targets", [1, 2])
def test_results_of_each_row(scoring, targets, rng):
    X, y = data(rng, targets=targets)
    given = {"alphas": ALPHAS, "scoring": scoring, "store_cv_results": True}
    weight = rng.uniform(0.5, 2, N)
    ours = RidgeCV(**given).fit(X, y, sample_weight=weight)
    theirs = linear_model.RidgeCV(**given).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.cv_results_, theirs.cv_results_, rtol=1e-6, atol=1e-9)


def test_one_alpha_alone(rng):
    X, y = data(rng)
    assert_same(RidgeCV(2.0).fit(X, y), linear_model.RidgeCV(2.0).fit(X, y))


@pytest.mark.parametrize("cv", [
    None, 5, np.arange(N) % 3, np.where(np.arange(N) < 200, -1, 0),
], ids=["loo", "int", "names", "one fold"])  # fmt: skip
def test_lazy_rows_are_chosen_as_in_memory(cv, rng):
    X, y = data(rng)
    lazy_X = da.from_array(X, chunks=((100, 0, 50, 150), 4))
    lazy = RidgeCV(ALPHAS, cv=cv).fit(lazy_X, da.from_array(y, chunks=70))
    theirs = PredefinedSplit(cv) if isinstance(cv, np.ndarray) else cv
    assert_same(lazy, linear_model.RidgeCV(ALPHAS, cv=theirs).fit(X, y))
    assert lazy.n_passes_ == (2 if cv is None else 1)
    assert [entry["pass"] for entry in lazy.history_] == [lazy.n_passes_]


@pytest.mark.parametrize("splitter", [
    KFold(4, shuffle=True, random_state=3), KFold(3), ShuffleSplit(3, random_state=3),
], ids=str)  # fmt: skip
def test_our_splitters_choose_the_rows_that_they_yield(splitter, rng):
    X, y = data(rng)
    lazy_X, lazy_y = da.from_array(X, chunks=(90, -1)), da.from_array(y, chunks=90)
    found = RidgeCV(ALPHAS, cv=splitter).fit(lazy_X, lazy_y)
    assert found.n_passes_ == 1
    rows = list(splitter.split(lazy_X))
    assert_same(found, linear_model.RidgeCV(ALPHAS, cv=rows).fit(X, y))


def test_lengths_nobody_knows_are_counted_first(rng):
    X, y = data(rng)
    keep = rng.random(N) < 0.8
    lazy = da.from_array(np.column_stack([X, y, keep]), chunks=(60, -1))
    lazy = lazy[lazy[:, -1] > 0]
    found = RidgeCV(ALPHAS, cv=5).fit(lazy[:, :-2], lazy[:, -2])
    assert_same(found, linear_model.RidgeCV(ALPHAS, cv=5).fit(X[keep], y[keep]))


@settings(max_examples=15)
@given(st.integers(30, 60), st.data())
def test_the_cut_into_chunks_changes_nothing(n, data_of):
    X, y = data(np.random.default_rng(n), n=n)
    sizes = data_of.draw(cuts(n))
    lazy = da.from_array(X, chunks=(sizes, -1)), da.from_array(y, chunks=(sizes,))
    cut = RidgeCV(ALPHAS, cv=3).fit(*lazy)
    assert_same(cut, RidgeCV(ALPHAS, cv=3).fit(X, y))


def test_integer_weights_are_rows_that_stand_several_times(rng):
    X, y = data(rng)
    times = rng.integers(0, 3, N)
    names = np.arange(N) % 3
    weighted = RidgeCV(ALPHAS, cv=names).fit(X, y, sample_weight=times.astype(float))
    repeated = RidgeCV(ALPHAS, cv=np.repeat(names, times)).fit(
        np.repeat(X, times, axis=0), np.repeat(y, times)
    )
    assert_same(weighted, repeated)


def test_the_model_is_that_of_the_chosen_alpha(rng):
    X, y = data(rng)
    found = RidgeCV(ALPHAS, cv=5).fit(X, y)
    alone = Ridge(found.alpha_).fit(X, y)
    np.testing.assert_allclose(found.coef_, alone.coef_, rtol=1e-10)
    assert found.score(X, y) == pytest.approx(alone.score(X, y), rel=1e-12)


@pytest.mark.parametrize("cv", [None, 4])
def test_another_pass_where_the_condition_asks_for_it(cv, rng):
    X, y = data(rng)
    X[:, 1] = X[:, 0] + 1e-6 * X[:, 1]
    given = {"alphas": [1e-9], "cv": cv}
    found = RidgeCV(**given).fit(X, y)
    assert found.n_passes_ == (3 if cv is None else 2)
    expected = Ridge(1e-9).fit(X, y)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-6)


def test_rough_moments_of_float32_are_formed_again_in_float64(rng):
    X, y = data(rng)
    X[:, 1] = X[:, 0] + 1e-3 * X[:, 1]
    X = X.astype(np.float32)
    alphas = np.logspace(-6, -2, 5)
    found = RidgeCV(alphas, cv=4).fit(X, y)
    theirs = linear_model.RidgeCV(alphas, cv=4).fit(X.astype(np.float64), y)
    assert found.alpha_ == theirs.alpha_
    assert found.best_score_ == pytest.approx(theirs.best_score_, rel=1e-6)


def test_what_the_workers_have_no_room_for_is_read_in_turns(rng, monkeypatch):
    X, y = data(rng)
    expected = RidgeCV(ALPHAS, cv=5).fit(X, y)
    from dlbd_estimators.engine.matrices import MatrixRoom
    from dlbd_estimators.engine.threads import ThreadExecutor

    room = MatrixRoom(limit=8 * 64 * 2 * 2, threads=1, copies=1)  # of two matrices of 8 x 8
    monkeypatch.setattr(ThreadExecutor, "matrix_room", lambda *_: room)
    found = RidgeCV(ALPHAS, cv=5).fit(X, y)
    assert found.n_passes_ == 3
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    assert found.best_score_ == expected.best_score_


@pytest.mark.cluster
def test_a_cluster_gives_the_bits_of_threads(client, rng):
    X, y = data(rng, n=2_000)
    lazy = da.from_array(X, chunks=(130, -1)), da.from_array(y, chunks=130)
    for cv in (None, KFold(4, shuffle=True, random_state=0)):
        there = RidgeCV(ALPHAS, cv=cv).fit(*lazy)
        with client.as_current():
            import dask

            with dask.config.set(scheduler="threads"):
                here = RidgeCV(ALPHAS, cv=cv).fit(*lazy)
        np.testing.assert_array_equal(there.coef_, here.coef_)
        assert (there.alpha_, there.best_score_) == (here.alpha_, here.best_score_)


BAD = [
    ({"alphas": [1.0, -1.0], "cv": 3}, InvalidParameter, r"range \[0.0, inf\)"),
    ({"alphas": [1.0, 0.0]}, InvalidParameter, r"range \(0.0, inf\)"),
    ({"alphas": []}, InvalidParameter, "non-empty"),
    ({"alphas": "many"}, InvalidParameter, "alphas"),
    ({"cv": 1}, InvalidParameter, "cv"),
    ({"cv": 301}, ValueError, "number of splits n_splits=301 greater"),
    ({"cv": 300}, ValueError, "one row, for which R2 is not defined. Use scoring="),
    ({"cv": np.arange(5)}, LengthMismatch, "fold numbers for 5 rows, but X has 300 rows"),
    ({"cv": np.zeros(N, dtype=int)}, ValueError, "has 1 fold"),
    ({"cv": np.full(N, -1)}, ValueError, "has 0 fold"),
    ({"cv": np.linspace(0, 1, N)}, TypeError, "must be integers: 0, 1"),
    ({"cv": [(np.arange(10), np.arange(0))]}, ValueError, "no rows to test on"),
    ({"cv": [(np.arange(0), np.arange(10))]}, ValueError, "no rows to train on"),
    ({"cv": []}, ValueError, "no splits"),
    ({"scoring": "r3"}, InvalidParameter, "scoring"),
    ({"cv": 3, "scoring": lambda *_, **__: np.nan}, ValueError, "score of split 0 is nan"),
    ({"cv": 3, "store_cv_results": True}, ValueError, "incompatible"),
    ({"cv": 3, "alpha_per_target": True}, ValueError, "incompatible"),
    ({"gcv_mode": "gram"}, InvalidParameter, "gcv_mode"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "error", "match"), BAD, ids=[match for *_, match in BAD])
def test_bad_parameters_say_what_to_do(given, error, match, rng):
    X, y = data(rng)
    with pytest.raises(error, match=match):
        RidgeCV(**given).fit(X, y)


def test_a_fold_without_weight(rng):
    X, y = data(rng)
    names = np.arange(N) % 3
    with pytest.raises(ValueError, match="only rows of sample_weight 0 to test on"):
        RidgeCV(cv=names).fit(X, y, sample_weight=(names > 0).astype(float))
    with pytest.raises(ValueError, match="only rows of sample_weight 0 to train on"):
        RidgeCV(cv=names[::-1]).fit(X, y, sample_weight=(names[::-1] == 0).astype(float))


@pytest.mark.parametrize(("given", "match"), [
    ({"cv": TheirKFold(3)}, "positions of all rows"),
    ({"cv": 3, "scoring": "neg_mean_absolute_error"}, "predictions of all rows"),
    ({"scoring": "neg_mean_absolute_error"}, "predictions of all rows"),
    ({"store_cv_results": True}, "a value of each row"),
], ids=str)  # fmt: skip
def test_what_needs_all_rows_is_refused_on_lazy_data(given, match, rng):
    X, y = data(rng)
    with pytest.raises(TypeError, match=match):
        RidgeCV(**given).fit(da.from_array(X, chunks=100), da.from_array(y, chunks=100))


def test_too_many_features_are_refused_before_anything_is_read():
    X = da.zeros((10, 5_000), chunks=(5, -1))
    with pytest.raises(ValueError, match=r"5000 features.* GridSearchCV"):
        RidgeCV(cv=2).fit(X, da.zeros(10, chunks=5))


def test_a_value_that_is_not_finite_is_named(rng):
    X, y = data(rng)
    X[123, 2] = np.nan
    with pytest.raises(ValueError, match="row 123"):
        RidgeCV(cv=3).fit(X, y)


def test_one_row_is_refused():
    with pytest.raises(ValueError, match=r"1 sample.*minimum of 2"):
        RidgeCV().fit([[1.0]], [1.0])


def test_second_moments_of_float32_rows_are_summed_from_products_in_float64(rng):
    X = (rng.normal(size=(80, 4)) * [1.0, 1e3, 1.0, 1.0]).astype(np.float32)
    X[:, 3] = X[:, 2] + np.float32(1e-3) * X[:, 3]
    y = X[:, 3] - X[:, 2] + 0.01 * rng.normal(size=80)
    fits = [RidgeCV(alphas=[1e-6, 1e-4, 1e-2]).fit(rows, y) for rows in (X, X.astype(np.float64))]
    np.testing.assert_allclose(fits[0].coef_, fits[1].coef_, rtol=1e-6)
    assert fits[0].alpha_ == fits[1].alpha_
    assert fits[0].n_passes_ == fits[1].n_passes_  # no pass corrects products in float32
