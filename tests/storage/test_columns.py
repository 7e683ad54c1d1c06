"""Columns of frames: by name, exact, NaN where a value is missing, or refused by name."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import storage
from storage.digits import loses_digits

N = 12
MISSING = [1.0, None, 3.0] * 4
NUMBERS = {
    "float64": pd.Series(np.arange(N) / 3),
    "float32": pd.Series(np.arange(N) / 3, dtype="float32"),
    "int8": pd.Series(np.arange(N), dtype="int8"),
    "int64": pd.Series(np.arange(N) - 2**53),
    "uint64": pd.Series(np.arange(N), dtype="uint64"),
    "bool": pd.Series(np.arange(N) % 2 == 0),
    "Int64": pd.Series(MISSING, dtype="Int64"),
    "UInt8": pd.Series(MISSING, dtype="UInt8"),
    "Float64": pd.Series(MISSING, dtype="Float64"),
    "Float32": pd.Series(MISSING, dtype="Float32"),
    "boolean": pd.Series([True, None, False] * 4, dtype="boolean"),
    "double[pyarrow]": pd.Series(MISSING, dtype="double[pyarrow]"),
    "int64[pyarrow]": pd.Series(MISSING, dtype="int64[pyarrow]"),
    "bool[pyarrow]": pd.Series([True, None, False] * 4, dtype="bool[pyarrow]"),
    "sparse": pd.Series(pd.arrays.SparseArray([0.0, 1.0, 0.0] * 4)),
}
NO_NUMBERS = {
    "str": pd.Series(list("abcdefghijkl")),
    "object": pd.Series([1, None, "a"] * 4, dtype=object),
    "category": pd.Series(list("abc") * 4, dtype="category"),
    "datetime64": pd.Series(pd.date_range("2013-01-01", periods=N)),
    "timedelta64": pd.Series(pd.to_timedelta(np.arange(N), unit="s")),
    "timestamp": pd.Series(pd.date_range("2013-01-01", periods=N)).astype("timestamp[ns][pyarrow]"),
    "complex128": pd.Series(np.arange(N) * 1j),
}


def floats(series):
    return series.astype(object).map(lambda each: np.nan if pd.isna(each) else float(each))


def given(frame, lazy):
    return dd.from_pandas(frame, npartitions=3) if lazy else frame


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_every_kind_beside_floats(tmp_path, kind, lazy):
    frame = pd.DataFrame({"f": np.arange(N) / 7, "each": NUMBERS[kind]})
    data = storage.create_dataset(tmp_path / "d", given(frame, lazy), np.zeros(N))
    expected = np.column_stack([frame.f, floats(frame["each"]).astype(float)])
    assert data.X.dtype == np.float64
    np.testing.assert_array_equal(data.X.compute(), expected)
    assert data.feature_names == ("f", "each")


@pytest.mark.parametrize("lazy", [False, True])
def test_all_of_them_at_once_and_alone(tmp_path, lazy):
    frame = pd.DataFrame(NUMBERS)
    data = storage.create_dataset(tmp_path / "d", given(frame, lazy), np.zeros(N))
    expected = np.column_stack([floats(frame[each]).astype(float) for each in frame])
    np.testing.assert_array_equal(data.X.compute(), expected)
    narrow = frame[["float32", "int8", "Float32", "UInt8"]]
    data = storage.create_dataset(tmp_path / "e", given(narrow, lazy), np.zeros(N))
    assert data.X.dtype == np.float32


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_number_is_refused_by_name(tmp_path, kind, lazy):
    frame = pd.DataFrame({"f": np.arange(N) / 7, "each": NO_NUMBERS[kind]})
    with pytest.raises(TypeError, match=r"column 'each' of X has dtype .*cannot be stored"):
        storage.create_dataset(tmp_path / "d", given(frame, lazy), np.zeros(N))
    with pytest.raises(TypeError, match="y has dtype"):
        storage.create_dataset(tmp_path / "d", np.zeros((N, 1)), given(frame["each"], lazy))
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", ["int64", "Int64", "int64[pyarrow]", "boolean", "uint64"])
def test_integer_targets_are_kept_exactly(tmp_path, dtype, lazy):
    top = 1 if dtype == "boolean" else 2**62 + 1
    y = pd.Series([0, 1, top] * 4, dtype=dtype, name="y")
    data = storage.create_dataset(tmp_path / "d", np.zeros((N, 1)), given(y, lazy))
    assert data.y.compute().tolist() == [0, 1, top] * 4
    assert data.y.dtype.kind in "iub"


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    "dtype", ["Int64", "boolean", "Float64", "int64[pyarrow]", "bool[pyarrow]"]
)
def test_a_missing_target_is_an_error_with_its_row(tmp_path, dtype, lazy):
    y = pd.Series([0, 1, 0, 1] * 3, dtype=dtype, name="y")
    y[7] = pd.NA
    x = np.zeros((N, 1))
    with pytest.raises(ValueError, match="row 7 of y has no value"):
        storage.create_dataset(tmp_path / "d", x, given(y, lazy))
    several = pd.DataFrame({"one": np.arange(N), "two": y})
    with pytest.raises(ValueError, match="row 7 of y has no value"):
        storage.create_dataset(tmp_path / "d", x, given(several, lazy))
    assert not (tmp_path / "d").exists()


def from_parts(parts, meta=None):
    return dd.from_map(lambda part: part, parts, meta=parts[0].iloc[:0] if meta is None else meta)


def parts_of(frame, n=3):
    return [frame.iloc[part * 4 : part * 4 + 4] for part in range(n)]


def test_partitions_with_columns_in_another_order_are_aligned_by_name(tmp_path):
    frame = pd.DataFrame({"a": np.arange(N) + 0.5, "b": -np.arange(N), "c": 1.0})
    one, two, three = parts_of(frame)
    parts = [one, two[["c", "a", "b"]], three[["b", "c", "a"]]]
    data = storage.create_dataset(tmp_path / "d", from_parts(parts), np.zeros(N))
    np.testing.assert_array_equal(data.X.compute(), frame.to_numpy())
    same = [part.astype(float) for part in parts]
    data = storage.create_dataset(tmp_path / "e", from_parts(same), np.zeros(N))
    np.testing.assert_array_equal(data.X.compute(), frame.to_numpy())


WRONG = {
    "one column less": (lambda part: part[["a"]], ValueError, "has 1 columns.*2 columns"),
    "one more": (lambda part: part.assign(z=0), ValueError, "has 3 columns"),
    "another name": (lambda part: part.rename(columns={"a": "z"}), ValueError, "'z'"),
    "twice": (lambda part: part[["a", "a"]], ValueError, "'a', 'a'"),
    "text": (lambda part: part.assign(b="x"), TypeError, "column 'b' in .*X has dtype"),
    "wider": (lambda part: part.assign(b=1.5), TypeError, "dtype float64 where float32"),
    "a Series": (lambda part: part["a"], TypeError, "came as Series"),
    "an array": (lambda part: part.to_numpy(), TypeError, "came as ndarray"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_partition_that_is_not_as_promised_is_named(tmp_path, case):
    change, error, message = WRONG[case]
    frame = pd.DataFrame({"a": np.arange(N), "b": 0.5}).astype("float32")
    one, two, three = parts_of(frame)
    with pytest.raises(error, match=message) as caught:
        storage.create_dataset(tmp_path / "d", from_parts([one, change(two), three]), np.zeros(N))
    assert "partition 1 of X" in str(caught.value)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("case", ["one column less", "another name", "twice", "an array"])
def test_the_same_where_columns_are_chosen(tmp_path, case):
    change = WRONG[case][0]
    frame = pd.DataFrame({"a": np.arange(N), "b": 0.5, "y": 1.0})
    one, two, three = parts_of(frame)
    ddf = from_parts([one, change(two), three])
    with pytest.raises((ValueError, TypeError, KeyError)):
        storage.create_dataset(tmp_path / "d", ddf[["a", "b"]], ddf["y"])
    with pytest.raises(
        (ValueError, TypeError), match=r"partition 1 of (X|y) (came as|has) .* promised"
    ):
        storage.create_dataset(tmp_path / "d", ddf, ddf["y"])


def test_targets_whose_partitions_have_another_dtype(tmp_path):
    y = pd.Series(np.arange(N) % 3, name="y")
    one, two, three = parts_of(y)
    x = np.zeros((N, 1))
    # pandas reads integers with a gap as floats.
    data = storage.create_dataset(tmp_path / "d", x, from_parts([one, two.astype(float), three]))
    assert data.y.dtype == np.int64
    assert data.y.compute().tolist() == y.tolist()
    gap = two.astype(float)
    gap.iloc[2] = np.nan
    with pytest.raises(ValueError, match="row 6 of y has no value"):
        storage.create_dataset(tmp_path / "e", x, from_parts([one, gap, three]))
    with pytest.raises(TypeError, match=r"partition 1 of y has dtype float64 where int64"):
        storage.create_dataset(tmp_path / "e", x, from_parts([one, two + 0.5, three]))
    with pytest.raises(TypeError, match=r"partition 1 of y has dtype"):
        storage.create_dataset(tmp_path / "e", x, from_parts([one, two.astype(str), three]))


def test_empty_partitions_of_any_dtype(tmp_path):
    frame = pd.DataFrame({"a": np.arange(4) + 0.5, "b": [True, False] * 2})
    parts = [frame, frame.iloc[:0].astype(object), frame]
    data = storage.create_dataset(
        tmp_path / "d", from_parts(parts), from_parts([part["a"] for part in parts])
    )
    assert data.X.shape == (8, 2)
    np.testing.assert_array_equal(data.X[:, 0].compute(), data.y.compute())


LARGE = 2**53 + 1


@pytest.mark.parametrize("dtype", ["int64", "Int64", "int64[pyarrow]", "uint64"])
@pytest.mark.parametrize("lazy", [False, True])
def test_integers_that_a_float_would_round_are_told(tmp_path, dtype, lazy):
    frame = pd.DataFrame({"f": np.arange(N) / 7, "id": pd.Series([0] * N, dtype=dtype)})
    frame.loc[5, "id"] = LARGE
    with pytest.raises(ValueError, match=rf"column 'id' in .*X holds {LARGE} \(index"):
        storage.create_dataset(tmp_path / "d", given(frame, lazy), np.zeros(N))
    frame.loc[5, "id"] = LARGE - 1
    data = storage.create_dataset(tmp_path / "d", given(frame, lazy), np.zeros(N))
    assert int(data.X[5, 1].compute()) == LARGE - 1


@pytest.mark.parametrize("lazy", [False, True])
def test_the_same_in_arrays(tmp_path, lazy):
    X = np.zeros((N, 2), dtype=np.int64)
    X[7, 1] = LARGE
    array = (
        dd.from_pandas(pd.DataFrame(X), npartitions=2).to_dask_array(lengths=True) if lazy else X
    )
    with pytest.raises(ValueError, match=rf"row 7, column 1 of X is {LARGE}"):
        storage.create_dataset(
            tmp_path / "d", array, np.zeros(N), dtype="float64", block_nbytes=64, chunk_nbytes=32
        )
    # Who asks for float32 asks for fewer digits.
    data = storage.create_dataset(tmp_path / "d", array, X[:, 1], dtype="float32")
    assert int(data.y[7].compute()) == LARGE


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_digits_at_the_ends_of_the_range(dtype):
    info = np.iinfo(dtype)
    exact = np.array([0, 2**53, 2**60, info.max // 2 + 1, 2**53 + 2], dtype=dtype)
    assert loses_digits(exact, np.dtype("f8")) is None
    for value in (info.max, 2**53 + 1, info.max - 1):
        values = np.append(exact, dtype(value))
        assert loses_digits(values, np.dtype("f8")) == (5,)
        assert loses_digits(values, np.dtype("f4")) is None
    assert loses_digits(exact[:0], np.dtype("f8")) is None
