"""The kinds that are inferred from how values are written."""

from __future__ import annotations

import re

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather

import storage
from storage import Column
from storage.ingestion.cells import read_cells
from storage.ingestion.infer import resolved_columns
from storage.ingestion.rows import Rows

N = 60
NUMBERS = [f"{number}.5" for number in range(N)]
DAYS = [f"2020-{month:02}-{day:02}" for month in range(1, 7) for day in range(1, 11)]


def written(folder, values):
    frame = pd.DataFrame({"x": values, "y": range(len(values))})
    frame.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def with_some(values, others):
    """Return the values, the last ones replaced by others."""
    return [*values[: len(values) - len(others)], *others]


@pytest.mark.parametrize(
    ("values", "kind", "odd"),
    [
        (with_some(NUMBERS, ["unknown"]), "number", "unknown"),
        (with_some(["0", "1"] * (N // 2), ["?"]), "number", "?"),
        (with_some(NUMBERS, ["unknown"] * (N // 2)), "number", "unknown"),
        (with_some(DAYS, ["2020-13-45"]), "datetime", "2020-13-45"),
    ],
)
def test_a_few_odd_values_among_numbers_or_times_are_an_error(tmp_path, values, kind, odd):
    source = written(tmp_path, values)
    line = values.index(odd) + 2
    match = rf"{kind}: '{re.escape(odd)}' in line {line} of .*or storage\.Column\('category'\)"
    with pytest.raises(storage.InvalidData, match=match):
        storage.ingest(source, tmp_path / "d", target="y")
    assert not (tmp_path / "d").exists()
    columns = {"x": Column("category")}
    data = storage.ingest(source, tmp_path / "d", target="y", columns=columns)
    assert data.n_features == len(set(values))


@pytest.mark.parametrize("values", [["1", "2", "a", "b"] * 15, [*"0123456789"] + ["a", "b"] * 25])
def test_codes_of_digits_and_letters_are_categories(tmp_path, values):
    data = storage.ingest(written(tmp_path, values), tmp_path / "d", target="y")
    assert data.quality.columns["x"].kind == "category"


def test_missing_values_do_not_count(tmp_path):
    source = written(tmp_path, with_some(NUMBERS, ["NA"] * (N - 3)))
    data = storage.ingest(source, tmp_path / "d", target="y")
    assert data.quality.columns["x"].kind == "number"


def frames(values):
    """Return the same columns as each kind of source that has texts in memory."""
    frame = pd.DataFrame({"x": values, "y": range(len(values))})
    return {
        "pandas": frame,
        "pandas-objects": frame.astype({"x": object}),
        "polars": pl.from_pandas(frame),
        "arrow": pa.Table.from_pandas(frame),
        "dask": dd.from_pandas(frame, npartitions=2),
    }


@pytest.mark.parametrize("kind", ["pandas", "pandas-objects", "polars", "arrow", "dask"])
def test_texts_of_frames_are_read_as_in_csv(tmp_path, kind):
    source = frames(["unknown", "nan", *NUMBERS])[kind]
    match = r"not a number: 'unknown' in row 0 .*or storage\.Column\('category'\)"
    with pytest.raises(storage.InvalidData, match=match):
        storage.ingest(source, tmp_path / "d", target="y")
    columns = {"x": Column(unparsable="drop")}
    data = storage.ingest(source, tmp_path / "d", target="y", columns=columns)
    assert (data.feature_names, data.n_samples) == (("x",), N + 1)
    assert data.quality.columns["x"].broken == {"unparsable": 1, "missing": 1}


def test_objects_of_several_types_are_read_as_in_csv(tmp_path):
    source = pd.DataFrame({"x": [*range(N), "unknown"], "y": range(N + 1)})
    with pytest.raises(storage.InvalidData, match=f"not a number: 'unknown' in row {N}"):
        storage.ingest(source, tmp_path / "d", target="y")


def test_declared_categories_of_a_frame_are_categories(tmp_path):
    frame = frames(["3", "1", "3", "2"])["pandas"].astype({"x": "category"})
    for number, source in enumerate([frame, pl.from_pandas(frame), dd.from_pandas(frame)]):
        data = storage.ingest(source, tmp_path / f"{number}", target="y")
        assert data.feature_names == ("x_1", "x_2", "x_3")


def typed(folder, values, type_=None):
    """Write values as texts to a Parquet file, whose type of the column is declared."""
    table = pa.table({"x": pa.array(values, type_), "y": range(len(values))})
    pq.write_table(table, folder / "rows.parquet")
    return folder / "rows.parquet"


MANY = [f"{number}.5" for number in range(300)]
MANY_DAYS = pd.date_range("2020-01-01", periods=300).strftime("%Y-%m-%d").tolist()


class TestTextsOfATypedFile:
    """Text is a category there. Where it looks like another kind, a warning names the column."""

    @pytest.mark.parametrize(
        ("values", "kind"),
        [(MANY, "number"), ([*MANY, "unknown"], "number"), (MANY_DAYS, "datetime")],
    )
    def test_many_numbers_or_times_are_warned_of(self, tmp_path, values, kind):
        match = rf"column 'x' .*{len(values)} values look like a {kind} .*Column\('{kind}'\)"
        with pytest.warns(UserWarning, match=match):
            data = storage.ingest(typed(tmp_path, values), tmp_path / "d", target="y")
        assert data.n_features == len(values)

    @pytest.mark.parametrize("source", ["feather", "dataset"])
    def test_other_sources_with_types(self, tmp_path, source):
        table = pa.table({"x": MANY, "y": range(300)})
        feather.write_feather(table, tmp_path / "rows.feather")
        given = tmp_path / "rows.feather"
        if source == "dataset":
            given = pa.dataset.dataset(given, format="feather")
        with pytest.warns(UserWarning, match="column 'x' has the type text"):
            storage.ingest(given, tmp_path / "d", target="y")

    @pytest.mark.parametrize(
        "column",
        [Column("category"), Column(encoding="codes"), Column("number")],
    )
    def test_a_declaration_ends_the_warning(self, tmp_path, column):
        columns = {"x": column}
        storage.ingest(typed(tmp_path, MANY), tmp_path / "d", target="y", columns=columns)

    def test_other_options_do_not(self, tmp_path):
        columns = {"x": Column(missing="drop")}
        with pytest.warns(UserWarning, match="look like a number"):
            storage.ingest(typed(tmp_path, MANY), tmp_path / "d", target="y", columns=columns)

    @pytest.mark.parametrize(
        ("values", "type_"),
        [
            (MANY, pa.dictionary(pa.int32(), pa.string())),
            (MANY[:100], None),  # few, such as codes of states
            ([f"N{number}" for number in range(300)], None),
        ],
    )
    def test_categories_are_not_warned_of(self, tmp_path, values, type_):
        data = storage.ingest(typed(tmp_path, values, type_), tmp_path / "d", target="y")
        assert data.n_features == len(values)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ([f"{number}" for number in range(40)], r"such as storage\.Column\('number'\), since"),
        (MANY_DAYS, r"such as storage\.Column\('datetime'\), since"),
        ([f"N{number}" for number in range(40)], r"such as storage\.Column\('key'\) if"),
    ],
)
def test_too_many_categories_are_an_error_that_names_the_kind(tmp_path, kind, values, advice):
    source = written(tmp_path, values) if kind == "csv" else typed(tmp_path, values)
    columns = {"x": Column("category", max_categories=30)}
    with pytest.raises(storage.InvalidData, match=f"more than 30 categories .*{advice}"):
        storage.ingest(source, tmp_path / "d", target="y", columns=columns)


@given(
    st.lists(
        st.tuples(st.sampled_from(["1", "2.5", "?", "2020-01-02", "b"]), st.integers(1, 30)),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 12),
)
def test_a_kind_is_that_of_most_values_or_of_most_distinct_values(counted, n_more):
    values = [value for value, count in counted for _ in range(count)]
    values += [f"{number}.5" for number in range(n_more)]

    def mostly(kind, texts):
        cells = read_cells(pa.chunked_array([pa.array(texts)]), kind)
        return np.mean(cells.missing) <= 0.1

    kinds = [
        kind
        for kind in ("number", "datetime")
        if mostly(kind, values) or mostly(kind, [*dict.fromkeys(values)])
    ]
    rows = Rows(pa.table({"x": pa.array(values)}), "a.csv", "line", len(values))
    found = resolved_columns(["x"], {}, [rows], {"x"})["x"].kind
    assert found == (kinds[0] if kinds else "category")
