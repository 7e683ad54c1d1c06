"""Steps of a pipeline share one pass while it is fitted, and nothing is believed afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline, make_pipeline

from dlbd_estimators import LogisticRegression
from dlbd_estimators.compose import ColumnTransformer
from dlbd_estimators.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    SimpleImputer,
    StandardScaler,
    shared_statistics,
)
from dlbd_estimators.preprocessing.shared_statistics import (
    NOTHING,
    Known,
    input_statistics,
    record_input,
    recorded_for,
    recorded_input,
)
from dlbd_estimators.preprocessing.statistics_pass import find_statistics
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


class Probe(TransformerMixin, BaseEstimator):
    """A step that hands on what it gets, and notes it and what is known of it."""

    def fit(self, X, y=None):
        self.input_, self.known_ = X, recorded_for(self, X).statistics
        return self

    def transform(self, X):
        return X


class Change(Probe):
    """A step that makes another collection of what it gets."""

    def __init__(self, change):
        self.change = change

    def transform(self, X):
        return self.change(X)


def fitted(X, *steps):
    """A pipeline of these steps and a last one, which scikit-learn fits apart, fitted to X."""
    return make_pipeline(*steps, Probe()).fit(X)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("output", ["default", "pandas"])
@pytest.mark.filterwarnings(EMPTY)
def test_derived_statistics_are_those_of_the_data(chain, dtype, output):
    loads = []
    X = counted(data(dtype), 17, loads)
    steps = [clone(each).set_output(transform=output) for each in chain]
    probes = [Probe() for _ in steps]
    with dask.config.set(scheduler="threads"):
        fitted(X, *(each for pair in zip(steps, probes, strict=True) for each in pair))
    assert sum(step.n_passes_ for step in steps) == 1.0
    assert sorted(loads) == list(range(8))
    for step, probe in zip(steps, probes, strict=True):
        read = find_statistics(probe.input_, None, None, "test")
        # Derived means and variances lack the rounding of every value.
        tolerance = 1e-12 if dtype == np.float64 else 8e-6
        for field in FIELDS:
            found, expected = getattr(probe.known_, field), getattr(read, field)
            exact = field not in ("mean", "variance")
            np.testing.assert_allclose(
                found,
                expected,
                rtol=0 if exact else tolerance,
                atol=0 if exact else tolerance,
                err_msg=f"{field} after {step}",
            )


@pytest.mark.filterwarnings(EMPTY)
def test_every_chunk_is_loaded_once():
    loads = []
    X = counted(data(), 17, loads)
    imputer, scaler, last, probe = SimpleImputer(), StandardScaler(), MinMaxScaler(), Probe()
    with dask.config.set(scheduler="threads"):
        fitted(X, imputer, scaler, probe, last)
    assert sorted(loads) == list(range(8))
    assert (imputer.n_passes_, scaler.n_passes_, last.n_passes_) == (1.0, 0.0, 0.0)
    eager = SimpleImputer().fit_transform(data())
    alone = StandardScaler().fit(eager)
    np.testing.assert_allclose(scaler.mean_, alone.mean_, rtol=1e-13)
    np.testing.assert_allclose(scaler.scale_, alone.scale_, rtol=1e-13)
    Z = probe.input_.compute()
    np.testing.assert_allclose(Z, alone.transform(eager), rtol=1e-11, atol=1e-12)


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


def test_frames_share_too():
    frame = dd.from_pandas(pd.DataFrame(data()[:, :4], columns=list("abcd")), npartitions=4)
    eager = StandardScaler().fit(SimpleImputer().fit_transform(data()[:, :4]))
    for output in ("default", "pandas"):
        scaler = StandardScaler()
        fitted(frame, SimpleImputer().set_output(transform=output), scaler)
        assert scaler.n_passes_ == 0.0
        np.testing.assert_allclose(scaler.mean_, eager.mean_, rtol=1e-13)


def test_pipelines_inside_pipelines_share():
    scaler = StandardScaler()
    inner = Pipeline([("impute", SimpleImputer()), ("scale", scaler), ("last", Probe())])
    fitted(lazy("many", data()[:, :4]), inner)
    assert scaler.n_passes_ == 0.0
    columns = ColumnTransformer([("numbers", clone(inner), [0, 1])])
    columns.fit(lazy("many", data()[:, :4]))
    assert columns.named_transformers_["numbers"]["scale"].n_passes_ == 0.0


class Rewritten:
    """A stored array whose values can be replaced behind the Dask array that reads them."""

    def __init__(self, kind):
        self.old = np.random.default_rng(0).random((400, 3))
        self.new = self.old * 0.1 + 10.03
        self.kind = kind
        if kind == "zarr":
            self.store = zarr.create_array({}, shape=(400, 3), chunks=(100, 3), dtype="f8")
            self.store[:] = self.old
            self.lazy = da.from_zarr(self.store)
        else:
            self.store = self.old.copy()
            get = dask.delayed(lambda start: self.store[start : start + 100].copy(), pure=False)
            parts = [da.from_delayed(get(i), (100, 3), dtype=float) for i in range(0, 400, 100)]
            self.lazy = da.concatenate(parts)

    def rewrite(self):
        self.store[:] = self.new


@pytest.mark.parametrize("first", [SimpleImputer(), StandardScaler(), MinMaxScaler()])
@pytest.mark.parametrize("kind", ["zarr", "numpy"])
def test_data_that_was_rewritten_is_read_again(kind, first):
    case = Rewritten(kind)
    first = clone(first)
    Z = first.fit_transform(case.lazy)
    case.rewrite()
    second = StandardScaler().fit(Z)
    assert second.n_passes_ == 1.0
    np.testing.assert_allclose(second.mean_, first.transform(case.new).mean(axis=0))
    again = StandardScaler().fit(case.lazy)
    np.testing.assert_allclose(again.mean_, case.new.mean(axis=0))
    assert 10.07 < again.mean_[0] < 10.09


@pytest.mark.parametrize("kind", ["zarr", "numpy"])
def test_fit_then_transform_of_rewritten_data(kind):
    case = Rewritten(kind)
    imputer = SimpleImputer().fit(case.lazy)
    case.rewrite()
    scaler = StandardScaler().fit(imputer.transform(case.lazy))
    assert 10.07 < scaler.mean_[0] < 10.09


@pytest.mark.parametrize("kind", ["zarr", "numpy"])
def test_a_pipeline_that_is_fitted_again_reads_again(kind):
    case = Rewritten(kind)
    scaler, probe = StandardScaler(), Probe()
    pipeline = make_pipeline(SimpleImputer(), probe, scaler, Probe()).fit(case.lazy)
    np.testing.assert_allclose(scaler.mean_, case.old.mean(axis=0))
    kept = probe.input_
    case.rewrite()
    assert recorded_for(probe, kept) is NOTHING
    assert StandardScaler().fit(kept).mean_[0] > 10
    # In another pipeline's fit, too: what was kept is of the fit that is over.
    for _ in range(20):
        other = StandardScaler()
        fitted(kept, other)
        assert other.n_passes_ == 1.0
        assert other.mean_[0] > 10
    pipeline.fit(case.lazy)
    np.testing.assert_allclose(scaler.mean_, case.new.mean(axis=0))


@pytest.mark.parametrize("output", ["default", "pandas"])
@pytest.mark.parametrize("kind", ["zarr", "numpy"])
def test_what_a_step_was_given_is_read_again_by_the_next_pipeline(kind, output):
    """Fits come and go at the same places of memory; none is taken for another."""
    case = Rewritten(kind)

    def passes_and_means():
        case.store[:] = case.old
        probe = Probe()
        make_pipeline(SimpleImputer().set_output(transform=output), probe, Probe()).fit(case.lazy)
        kept = probe.input_
        del probe
        case.rewrite()
        scaler = StandardScaler()
        make_pipeline(scaler, Probe()).fit(kept)
        assert not [name for name in getattr(kept, "__dict__", {}) if "dlbd" in name]
        return scaler.n_passes_, scaler.mean_

    # On a stack of its own, where little else is allocated: places are soon used again.
    with ThreadPoolExecutor(1) as pool:
        for _ in range(5):
            n_passes, mean = pool.submit(passes_and_means).result()
            assert n_passes == 1.0
            np.testing.assert_allclose(mean, case.new.mean(axis=0))


def test_the_last_step_shares_too():
    scaler = StandardScaler()
    make_pipeline(SimpleImputer(), scaler).fit(lazy("many", data()[:, :4]))
    assert scaler.n_passes_ == 0.0


def test_pipelines_in_two_threads_share_each_for_itself():
    X = [lazy("many", data()[:, :4]), lazy("many", data()[:, :4] * 3 + 1)]

    def fit(number):
        model = make_pipeline(SimpleImputer(), StandardScaler(), MaxAbsScaler())
        return model.fit(X[number % 2])

    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(fit, range(12)))
    for number, model in enumerate(models):
        assert [step.n_passes_ for _, step in model.steps] == [1.0, 0.0, 0.0]
        np.testing.assert_array_equal(model[1].mean_, models[number % 2][1].mean_)
    assert (models[0][1].mean_ != models[1][1].mean_).all()


def test_nothing_is_shared_outside_of_a_pipeline():
    X = lazy("many", data()[:, :4])
    Z = SimpleImputer().fit_transform(X)
    assert recorded_for(Probe(), Z) is NOTHING
    assert StandardScaler().fit(Z).n_passes_ == 1.0
    imputer = SimpleImputer().fit(X)
    assert StandardScaler().fit(imputer.transform(X)).n_passes_ == 1.0
    # No attribute is left on what belongs to the user.
    assert not [name for name in vars(X) if "dlbd" in name]
    assert not [name for name in vars(imputer) if "dlbd" in name]


def test_numbers_that_stand_for_missing_values_share_nothing():
    """What the imputer learns of X is not what a scaler would: -1 is a value to it."""
    X = da.from_array(np.array([[-1.0], [2.0], [4.0]]), chunks=2)
    probe, imputer = Probe(), SimpleImputer(missing_values=-1.0)
    fitted(X, SimpleImputer(missing_values=-1), probe)
    assert probe.known_ is None
    # Of the scaler's output it is known where NaN is, but not where -1 is.
    fitted(X, StandardScaler(), imputer)
    assert imputer.n_passes_ == 1.0


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
    before, after, scaler = Probe(), Probe(), StandardScaler()
    X = lazy("many", data()[:, :4])
    fitted(X, StandardScaler(), before, Change(change), after, scaler)
    assert before.known_ is not None
    assert after.known_ is None
    assert scaler.n_passes_ == 1.0
    changed = after.input_.compute()
    np.testing.assert_allclose(scaler.mean_, np.nanmean(changed, axis=0), atol=1e-12)


def test_changes_in_place_are_noticed():
    def first_value(Z):
        Z[0, 0] = 1000.0
        return Z

    def column(frame):
        frame["a"] = 2.0
        return frame

    probe, scaler = Probe(), MaxAbsScaler()
    X = lazy("many", data()[:, :3])
    fitted(X, StandardScaler(), Change(first_value), probe, scaler)
    assert probe.known_ is None
    assert scaler.max_abs_[0] == 1000
    frame = dd.from_pandas(pd.DataFrame(data()[:, :3], columns=list("abc")), npartitions=2)
    fitted(frame, StandardScaler().set_output(transform="pandas"), Change(column), probe)
    assert probe.known_ is None


def test_a_second_fit_reads_again():
    """What lies behind the user's collection may have changed."""
    X = lazy("many", data()[:, :3])
    assert StandardScaler().fit(X).n_passes_ == 1.0
    assert StandardScaler().fit(X).n_passes_ == 1.0


