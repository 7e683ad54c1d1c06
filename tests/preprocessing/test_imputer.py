"""Imputation on lazy data: scikit-learn's fill values and results, for numbers and strings."""

from __future__ import annotations

import pickle
import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn.impute
from sklearn.exceptions import NotFittedError

from dlbd_estimators.preprocessing import SimpleImputer, missing
from tests.preprocessing.lazy_forms import FORMS, lazy, names, unreadable

CASES = [
    {},
    {"strategy": "constant"},
    {"strategy": "constant", "fill_value": 3, "add_indicator": True},
    {"strategy": "most_frequent"},
    {"add_indicator": True},
    {"keep_empty_features": True, "add_indicator": True},
    {"strategy": "most_frequent", "keep_empty_features": True},
    {"strategy": "constant", "keep_empty_features": True},
]
EMPTY = "ignore:Skipping features without any observed values:UserWarning"


def data(dtype, marker=np.nan, *, empty=True, n=50):
    rng = np.random.default_rng(3)
    X = rng.integers(0, 6, size=(n, 4)).astype(dtype)
    if not (np.isnan(marker) and np.dtype(dtype).kind == "i"):
        X[rng.random(X.shape) < 0.3] = marker
        X[:, 3] = rng.integers(1, 6, size=n)
        if empty:
            X[:, 1] = marker
    return X


def same_fit(ours, theirs):
    assert ours.statistics_.dtype == theirs.statistics_.dtype
    found, expected = ours.statistics_, theirs.statistics_
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-6 if ours.loose else 1e-14)
    else:
        assert [str(each) for each in found] == [str(each) for each in expected]
    assert (ours.indicator_ is None) == (theirs.indicator_ is None)
    if ours.indicator_ is not None:
        np.testing.assert_array_equal(ours.indicator_.features_, theirs.indicator_.features_)
    assert ours.n_features_in_ == theirs.n_features_in_


@pytest.mark.parametrize("options", CASES)
@pytest.mark.parametrize(
    ("dtype", "marker"),
    [(np.float64, np.nan), (np.float32, np.nan), (np.int64, np.nan), (np.int64, -1), (float, 2)],
)
@pytest.mark.filterwarnings(EMPTY)
def test_equals_sklearn(options, dtype, marker):
    X = data(dtype, marker)
    every = dtype == np.float64 and len(options) < 2
    for form in FORMS if every else ("ragged", "unknown", "frame"):
        L = lazy(form, X)
        known = pd.DataFrame(X, columns=names(4)) if form == "frame" else X
        theirs = sklearn.impute.SimpleImputer(missing_values=marker, **options).fit(known)
        ours = SimpleImputer(missing_values=marker, **options).fit(L)
        ours.loose = dtype == np.float32
        assert ours.n_passes_ == 1.0
        same_fit(ours, theirs)
        expected = theirs.transform(known)
        Z = ours.transform(L)
        assert isinstance(Z, da.Array)
        assert Z.dtype == expected.dtype
        rtol = 1e-6 if dtype == np.float32 else 1e-14
        np.testing.assert_allclose(Z.compute(), expected, rtol=rtol)
        assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())
        # What a lazy fit leaves behind serves data in memory, too.
        np.testing.assert_allclose(ours.transform(known), expected, rtol=rtol)
        if options.get("add_indicator") and "fill_value" not in options:
            back = ours.inverse_transform(Z)
            assert isinstance(back, da.Array)
            # scikit-learn's fails where a column that it kept is all missing.
            keep = options.get("keep_empty_features")
            original = X if keep else theirs.inverse_transform(expected)
            np.testing.assert_allclose(back.compute(), original, rtol=1e-6)


def words(n=40):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "word": rng.choice(["pear", "fig", "kiwi"], n).astype(object),
            "rare": rng.choice(["a", "b"], n).astype(object),
        }
    )
    frame.loc[rng.random(n) < 0.3, "word"] = np.nan
    frame.loc[0:3, "rare"] = np.nan
    return frame


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "most_frequent"},
        {"strategy": "most_frequent", "add_indicator": True},
        {"strategy": "constant"},
        {"strategy": "constant", "fill_value": "none"},
    ],
)
@pytest.mark.parametrize("marker", [np.nan, None, "fig"])
def test_strings(options, marker):
    frame = words()
    if marker == "fig":
        frame = frame.fillna("pear")
    elif marker is None:
        frame = frame.astype(object).where(frame.notna(), None)
    theirs = sklearn.impute.SimpleImputer(missing_values=marker, **options)
    expected = theirs.fit_transform(frame.to_numpy(dtype=object))
    array = da.from_array(frame.to_numpy(dtype=object), chunks=(9, 2))
    for L in (dd.from_pandas(frame, npartitions=3), array):
        ours = SimpleImputer(missing_values=marker, **options).fit(L)
        assert list(ours.statistics_) == list(theirs.statistics_)
        Z = ours.transform(L)
        assert Z.dtype == object
        assert Z.compute().tolist() == expected.tolist()


