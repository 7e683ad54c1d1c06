"""scikit-learn's searches, pipelines and metadata routing take our estimators and lazy data."""

from __future__ import annotations

import weakref

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.stats import loguniform
from sklearn import model_selection
from sklearn.base import clone
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_html_repr

from dlbd_estimators import (
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPRegressor,
    Ridge,
)
from dlbd_estimators.model_selection import KFold, ShuffleSplit

N_ROWS = 300
ESTIMATORS = [LinearRegression(), Ridge(0.5), LogisticRegression(C=2.0)]
SPLITTERS = [
    model_selection.KFold(3),
    model_selection.KFold(3, shuffle=True, random_state=0),
    KFold(3),
    KFold(3, shuffle=True, random_state=0),
    ShuffleSplit(2, test_size=0.3, random_state=0),
]


def halved(X):
    return X * 0.5


def name(value):
    return f"{type(value).__module__.split('.')[0]}-{value}"


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(N_ROWS, 4))
    y = (X @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=N_ROWS) > 0).astype(float)
    return X, y


@pytest.fixture
def lazy(data):
    X, y = data
    return da.from_array(X, chunks=(70, 4)), da.from_array(y, chunks=45)


def fixed(splitter, X, y):
    """The very same rows for arrays in memory."""
    return list(splitter.split(X, y))


@pytest.mark.parametrize("cv", SPLITTERS, ids=name)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_cross_validation_scores_as_in_memory(estimator, cv, data, lazy):
    expected = cross_val_score(estimator, *data, cv=fixed(cv, *lazy))
    np.testing.assert_allclose(cross_val_score(estimator, *lazy, cv=cv), expected, rtol=1e-6)
    found = cross_validate(estimator, *lazy, cv=cv, return_train_score=True, return_estimator=True)
    np.testing.assert_allclose(found["test_score"], expected, rtol=1e-6)
    train = cross_validate(estimator, *data, cv=fixed(cv, *lazy), return_train_score=True)
    np.testing.assert_allclose(found["train_score"], train["train_score"], rtol=1e-6)
    assert isinstance(found["estimator"][0].predict(lazy[0]), da.Array)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_networks_are_cross_validated_and_searched(data, lazy):
    cv = KFold(2, shuffle=True, random_state=0)
    splits = fixed(cv, *lazy)
    # Full batches do not depend on how rows are cut into blocks.
    network = MLPClassifier((3,), solver="lbfgs", max_iter=8, random_state=0)
    found = cross_val_score(network, *lazy, cv=cv, error_score="raise")
    np.testing.assert_allclose(found, cross_val_score(network, *data, cv=splits), rtol=1e-6)
    by_hand = [
        clone(network).fit(X_train, y_train).score(X_test, y_test)
        for X_train, X_test, y_train, y_test in cv.split_arrays(*lazy)
    ]
    np.testing.assert_allclose(by_hand, found, rtol=1e-6)
    # Batches do, so of these only that they are the same each time.
    network = MLPClassifier((3,), max_iter=2, batch_size=20, random_state=0)
    grid = {"learning_rate_init": [1e-3, 1e-1]}
    with dask.config.set(scheduler="synchronous"):
        one, other = (
            GridSearchCV(network, grid, cv=cv, error_score="raise").fit(*lazy) for _ in range(2)
        )
    for key in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(one.cv_results_[key], other.cv_results_[key])
    assert isinstance(one.predict(lazy[0]), da.Array)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_cross_val_predict_returns_predictions_in_memory(estimator, data, lazy):
    cv = KFold(3, shuffle=True, random_state=0)
    expected = cross_val_predict(estimator, *data, cv=fixed(cv, *lazy))
    found = cross_val_predict(estimator, *lazy, cv=cv)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)


