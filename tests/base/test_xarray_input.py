"""xarray objects in every method: the fits of NumPy arrays, results with coordinates, all lazy."""

from __future__ import annotations

import inspect

import dask
import numpy as np
import pytest
from scipy import sparse
from sklearn.pipeline import make_pipeline

import dlbd_estimators
from dlbd_estimators import (
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    Ridge,
    compose,
    metrics,
    model_selection,
    preprocessing,
)
from dlbd_estimators.base import xarray_input
from dlbd_estimators.preprocessing import OneHotEncoder, StandardScaler

xr = pytest.importorskip("xarray")

SIZES = {"time": 6, "y": 4, "x": 5}
FEATURES = ["t2m", "sp", "height"]


@pytest.fixture(scope="module")
def weather():
    rng = np.random.default_rng(0)
    dims = tuple(SIZES)
    found = xr.Dataset(
        {
            "t2m": (dims, rng.normal(size=tuple(SIZES.values()))),
            "sp": (("time", "x", "y"), rng.normal(size=(6, 5, 4))),
            "height": (("y", "x"), rng.normal(size=(4, 5))),
        },
        coords={"time": 10 * np.arange(6), "lat": (("y", "x"), np.ones((4, 5)))},
    )
    noise = xr.DataArray(rng.normal(size=tuple(SIZES.values())), dims=dims)
    found["precip"] = (2 * found["t2m"] + found["sp"] - found["height"] + noise).transpose(
        *["x", "y", "time"]
    )
    found["wet"] = found["precip"] > 0
    found["weight"] = abs(noise.transpose("time", "y", "x")) + 0.1
    return found


@pytest.fixture(params=["memory", "dask", "disk"])
def dataset(request, weather, tmp_path):
    if request.param == "memory":
        return weather
    if request.param == "dask":
        return weather.chunk({"time": 4, "y": 3})
    weather.to_zarr(tmp_path / "weather", consolidated=False)
    return xr.open_zarr(tmp_path / "weather", chunks=None, consolidated=False)


@pytest.fixture(scope="module")
def rows(weather):
    frame = weather.to_dataframe(dim_order=list(SIZES))
    return frame[FEATURES], frame["precip"], frame["wet"], frame["weight"]


def on_grid(values, weather):
    return values.reshape(weather["t2m"].shape + values.shape[1:])


def test_a_regression_and_its_score(dataset, rows, weather):
    X, y, _, weight = rows
    expected = Ridge().fit(X, y, weight)
    found = Ridge().fit(dataset[FEATURES], dataset["precip"], sample_weight=dataset["weight"])
    np.testing.assert_allclose(found.coef_, expected.coef_)
    assert list(found.feature_names_in_) == FEATURES
    score = found.score(dataset[FEATURES], dataset["precip"], dataset["weight"])
    assert score == pytest.approx(expected.score(X, y, weight))
    predicted = found.predict(dataset[FEATURES])
    assert predicted.name == "predict"
    xr.testing.assert_equal(predicted["lat"].compute(), weather["t2m"]["lat"])
    xr.testing.assert_equal(predicted["time"], weather["time"])
    np.testing.assert_allclose(predicted.values, on_grid(expected.predict(X), weather))
    assert metrics.r2_score(
        dataset["precip"], predicted, sample_weight=dataset["weight"]
    ) == pytest.approx(score)


def test_probabilities_are_labelled_by_class_and_written_block_by_block(
    dataset, rows, weather, tmp_path
):
    X, _, wet, _ = rows
    dataset = dataset.assign(kind=xr.where(dataset["wet"], "wet", "dry"))
    expected = LogisticRegression().fit(X, np.where(wet, "wet", "dry"))
    model = LogisticRegression().fit(dataset[FEATURES], dataset["kind"])
    found = model.predict_proba(dataset[FEATURES])
    assert found.dims == (*SIZES, "classes")
    assert found["classes"].values.tolist() == ["dry", "wet"]
    found.to_zarr(tmp_path / "probabilities", consolidated=False)
    written = xr.open_zarr(tmp_path / "probabilities", consolidated=False)["predict_proba"]
    np.testing.assert_allclose(
        written.sel(classes="wet").values, on_grid(expected.predict_proba(X)[:, 1], weather)
    )
    assert model.decision_function(dataset[FEATURES]).dims == tuple(SIZES)
    assert metrics.accuracy_score(dataset["kind"], model.predict(dataset[FEATURES])) == (
        pytest.approx(model.score(dataset[FEATURES], dataset["kind"]))
    )
    assert metrics.log_loss(dataset["kind"], found) == pytest.approx(
        metrics.log_loss(np.where(wet, "wet", "dry"), expected.predict_proba(X))
    )