def test_words_beside_numbers():
    frame = words().assign(number=np.r_[np.nan, np.arange(39.0) // 20])
    theirs = sklearn.impute.SimpleImputer(strategy="most_frequent")
    expected = theirs.fit_transform(frame.astype(object))
    Z = SimpleImputer(strategy="most_frequent").fit_transform(dd.from_pandas(frame, npartitions=3))
    assert Z.compute().tolist() == expected.tolist()


def test_numbers_that_pandas_lacks():
    frame = pd.DataFrame({"a": pd.array([1, None, 3, 4], dtype="Int64"), "b": [1.0, 2, np.nan, 4]})
    lazily = dd.from_pandas(frame, npartitions=2)
    for strategy in ("mean", "most_frequent", "constant"):
        for marker in (np.nan, pd.NA):
            options = {"strategy": strategy, "missing_values": marker}
            found = SimpleImputer(**options).fit_transform(lazily).compute()
            expected = sklearn.impute.SimpleImputer(**options).fit_transform(frame)
            np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("strategy", ["median", np.median])
def test_what_needs_all_values_is_refused_before_reading(strategy):
    with pytest.raises(ValueError, match=r"needs all values .*X\[:n\]\.compute\(\)"):
        SimpleImputer(strategy=strategy).fit(unreadable())
    X = data(float)
    imputer = SimpleImputer(strategy=strategy, keep_empty_features=True).fit(X[:, [0, 2, 3]])
    expected = imputer.transform(X[:, [0, 2, 3]])
    found = imputer.transform(lazy("many", X[:, [0, 2, 3]]))
    np.testing.assert_array_equal(found.compute(), expected)


@pytest.mark.parametrize(
    ("options", "dtype", "match"),
    [
        ({"strategy": "often"}, float, "The 'strategy' parameter"),
        ({"strategy": "constant", "fill_value": "x"}, float, "cannot be cast"),
        ({"strategy": "constant", "fill_value": 1.5}, int, "cannot be cast"),
        ({"missing_values": "x"}, float, "both numerical"),
        ({}, object, "Cannot use mean strategy with non-numeric data"),
        ({"strategy": "constant"}, bool, "does not support data with dtype bool"),
    ],
)
def test_bad_parameters_are_found_before_reading(options, dtype, match):
    with pytest.raises(ValueError, match=match):
        SimpleImputer(**options).fit(unreadable(dtype=dtype))


def test_bad_data():
    X = data(float, empty=False)
    with pytest.raises(ValueError, match="contains NaN at row .* missing_values=-1"):  # noqa: RUF043
        SimpleImputer(missing_values=-1).fit(lazy("many", X))
    X[30, 2] = np.inf
    with pytest.raises(ValueError, match="infinity at row 13 of the block, column 2"):
        SimpleImputer(strategy="constant").fit(lazy("many", X))
    imputer = SimpleImputer().fit(X[:20])
    with pytest.raises(ValueError, match="infinity at row 13 of the block, column 2"):
        imputer.transform(lazy("many", X)).compute()
    with pytest.raises(ValueError, match="4 features"):
        imputer.transform(unreadable())
    with pytest.raises(NotFittedError):
        SimpleImputer().transform(unreadable())
    empty = da.ones((9, 2), chunks=(3, 2))
    with pytest.raises(ValueError, match="0 sample"):
        SimpleImputer().fit(empty[empty[:, 0] > 1])


def test_inverse_needs_an_indicator():
    X = data(float, empty=False)
    with pytest.raises(ValueError, match="add_indicator=True"):
        SimpleImputer().fit(X).inverse_transform(lazy("many", X))
    imputer = SimpleImputer(add_indicator=True).fit(X)
    with pytest.raises(ValueError, match="expecting 7: 4 features and 3 indicators"):
        imputer.inverse_transform(lazy("many", X))
    with pytest.raises(NotFittedError):
        SimpleImputer(add_indicator=True).inverse_transform(unreadable())
    imputer = SimpleImputer(strategy="constant", fill_value="a", add_indicator=True)
    Z = imputer.fit_transform(dd.from_pandas(words(), npartitions=2))
    with pytest.raises(ValueError, match="needs numbers"):
        imputer.inverse_transform(Z)


def test_inverse_of_a_block_whose_column_is_all_missing():
    """Which columns were left out is known from the fit, not from the rows of one block."""
    X = np.array([[np.nan, 1.0], [np.nan, 2.0], [3.0, np.nan], [4.0, 5.0]])
    imputer = SimpleImputer(add_indicator=True).fit(lazy("rows", X))
    back = imputer.inverse_transform(imputer.transform(lazy("rows", X)))
    np.testing.assert_array_equal(back.compute(), X)


def test_left_out_columns_are_told_once():
    X = data(float)
    imputer = SimpleImputer().fit(lazy("rows", X))
    with pytest.warns(UserWarning, match="Skipping features") as caught:
        Z = imputer.transform(lazy("rows", X))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Z.compute().shape == (50, 3)


def test_ties_go_to_the_smallest():
    X = np.array([[3.0, 2.0], [1.0, 5.0], [3.0, 5.0], [1.0, 2.0], [np.nan, np.nan]])
    for form in ("rows", "one"):
        imputer = SimpleImputer(strategy="most_frequent").fit(lazy(form, X))
        np.testing.assert_array_equal(imputer.statistics_, [1, 2])
    mixed = da.from_array(np.array([[2], ["a"], [None]], dtype=object), chunks=1)
    imputer = SimpleImputer(missing_values=None, strategy="most_frequent").fit(mixed)
    assert imputer.statistics_[0] == 2


def test_too_many_distinct_values(monkeypatch):
    monkeypatch.setattr(missing, "MOST_DISTINCT", 10)
    X = np.arange(60.0).reshape(-1, 1)
    for form in ("many", "one"):
        with pytest.raises(ValueError, match=r"Column 0 .* distinct values .* X\[:n\]\.compute"):
            SimpleImputer(strategy="most_frequent").fit(lazy(form, X))
    with pytest.raises(ValueError, match="Column 'feature 0'"):
        SimpleImputer(strategy="most_frequent").fit(lazy("frame", X))


def test_transform_reads_nothing():
    imputer = SimpleImputer(add_indicator=True).fit([[1.0, 2, np.nan], [3, 4, 5]])
    for dtype in (np.float64, np.float32):
        found = imputer.transform(unreadable(dtype=dtype))
        assert (found.shape, found.dtype) == ((100, 4), dtype)
    assert imputer.inverse_transform(unreadable(p=4)).shape == (100, 3)


@pytest.mark.filterwarnings(EMPTY)
@pytest.mark.parametrize("options", CASES[:5])
def test_set_output(options):
    frame = pd.DataFrame(data(float), columns=names(4), index=np.arange(50) + 7)
    theirs = sklearn.impute.SimpleImputer(**options).set_output(transform="pandas")
    ours = SimpleImputer(**options).set_output(transform="pandas")
    found = ours.fit_transform(dd.from_pandas(frame, npartitions=3))
    assert isinstance(found, dd.DataFrame)
    expected = theirs.fit_transform(frame)
    if options.get("add_indicator"):
        expected = expected.astype(float)
    pd.testing.assert_frame_equal(found.compute(), expected, check_dtype=False)


@pytest.mark.filterwarnings(EMPTY)
def test_pickle():
    X = data(float)
    imputer = SimpleImputer(add_indicator=True).fit(lazy("many", X))
    again = pickle.loads(pickle.dumps(imputer))
    np.testing.assert_array_equal(again.transform(lazy("many", X)).compute(), imputer.transform(X))


def test_memory_is_sklearns():
    X = data(float, empty=False)
    for options in CASES:
        ours, theirs = SimpleImputer(**options), sklearn.impute.SimpleImputer(**options)
        np.testing.assert_array_equal(ours.fit_transform(X), theirs.fit_transform(X))
        assert ours.n_passes_ == 1.0
