"""pyarrow's tables: their columns are the features, by their names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import storage

pa = pytest.importorskip("pyarrow")

TABLE = pa.table(
    {
        "one": pa.chunked_array([[1, 2], [3]], pa.int16()),
        "two": [0.5, None, np.nan],
        "yes": [True, False, True],
    }
)
VALUES = np.array([[1, 0.5, 1], [2, np.nan, 0], [3, np.nan, 1]])


@pytest.mark.parametrize("kind", ["table", "batch"])
def test_columns_and_their_names(tmp_path, kind):
    given = TABLE if kind == "table" else TABLE.combine_chunks().to_batches()[0]
    data = storage.create_dataset(tmp_path / "d", given, TABLE["one"])
    assert data.feature_names == ("one", "two", "yes")
    np.testing.assert_array_equal(data.X.compute(), VALUES)
    assert data.y.dtype == np.int16
    assert data.y.compute().tolist() == [1, 2, 3]
    whole = storage.create_dataset(tmp_path / "e", given.select(["one"]), VALUES[:, 0])
    assert whole.X.dtype == np.int16


def test_a_table_of_pandas_keeps_the_columns_that_it_shows(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index([5, 7], name="id"))
    table = pa.Table.from_pandas(frame)
    data = storage.create_dataset(tmp_path / "d", table, np.zeros(2))
    assert data.feature_names == ("a", "id")
    np.testing.assert_array_equal(data.X.compute(), [[1, 5], [2, 7]])


BAD = {
    "text": (pa.table({"a": ["x"]}), TypeError, "column 'a' of X has dtype string"),
    "codes": (pa.table({"a": pa.array(["x"]).dictionary_encode()}), TypeError, "column 'a' of X"),
    "dates": (pa.table({"a": pa.array([1], pa.date32())}), TypeError, "column 'a' of X"),
    "decimals": (pa.table({"a": pa.array([1], pa.decimal128(5))}), TypeError, "column 'a' of X"),
    "lazy": (pa.RecordBatchReader.from_batches(TABLE.schema, []), TypeError, "read_parquet"),
    "twice": (pa.table([[1], [2]], names=["a", "a"]), ValueError, "a is repeated"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_stored_is_named(tmp_path, case):
    table, error, message = BAD[case]
    with pytest.raises(error, match=message):
        storage.create_dataset(tmp_path / "d", table, np.zeros(1))
    assert not (tmp_path / "d").exists()


def test_a_missing_target_is_an_error_with_its_row(tmp_path):
    for y in (pa.array([1, None, 2]), pa.chunked_array([[1], [None, 2]])):
        with pytest.raises(ValueError, match="row 1 of y has no value"):
            storage.create_dataset(tmp_path / "d", VALUES, y)
