"""Transformers in a row share one pass, and never believe what is out of date."""

from __future__ import annotations

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from dlbd_estimators import LogisticRegression
from dlbd_estimators.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    SimpleImputer,
    StandardScaler,
)
from dlbd_estimators.preprocessing.fusion import known, see, seen
from dlbd_estimators.preprocessing.passes import gather
from tests.preprocessing.lazy_forms import counted, lazy

CHAINS = [
    [SimpleImputer(), StandardScaler()],
    [SimpleImputer(strategy="constant", fill_value=-3.0), MinMaxScaler(), StandardScaler()],
    [SimpleImputer(add_indicator=True), StandardScaler(), MaxAbsScaler()],
    [SimpleImputer(strategy="most_frequent", keep_empty_features=True), MaxAbsScaler()],
    [StandardScaler(), MinMaxScaler(feature_range=(-1, 2)), StandardScaler(with_mean=False)],
    [StandardScaler(with_std=False), SimpleImputer(), MaxAbsScaler(clip=True), StandardScaler()],
    [MinMaxScaler(clip=True), StandardScaler(), SimpleImputer(), MinMaxScaler(clip=True)],
    [MaxAbsScaler(), MaxAbsScaler(), StandardScaler()],
]
EMPTY = "ignore:Skipping features without any observed values:UserWarning"
FIELDS = ("n_rows", "count", "weight", "mean", "variance", "minimum", "maximum", "max_abs")


def data(dtype=np.float64, n=120):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n, 5)) * [1, 20, 0.1, 0, 1] + np.array([5, -3, 0, 7, 0])
    X[:, 2] += 100 if dtype == np.float64 else 0.3
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 4] = np.nan
    return X.astype(dtype)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("output", ["default", "pandas"])
@pytest.mark.filterwarnings(EMPTY)
def test_derived_statistics_are_those_of_the_data(chain, dtype, output):
    loads = []
    X = counted(data(dtype), 17, loads)
    n_passes = 0.0
    with dask.config.set(scheduler="threads"):
        for transformer in clone(chain, safe=False):
            transformer = clone(transformer).set_output(transform=output)
            X = transformer.fit_transform(X)
            n_passes += transformer.n_passes_
            derived = known(X)
            count = len(loads)
            read = gather(X, None, None, "test")
            del loads[count:]
            # Derived means and variances lack the rounding of every value.
            tolerance = 1e-12 if dtype == np.float64 else 8e-6
            for field in FIELDS:
                found, expected = getattr(derived, field), getattr(read, field)
                exact = field not in ("mean", "variance")
                np.testing.assert_allclose(
                    found,
                    expected,
                    rtol=0 if exact else tolerance,
                    atol=0 if exact else tolerance,
                    err_msg=f"{field} after {transformer}",
                )
    assert n_passes == 1.0
    assert sorted(loads) == list(range(8))


@pytest.mark.filterwarnings(EMPTY)
def test_every_chunk_is_loaded_once():
    loads = []
    X = counted(data(), 17, loads)
    with dask.config.set(scheduler="threads"):
        imputer, scaler, last = SimpleImputer(), StandardScaler(), MinMaxScaler()
        Z = scaler.fit_transform(imputer.fit_transform(X))
        assert sorted(loads) == list(range(8))
        last.fit(Z)
    assert sorted(loads) == list(range(8))
    assert (imputer.n_passes_, scaler.n_passes_, last.n_passes_) == (1.0, 0.0, 0.0)
    eager = SimpleImputer().fit_transform(data())
    alone = StandardScaler().fit(eager)
    np.testing.assert_allclose(scaler.mean_, alone.mean_, rtol=1e-13)
    np.testing.assert_allclose(scaler.scale_, alone.scale_, rtol=1e-13)
    np.testing.assert_allclose(Z.compute(), alone.transform(eager), rtol=1e-11, atol=1e-12)


@pytest.mark.filterwarnings(EMPTY)
def test_a_pipeline_costs_one_pass_before_its_model():
    loads = []
    X = counted(data(), 17, loads)
    y = da.from_array((np.arange(120) % 3 == 0).astype(int), chunks=17)
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    with dask.config.set(scheduler="threads"):
        model.fit(X, y)
    assert model[0].n_passes_ + model[1].n_passes_ == 1.0
    eager = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    eager.fit(data(), y.compute())
    np.testing.assert_allclose(model[-1].coef_, eager[-1].coef_, rtol=1e-6, atol=1e-9)
    assert model.predict(X).compute().tolist() == eager.predict(data()).tolist()


@pytest.mark.filterwarnings(EMPTY)
def test_fit_then_transform_of_the_same_object_shares_as_well():
    loads = []
    X = counted(data(), 17, loads)
    imputer = SimpleImputer().fit(X)
    scaler = StandardScaler().fit(imputer.transform(X))
    assert scaler.n_passes_ == 0.0
    assert len(loads) == 8


