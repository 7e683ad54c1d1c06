"""Values of raw data in messages are short, however long the values are."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage import Column, Join
from storage.messages import first_texts, short_text

LONG = "a" * 300_000
FRAME = pd.DataFrame({"c": [LONG, "b", "c"], "y": [0, 1, 0]})


@given(st.text(max_size=200))
def test_a_short_text_begins_as_the_text(text):
    short = short_text(text)
    assert len(short) <= 60
    assert short == text or (len(text) > 60 and text.startswith(short.removesuffix("...")))


@given(st.lists(st.text("ab", min_size=1, max_size=3)), st.integers(1, 5), st.booleans())
def test_the_first_texts_are_all_or_end_in_dots(texts, n, quoted):
    shown = first_texts(texts, n, quoted=quoted).split(", ") if texts else []
    expected = [repr(text) if quoted else text for text in texts[:n]]
    assert shown == expected + ["..."] * (len(texts) > n)


@pytest.mark.parametrize(
    "options",
    {
        "too many": {"columns": {"c": Column("category", max_categories=2)}},
        "unparsable": {"columns": {"c": Column("number")}},
        "unknown": {"columns": {"c": Column("category", categories=["b", "c"])}},
        "reference": {"columns": {"c": Column("category", reference="z")}},
        "only reference": {"columns": {"c": Column("category", reference=LONG)}, "rows": 1},
        "key": {"joins": [Join(pd.DataFrame({"c": ["b"], "z": [1]}), on="c")]},
        "key twice": {"joins": [Join(pd.DataFrame({"c": [LONG] * 2, "z": [1, 2]}), on="c")]},
        "column": {"features": [LONG]},
    }.items(),
    ids=lambda option: option[0],
)  # fmt: skip
def test_errors_of_an_ingest(tmp_path, options):
    _, chosen = options
    source = FRAME.head(chosen.pop("rows", len(FRAME)))
    with pytest.raises(storage.InvalidData) as caught:
        storage.ingest(source, tmp_path / "d", target="y", **chosen)
    assert len(str(caught.value)) < 1_000
    assert not any(LONG in note for note in getattr(caught.value, "__notes__", ()))


def test_errors_of_new_rows_and_of_names(tmp_path):
    data = storage.ingest(FRAME.tail(2), tmp_path / "d", target="y")
    with pytest.raises(storage.InvalidData, match=r"none of the categories.*'aaa") as caught:
        data.encode(FRAME)
    assert len(str(caught.value)) < 1_000
    with pytest.raises(ValueError, match="no column 'aaa") as wrong:
        storage.open_dataset(tmp_path / "d", columns=[LONG])
    assert len(str(wrong.value)) < 1_000
    names = [LONG, LONG]
    with pytest.raises(ValueError, match=r"distinct, but aaa.*\.\.\. is repeated") as twice:
        storage.create_dataset(tmp_path / "e", [[1, 2]], [1], feature_names=names)
    assert len(str(twice.value)) < 1_000
