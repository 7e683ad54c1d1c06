"""Values that an earlier row has: the rows that are kept do not depend on how they are read."""

from __future__ import annotations

import json
from copy import copy

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage.ingest_command import ingest as ingest_command
from storage.ingestion import duplicates

POLICIES = st.sampled_from(["allow", "drop", "error"])
KEYS = {
    "key": st.sampled_from(["a", "b", "7", "07", "\N{SNOWMAN}", None]),
    "category": st.sampled_from(["a", "b", "c", None]),
    "number": st.sampled_from([0.0, -0.0, 1.0, 2.5, -1e300, np.nan]),
    "datetime": st.sampled_from([*pd.to_datetime(["2020-01-01", "2020-01-02"]), pd.NaT]),
    "boolean": st.sampled_from([True, False, None]),
}


def repeats(values, compared):
    """The rows whose value an earlier row has; only some rows are compared."""
    known, found = set(), []
    for row, value in enumerate(values):
        if compared[row] and not pd.isna(value):
            if value in known:
                found.append(row)
            known.add(value)
    return found


@st.composite
def tables(draw):
    """A frame with columns of some kinds and policies, in which a negative x drops the row."""
    n_rows = draw(st.integers(1, 14))
    kinds = draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=2))
    values, columns = {}, {}
    for number, kind in enumerate(kinds):
        categories = ["a", "b", "c"] if kind == "category" else None
        values[f"c{number}"] = draw(st.lists(KEYS[kind], min_size=n_rows, max_size=n_rows))
        columns[f"c{number}"] = storage.Column(
            kind, categories=categories, duplicates=draw(POLICIES)
        )
    values["x"] = draw(st.lists(st.sampled_from([-1, 3, 4]), min_size=n_rows, max_size=n_rows))
    columns["x"] = storage.Column("number", minimum=0, out_of_range="drop")
    values["y"] = np.arange(n_rows)
    columns["y"] = storage.Column("number")
    texts = [name for name in values if columns[name].kind in ("key", "category")]
    return pd.DataFrame(values).astype(dict.fromkeys(texts, "string")), columns


def given_as(kind, frame, folder, data):
    """The frame, or the same rows in partitions."""
    if kind == "csv":
        frame.to_csv(folder / "rows.csv", index=False)
        return folder / "rows.csv"
    if kind == "dask":
        return dd.from_pandas(frame, npartitions=data.draw(st.integers(1, 4)))
    return frame


@given(tables(), st.data())
def test_the_first_row_of_each_value_is_kept_for_any_partitions(tmp_path_factory, table, data):
    folder = tmp_path_factory.mktemp("duplicates")
    frame, columns = table
    kind = data.draw(st.sampled_from(["csv", "dask", "frame"]))
    source = given_as(kind, frame, folder, data)
    nbytes = data.draw(st.sampled_from([1, 40]))

    compared = frame.x.to_numpy() >= 0
    found = {
        name: repeats(frame[name], compared)
        for name, column in columns.items()
        if column.duplicates != "allow"
    }
    kept = compared.copy()
    for name, rows in found.items():
        if columns[name].duplicates == "drop":
            kept[rows] = False
    refused = {
        name
        for name, rows in found.items()
        if columns[name].duplicates == "error" and any(kept[rows])
    }

    def ingest():
        return storage.ingest(
            source, folder / "d", target="y", columns=columns, partition_nbytes=nbytes
        )

    if refused or not kept.any():
        with pytest.raises(storage.InvalidData, match="earlier row has" if refused else "no row"):
            ingest()
        return
    stored = ingest()
    np.testing.assert_array_equal(stored.y.compute(), np.flatnonzero(kept))
    assert stored.quality.n_rows == len(frame)
    dropped = {name: rows for name, rows in found.items() if columns[name].duplicates == "drop"}
    for name, rows in dropped.items():
        report = stored.quality.columns[name]
        assert report.broken.get("duplicates", 0) == len(rows)
        if kind == "frame":
            examples = report.examples.get("duplicates", ())
            assert [each.number for each in examples] == rows[:5]
    keys = [name for name, column in columns.items() if column.kind == "key"]
    # Rows to predict need no keys, and are not compared.
    np.testing.assert_array_equal(stored.encode(frame.drop(columns=keys)).kept, compared)


