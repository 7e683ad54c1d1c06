"""The searches find what scikit-learn's find, and read the data about as often as a fit does."""

from __future__ import annotations

import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client
from scipy import sparse, stats
from sklearn import linear_model, model_selection
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.pipeline import Pipeline, make_pipeline

from dlbd_estimators import ElasticNet, Lasso, LogisticRegression, Ridge, to_sklearn
from dlbd_estimators.exceptions import LengthMismatch, NonFiniteValues
from dlbd_estimators.model_selection import GridSearchCV, KFold, RandomizedSearchCV, ShuffleSplit
from dlbd_estimators.preprocessing import MinMaxScaler, StandardScaler
from dlbd_estimators.solvers.smooth import path_sample

N = 240
STRENGTHS = [0.01, 1.0, 100.0]


@pytest.fixture
def rows(rng):
    """Columns of different units, one far from zero; numbers and labels to predict."""
    Z = rng.normal(size=(N, 4))
    target = Z @ rng.normal(size=4) + rng.normal(size=N)
    labels = np.array(["a", "b"])[(target + rng.logistic(size=N) > 0).astype(int)]
    return Z * [1.0, 20.0, 0.1, 1.0] + [0.0, 0.0, 0.0, 50.0], target, labels


def lazy(*arrays, chunk=70):
    return [da.from_array(each, chunks=(chunk, *each.shape[1:])) for each in arrays]


def assert_same(ours, theirs, tol=1e-6):
    """Compare all that a search finds but seconds."""
    assert ours.cv_results_.keys() == theirs.cv_results_.keys()
    for name, expected in theirs.cv_results_.items():
        found = ours.cv_results_[name]
        if name.endswith("_time"):
            assert np.shape(found) == np.shape(expected)
        elif name == "params":
            assert found == expected
        elif name.startswith("param_"):
            assert (found.mask == expected.mask).all()
            assert (found.compressed() == expected.compressed()).all()
        else:
            np.testing.assert_allclose(found, expected, atol=tol, rtol=tol, err_msg=name)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_index_ == theirs.best_index_
    assert ours.n_splits_ == theirs.n_splits_
    assert ours.multimetric_ == theirs.multimetric_


def never_alone(monkeypatch, *classes):
    """Fail where a candidate is fitted by itself; the refit to all rows is."""
    for cls in classes:
        fit = cls.fit

        def watched(self, X, *args, _fit=fit, **kwargs):
            assert len(X) == N, "a candidate was fitted by itself"
            return _fit(self, X, *args, **kwargs)

        monkeypatch.setattr(cls, "fit", watched)


SHARED = [
    (LogisticRegression(), {"C": STRENGTHS}, "accuracy"),
    (LogisticRegression(class_weight={"a": 2.0}), {"C": STRENGTHS}, "neg_log_loss"),
    (LogisticRegression(), {"C": STRENGTHS, "fit_intercept": [True, False]}, None),
    (Ridge(), {"alpha": STRENGTHS, "fit_intercept": [True, False]}, None),
    (Lasso(), {"alpha": [1.0, 0.01], "positive": [True, False]}, "neg_mean_squared_error"),
    (ElasticNet(), {"alpha": [0.01, 1.0], "l1_ratio": [0.0, 0.5, 1.0]}, None),
    (ElasticNet(fit_intercept=False), {"alpha": [0.1]}, "neg_root_mean_squared_error"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "grid", "scoring"), SHARED, ids=str)