def test_frames_share_too():
    frame = dd.from_pandas(pd.DataFrame(data()[:, :4], columns=list("abcd")), npartitions=4)
    for output in ("default", "pandas"):
        imputer = SimpleImputer().set_output(transform=output)
        scaler = StandardScaler().fit(imputer.fit_transform(frame))
        assert scaler.n_passes_ == 0.0
        eager = StandardScaler().fit(SimpleImputer().fit_transform(data()[:, :4]))
        np.testing.assert_allclose(scaler.mean_, eager.mean_, rtol=1e-13)


def test_numbers_that_stand_for_missing_values_share_nothing():
    """What the imputer learns of X is not what a scaler would: -1 is a value to it."""
    X = da.from_array(np.array([[-1.0], [2.0], [4.0]]), chunks=2)
    imputer = SimpleImputer(missing_values=-1).fit(X)
    assert seen(X) is None
    assert known(imputer.transform(X)) is None
    Z = StandardScaler().fit_transform(X)
    # Of Z it is known where NaN is, but not where -1 is.
    assert SimpleImputer(missing_values=-1.0).fit(Z).n_passes_ == 1.0


@pytest.mark.parametrize(
    "change",
    [
        lambda Z: Z + 1,
        lambda Z: Z[:50],
        lambda Z: Z[:, ::-1],
        lambda Z: Z.persist(),
        lambda Z: Z.rechunk(30),
        lambda Z: da.vstack([Z, Z]),
    ],
)
def test_other_objects_know_nothing(change):
    Z = StandardScaler().fit_transform(lazy("many", data()[:, :4]))
    assert known(Z) is not None
    changed = change(Z)
    assert known(changed) is None
    scaler = StandardScaler().fit(changed)
    assert scaler.n_passes_ == 1.0
    np.testing.assert_allclose(scaler.mean_, np.nanmean(changed.compute(), axis=0), atol=1e-12)


def test_changes_in_place_are_noticed():
    Z = StandardScaler().fit_transform(lazy("many", data()[:, :3]))
    Z[0, 0] = 1000.0
    assert known(Z) is None
    assert MaxAbsScaler().fit(Z).max_abs_[0] == 1000
    frame = dd.from_pandas(pd.DataFrame(data()[:, :3], columns=list("abc")), npartitions=2)
    frame = StandardScaler().set_output(transform="pandas").fit_transform(frame)
    frame["a"] = 2.0
    assert known(frame) is None


def test_a_second_fit_reads_again():
    """What lies behind the user's collection may have changed."""
    values = data()[:, :3]
    X = lazy("many", values)
    assert StandardScaler().fit(X).n_passes_ == 1.0
    assert StandardScaler().fit(X).n_passes_ == 1.0


def test_weights_and_counts_of_values_take_a_pass():
    Z = StandardScaler().fit_transform(lazy("many", data()[:, :4]))
    assert StandardScaler().fit(Z, sample_weight=np.ones(120)).n_passes_ == 1.0
    assert SimpleImputer(strategy="most_frequent").fit(Z).n_passes_ == 1.0
    weighted = StandardScaler()
    X = lazy("many", data()[:, :4])
    assert known(weighted.fit(X, sample_weight=np.ones(120)).transform(X)) is None


def test_clipping_other_data_takes_a_pass():
    X = lazy("many", data()[:, :3])
    for scaler in (MinMaxScaler(clip=True), MaxAbsScaler(clip=True)):
        Z = StandardScaler().fit_transform(X)
        assert known(scaler.fit_transform(Z)) is not None
        wider = StandardScaler(with_mean=False).fit_transform(X)
        assert known(scaler.transform(wider)) is None


def test_columns_that_are_constant_to_rounding_take_a_pass():
    values = np.full((60, 1), 0.1)
    values[::2] = np.nextafter(0.1, 1)
    Z = StandardScaler().fit_transform(lazy("many", values))
    assert known(Z) is None
    X = lazy("many", np.full((60, 1), 0.1))
    again = StandardScaler().fit(StandardScaler().fit_transform(X))
    assert again.n_passes_ == 0.0
    assert again.scale_ == 1


@pytest.mark.parametrize("scaler", [MinMaxScaler(), MaxAbsScaler()])
@pytest.mark.parametrize(("dtype", "mean"), [(np.float32, 40), (np.float64, 1e4), (np.float16, 0)])
def test_output_that_is_much_rounded_takes_a_pass(scaler, dtype, mean):
    """Where a mean is much larger than the spread, rounding is no longer small beside it."""
    X = np.random.default_rng(6).normal(size=(60, 2)) / 2
    for offset, derived in ((mean, False), (mean / 100, dtype != np.float16)):
        values = (X + offset).astype(dtype)
        Z = clone(scaler).fit_transform(lazy("many", values))
        assert (known(Z) is not None) == derived


def test_seen_is_for_transform_alone():
    X = lazy("many", data()[:, :3])
    statistics = gather(X, None, None, "test")
    see(X, statistics)
    assert known(X) is None
    assert seen(X) is statistics