def test_weights_and_counts_of_values_take_a_pass():
    X = lazy("many", data()[:, :4])
    counting, weighted = SimpleImputer(strategy="most_frequent"), StandardScaler()
    fitted(X, StandardScaler(), counting)
    assert counting.n_passes_ == 1.0
    pipeline = Pipeline([("first", StandardScaler()), ("second", weighted), ("last", Probe())])
    pipeline.fit(X, second__sample_weight=np.ones(120))
    assert weighted.n_passes_ == 1.0


def test_what_was_learnt_with_weights_is_not_handed_on():
    probe = Probe()
    pipeline = make_pipeline(StandardScaler(), probe, Probe())
    pipeline.fit(lazy("many", data()[:, :4]), standardscaler__sample_weight=np.ones(120))
    assert probe.known_ is None


def test_clipping_takes_a_pass_where_something_may_be_clipped(monkeypatch):
    X = lazy("many", data()[:, :3])
    for scaler in (MinMaxScaler(clip=True), MaxAbsScaler(clip=True)):
        probe = Probe()
        fitted(X, StandardScaler(), scaler, probe)
        assert probe.known_ is not None
        # Clipped to the range of other data: what comes out is not the map of what is known.
        same, wider = (StandardScaler(with_mean=each).fit_transform(X) for each in (True, False))
        told = Mock()
        with monkeypatch.context() as patch, input_statistics(scaler):
            patch.setattr(shared_statistics, "record_output", told)
            record_input(scaler, Known(find_statistics(same, None, None, "test")))
            scaler.transform(same)
            told.assert_called_once()
            record_input(scaler, Known(find_statistics(wider, None, None, "test")))
            scaler.transform(wider)
            told.assert_called_once()


