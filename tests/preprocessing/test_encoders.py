"""The encoders of lazy data against scikit-learn's of the same rows in memory."""

from __future__ import annotations

import pickle
from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn.preprocessing
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import dlbd_estimators.preprocessing.categories as categories_module
from dlbd_estimators.preprocessing import OneHotEncoder, OrdinalEncoder

N = 60
EAGER = {
    OneHotEncoder: sklearn.preprocessing.OneHotEncoder,
    OrdinalEncoder: sklearn.preprocessing.OrdinalEncoder,
}
ENCODERS = list(EAGER)
GROUPED = [
    {"min_frequency": 12},
    {"min_frequency": 0.25},
    {"max_categories": 3},
    {"max_categories": 1},
    {"min_frequency": 9, "max_categories": 3},
    {"min_frequency": N + 1},
    {"min_frequency": 1},
]


def draw(values: list[Any], dtype: Any, seed: int = 0) -> pd.Series:
    """Choose N values, of some more than of others."""
    weights = np.arange(1, len(values) + 1) ** 1.5
    chosen = np.random.default_rng(seed).choice(len(values), N, p=weights / weights.sum())
    return pd.Series([values[i] for i in chosen], dtype=dtype)


COLUMNS = {
    "str": draw(["b", "a", "long word", "d"], "str"),
    "str with NaN": draw(["b", "a", "d", np.nan], "str", 1),
    "category": draw(["x", "z", "y", np.nan], pd.CategoricalDtype(["z", "y", "x", "unused"])),
    "category of int": draw([3, 1, 2], "category"),
    "int": draw([7, -1, 3, 0, 12], "int64"),
    "float with NaN": draw([0.5, np.nan, -2.0, 1e300], "float64"),
    "bool": draw([True, False], "bool"),
    "Int64 with NA": draw([5, 2, pd.NA], "Int64"),
}
FRAME = pd.DataFrame(COLUMNS)
ARRAYS = {
    "object": np.column_stack([FRAME["str"], draw(["q", None, "p", np.nan], object, 2)]).astype(
        object
    ),
    "unicode": np.column_stack([FRAME["str"], draw(["p", "qq", "r"], object, 3)]).astype("U9"),
    "int32": np.column_stack([FRAME["int"], FRAME["int"][::-1]]).astype("int32"),
    "float": np.column_stack([FRAME["float with NaN"], FRAME["int"]]),
    "bool": np.column_stack([FRAME["bool"], ~FRAME["bool"]]),
}


def lazy_frame(frame: pd.DataFrame) -> Any:
    """Partitions of several lengths, two of them with no rows."""
    parts = [frame[:0], frame[:20], frame[20:21], frame[:0], frame[21:]]
    return dd.from_map(lambda i: parts[i], range(len(parts)), meta=frame[:0])


def lazy_array(array: np.ndarray) -> Any:
    """Ragged blocks, one with no rows, cut in columns, too."""
    return da.from_array(array, chunks=((0, 20, 1, 39), (1,) * array.shape[1]))


def same(left: Any, right: Any) -> None:
    """Equal, None and NaN told apart, and of one dtype."""
    left, right = np.asarray(left), np.asarray(right)
    assert left.dtype == right.dtype
    assert left.shape == right.shape
    if left.dtype == object:
        assert list(map(repr, map(plain, left.ravel()))) == list(
            map(repr, map(plain, right.ravel()))
        )
    else:
        np.testing.assert_array_equal(left, right)


def plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def dense(result: Any) -> np.ndarray:
    return np.asarray(result.toarray() if hasattr(result, "toarray") else result)