@pytest.mark.parametrize("scaled", [False, True])
def test_candidates_that_share_sweeps_have_scikit_learns_scores(
    model, grid, scoring, scaled, rows, monkeypatch
):
    X, target, labels = rows
    y = labels if isinstance(model, LogisticRegression) else target
    if scaled:
        # What columns lose needs an intercept.
        free = model.fit_intercept and "fit_intercept" not in grid
        model = Pipeline([("s", StandardScaler(with_mean=free)), ("no", None), ("m", model)])
        grid = {f"m__{key}": values for key, values in grid.items()}
    given = {"scoring": scoring, "cv": 3, "return_train_score": True}
    theirs = model_selection.GridSearchCV(model, grid, **given).fit(X, y)
    never_alone(monkeypatch, LogisticRegression, Ridge, Lasso, ElasticNet)
    ours = GridSearchCV(model, grid, **given).fit(X, y)
    assert_same(ours, theirs)
    assert ours.best_score_ == pytest.approx(theirs.best_score_, abs=1e-6)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-6)
    np.testing.assert_array_equal(ours.predict(X[:5]), theirs.predict(X[:5]))
    assert ours.n_passes_ > 1.0


def test_many_rows_are_searched_by_sweeps(rows, monkeypatch):
    """Fewer rows are held here than the data have: scores still are the minimisers'."""
    X, _, labels = rows
    many = X[np.arange(4_000) % N] + np.random.default_rng(0).normal(size=(4_000, 4))
    y = labels[np.arange(4_000) % N]
    monkeypatch.setattr(path_sample, "_MOST_ROWS", 1_500)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.001, 1.0]}
    given = {"cv": 3, "scoring": ["accuracy", "neg_log_loss"], "refit": "accuracy"}
    ours = GridSearchCV(model, grid, **given).fit(*lazy(many, y, chunk=400))
    folds = KFold(3, shuffle=True, random_state=0)
    assert_same(
        ours,
        model_selection.GridSearchCV(model, grid, **{**given, "cv": folds}).fit(
            *lazy(many, y, chunk=400)
        ),
    )


def test_a_search_costs_three_fits(rng):
    """4 strengths x 3 folds behind a scaler; scikit-learn's own search costs 17 fits."""
    X, score = rng.normal(size=(40_000, 3)), rng.logistic(size=40_000)
    y = (X.sum(axis=1) + score > 0).astype(int)
    X, y = lazy(X, y, chunk=2_000)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    one = sum(step.n_passes_ for _, step in model.steps)
    cv = KFold(3, shuffle=True, random_state=0)
    grid = {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]}
    assert GridSearchCV(model, grid, cv=cv).fit(X, y).n_passes_ <= 3.0 * one


def reading(X, counts):
    """X, which counts how often its blocks are read."""

    def read(block):
        counts.append(len(block))
        return block.copy()

    return X.map_blocks(read, dtype=X.dtype, meta=np.empty((0, 0)))


def test_least_squares_read_the_data_once_and_leave_it_lazy(rows):
    X, target, _ = rows
    counts = []
    lazy_X, y = lazy(X, target)
    search = GridSearchCV(Ridge(), {"alpha": STRENGTHS}, cv=3, refit=False)
    assert search.fit(reading(lazy_X, counts), y).n_passes_ == 1.0
    assert sorted(counts) == sorted(lazy_X.chunks[0])