@pytest.mark.parametrize("kind", ["number", "key"])
def test_many_values_in_several_buckets(tmp_path, kind):
    rng = np.random.default_rng(0)
    ids = rng.choice([-1.0, 1.0], 1_000) * rng.integers(0, 100, 1_000)  # both 0.0 and -0.0
    frame = pd.DataFrame({"id": ids, "x": 1.0, "y": np.arange(len(ids))})
    if kind == "key":
        frame["id"] = (ids + 0.0).astype(str)
    data = storage.ingest(
        dd.from_pandas(frame, npartitions=7), tmp_path / "d", target="y",
        columns={"id": storage.Column(kind, duplicates="drop")},
    )  # fmt: skip
    np.testing.assert_array_equal(stored(data), np.flatnonzero(~frame.id.duplicated()))


def test_no_partitions_have_no_duplicates():
    found = duplicates.Duplicates.of(lambda _: [], KEY, ())
    assert found.marked([]) == []


TEXT = "id,x,y\n7,1,0\n8,2,1\n7,3,2\n,4,3\n,5,4\n9,6,5\n8,7,6\n"
KEY = {"id": storage.Column("key", duplicates="drop")}


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(TEXT)
    return path


def stored(data):
    return data.y.compute().astype(int).tolist()


def test_an_error_names_the_first_rows_and_what_to_do(tmp_path, rows):
    with pytest.raises(
        storage.InvalidData,
        match=r"'id', 2 of 7 rows: a value that an earlier row has: '7' in line 4 of .*rows\.csv; "
        r"'8' in line 8 of .*storage\.Column\('key', duplicates='drop'\)",
    ):
        # A column that is not a feature and has no kind is a key.
        storage.ingest(
            rows, tmp_path / "d", target="y", features=["x"],
            columns={"id": storage.Column(duplicates="error")}, partition_nbytes=20,
        )  # fmt: skip
    assert not (tmp_path / "d").exists()


def test_the_report_shows_them_and_keys_are_not_stored(tmp_path, rows):
    seen = []
    with storage.listening(seen.append):
        data = storage.ingest(rows, tmp_path / "d", target="y", columns=KEY)
    assert [*dict.fromkeys(now.stage for now in seen)] == ["compare", "count", "write"]
    assert stored(data) == [0, 1, 3, 4, 5]
    assert data.feature_names == ("x",)
    lines = repr(data.quality).splitlines()
    assert lines[1:4] == [
        "  id (key): 3 values",
        f"      2 missing: keep; nothing in line 5 of {rows}",
        f"      2 duplicates: drop; '7' in line 4 of {rows}",
    ]
    assert "duplicates" in data.quality.to_html(tmp_path / "q.html").read_text()


def test_like_compares_the_new_rows_among_themselves(tmp_path, rows):
    data = storage.ingest(rows, tmp_path / "d", target="y", columns=KEY)
    again = storage.ingest(rows, tmp_path / "e", like=data)
    assert stored(again) == stored(data)
    assert again.quality.columns["id"].broken == {"missing": 2, "duplicates": 2}
    other = tmp_path / "other.csv"
    other.write_text("id,x,y\n9,1,0\n7,1,0\n")  # the other data set has these keys
    report = storage.ingest(other, tmp_path / "f", like=data).quality
    assert str(report).splitlines()[1:3] == [
        "  id (key): 2 values",
        "      no duplicates among these rows",
    ]
    page = report.to_html(tmp_path / "q.html").read_text()
    assert "Duplicates were looked for among these rows only, in id." in page


def test_appended_rows_need_the_key_and_missing_keys_are_not_compared(tmp_path, rows):
    data = storage.ingest(rows, tmp_path / "d", target="y", columns=KEY)
    newer = storage.append(data, rows)
    assert stored(newer) == [0, 1, 3, 4, 5, 3, 4]
    assert newer.quality_of(2).columns["id"].broken == {"missing": 2, "duplicates": 5}
    without_key = tmp_path / "without.csv"
    without_key.write_text("x,y\n1,0\n")
    with pytest.raises(storage.InvalidData, match="no column 'id'"):
        storage.append(newer, without_key)


def test_an_ingest_resumes_and_a_damaged_chunk_is_repaired(tmp_path, rows):
    data = storage.ingest(rows, tmp_path / "d", target="y", columns=KEY, resume=True)
    chunk = tmp_path / "d" / "X" / "c.0.0"
    content = chunk.read_bytes()
    chunk.unlink()
    storage.repair(tmp_path / "d", rows)
    assert chunk.read_bytes() == content
    assert stored(data) == [0, 1, 3, 4, 5]