def check(encoder: Any, lazy: Any, memory: Any) -> None:
    """Everything that scikit-learn's encoder says of the data, ours says, too."""
    expected = EAGER[type(encoder)](**encoder.get_params()).fit(memory)
    encoder = encoder.fit(lazy)
    for ours, theirs in zip(encoder.categories_, expected.categories_, strict=True):
        same(ours, theirs)
    if encoder.min_frequency is not None or encoder.max_categories is not None:
        for ours, theirs in zip(
            encoder.infrequent_categories_, expected.infrequent_categories_, strict=True
        ):
            assert (ours is None) == (theirs is None)
            assert ours is None or list(map(str, ours)) == list(map(str, theirs))
    if hasattr(expected, "drop_idx_"):
        assert np.array_equal(encoder.drop_idx_, expected.drop_idx_)
    assert list(encoder.get_feature_names_out()) == list(expected.get_feature_names_out())
    assert encoder.n_features_in_ == expected.n_features_in_
    assert encoder.n_passes_ == 1.0
    codes = dense(expected.transform(memory))
    transformed = encoder.transform(lazy)
    assert isinstance(transformed, da.Array)
    assert transformed.dtype == codes.dtype
    assert transformed.shape[1] == codes.shape[1]
    same(transformed.compute(scheduler="sync"), codes)
    same(dense(encoder.transform(memory)), codes)
    try:
        original = expected.inverse_transform(codes.copy())
    except IndexError:  # scikit-learn's, of infrequent and missing categories together
        return
    decoded = encoder.inverse_transform(transformed)
    assert isinstance(decoded, da.Array)
    if encoder.handle_unknown != "error":
        original = original.astype(object)
    assert decoded.dtype == original.dtype
    same(decoded.compute(scheduler="sync"), original)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", COLUMNS)
def test_column_of_a_frame(encoder: Any, name: str) -> None:
    frame = FRAME[[name]]
    check(encoder(), lazy_frame(frame), frame)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("convert", [True, False])
def test_frame_with_and_without_strings_of_arrow(encoder: Any, convert: bool) -> None:
    frame = FRAME.drop(columns="bool")
    with dask.config.set({"dataframe.convert-string": convert}):
        lazy = dd.from_pandas(frame, npartitions=4)
        assert (lazy.dtypes["str"].na_value is pd.NA) == convert
        check(encoder(), lazy, frame)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", ARRAYS)
def test_array(encoder: Any, name: str) -> None:
    check(encoder(), lazy_array(ARRAYS[name]), ARRAYS[name])


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("parameters", GROUPED, ids=str)
@pytest.mark.parametrize("kind", ["frame", *ARRAYS])
def test_infrequent_categories(encoder: Any, parameters: dict[str, Any], kind: str) -> None:
    if kind == "frame":
        frame = FRAME[["str with NaN", "category", "float with NaN", "int"]]
        check(encoder(**parameters), lazy_frame(frame), frame)
    else:
        check(encoder(**parameters), lazy_array(ARRAYS[kind]), ARRAYS[kind])


@pytest.mark.parametrize("encoder", ENCODERS)
@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=6), data=st.data())
def test_ties_of_infrequent_categories(encoder: Any, counts: list[int], data: Any) -> None:
    X = np.repeat(np.arange(len(counts)), counts)[:, np.newaxis]
    limit = st.none() | st.integers(1, 7)
    share = st.floats(0.01, 0.99)
    parameters = {
        "max_categories": data.draw(limit),
        "min_frequency": data.draw(limit | share),
    }
    with dask.config.set(scheduler="sync"):
        check(encoder(**parameters), da.from_array(X, chunks=(4, 1)), X)


@pytest.mark.parametrize(
    "parameters",
    [
        {"drop": "first"},
        {"drop": "if_binary"},
        {"drop": ["b", 3]},
        {"drop": "first", "max_categories": 3},
        {"drop": ["d", 12], "min_frequency": 9},
        {"dtype": np.int8},
        {"sparse_output": False, "dtype": np.float32},
        pytest.param(
            {"feature_name_combiner": lambda feature, category: f"{feature}={category}"},
            id="feature_name_combiner",  # a function's own name is another in each process
        ),
        {"categories": [["d", "a", "b", "long word", "new"], [-1, 0, 3, 7, 12, 90]]},
        {
            "categories": [["d", "a", "b", "long word", "new"], [-1, 0, 3, 7, 12, 90]],
            "min_frequency": 8,
        },
        {"categories": [["d", "a"], [0, 3]], "handle_unknown": "ignore"},
        {"categories": [["d", "a"], [0, 3]], "handle_unknown": "ignore", "max_categories": 1},
        {"handle_unknown": "infrequent_if_exist", "max_categories": 2},
    ],
    ids=str,
)
def test_one_hot_parameters(parameters: dict[str, Any]) -> None:
    frame = FRAME[["str", "int"]]
    check(OneHotEncoder(**parameters), lazy_frame(frame), frame)