@pytest.mark.parametrize("cv", [model_selection.KFold(3), KFold(3, shuffle=True, random_state=1)])
def test_grid_search_finds_what_it_finds_in_memory(cv, data, lazy):
    grid = {"alpha": [1e-3, 1.0, 100.0, 1e4]}
    search = GridSearchCV(Ridge(), grid, cv=cv, error_score="raise").fit(*lazy)
    expected = GridSearchCV(Ridge(), grid, cv=fixed(cv, *lazy)).fit(*data)
    assert search.best_params_ == expected.best_params_
    for key in ("mean_test_score", "std_test_score", "rank_test_score"):
        np.testing.assert_allclose(search.cv_results_[key], expected.cv_results_[key], rtol=1e-6)
    np.testing.assert_allclose(search.best_estimator_.coef_, expected.best_estimator_.coef_)
    predicted = search.predict(lazy[0])
    assert isinstance(predicted, da.Array)
    np.testing.assert_allclose(predicted, expected.predict(data[0]))
    assert search.score(*lazy) == pytest.approx(expected.score(*data))


def test_randomized_search_finds_what_it_finds_in_memory(data, lazy):
    cv = KFold(3, shuffle=True, random_state=0)
    options = {"n_iter": 3, "random_state": 0, "error_score": "raise"}
    draws = {"C": loguniform(1e-3, 1e3)}
    search = RandomizedSearchCV(LogisticRegression(), draws, cv=cv, **options).fit(*lazy)
    splits = fixed(cv, *lazy)
    expected = RandomizedSearchCV(LogisticRegression(), draws, cv=splits, **options).fit(*data)
    assert search.best_params_ == expected.best_params_
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], rtol=1e-6
    )
    probabilities = search.predict_proba(lazy[0])
    assert isinstance(probabilities, da.Array)
    np.testing.assert_allclose(probabilities, expected.predict_proba(data[0]), rtol=1e-6)


def test_grid_search_over_a_pipeline(data, lazy):
    pipeline = Pipeline([("halved", FunctionTransformer(halved)), ("ridge", Ridge())])
    grid = {"ridge__alpha": [0.1, 1e3], "ridge": [Ridge(), Ridge(fit_intercept=False)]}
    cv = KFold(3)
    search = GridSearchCV(pipeline, grid, cv=cv, error_score="raise").fit(*lazy)
    expected = GridSearchCV(pipeline, grid, cv=fixed(cv, *lazy)).fit(*data)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], rtol=1e-6
    )
    assert isinstance(search.predict(lazy[0]), da.Array)
    assert isinstance(search.best_estimator_[-1], Ridge)


class Watched(np.ndarray):
    """An array of a class of one's own, so that its end can be seen."""


def test_a_search_never_holds_more_than_a_few_blocks():
    """64 MB in 64 blocks: what is searched holds those it reads and those it reads ahead."""
    n_blocks, n_rows, alive = 64, 6250, [0, 0]
    weights = np.arange(20.0)

    def load(block_id):
        rng = np.random.default_rng(block_id[0])
        block = rng.normal(size=(n_rows, 20)).view(Watched)
        alive[0] += 1
        alive[1] = max(alive)
        weakref.finalize(block, died)
        return block

    def died():
        alive[0] -= 1

    X = da.map_blocks(
        load, chunks=((n_rows,) * n_blocks, (20,)), dtype=float, meta=np.empty((0, 20))
    )
    y = X @ weights
    cv = KFold(2, shuffle=True, random_state=0)
    with dask.config.set(scheduler="synchronous"):
        search = GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=cv, error_score="raise").fit(X, y)
    assert search.best_score_ == pytest.approx(1.0)
    np.testing.assert_allclose(search.best_estimator_.coef_, weights, atol=1e-3)
    assert alive[0] == 0
    assert alive[1] <= 6


def test_nested_parameters_are_cloned_and_set():
    pipeline = make_pipeline(FunctionTransformer(halved), Ridge(alpha=2.0))
    copy = clone(pipeline).set_params(ridge__alpha=3.0, ridge__solver="lbfgs")
    assert copy.get_params()["ridge__alpha"] == copy[-1].alpha == 3.0
    assert copy[-1].solver == "lbfgs"
    assert pipeline[-1].alpha == 2.0
    with pytest.raises(ValueError, match="Invalid parameter 'beta'"):
        copy.set_params(ridge__beta=1.0)


