"""The order of categories, and the reference that has no column of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import storage
from storage import Column

FRAME = pd.DataFrame({"hour": [10, 9, 10, 5], "carrier": ["UA", "AA", None, "B6"], "y": 1.0})


def ingest(path, **columns):
    return storage.ingest(FRAME, path / "d", target="y", columns=columns)


def test_categories_that_are_integers_are_sorted_as_numbers(tmp_path):
    data = ingest(tmp_path, hour=Column("category"))
    assert data.feature_names[:3] == ("hour_5", "hour_9", "hour_10")
    assert data.feature_names[3:] == ("carrier_AA", "carrier_B6", "carrier_UA")
    np.testing.assert_array_equal(data.X.compute()[:, :3].argmax(axis=1), [2, 1, 2, 0])


def test_categories_are_texts_if_one_of_them_is_no_integer(tmp_path):
    frame = FRAME.assign(hour=["10", "9", "10", "5a"])
    data = storage.ingest(frame, tmp_path / "d", target="y")
    assert data.feature_names[:3] == ("hour_10", "hour_5a", "hour_9")


def test_the_reference_is_zero_in_all_columns_and_a_missing_value_is_not(tmp_path):
    data = ingest(tmp_path, carrier=Column(reference="UA"))
    assert data.feature_names == ("hour", "carrier_AA", "carrier_B6")
    expected = [[0, 0], [1, 0], [np.nan, np.nan], [0, 1]]
    np.testing.assert_array_equal(data.X.compute()[:, 1:], expected)
    np.testing.assert_array_equal(data.encode(FRAME).X, data.X.compute())


def test_a_reference_that_is_no_category_is_an_error_that_lists_them(tmp_path):
    with pytest.raises(storage.InvalidData, match=r"no category 'DL'.* it has 'AA', 'B6', 'UA'"):
        ingest(tmp_path, carrier=Column(reference="DL"))
    with pytest.raises(storage.InvalidData, match="no category but its reference"):
        storage.ingest(
            FRAME[:1], tmp_path / "d", target="y", columns={"carrier": Column(reference="UA")}
        )


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"reference": 3}, TypeError, "must be a str"),
        ({"reference": "a", "encoding": "codes"}, ValueError, "one-hot"),
        ({"reference": "a", "unknown": "ignore"}, ValueError, "encoding of the reference 'a'"),
        ({"reference": "a", "categories": ["b"]}, ValueError, "none of the categories"),
        ({"kind": "number", "reference": "a"}, ValueError, "this column is a number"),
    ],
)
def test_a_reference_with_contradicting_options_is_refused(options, error, match):
    with pytest.raises(error, match=match):
        Column(**options)


def test_the_target_has_no_reference(tmp_path):
    with pytest.raises(ValueError, match="the target is not in X"):
        storage.ingest(
            FRAME.assign(y=["a", "b", "a", "b"]),
            tmp_path / "d",
            target="y",
            columns={"y": Column(reference="a"), "carrier": Column(missing="drop")},
        )