def test_rows_of_one_key_are_compared_after_they_are_selected(tmp_path, rows):
    whole = storage.HashSplit("x", stop=1.0)
    half = storage.HashSplit("x", start=0.5)
    assert stored(storage.ingest(rows, tmp_path / "d", target="y", columns=KEY, rows=whole)) == [
        0, 1, 3, 4, 5,
    ]  # fmt: skip
    table = pd.read_csv(rows, dtype="string")
    raw = table[half.mask(pa.chunked_array([table.x]))[0]]
    expected = raw.y[~(raw.id.duplicated() & raw.id.notna())].astype(int).tolist()
    assert stored(storage.ingest(rows, tmp_path / "e", target="y", columns=KEY, rows=half)) == (
        expected
    )


def test_keys_of_joined_tables_are_compared(tmp_path, rows):
    # The rows of the keys 7 and 8 have the same van; the join leaves out the row of the key 9.
    table = pd.DataFrame({"id": ["7", "8"], "van": ["v", "v"]})
    data = storage.ingest(
        rows, tmp_path / "d", target="y", features=["x"], joins=[storage.Join(table, on="id",
        unmatched="drop")], columns={"van": storage.Column("key", duplicates="drop")},
    )  # fmt: skip
    assert stored(data) == [0]
    assert data.quality.n_rows == 7


def test_the_command_line_has_the_policy(tmp_path, rows):
    command = [str(rows), "-o", str(tmp_path / "d"), "--target", "y", "--json"]
    # A command that is invoked alone keeps its own option for help, without -h.
    result = CliRunner().invoke(copy(ingest_command), [*command, "-c", "id:key,duplicates=drop"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)["quality"]
    assert report["columns"]["id"]["broken"] == {"missing": 2, "duplicates": 2}
    assert report["n_kept"] == 5


def test_pieces_of_a_partition_have_the_kept_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("storage.ingestion.pieces._PIECE_NBYTES", 16)
    frame = pd.DataFrame({"id": [3, 1, 3, 2, 1, 4, 4], "x": 1.0, "y": np.arange(7)})
    data = storage.ingest(frame, tmp_path / "d", target="y", columns=KEY)
    assert stored(data) == [0, 1, 3, 5]


@pytest.mark.usefixtures("client")
def test_a_cluster_finds_the_same_rows_and_keeps_the_hashes(tmp_path, monkeypatch):
    ids = np.random.default_rng(0).integers(0, 20_000, 40_000)
    frame = pd.DataFrame({"id": ids, "x": 1.0, "y": np.arange(len(ids))})
    path = tmp_path / "rows.csv"
    frame.to_csv(path, index=False)
    received, compute = [], duplicates.compute

    def watched(*collections):
        found = compute(*collections)
        received.append(sum(len(mask.content) for bucket in found for masks in bucket
                            for mask in masks.values()))  # fmt: skip
        return found

    monkeypatch.setattr(duplicates, "compute", watched)
    data = storage.ingest(path, tmp_path / "d", target="y", columns=KEY, partition_nbytes=100_000)
    np.testing.assert_array_equal(stored(data), np.flatnonzero(~frame.id.duplicated()))
    # Each bucket sends a bit a row at most, and the hashes have 16 bytes a row.
    [nbytes] = received
    assert nbytes < len(ids)


@pytest.mark.parametrize(
    ("columns", "features", "error", "words"),
    [
        ({"id": storage.Column("key")}, ["id", "x"], ValueError, "'id' is declared as a key"),
        ({"y": storage.Column("key")}, ["x"], ValueError, "'y' is declared as a key"),
        ({"id": storage.Column("number")}, ["x"], ValueError, r"storage\.Column\('key'\)"),
    ],
)
def test_keys_and_stored_columns_are_kept_apart(tmp_path, rows, columns, features, error, words):
    with pytest.raises(error, match=words):
        storage.ingest(rows, tmp_path / "d", target="y", features=features, columns=columns)


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "number", "minimum": 0, "out_of_range": "clip", "duplicates": "drop"},
        {"kind": "key", "missing": "impute"},
        {"kind": "key", "categories": ["a"]},
        {"duplicates": "first"},
    ],
)
def test_options_that_contradict_one_another_are_refused(options):
    with pytest.raises(ValueError, match=r"duplicates|not stored|categories"):
        storage.Column(**options)


def test_a_file_that_changes_meanwhile_is_an_error(tmp_path, rows, monkeypatch):
    compute = duplicates.compute

    def changed(*collections):
        found = compute(*collections)
        rows.write_text(TEXT.replace("7,1,0", "\n" * 5))  # the same number of bytes
        return found

    monkeypatch.setattr(duplicates, "compute", changed)
    with pytest.raises(storage.InvalidData, match=r"rows\.csv was changed or deleted while"):
        storage.ingest(rows, tmp_path / "d", target="y", columns=KEY)