def test_output_set_to_pandas_leaves_predictions_as_they_are(data):
    X = pd.DataFrame(data[0], columns=list("abcd"))
    pipeline = make_pipeline(FunctionTransformer(halved), Ridge()).set_output(transform="pandas")
    predicted = pipeline.fit(X, data[1]).predict(X)
    plain = make_pipeline(FunctionTransformer(halved), Ridge()).fit(*data)
    np.testing.assert_allclose(predicted, plain.predict(data[0]))
    assert pipeline[-1].feature_names_in_.tolist() == list("abcd")


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_columns_of_another_name_or_order_are_refused(estimator, data):
    frame = pd.DataFrame(data[0], columns=list("abcd")).assign(y=data[1])
    lazy = dd.from_pandas(frame, npartitions=3)
    model = clone(estimator).fit(lazy[list("abcd")], lazy["y"])
    assert model.feature_names_in_.tolist() == list("abcd")
    for wrong in (lazy[list("abdc")], lazy[list("abc")].assign(z=1.0), frame[list("abdc")]):
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(wrong)
        with pytest.raises(ValueError, match="feature names should match"):
            model.score(wrong, lazy["y"] if isinstance(wrong, dd.DataFrame) else data[1])
    for method in ("predict", "score"):
        arguments = (da.ones((5, 3)), da.ones(5))[: 1 + (method == "score")]
        with (
            pytest.warns(UserWarning, match="does not have valid feature names"),
            pytest.raises(ValueError, match="expecting 4 features"),
        ):
            getattr(model, method)(*arguments)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(da.ones((5, 4)))


@pytest.fixture
def _routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("_routing")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_lazy_weights_are_routed_through_pipelines_and_searches(estimator, data, lazy):
    weight = np.random.default_rng(2).uniform(0.0, 3.0, N_ROWS)
    lazy_weight = da.from_array(weight, chunks=64)
    asking = clone(estimator).set_fit_request(sample_weight=True)
    asking.set_score_request(sample_weight=True)
    pipeline = make_pipeline(FunctionTransformer(halved), asking)
    fitted = clone(pipeline).fit(*lazy, sample_weight=lazy_weight)
    expected = clone(estimator).fit(data[0] / 2, data[1], sample_weight=weight)
    np.testing.assert_allclose(fitted[-1].coef_, expected.coef_, rtol=1e-6)
    score = fitted.score(*lazy, sample_weight=lazy_weight)
    assert score == pytest.approx(expected.score(data[0] / 2, data[1], sample_weight=weight))
    assert score != pytest.approx(expected.score(data[0] / 2, data[1]), rel=1e-9)
    cv = KFold(3, shuffle=True, random_state=0)
    parameter = next(key for key in ("alpha", "C", "tol") if key in estimator.get_params())
    grid = {f"{type(estimator).__name__.lower()}__{parameter}": [1e-8, 1e-3]}
    search = GridSearchCV(pipeline, grid, cv=cv, error_score="raise")
    search.fit(*lazy, sample_weight=lazy_weight)
    in_memory = GridSearchCV(pipeline, grid, cv=fixed(cv, *lazy), error_score="raise")
    in_memory.fit(*data, sample_weight=weight)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], in_memory.cv_results_["mean_test_score"], rtol=1e-6
    )


@pytest.mark.usefixtures("_routing")
def test_weights_that_nobody_asked_for_are_refused(lazy):
    pipeline = make_pipeline(FunctionTransformer(halved), Ridge())
    with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
        pipeline.fit(*lazy, sample_weight=lazy[1])
    with pytest.raises(TypeError, match="unexpected argument"):
        GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=KFold(3)).fit(*lazy, groups=lazy[1])


@pytest.mark.parametrize(
    "estimator",
    [*ESTIMATORS, MLPClassifier(max_iter=1), MLPRegressor(max_iter=1)],
    ids=lambda each: type(each).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_html_names_the_class_and_shows_whether_it_is_fitted(estimator, data):
    model = clone(estimator)
    plain, html = model._repr_html_(), estimator_html_repr(model)
    assert type(model).__name__ in plain
    assert "Not fitted" in html
    fitted = estimator_html_repr(model.fit(*data))
    assert type(model).__name__ in fitted
    assert "Not fitted" not in fitted
    assert "Fitted" in fitted
    assert type(model).__name__ in estimator_html_repr(make_pipeline(FunctionTransformer(), model))
