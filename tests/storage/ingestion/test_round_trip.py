"""What is stored, and what `encode` gives, is what the rules in plain Python give."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage.ingestion.cells import NULL_TEXTS, read_cells
from tests.storage.ingestion import plain

TEXTS = ("a", "b c", "ü", "Z,\"q'")
BOUNDS = {"minimum": -5.0, "maximum": 5.0}
TIMES = {"minimum": "2000-01-01", "maximum": "2020-01-01"}


def column_of(kind, draw):
    """A column with policies that may do anything but raise an error."""
    options = {"missing": draw(st.sampled_from(["keep", "drop", "impute"]))}
    if kind in ("number", "datetime") and draw(st.booleans()):
        options |= BOUNDS if kind == "number" else TIMES
        options["out_of_range"] = draw(st.sampled_from(["drop", "missing", "clip"]))
    if kind == "datetime":
        options["parts"] = ("year", "month", "day", "weekday", "day_of_year", "hour", "second")
        if options["missing"] == "impute":
            options["fill_value"] = "2010-05-06 07:08:09"
    if kind == "category":
        options["encoding"] = draw(st.sampled_from(["one-hot", "codes"]))
        if draw(st.booleans()):
            options["categories"] = TEXTS[:2]
            options["unknown"] = draw(st.sampled_from(["drop", "missing"]))
            if options["missing"] == "impute":
                options["fill_value"] = "b c"
            if options["encoding"] == "one-hot" and draw(st.booleans()):
                options["reference"] = draw(st.sampled_from(TEXTS[:2]))
        elif options["missing"] == "impute" and draw(st.booleans()):
            options["fill_value"] = draw(st.sampled_from(["b c", "none of these"]))
    if kind == "number" and options["missing"] == "impute" and draw(st.booleans()):
        options["fill_value"] = 2.5
    return storage.Column(kind, **options)


VALUES = {
    "number": st.none() | st.floats(-9, 9).map(lambda each: round(each, 3)),
    "boolean": st.none() | st.booleans(),
    "category": st.none() | st.sampled_from(TEXTS),
    "datetime": st.none()
    | st.integers(631_152_000, 1_893_456_000).map(lambda each: pd.Timestamp(each, unit="s")),
}
DTYPES = {
    "number": "float64", "boolean": "boolean", "category": "str", "datetime": "datetime64[us]",
}  # fmt: skip


@st.composite
def tables(draw):
    """Columns of any kinds, a frame of them, and the target, which may be any but a datetime."""
    n_rows = draw(st.integers(1, 12))
    kinds = [draw(st.sampled_from(sorted(VALUES))) for _ in range(draw(st.integers(1, 4)))]
    kinds.append(draw(st.sampled_from(["number", "boolean", "category"])))
    names = [f"c{number}" for number in range(len(kinds))]
    columns = {name: column_of(kind, draw) for name, kind in zip(names, kinds, strict=True)}
    columns[names[-1]] = storage.Column(kinds[-1], missing="drop")
    values = {
        name: draw(st.lists(VALUES[kind], min_size=n_rows, max_size=n_rows))
        for name, kind in zip(names, kinds, strict=True)
    }
    frame = pd.DataFrame(
        {
            name: pd.Series(values[name], dtype=DTYPES[kind])
            for name, kind in zip(names, kinds, strict=True)
        }
    )
    return pd.DataFrame(values, dtype=object), frame, columns, names[-1]


@given(tables(), st.data())
def test_what_is_stored_is_what_the_rules_give(tmp_path_factory, table, data):
    raw, frame, columns, target = table
    folder = tmp_path_factory.mktemp("ingest")
    source, csv = given_as(data.draw(st.sampled_from(["frame", "arrow", "dask", "csv", "parquet"])),
                           frame, folder, data)  # fmt: skip
    nbytes = data.draw(st.sampled_from([1, 30, 2**20]))

    def ingest():
        return storage.ingest(
            source, folder / "d", target=target, columns=columns, csv=csv, partition_nbytes=nbytes
        )

    try:
        expected = plain.encoded(raw, columns, target)
    except (ZeroDivisionError, ValueError):  # nothing to impute from, or no categories
        expected = None
    if expected is None or not expected[2].any():
        with pytest.raises(storage.InvalidData, match=r"no value|no row is left"):
            ingest()
        assert not (folder / "d").exists()
        return
    found = ingest()
    X, y, kept = expected
    np.testing.assert_allclose(found.X.compute(), X, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.y.compute(), y)
    assert (found.quality.n_rows, found.quality.n_kept) == (len(raw), kept.sum())
    again = found.encode(frame)
    np.testing.assert_array_equal(again.X, found.X.compute())
    np.testing.assert_array_equal(again.y, y)
    np.testing.assert_array_equal(again.kept, kept)


def given_as(kind, frame, folder, data):
    if kind == "frame":
        return frame, None
    if kind == "arrow":
        return pa.Table.from_pandas(frame, preserve_index=False), None
    parts = data.draw(st.integers(1, 3))
    if kind == "dask":
        return dd.from_pandas(frame, npartitions=parts), None
    edges = np.linspace(0, len(frame), parts + 1).astype(int)
    for number in range(parts):
        part = frame.iloc[edges[number] : edges[number + 1]]
        if kind == "csv":
            # "n/a" is written for what is missing: a line may be all empty otherwise.
            part.to_csv(folder / f"{number}.csv", index=False, na_rep="N/A")
        else:
            part.to_parquet(folder / f"{number}.parquet", row_group_size=2)
    return str(folder / f"*.{kind}"), storage.CSVFormat() if kind == "csv" else None


@given(
    st.sampled_from(["number", "datetime", "boolean"]),
    st.text("0123456789+-.eEinfaNt:TZ ", max_size=12)
    | st.floats().map(repr)
    | st.integers(-(2**70), 2**70).map(str)
    | st.datetimes().map(str)
    | st.sampled_from(["+nan", "NAN", "-inf", "yes", "2020-02-30", "2020-01-01T10", "1e400"]),
)
def test_a_cell_is_read_alike_whatever_stands_beside_it(kind, text):
    alone = read_cells(pa.chunked_array([[text]]), kind)
    beside = read_cells(pa.chunked_array([[text, "no value of any kind"]]), kind)
    assert alone.unparsable[0] == beside.unparsable[0]
    if not alone.unparsable[0]:
        np.testing.assert_array_equal(alone.values[:1], beside.values[:1])
    if kind == "number":
        try:
            value = float(text.replace("_", "x"))
        except ValueError:
            value = np.inf
        rounded = text.strip().lstrip("+-").isdigit() and int(text) != value
        assert alone.unparsable[0] == (np.isinf(value) or rounded) or text.strip() in NULL_TEXTS
        if not alone.unparsable[0]:
            np.testing.assert_array_equal(alone.values[0], value if np.isfinite(value) else np.nan)


def many(n=1_000):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "far": 1e8 + rng.normal(size=n),
            "hole": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "carrier": rng.choice(["AA", "DL", "UA"], n),
            "late": rng.choice(["no", "yes"], n),
        }
    )
    frame.loc[rng.random(n) < 0.05, "carrier"] = None
    return frame


COLUMNS = {
    "hole": storage.Column(missing="impute"),
    "carrier": storage.Column(missing="drop"),
}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zip", ".csv.zst"])
def test_files_of_any_compression_and_partitioning_give_the_same(tmp_path, suffix):
    frame = many()
    expected = storage.ingest(frame, tmp_path / "e", target="late", columns=COLUMNS)
    path = tmp_path / f"rows{suffix}"
    if suffix.endswith("zst"):
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(frame.to_csv(index=False).encode())
    else:
        frame.to_csv(path, index=False)
    found = storage.ingest(
        path, tmp_path / "d", target="late", columns=COLUMNS, partition_nbytes=3_000
    )
    np.testing.assert_allclose(found.X.compute(), expected.X.compute(), rtol=1e-14)
    np.testing.assert_array_equal(found.labels.compute(), expected.labels.compute())
    one, other = found.quality.columns, expected.quality.columns
    for name, each in one.items():
        assert each.broken == other[name].broken
        assert each.categories == other[name].categories
        if each.mean is not None:
            np.testing.assert_allclose(
                [each.mean, each.std, each.minimum, each.maximum],
                [other[name].mean, other[name].std, other[name].minimum, other[name].maximum],
                rtol=1e-9,
            )
    np.testing.assert_allclose(one["far"].std, frame.dropna(subset="carrier").far.std(), rtol=1e-6)


def test_wide_one_hot_rows_are_encoded_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("storage.ingestion.pieces._PIECE_NBYTES", 8 * 5 * 64)
    frame = many()
    found = storage.ingest(frame, tmp_path / "d", target="late", columns=COLUMNS)
    X, y, kept = found.encode(frame)
    assert kept.sum() == frame.carrier.notna().sum()
    np.testing.assert_array_equal(found.X.compute(), X)
    np.testing.assert_array_equal(found.y.compute(), y)


@pytest.mark.usefixtures("client")
def test_on_a_cluster(tmp_path):
    frame = many()
    frame.to_csv(tmp_path / "rows.csv", index=False)
    found = storage.ingest(
        tmp_path / "rows.csv", tmp_path / "d", target="late", columns=COLUMNS,
        partition_nbytes=10_000,
    )  # fmt: skip
    lazy = found.encode(dd.from_pandas(frame, npartitions=2))
    X, y, kept = found.encode(frame)
    np.testing.assert_array_equal(found.X.compute(), X)
    np.testing.assert_array_equal(lazy.X.compute(), X)
    np.testing.assert_array_equal(lazy.y.compute(), y)
    np.testing.assert_array_equal(lazy.kept.compute(), kept)
    assert lazy.X.feature_names == found.feature_names
    (tmp_path / "bad.csv").write_text("far,hole,late\n1,far,no\n" + "2,3,yes\n" * 999)
    with pytest.raises(storage.InvalidData, match=r"'hole', 1 of 1,000 .*'far' in line 2 of"):
        storage.ingest(
            tmp_path / "bad.csv", tmp_path / "e", target="late", partition_nbytes=500,
            columns={"hole": storage.Column("number")},
        )  # fmt: skip