def test_a_pipeline_keeps_labels_from_step_to_step(dataset, rows, weather):
    X, _, wet, _ = rows
    expected = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, wet)
    found = make_pipeline(StandardScaler(), LogisticRegression())
    found.fit(dataset[FEATURES], dataset["wet"])
    scaled = found[0].transform(dataset[FEATURES])
    assert scaled["feature"].values.tolist() == FEATURES
    np.testing.assert_allclose(
        scaled.values, on_grid(np.asarray(expected[0].transform(X)), weather)
    )
    back = found[0].inverse_transform(scaled)
    np.testing.assert_allclose(back.sel(feature="sp").values, weather["sp"].transpose(*SIZES))
    np.testing.assert_allclose(
        found.predict_proba(dataset[FEATURES]).values,
        on_grid(expected.predict_proba(X), weather),
        rtol=1e-5,
    )


def test_a_column_transformer_selects_variables_by_name(dataset, rows, weather):
    X, *_ = rows
    columns = compose.make_column_transformer((StandardScaler(), ["sp"]), remainder="passthrough")
    found = columns.fit_transform(dataset[FEATURES])
    assert found["feature"].values[0] == "standardscaler__sp"
    np.testing.assert_allclose(found.values, on_grid(np.asarray(columns.fit_transform(X)), weather))


def test_a_search_accepts_it(weather):
    lazy = weather.chunk({"time": 2})
    search = model_selection.GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2)
    search.fit(lazy[FEATURES], lazy["precip"])
    assert search.predict(lazy[FEATURES]).dims == tuple(SIZES)
    assert search.score(lazy[FEATURES], lazy["precip"]) > 0


def test_batches_and_networks_accept_it(weather):
    for batch in (weather, weather.chunk({"time": 2})):
        network = MLPClassifier((2,), random_state=0, max_iter=1)
        network.partial_fit(batch[FEATURES], batch["wet"], classes=[False, True])
        assert network.predict_proba(batch[FEATURES]).dims == (*SIZES, "classes")
        linear = LinearRegression().partial_fit(batch[FEATURES], batch["precip"])
        np.testing.assert_array_equal(linear.feature_names_in_, FEATURES)


def test_several_targets_have_a_dimension_of_outputs(dataset, rows, weather):
    X, y, _, weight = rows
    model = Ridge().fit(dataset[FEATURES], dataset[["precip", "weight"]])
    expected = Ridge().fit(X, np.column_stack([y, weight]))
    found = model.predict(dataset[FEATURES])
    assert found.dims == (*SIZES, "output")
    np.testing.assert_allclose(found.values, on_grid(expected.predict(X), weather))


def test_strings_are_encoded(weather):
    kinds = xr.Dataset({"kind": xr.where(weather["wet"], "wet", "dry").astype(object)})
    for each in (kinds, kinds.chunk({"x": 2})):
        encoder = OneHotEncoder(sparse_output=False).fit(each)
        found = encoder.transform(each)
        assert found["feature"].values.tolist() == ["kind_dry", "kind_wet"]
        np.testing.assert_array_equal(
            found.sel(feature="kind_wet"), weather["wet"].transpose(*found.dims[:-1])
        )


def test_sparse_results_and_frames_are_rows_without_coordinates(weather):
    found = OneHotEncoder().fit_transform(weather[["wet"]])
    assert sparse.issparse(found)
    lazy = weather.chunk({"time": 2, "x": 2})
    scaled = StandardScaler().fit_transform(lazy[FEATURES])
    assert scaled.name == "transform"
    assert dask.is_dask_collection(scaled)
    frame = StandardScaler().set_output(transform="pandas").fit_transform(lazy[FEATURES])
    assert list(frame.columns) == FEATURES