def test_columns_that_are_constant_to_rounding_take_a_pass():
    values = np.full((60, 1), 0.1)
    values[::2] = np.nextafter(0.1, 1)
    probe, again = Probe(), StandardScaler()
    fitted(lazy("many", values), StandardScaler(), probe)
    assert probe.known_ is None
    fitted(lazy("many", np.full((60, 1), 0.1)), StandardScaler(), again)
    assert again.n_passes_ == 0.0
    assert again.scale_ == 1


@pytest.mark.parametrize("scaler", [MinMaxScaler(), MaxAbsScaler()])
@pytest.mark.parametrize(("dtype", "mean"), [(np.float32, 40), (np.float64, 1e4), (np.float16, 0)])
def test_output_that_is_much_rounded_takes_a_pass(scaler, dtype, mean):
    """Where a mean is much larger than the spread, rounding is no longer small beside it."""
    X = np.random.default_rng(6).normal(size=(60, 2)) / 2
    for offset, derived in ((mean, False), (mean / 100, dtype != np.float16)):
        values = (X + offset).astype(dtype)
        probe = Probe()
        fitted(lazy("many", values), clone(scaler), probe)
        assert (probe.known_ is not None) == derived


def test_seen_is_for_the_transform_of_one_fit_transform_alone():
    X = lazy("many", data()[:, :3])
    known = Known(find_statistics(X, None, None, "test"))
    scaler = StandardScaler()
    record_input(scaler, known)
    assert recorded_input(scaler) is NOTHING
    with input_statistics(scaler):
        assert recorded_input(scaler) is NOTHING
        record_input(scaler, known)
        assert recorded_input(scaler) is known
    assert recorded_input(scaler) is NOTHING


def test_a_fit_that_fails_leaves_nothing_behind():
    scaler = StandardScaler()
    infinite = da.from_array(np.full((4, 1), np.inf), chunks=2)
    with pytest.raises(ValueError, match="infinity"):
        scaler.fit_transform(infinite)
    assert not [name for name in vars(scaler) if "dlbd" in name]