FOLDS = {
    "number": (3, model_selection.KFold(3)),
    "KFold": (KFold(3, shuffle=True, random_state=1),) * 2,
    "ShuffleSplit": (ShuffleSplit(2, test_size=0.3, random_state=0),) * 2,
    "names": (np.arange(N) % 3, model_selection.PredefinedSplit(np.arange(N) % 3)),
    "one": (
        model_selection.PredefinedSplit(np.where(np.arange(N) < N // 3, -1, 0)),
        [(np.arange(N // 3), np.arange(N // 3, N))],
    ),
    "list": (list(np.arange(N) % 4 - 1), model_selection.PredefinedSplit(np.arange(N) % 4 - 1)),
}


@pytest.mark.parametrize("name", FOLDS)
def test_lazy_folds_are_the_same_for_shared_and_single_fits(name, rows):
    X, target, _ = rows
    model, grid = make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 10.0]}
    ours, theirs = FOLDS[name]
    found = GridSearchCV(model, grid, cv=ours).fit(*lazy(X, target))
    assert found.n_passes_ == 3.0
    assert_same(found, model_selection.GridSearchCV(model, grid, cv=theirs).fit(*lazy(X, target)))


def test_folds_without_a_seed_are_drawn_once(rows):
    X, target, _ = rows
    scoring = {"sums": "r2", "predictions": make_scorer(_r2)}
    search = GridSearchCV(
        Ridge(), {"alpha": [1.0]}, cv=KFold(3, shuffle=True), scoring=scoring, refit=False
    )
    results = search.fit(*lazy(X, target)).cv_results_
    np.testing.assert_allclose(results["mean_test_sums"], results["mean_test_predictions"])


def _r2(y, predicted):
    y, predicted = np.asarray(y), np.asarray(predicted)
    return 1.0 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2)


def test_frames_keep_their_names(rows):
    X, target, labels = rows
    frame = pd.DataFrame(X, columns=list("pqrs"))
    model = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": STRENGTHS}
    for scoring in ("accuracy", "f1_macro"):
        given = {"cv": 3, "scoring": scoring}
        ours = GridSearchCV(model, grid, **given).fit(frame, labels)
        assert_same(ours, model_selection.GridSearchCV(model, grid, **given).fit(frame, labels))
        assert list(ours.feature_names_in_) == list("pqrs")
    frames = dd.from_pandas(frame, npartitions=3), dd.from_pandas(pd.Series(target), npartitions=3)
    ours = GridSearchCV(Ridge(), {"alpha": STRENGTHS}, cv=3).fit(*frames)
    assert_same(ours, GridSearchCV(Ridge(), {"alpha": STRENGTHS}, cv=3).fit(frame, target))


def test_scorers_that_predict_see_models_of_each_split(rows):
    X, _, labels = rows
    model = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": STRENGTHS}

    def scorer(model, X, y):
        assert model[0].n_samples_seen_ in {160, 161, 159}
        return {"own": model.score(X, y), "n": float(len(y))}

    own = {"x": make_scorer(accuracy_score)}
    several = ["accuracy", "roc_auc"]
    for scoring, refit in (("roc_auc", True), (several, "roc_auc"), (own, False), (scorer, "own")):
        given = {"cv": 3, "scoring": scoring, "refit": refit}
        given["return_train_score"] = scoring is not scorer
        ours = GridSearchCV(model, grid, **given).fit(X, labels)
        theirs = model_selection.GridSearchCV(model, grid, **given).fit(X, labels)
        if refit:
            assert_same(ours, theirs)
        assert ours.scorer_.keys() == theirs.scorer_.keys() if isinstance(scoring, list) else True


def test_weights_count_in_fits_and_scores(rows, rng):
    X, target, labels = rows
    weight = rng.uniform(0.5, 2.0, N)
    for model, grid, y in ((Ridge(), {"alpha": STRENGTHS}, target),
                           (LogisticRegression(), {"C": STRENGTHS}, labels)):  # fmt: skip
        given = {"cv": 3, "return_train_score": True}
        theirs = model_selection.GridSearchCV(model, grid, **given)
        theirs.fit(X, y, sample_weight=weight)
        assert_same(GridSearchCV(model, grid, **given).fit(X, y, sample_weight=weight), theirs)


ALONE = [
    (Ridge(positive=True), {"alpha": STRENGTHS}),
    (LogisticRegression(class_weight="balanced"), {"C": STRENGTHS}),
    (LogisticRegression(), {"C": STRENGTHS, "l1_ratio": [0.5]}),
    (LogisticRegression(), {"C": [np.inf]}),
    (make_pipeline(MinMaxScaler(), Ridge()), {"ridge__alpha": STRENGTHS}),
    (make_pipeline(StandardScaler(), Ridge(fit_intercept=False)), {"ridge__alpha": STRENGTHS}),
    (make_pipeline(StandardScaler().set_output(transform="pandas"), Lasso()),
     {"lasso__alpha": STRENGTHS}),
    (linear_model.Ridge(), {"alpha": STRENGTHS}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "grid"), ALONE, ids=str)
def test_other_candidates_are_fitted_as_scikit_learn_fits_them(model, grid, rows):
    X, target, labels = rows
    y = labels if isinstance(model, LogisticRegression) else target
    ours = GridSearchCV(model, grid, cv=3).fit(X, y)
    assert_same(ours, model_selection.GridSearchCV(model, grid, cv=3).fit(X, y), tol=1e-12)
    assert not hasattr(ours, "n_passes_")


class Doubled(Ridge):
    """A user's own: it inherits Ridge's fit, and predicts otherwise."""

    def predict(self, X):
        return 2.0 * super().predict(X)


def test_a_subclass_shares_nothing(rows):
    X, target, _ = rows
    grid = {"alpha": STRENGTHS}
    ours = GridSearchCV(Doubled(), grid, cv=3).fit(X, target)
    assert_same(ours, model_selection.GridSearchCV(Doubled(), grid, cv=3).fit(X, target))


def test_some_candidates_share_and_others_do_not(rows):
    X, target, _ = rows
    grid = [{"m": [Ridge()], "m__alpha": STRENGTHS}, {"m": [linear_model.Ridge(3.0), Lasso(0.1)]}]
    model = Pipeline([("s", StandardScaler()), ("m", Ridge())])
    ours = GridSearchCV(model, grid, cv=3).fit(X, target)
    theirs = model_selection.GridSearchCV(model, grid, cv=3).fit(X, target)
    for name in ("mean_test_score", "rank_test_score"):
        np.testing.assert_allclose(ours.cv_results_[name], theirs.cv_results_[name], atol=1e-6)
    assert not hasattr(ours, "n_passes_")
    mixed = lazy(X, target)
    kept = GridSearchCV(model, grid, cv=KFold(3)).fit(*mixed).cv_results_["mean_test_score"]
    np.testing.assert_allclose(kept, theirs.cv_results_["mean_test_score"], atol=1e-6)


def test_random_candidates_are_scikit_learns(rows):
    X, target, _ = rows
    given = {"n_iter": 4, "cv": 3, "random_state": 7}
    grid = {"alpha": stats.loguniform(1e-3, 1e3)}
    ours = RandomizedSearchCV(Ridge(), grid, **given).fit(X, target)
    theirs = model_selection.RandomizedSearchCV(Ridge(), grid, **given).fit(X, target)
    assert_same(ours, theirs)
    assert ours.n_passes_ == 2.0
    assert clone(ours).get_params().keys() == theirs.get_params().keys()


def test_sparse_rows(rows):
    X, target, _ = rows
    model = make_pipeline(StandardScaler(with_mean=False), Ridge())
    given = {"param_grid": {"ridge__alpha": STRENGTHS}, "cv": 3}
    ours = GridSearchCV(model, **given).fit(sparse.csr_array(X), target)
    assert_same(ours, model_selection.GridSearchCV(model, **given).fit(X, target))


def test_a_value_out_of_range_is_that_candidates_failure(rows):
    X, target, _ = rows
    search = GridSearchCV(Ridge(), {"alpha": [-1.0, 1.0]}, cv=3)
    with pytest.warns((FitFailedWarning, UserWarning)):
        search.fit(X, target)
    assert np.isnan(search.cv_results_["mean_test_score"][0])
    assert search.best_params_ == {"alpha": 1.0}
    with pytest.raises(ValueError, match="alpha"):
        GridSearchCV(Ridge(), {"alpha": [-1.0, 1.0]}, cv=3, error_score="raise").fit(X, target)


BAD = [
    ({"param_grid": {"beta": [1.0]}}, ValueError, "Invalid parameter 'beta'"),
    ({"scoring": ["r3"]}, ValueError, "'r3' is not a valid scoring"),
    ({"scoring": "r3"}, ValueError, "scoring"),
    ({"cv": N + 1}, ValueError, "number of splits"),
    ({"cv": np.arange(N - 1) % 3}, LengthMismatch, "fold numbers for 239 rows"),
    ({"cv": np.zeros(N, dtype=int)}, ValueError, "has 1 fold"),
    ({"cv": np.zeros(N)}, TypeError, "must be integers: 0, 1"),
    ({"scoring": ["r2", "neg_max_error"]}, ValueError, "refit must be set"),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["memory", "lazy"])
@pytest.mark.parametrize(("given", "error", "match"), BAD, ids=[each[2] for each in BAD])
def test_what_is_wrong_is_said(given, error, match, kind, rows):
    X, target, _ = rows
    X, y = lazy(X, target) if kind == "lazy" else (X, target)
    search = GridSearchCV(Ridge(), **{"param_grid": {"alpha": STRENGTHS}, "cv": 3, **given})
    with pytest.raises(error, match=match):
        search.fit(X, y)


def test_bad_rows_and_folds_are_said(rows):
    X, _, labels = rows
    model = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": STRENGTHS}
    holed = X.copy()
    holed[100, 2] = np.nan
    with pytest.raises(NonFiniteValues, match=r"row 30 of block 1 .*, column 2"):
        GridSearchCV(model, grid, cv=3).fit(*lazy(holed, labels))
    y = np.where(np.arange(N) < 20, "a", "b")
    with pytest.raises(ValueError, match="Split 0 of cv trains on no rows of class 'a'"):
        GridSearchCV(model, grid, cv=model_selection.KFold(3)).fit(X, y)


def test_scores_that_are_not_finite_are_told(rows):
    X, target, _ = rows
    search = GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=3, scoring=lambda *_: np.nan)
    with pytest.warns(UserWarning, match="non-finite"):
        search.fit(X, target)

    def fails(*_):
        raise RuntimeError("no score")

    search = GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=3, scoring=fails, error_score=-5.0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        search.fit(X, target)
    assert "no score" in str(told[0].message)
    assert search.best_score_ == -5.0


def test_a_fitted_search_leaves_as_scikit_learns(rows):
    X, target, _ = rows
    model = make_pipeline(StandardScaler(), Ridge())
    search = GridSearchCV(model, {"ridge__alpha": STRENGTHS}, cv=KFold(3)).fit(X, target)
    theirs = to_sklearn(search)
    assert type(theirs) is model_selection.GridSearchCV
    assert type(theirs.cv) is model_selection.KFold
    assert not hasattr(theirs, "n_passes_")
    np.testing.assert_allclose(theirs.predict(X), search.predict(X), rtol=1e-12)


def test_callbacks_hear_of_a_search_that_shares_sweeps(rows):
    X, target, _ = rows
    heard = []

    class Listener:
        def setup(self, estimator, context):
            heard.append("setup")

        def on_fit_task_begin(self, *args, **kwargs):
            pass

        def on_fit_task_end(self, *args, **kwargs):
            heard.append("end")
            return False

        def teardown(self, *args, **kwargs):
            heard.append("teardown")

    search = GridSearchCV(Ridge(), {"alpha": STRENGTHS}, cv=3)
    search.set_callbacks(Listener())
    assert search.fit(X, target).n_passes_ == 2.0
    assert heard[0] == "setup"
    assert heard.count("end") > 9
    assert heard[-1] == "teardown"


def test_a_pipeline_that_ends_in_nothing_is_left_to_scikit_learn(rows):
    X, target, _ = rows
    model = Pipeline([("m", Ridge()), ("end", "passthrough")])
    with pytest.raises((TypeError, AttributeError, ValueError)):
        GridSearchCV(model, {"m__alpha": STRENGTHS}, cv=3, scoring="r2", error_score="raise").fit(
            X, target
        )


def test_scores_have_the_same_bits_on_a_cluster(rows, cluster):
    X, _, labels = rows
    data = lazy(X, labels)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    given = {"param_grid": {"logisticregression__C": STRENGTHS}, "scoring": "neg_log_loss"}
    here = GridSearchCV(model, **given, cv=3).fit(*data)
    with Client(cluster):
        there = GridSearchCV(model, **given, cv=3).fit(*data)
    for name in ("mean_test_score", "split0_test_score"):
        np.testing.assert_array_equal(there.cv_results_[name], here.cv_results_[name])