def test_a_sample_dimension_with_the_name_of_the_columns_is_refused(weather):
    grid = weather[[*FEATURES, "wet"]].rename(x="classes")
    model = LogisticRegression().fit(grid[FEATURES], grid["wet"])
    assert model.predict(grid[FEATURES]).dims == ("time", "y", "classes")
    with pytest.raises(ValueError, match="'classes', but X has a sample dimension of this name"):
        model.predict_proba(grid[FEATURES])


def test_lazy_data_stay_lazy(weather, monkeypatch):
    lazy = weather.chunk({"time": 2, "x": 3})

    def refuse(*_args, **_options):
        raise AssertionError("lazy xarray data was loaded")

    for cls in (xr.DataArray, xr.Dataset, xr.Variable):
        for method in ("compute", "load", "__array__"):
            if hasattr(cls, method):
                monkeypatch.setattr(cls, method, refuse)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(lazy[FEATURES], lazy["wet"])
    found = model.predict_proba(lazy[FEATURES])
    assert dask.is_dask_collection(found)
    assert found.chunks == (*lazy["t2m"].chunks, (2,))


@pytest.mark.usefixtures("client")
def test_a_cluster_gives_the_same_bits(weather):
    lazy = weather.chunk({"time": 2, "x": 3})
    on_cluster = Ridge().fit(lazy[FEATURES], lazy["precip"])
    predicted = on_cluster.predict(lazy[FEATURES]).values
    with dask.config.set(scheduler="threads"):
        on_threads = Ridge().fit(lazy[FEATURES], lazy["precip"])
        np.testing.assert_array_equal(on_cluster.coef_, on_threads.coef_)
        np.testing.assert_array_equal(predicted, on_threads.predict(lazy[FEATURES]).values)


def test_targets_as_xarray_beside_an_array(weather, rows):
    X, y, *_ = rows
    flat = xr.DataArray(y.to_numpy(), dims="row")
    np.testing.assert_array_equal(Ridge().fit(X, flat).coef_, Ridge().fit(X, y).coef_)
    with pytest.raises(TypeError, match=r"y is an xarray DataArray .* Pass both as xarray"):
        Ridge().fit(X, weather["precip"])


def test_arguments_by_keyword_and_wrong_ones(weather):
    by_name = Ridge().fit(y=weather["precip"], X=weather[FEATURES])
    by_place = Ridge().fit(weather[FEATURES], weather["precip"])
    np.testing.assert_array_equal(by_name.coef_, by_place.coef_)
    with pytest.raises(TypeError, match="missing a required argument: 'y'"):
        Ridge().fit(weather[FEATURES])


def test_other_names_than_in_fit_are_refused(weather):
    model = Ridge().fit(weather[FEATURES], weather["precip"])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(weather[FEATURES[::-1]].chunk())


PUBLIC = sorted(
    {
        cls
        for package in (dlbd_estimators, preprocessing, compose, model_selection)
        for cls in map(package.__dict__.get, package.__all__)
        if inspect.isclass(cls) and hasattr(cls, "fit")
    }
    | {
        getattr(dlbd_estimators, name) for name in ("Lasso", "MLPRegressor", "LogisticRegressionCV")
    },
    key=lambda cls: cls.__name__,
)


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_no_method_of_ours_is_left_out(cls):
    for name in xarray_input._METHODS:
        method = inspect.getattr_static(cls, name, None)
        function = getattr(method, "fn", method)  # of available_if
        if getattr(function, "__module__", "").startswith("dlbd_estimators."):
            assert function.__code__ is _WRAPPER, f"{cls.__name__}.{name}"


@xarray_input.accepts_xarray
def _any_method(self, X):
    """Be wrapped, as all methods have to be."""


_WRAPPER = _any_method.__code__


@pytest.mark.parametrize("name", metrics.__all__)
def test_no_metric_is_left_out(name):
    @xarray_input.accepts_xarray_rows
    def metric(y_true, y_pred):
        """Be wrapped, as all metrics have to be."""

    assert getattr(metrics, name).__code__ is metric.__code__