@pytest.mark.parametrize(
    "parameters",
    [
        {"dtype": np.float32},
        {"encoded_missing_value": -3},
        {"encoded_missing_value": -3, "max_categories": 2, "dtype": np.int64},
        {"handle_unknown": "use_encoded_value", "unknown_value": np.nan},
        {"handle_unknown": "use_encoded_value", "unknown_value": -1, "min_frequency": 10},
        {"handle_unknown": "use_encoded_value", "unknown_value": 2, "max_categories": 2},
    ],
    ids=str,
)
def test_ordinal_parameters(parameters: dict[str, Any]) -> None:
    frame = FRAME[["str", "float with NaN"]]
    check(OrdinalEncoder(**parameters), lazy_frame(frame), frame)


@pytest.mark.parametrize("grouped", [{}, {"max_categories": 3}], ids=str)
@pytest.mark.parametrize(
    ("encoder", "parameters"),
    [
        (OneHotEncoder, {"handle_unknown": "ignore"}),
        (OneHotEncoder, {"handle_unknown": "infrequent_if_exist"}),
        (OrdinalEncoder, {"handle_unknown": "use_encoded_value", "unknown_value": -7}),
    ],
)
def test_unknown_categories(encoder: Any, parameters: dict[str, Any], grouped: Any) -> None:
    frame = FRAME[["str", "int"]]
    other = pd.DataFrame({"str": ["a", "strange", "d"], "int": [7, 3, 99]}).astype({"str": "str"})
    ours = encoder(**parameters, **grouped).fit(lazy_frame(frame))
    theirs = EAGER[encoder](**parameters, **grouped).fit(frame)
    codes = dense(theirs.transform(other))
    lazy = ours.transform(dd.from_pandas(other, npartitions=2))
    same(lazy.compute(), codes)
    same(ours.inverse_transform(lazy).compute(), theirs.inverse_transform(codes).astype(object))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_unknown_category_is_an_error_of_its_block(encoder: Any) -> None:
    fitted = encoder().fit(da.from_array(ARRAYS["int32"], chunks=(10, 2)))
    other = ARRAYS["int32"].copy()
    other[55, 1] = 1234
    lazy = fitted.transform(da.from_array(other, chunks=(10, 2)))
    assert lazy[:50].compute().shape[0] == 50
    with pytest.raises(ValueError, match=r"unknown categories \[.*1234.*\] in column 1"):
        lazy.compute()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_transform_computes_nothing(encoder: Any) -> None:
    def load(i: int) -> pd.DataFrame:
        raise AssertionError(f"partition {i} was loaded")

    frame = FRAME[["str", "int"]]
    fitted = encoder().fit(frame)
    lazy = dd.from_map(load, range(3), meta=frame[:0])
    transformed = fitted.transform(lazy)
    assert fitted.inverse_transform(transformed).shape[1] == 2
    assert transformed.numblocks == (3, 1)
    framed = clone(fitted)
    if encoder is OneHotEncoder:
        framed.sparse_output = False
    framed.set_output(transform="pandas").fit(frame)
    assert isinstance(framed.transform(lazy), dd.DataFrame)
    with pytest.raises(AssertionError, match="was loaded"):
        transformed.compute()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_data_frame_output(encoder: Any) -> None:
    parameters = {"sparse_output": False} if encoder is OneHotEncoder else {}
    frame = FRAME[["str", "category"]]
    theirs = EAGER[encoder](**parameters).set_output(transform="pandas").fit_transform(frame)
    ours = encoder(**parameters).set_output(transform="pandas")
    result = ours.fit_transform(dd.from_pandas(frame, npartitions=3))
    assert isinstance(result, dd.DataFrame)
    pd.testing.assert_frame_equal(result.compute(), theirs)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_memory_is_scikit_learns(encoder: Any) -> None:
    X = ARRAYS["object"]
    ours, theirs = encoder().fit(X), EAGER[encoder]().fit(X)
    assert type(ours.transform(X)) is type(theirs.transform(X))
    assert not hasattr(ours, "n_passes_")
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("grouped", [{}, {"max_categories": 3}], ids=str)
def test_pickles_without_the_data(encoder: Any, grouped: Any) -> None:
    lazy = lazy_array(ARRAYS["int32"])
    fitted = encoder(**grouped).fit(lazy)
    again = pickle.loads(pickle.dumps(fitted))
    same(again.transform(lazy).compute(), fitted.transform(lazy).compute())
    assert "dask" not in str(vars(fitted))


