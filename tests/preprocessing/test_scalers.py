"""Scalers on lazy data: scikit-learn's attributes and numbers, without reading ahead."""

from __future__ import annotations

import pickle
import warnings

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn
import sklearn.preprocessing
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from dlbd_estimators import preprocessing
from dlbd_estimators.exceptions import LengthMismatch
from tests.preprocessing.lazy_forms import FORMS, lazy, names, unreadable

CASES = [
    ("StandardScaler", {}),
    ("StandardScaler", {"with_mean": False}),
    ("StandardScaler", {"with_std": False}),
    ("StandardScaler", {"with_mean": False, "with_std": False}),
    ("MinMaxScaler", {}),
    ("MinMaxScaler", {"feature_range": (-2, 5), "clip": True}),
    ("MaxAbsScaler", {}),
    ("MaxAbsScaler", {"clip": True}),
]
SCALERS = ["StandardScaler", "MinMaxScaler", "MaxAbsScaler"]
DTYPES = [np.float64, np.float32, np.int64]


def data(dtype, missing, n=60):
    """Columns of a large mean, of a small spread, of one value and of zeros."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 5)) * [1, 10, 0.1, 0, 0] + [1000, 0, 3, 7, 0]
    if missing and dtype != np.int64:
        X[rng.random(X.shape) < 0.2] = np.nan
    return X.astype(dtype)


def pair(name, options):
    return getattr(preprocessing, name)(**options), getattr(sklearn.preprocessing, name)(**options)


def same_attributes(ours, theirs, rtol=1e-12):
    for name, expected in vars(theirs).items():
        found = getattr(ours, name)
        assert type(found) is type(expected), name
        if isinstance(expected, np.ndarray | np.generic):
            assert found.dtype == expected.dtype, name
            assert found.shape == expected.shape, name
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-14, err_msg=name)
                continue
        np.testing.assert_array_equal(found, expected, err_msg=name)


def same(found, expected):
    assert found.dtype == expected.dtype
    eps = np.finfo(expected.dtype).eps
    # Rounding of float32 means is relative to values of 1000.
    np.testing.assert_allclose(found, expected, rtol=100 * eps, atol=4000 * eps)


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("missing", [False, True])
def test_equals_sklearn(name, options, dtype, missing):
    X = data(dtype, missing)
    every = name == "StandardScaler" and not options and dtype == np.float64
    for form in FORMS if every else ("ragged", "unknown", "frame"):
        ours, theirs = pair(name, options)
        L = lazy(form, X)
        known = pd.DataFrame(X, columns=names(5)) if form == "frame" else X
        theirs.fit(known)
        assert ours.fit(L, None) is ours
        assert ours.n_passes_ == 1.0
        same_attributes(ours, theirs)
        Z = ours.transform(L)
        assert isinstance(Z, da.Array)
        expected = theirs.transform(known)
        assert Z.dtype == expected.dtype
        same(Z.compute(), expected)
        same(ours.fit_transform(L).compute(), expected)
        back = ours.inverse_transform(Z)
        assert isinstance(back, da.Array)
        same(back.compute(), theirs.inverse_transform(expected))
        assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())


@pytest.mark.parametrize("name", SCALERS)
@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, pd.DataFrame])
def test_memory_is_sklearns(name, kind):
    X = kind(data(np.float64, missing=True))
    ours, theirs = pair(name, {})
    np.testing.assert_array_equal(ours.fit_transform(X), theirs.fit_transform(X))
    same_attributes(ours, theirs, rtol=0)


@pytest.mark.parametrize("form", ["one", "ragged", "empty", "unknown", "zarr", "frame"])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("dtype", DTYPES[:2])
def test_weights(form, missing, dtype):
    X = data(dtype, missing)
    weight = np.random.default_rng(2).random(len(X))
    weight[:5] = 0
    theirs = sklearn.preprocessing.StandardScaler().fit(X, sample_weight=weight)
    kinds = [
        weight,
        weight.tolist(),
        da.from_array(weight, chunks=11),
        dd.from_pandas(pd.Series(weight), npartitions=3),
    ]
    for each in kinds:
        ours = preprocessing.StandardScaler().fit(lazy(form, X), sample_weight=each)
        for attribute in ("mean_", "var_", "scale_", "n_samples_seen_"):
            found, expected = getattr(ours, attribute), getattr(theirs, attribute)
            assert np.shape(found) == np.shape(expected)
            # scikit-learn sums the weights of float32 data in float32.
            rtol = 1e-6 if dtype == np.float32 else 1e-11
            np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-13)


def test_a_scalar_weight_counts():
    X = data(np.float64, missing=True)
    ours = preprocessing.StandardScaler().fit(lazy("many", X), sample_weight=2.0)
    theirs = sklearn.preprocessing.StandardScaler().fit(X, sample_weight=2.0)
    same_attributes(ours, theirs)


@pytest.mark.parametrize(
    ("weight", "error", "match"),
    [
        (np.ones(59), LengthMismatch, "60 rows but sample_weight has 59"),
        (np.zeros(60), ValueError, "at least one non-zero"),
        (np.ones((60, 2)), ValueError, "1D"),
        (da.full(60, np.nan, chunks=60), ValueError, "NaN or infinity"),
        (da.full(60, "a", chunks=60), TypeError, "numeric"),
    ],
)
def test_bad_weights(weight, error, match):
    with pytest.raises(error, match=match):
        preprocessing.StandardScaler().fit(
            lazy("many", data(np.float64, missing=False)), None, weight
        )


def test_lazy_weights_need_lazy_data():
    with pytest.raises(TypeError, match="lazy"):
        preprocessing.StandardScaler().fit(np.ones((3, 1)), None, da.ones(3))


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("second", ["lazy", "memory"])
def test_partial_fit_joins_batches(name, options, missing, second):
    X, Y = data(np.float64, missing), data(np.float64, missing, 40) * 3
    ours, theirs = pair(name, options)
    ours.partial_fit(lazy("many", X)).partial_fit(lazy("ragged", Y) if second == "lazy" else Y)
    theirs.partial_fit(X).partial_fit(Y)
    same_attributes(ours, theirs)


def test_fit_forgets_earlier_batches():
    X = data(np.float64, missing=False)
    ours, theirs = pair("StandardScaler", {})
    ours.partial_fit(lazy("many", X[:, :2]))
    same_attributes(ours.fit(lazy("many", X)), theirs.fit(X))
    with pytest.raises(ValueError, match="features"):
        ours.partial_fit(lazy("many", X[:, :2]))


@pytest.mark.parametrize("name", SCALERS)
def test_columns_without_any_value(name):
    X = np.array([[np.nan, 1.0], [np.nan, 3.0]])
    ours, theirs = pair(name, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scikit-learn divides by 0, or warns
        theirs.fit(X)
    same_attributes(ours.fit(lazy("rows", X)), theirs)
    np.testing.assert_array_equal(ours.transform(lazy("rows", X)).compute(), theirs.transform(X))


def test_constant_to_rounding():
    X = np.full((50, 2), 0.1)
    X[::3, 1] += 2e-17  # rounds to the next float at most
    X[::2, 1] = np.nextafter(0.1, 1)
    ours, theirs = pair("StandardScaler", {})
    ours.fit(lazy("many", X))
    np.testing.assert_array_equal(ours.scale_, theirs.fit(X).scale_)
    assert list(ours.scale_) == [1, 1]


@pytest.mark.parametrize("name", SCALERS)
def test_transform_reads_nothing(name):
    X = unreadable()
    scaler = getattr(preprocessing, name)().fit(np.random.default_rng(0).normal(size=(9, 3)))
    for lazily in (scaler.transform(X), scaler.inverse_transform(X)):
        assert isinstance(lazily, da.Array)
        assert lazily.shape == (100, 3)
        assert lazily.chunks == X.chunks
        with pytest.raises(AssertionError, match="a chunk was loaded"):
            lazily.compute()
    unknown = lazy("unknown", np.ones((60, 3)))
    assert np.isnan(scaler.transform(unknown).shape[0])


@pytest.mark.parametrize("name", SCALERS)
def test_bad_parameters_and_columns_are_found_before_reading(name):
    scaler = getattr(preprocessing, name)
    with pytest.raises(ValueError, match="The 'copy' parameter"):
        scaler(copy="yes").fit(unreadable())
    with pytest.raises(TypeError, match="must be numeric"):
        scaler().fit(unreadable(dtype=object))
    with pytest.raises(ValueError, match="Complex"):
        scaler().fit(unreadable(dtype=complex))
    with pytest.raises(ValueError, match="2D"):
        scaler().fit(da.ones(5))
    with pytest.raises(ValueError, match="0 sample"):
        scaler().fit(da.ones((0, 3)))
    with pytest.raises(ValueError, match="0 sample"):
        scaler().fit(_no_rows())
    with pytest.raises(NotFittedError):
        scaler().transform(unreadable())
    with pytest.raises(NotFittedError):
        scaler().inverse_transform(unreadable())
    fitted = scaler().fit(np.ones((4, 2)))
    with pytest.raises(ValueError, match="X has 3 features"):
        fitted.transform(unreadable())
    with pytest.raises(ValueError, match="X has 3 features"):
        fitted.inverse_transform(unreadable())


def _no_rows():
    X = da.ones((60, 3), chunks=(20, 3))
    return X[X[:, 0] > 1]


def test_bad_range():
    with pytest.raises(ValueError, match="Minimum of desired feature range"):
        preprocessing.MinMaxScaler(feature_range=(1, 0)).fit(unreadable())


@pytest.mark.parametrize("name", SCALERS)
def test_infinity_is_named(name):
    X = np.ones((60, 3))
    X[20, 1] = np.inf
    with pytest.raises(ValueError, match=r"infinity at row 3 of the block, column 1"):
        getattr(preprocessing, name)().fit(lazy("many", X))
    with pytest.raises(ValueError, match=r"column 'feature 1'"):
        getattr(preprocessing, name)().fit(lazy("frame", X))
    scaler = getattr(preprocessing, name)().fit(np.eye(3))
    with pytest.raises(ValueError, match=r"infinity at row 3 of the block, column 1"):
        scaler.transform(lazy("many", X)).compute()


@pytest.mark.parametrize("name", SCALERS)
@pytest.mark.parametrize("chosen", ["estimator", "global"])
def test_set_output(name, chosen):
    X = data(np.float64, missing=True)
    frame = pd.DataFrame(X, columns=names(5), index=np.arange(60) * 2)
    ours, theirs = pair(name, {})
    choice = {"transform_output": "pandas"} if chosen == "global" else {}
    with sklearn.config_context(**choice):
        if chosen == "estimator":
            ours.set_output(transform="pandas")
            theirs.set_output(transform="pandas")
        expected = theirs.fit_transform(frame)
        for each in (ours, clone(ours)):
            found = each.fit_transform(dd.from_pandas(frame, npartitions=4))
            assert isinstance(found, dd.DataFrame)
            pd.testing.assert_frame_equal(found.compute(), expected)
        pd.testing.assert_frame_equal(ours.fit_transform(frame), expected)
        plain = ours.fit_transform(lazy("many", X)).compute()
        assert list(plain.columns) == [f"x{i}" for i in range(5)]
        np.testing.assert_allclose(plain, expected, rtol=1e-10, atol=1e-10)
        assert isinstance(ours.set_output(transform="default").transform(lazy("many", X)), da.Array)
        with pytest.raises(ValueError, match="polars"):
            ours.set_output(transform="polars").transform(lazy("many", X))


def test_frames_of_mixed_columns():
    frame = pd.DataFrame(
        {
            "flag": [True, False, True, True],
            "whole": np.array([1, 2, 3, 5], dtype=np.int8),
            "null": pd.array([1, None, 3, 4], dtype="Int64"),
        }
    )
    ours, theirs = pair("StandardScaler", {})
    found = ours.fit_transform(dd.from_pandas(frame, npartitions=2))
    expected = theirs.fit_transform(frame)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.compute(), expected, rtol=1e-12, atol=1e-15)
    same_attributes(ours, theirs)
    with pytest.raises(TypeError, match="'word'"):
        ours.fit(dd.from_pandas(frame.assign(word="a"), npartitions=2))


def test_names_are_held_against_those_of_the_fit():
    X = data(np.float64, missing=False)
    scaler = preprocessing.StandardScaler().fit(lazy("frame", X))
    assert list(scaler.feature_names_in_) == names(5)
    with pytest.raises(ValueError, match="feature names should match"):
        scaler.transform(lazy("frame", X).rename(columns={"feature 0": "other"}))
    with pytest.warns(UserWarning, match="does not have valid feature names") as caught:
        scaler.transform(lazy("rows", X)).compute()
    assert len(caught) == 1


def test_persisted_chunks_are_not_changed_in_place():
    X = data(np.float64, missing=False)
    persisted = lazy("many", X).persist()
    scaler = preprocessing.StandardScaler(copy=False)
    scaler.fit_transform(persisted).compute()
    np.testing.assert_array_equal(persisted.compute(), X)
    scaler.transform(persisted, copy=False).compute()
    np.testing.assert_array_equal(persisted.compute(), X)


@pytest.mark.parametrize("name", SCALERS)
def test_pickle_and_clone(name):
    X = lazy("many", data(np.float64, missing=True))
    scaler = getattr(preprocessing, name)().fit(X)
    again = pickle.loads(pickle.dumps(scaler))
    np.testing.assert_array_equal(again.transform(X).compute(), scaler.transform(X).compute())
    assert not hasattr(clone(scaler), "n_passes_")


def test_callbacks_are_called():
    calls = []

    class Recorder:
        """A callback that notes what is called."""

        def setup(self, estimator, context):
            calls.append("setup")

        def on_fit_task_begin(self, estimator, context, **_):
            calls.append("begin")

        def on_fit_task_end(self, estimator, context, **_):
            calls.append("end")

        def teardown(self, estimator, context):
            calls.append("teardown")

    scaler = preprocessing.StandardScaler().set_callbacks(Recorder())
    scaler.fit(lazy("many", data(np.float64, missing=False)))
    assert calls == ["setup", "begin", "end", "teardown"]


@pytest.mark.usefixtures("client")
def test_same_bits_on_a_cluster():
    X = da.from_array(data(np.float64, missing=True), chunks=(7, 5))
    on_cluster = preprocessing.StandardScaler().fit(X)
    values = on_cluster.transform(X).compute()
    alone = preprocessing.StandardScaler()
    with dask.config.set(scheduler="threads"):
        alone.fit(X)
    assert alone.mean_.tobytes() == on_cluster.mean_.tobytes()
    assert alone.var_.tobytes() == on_cluster.var_.tobytes()
    np.testing.assert_array_equal(values, alone.transform(data(np.float64, missing=True)))