@pytest.mark.parametrize("encoder", ENCODERS)
class TestErrors:
    def test_no_rows(self, encoder: Any) -> None:
        lazy = dd.from_pandas(FRAME[["str"]][:0], npartitions=1)
        with pytest.raises(ValueError, match="0 sample"):
            encoder().fit(lazy)

    def test_numbers_and_strings(self, encoder: Any) -> None:
        X = np.array([["a"], [1]], dtype=object)
        with pytest.raises(TypeError, match=r"Column 0 of X: .*uniformly strings or numbers"):
            encoder().fit(da.from_array(X, chunks=(1, 1)))

    def test_too_many(self, encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(categories_module, "MAX_CATEGORIES", 30)
        frame = pd.DataFrame({"id": np.arange(N), "kind": 1})
        with pytest.raises(ValueError, match="Column 'id' of X has more than 30 distinct"):
            encoder().fit(dd.from_pandas(frame, npartitions=4))

    @pytest.mark.parametrize("grouped", [{}, {"max_categories": 1}], ids=str)
    def test_not_among_the_given_categories(self, encoder: Any, grouped: Any) -> None:
        lazy = lazy_array(ARRAYS["int32"])
        with pytest.raises(ValueError, match=r"unknown categories .*12.* in column 1 during fit"):
            encoder(categories=[[-1, 0, 3, 7, 12], [-1, 0, 3, 7]], **grouped).fit(lazy)

    @pytest.mark.parametrize(
        "wrong",
        [{"max_categories": 0}, {"min_frequency": 1.5}, {"handle_unknown": "no"}],
        ids=str,
    )
    @pytest.mark.parametrize("grouped", [{}, {"max_categories": 2}], ids=str)
    def test_parameters(self, encoder: Any, wrong: Any, grouped: Any) -> None:
        (name,) = wrong
        with pytest.raises(ValueError, match=f"'{name}' parameter"):
            encoder(**(grouped | wrong)).fit(lazy_array(ARRAYS["int32"]))

    def test_another_number_of_columns(self, encoder: Any) -> None:
        fitted = encoder().fit(lazy_array(ARRAYS["int32"]))
        with pytest.raises(ValueError, match="expecting 2 features"):
            fitted.transform(da.ones((4, 3), dtype="int32"))
        with pytest.raises(ValueError, match=r"Expected .* columns, got 3"):
            fitted.inverse_transform(da.ones((4, 3)))

    def test_not_fitted(self, encoder: Any) -> None:
        with pytest.raises(NotFittedError):
            encoder().transform(lazy_array(ARRAYS["int32"]))


def test_drop_that_does_not_occur() -> None:
    for grouped in ({}, {"max_categories": 2}):
        with pytest.raises(ValueError, match="were not found in the training data"):
            OneHotEncoder(drop=[8, 8], **grouped).fit(lazy_array(ARRAYS["int32"]))


def test_unknown_value_in_use() -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=1, max_categories=3)
    with pytest.raises(ValueError, match="already used for encoding"):
        encoder.fit(lazy_array(ARRAYS["int32"]))


@pytest.mark.usefixtures("client")
@pytest.mark.cluster
def test_on_a_cluster() -> None:
    frame = FRAME[["str with NaN", "int"]]
    lazy = dd.from_pandas(frame, npartitions=4)
    ours = OneHotEncoder(max_categories=3).fit_transform(lazy)
    same(
        ours.compute(),
        sklearn.preprocessing.OneHotEncoder(max_categories=3).fit_transform(frame).toarray(),
    )
