"""Joins by key: the rows of `pandas.merge`, at the ingest and for all later rows."""

from __future__ import annotations

import json

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage import Column, Join, metadata
from storage.ingestion import joined_tables
from storage.ingestion.joined_tables import load_tables
from storage.ingestion.lookup import Lookup, joined_rows
from storage.ingestion.sources import source_of

KEYS = {
    "Int64": st.integers(-2, 3),
    "float64": st.sampled_from([0.0, -0.0, 0.5, 1e300]),
    "str": st.sampled_from(["7", "007", "", "ü", "N1"]),
    "boolean": st.booleans(),
    "datetime64[us]": st.integers(0, 3).map(lambda each: pd.Timestamp(each, unit="us")),
    "datetime64[us, UTC]": st.integers(0, 3).map(
        lambda each: pd.Timestamp(each, unit="us", tz="UTC")
    ),
}
VALUES = {
    "float64": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "Int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "str": st.none() | st.text(max_size=3),
    "boolean": st.none() | st.booleans(),
    "datetime64[us]": st.none() | KEYS["datetime64[us]"],
}


def series(draw, values, dtype, n):
    return pd.Series(draw(st.lists(values, min_size=n, max_size=n)), dtype=dtype)


@st.composite
def two_tables(draw):
    """Raw rows, a table whose complete keys are distinct, and the names of the key."""
    dtypes = draw(st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=3))
    names = [f"k{number}" for number in range(len(dtypes))]
    sizes = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    left, right = (
        pd.DataFrame(
            {
                name: series(draw, st.none() | KEYS[dtype], dtype, n)
                for name, dtype in zip(names, dtypes, strict=True)
            }
        )
        for n in sizes
    )
    right = right[~right.duplicated() | right.isna().any(axis=1)].reset_index(drop=True)
    for dtype, values in VALUES.items():
        right[f"a {dtype}"] = series(draw, values, dtype, len(right))
    return left, right, names


@given(two_tables(), st.sampled_from(["keep", "drop"]))
def test_a_join_is_the_merge_of_pandas(tables, unmatched):
    left, right, names = tables
    left["row"] = np.arange(len(left))
    [table] = load_tables([Join(right, on=names, unmatched=unmatched)], source_of(left, None, 99))
    lookup = Lookup.from_json(json.loads(json.dumps(table.lookup.to_json())))
    rows = pa.Table.from_pandas(left, preserve_index=False)
    found, [mask] = joined_rows([lookup], rows, "the frame")
    # A missing key matches a missing key in pandas, and nothing here.
    complete = right[right[names].notna().all(axis=1)]
    how = "left" if unmatched == "keep" else "inner"
    merged = left.merge(complete, on=names, how=how, validate="many_to_one", indicator=True)
    expected = pa.Table.from_pandas(merged, preserve_index=False)
    if unmatched == "keep":
        np.testing.assert_array_equal(mask, merged["_merge"] == "left_only")
    else:
        found = found.filter(pa.array(~mask))
    assert found.column("row").to_pylist() == expected.column("row").to_pylist()
    for dtype in VALUES:
        assert found.column(f"a {dtype}").to_pylist() == expected.column(f"a {dtype}").to_pylist()


FLIGHTS = pd.DataFrame(
    {
        "origin": ["EWR", "JFK", "EWR", "LGA", "JFK", None, "EWR", "JFK"],
        "hour": [5, 5, 6, 6, 7, 5, 5, 9],
        "plane": ["N1", "N2", "N1", "N3", None, "N2", "N2", "N1"],
        "delay": np.arange(8.0),
    }
)
WEATHER = pd.DataFrame(
    {
        "airport": ["EWR", "EWR", "JFK", "JFK", "LGA"],
        "time": np.array([5, 6, 5, 7, 6], np.int32),
        "wind": [1.5, np.nan, 3.0, 4.5, 6.0],
        "sky": ["clear", "clouds", None, "rain", "rain"],
    }
)
PLANES = pd.DataFrame({"plane": ["N2", "N1"], "maker": [2, 1]})
MAKERS = pd.DataFrame({"id": [1, 2], "name": ["Airbus", "Boeing"]})
COLUMNS = {"wind": Column(missing="impute"), "sky": Column(missing="keep")}
FEATURES = ["hour", "wind", "sky", "name"]


def joins(unmatched, **tables):
    tables = {"weather": WEATHER, "planes": PLANES, "makers": MAKERS} | tables
    return [
        Join(
            tables["weather"],
            left_on=["origin", "hour"],
            right_on=["airport", "time"],
            unmatched=unmatched,
        ),
        Join(tables["planes"], on="plane", unmatched=unmatched, name="planes"),
        # The key comes from the join before; it is missing where that one has no match.
        Join(tables["makers"], left_on="maker", right_on="id", unmatched=unmatched),
    ]


def merged(flights, how):
    flights = flights.merge(
        WEATHER, left_on=["origin", "hour"], right_on=["airport", "time"], how=how
    )
    return flights.merge(PLANES, on="plane", how=how).merge(
        MAKERS, left_on="maker", right_on="id", how=how
    )


@pytest.fixture(params=["keep", "drop"])
def policy(request):
    return request.param


def same(one, other):
    assert one.feature_names == other.feature_names
    np.testing.assert_array_equal(one.X.compute(), other.X.compute())
    np.testing.assert_array_equal(one.y.compute(), other.y.compute())


def ingest(source, url, **options):
    return storage.ingest(
        source, url, **{"target": "delay", "features": FEATURES, "columns": COLUMNS, **options}
    )


@pytest.mark.parametrize("kind", ["frame", "dask", "parquet"])
def test_all_rows_of_a_data_set_are_joined_in_the_same_way(tmp_path, policy, kind):
    how = "left" if policy == "keep" else "inner"
    expected = ingest(merged(FLIGHTS, how), tmp_path / "merged")
    source = {"frame": FLIGHTS, "dask": dd.from_pandas(FLIGHTS, npartitions=3),
              "parquet": tmp_path / "f.parquet"}[kind]  # fmt: skip
    FLIGHTS.to_parquet(tmp_path / "f.parquet", row_group_size=3)
    data = ingest(source, tmp_path / "d", joins=joins(policy), partition_nbytes=150)
    same(data, expected)
    new = FLIGHTS[::-1].reset_index(drop=True)
    # A column of a new row that has the name of a joined column is not used.
    encoded = data.encode(new.assign(wind=99.0))
    others = expected.encode(merged(new, how))
    np.testing.assert_array_equal(encoded.X, others.X)
    np.testing.assert_array_equal(encoded.y, others.y)
    assert encoded.kept.sum() == len(others.X)
    lazy = data.encode(dd.from_pandas(new, npartitions=2))
    np.testing.assert_array_equal(lazy.X.compute(), others.X)
    same(
        storage.ingest(new, tmp_path / "like", like=data),
        storage.ingest(merged(new, how), tmp_path / "like_merged", like=expected),
    )
    if kind == "parquet":
        next((tmp_path / "d" / "X").glob("c.*")).unlink()
        storage.repair(tmp_path / "d", source, partition_nbytes=150)
        same(storage.open_dataset(tmp_path / "d"), expected)
    mixed = storage.shuffle(data, tmp_path / "mixed", seed=0)
    np.testing.assert_array_equal(mixed.encode(new).X, encoded.X)
    newer = storage.append(data, new)
    np.testing.assert_array_equal(newer.since(1).X.compute(), encoded.X)


@pytest.mark.usefixtures("client")
def test_joins_on_a_cluster_give_the_same_bits(tmp_path):
    source = dd.from_pandas(FLIGHTS, npartitions=4)
    on_cluster = ingest(source, tmp_path / "cluster", joins=joins("keep"))
    encoded = on_cluster.encode(source).X.compute()
    with dask.config.set(scheduler="sync"):
        alone = ingest(source, tmp_path / "alone", joins=joins("keep"))
        same(on_cluster, alone)
        assert repr(on_cluster.quality) == repr(alone.quality)
        np.testing.assert_array_equal(encoded, alone.X.compute())


def test_unmatched_rows_are_counted_with_the_first_keys(tmp_path, policy):
    data = ingest(dd.from_pandas(FLIGHTS, npartitions=2), tmp_path / "d", joins=joins(policy))
    weather, planes, _ = data.quality.joins
    assert (weather.unmatched, planes.unmatched) == (2, 2)
    assert list(map(str, weather.examples)) == [
        "'nothing, 5' in row 1 of partition 1",
        "'JFK, 9' in row 3 of partition 1",
    ]
    assert list(map(str, planes.examples)) == [
        "'N3' in row 3 of partition 0",
        "nothing in row 0 of partition 1",
    ]
    assert data.quality.n_rows == 8
    assert data.quality.n_kept == {"keep": 8, "drop": 4}[policy] == data.n_samples
    assert (
        f"joined with planes by plane (2 rows): 2 unmatched: {policy}; 'N3' in row 3 of partition 0"
        in repr(data.quality)
    )
    page = data.quality.to_html(tmp_path / "page.html").read_text()
    assert "Joined tables" in page
    assert "&#39;JFK, 9&#39; in row 3 of partition 1" in page


def test_unmatched_rows_are_an_error_unless_another_rule_leaves_them_out(tmp_path):
    with pytest.raises(storage.InvalidData) as caught:
        ingest(FLIGHTS, tmp_path / "d", joins=joins("error"))
    assert "key (origin, hour), 2 of 8 rows" in str(caught.value)
    assert "key (plane), 2 of 8 rows: planes does not have the key" in str(caught.value)
    assert "'N3' in row 3 of the DataFrame" in str(caught.value)
    assert not (tmp_path / "d").exists()
    planes = Join(PLANES, on="plane")
    options = {"features": ["maker"], "columns": {"delay": Column(missing="drop")}}
    flights = FLIGHTS.assign(delay=FLIGHTS.delay.where(FLIGHTS.plane.isin(PLANES.plane)))
    data = ingest(flights, tmp_path / "d", joins=[planes], **options)
    assert data.n_samples == 6
    with pytest.raises(storage.InvalidData, match=r"row 3 of .* has the key \(plane\) 'N3'"):
        data.encode(FLIGHTS)
    with pytest.raises(storage.InvalidData, match="was ingested with unmatched='error'"):
        storage.append(data, FLIGHTS)


def test_a_key_that_occurs_twice_is_an_error_with_its_lines(tmp_path):
    path = tmp_path / "weather.csv"
    pd.concat([WEATHER, WEATHER[1:3]]).to_csv(path, index=False)
    flights = FLIGHTS.astype({"hour": str})
    with pytest.raises(storage.InvalidData) as caught:
        ingest(flights, tmp_path / "d", joins=joins("keep", weather=path)[:1])
    assert "in weather.csv 2 rows have the key of a row before them" in str(caught.value)
    assert f"airport EWR, time 6: line 3 of {path} and line 7 of {path}" in str(caught.value)
    assert f"airport JFK, time 5: line 4 of {path} and line 8 of {path}" in str(caught.value)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["7", "007"], [7, 8]),
        ([7, 8], ["7", "007"]),
        ([True, False], [0, 1]),
        (pd.to_datetime(["2013-01-01", "2014-01-01"]), ["2013-01-01", "2014-01-01"]),
        (pd.to_datetime(["2013-01-01", "2014-01-01"]).tz_localize("UTC"),
         pd.to_datetime(["2013-01-01", "2014-01-01"])),
    ],
)  # fmt: skip
def test_keys_of_different_types_are_an_error(tmp_path, left, right):
    flights = pd.DataFrame({"id": left, "delay": [1.0, 2.0]})
    table = pd.DataFrame({"key": right, "a": [1.0, 2.0]})
    join = Join(table, left_on="id", right_on="key", unmatched="keep")
    with pytest.raises(storage.InvalidData, match="'id' of the DataFrame has values of type"):
        storage.ingest(flights, tmp_path / "d", target="delay", features=["a"], joins=[join])


def test_integers_match_floats_by_value_and_are_never_rounded(tmp_path):
    flights = pd.DataFrame({"id": [2**53 + 1, 2], "delay": [1.0, 2.0]})
    table = pd.DataFrame({"id": [2.0**53, 2.0], "a": [1.0, 2.0]})
    options = {"target": "delay", "features": ["a"]}
    join = Join(table, on="id", unmatched="drop")
    with pytest.raises(storage.InvalidData, match="floats would round the integers above"):
        storage.ingest(flights, tmp_path / "d", joins=[join], **options)
    data = storage.ingest(flights[1:], tmp_path / "d", joins=[join], **options)
    assert data.X.compute().tolist() == [[2.0]]


@pytest.mark.parametrize(
    ("join", "error", "match"),
    [
        (PLANES, TypeError, r"joins\[0\] must be a storage.Join"),
        (Join(PLANES, left_on="tail", right_on="plane"), ValueError, "no column 'tail', the key"),
        (Join(PLANES, left_on="plane", right_on="id"), ValueError, "has no column 'id'"),
        (Join(PLANES, on="plane", columns=["x"]), ValueError, "has no column 'x'"),
        (Join(PLANES[["plane"]], on="plane"), ValueError, "no column but its key"),
        (Join(PLANES.assign(hour=1), on="plane"), ValueError, "adds the column 'hour', and the"),
        (Join(PLANES.assign(maker=[[1], [2]]), on="plane"), ValueError, "cannot be joined"),
        (Join(dd.from_pandas(PLANES), on="plane"), TypeError, "give table.compute"),
    ],
)  # fmt: skip
def test_a_join_that_cannot_be_is_refused(tmp_path, join, error, match):
    with pytest.raises(error, match=match):
        ingest(FLIGHTS, tmp_path / "d", features=["hour"], columns={}, joins=[join])


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({}, ValueError, "name the key by on="),
        ({"on": "a", "left_on": "b"}, ValueError, "name the key by on="),
        ({"left_on": "b"}, ValueError, "name the key by on="),
        ({"left_on": ["a", "b"], "right_on": "c"}, ValueError, "equally many"),
        ({"on": ["a", "a"]}, ValueError, "twice"),
        ({"on": [1]}, TypeError, "names of columns"),
        ({"on": "a", "columns": "b"}, TypeError, "a sequence of names"),
        ({"on": "a", "columns": ["a"]}, ValueError, "part of the key"),
        ({"on": "a", "name": 1}, TypeError, "name must be a str"),
        ({"on": "a", "unmatched": "left"}, ValueError, "'error', 'drop', 'keep', got 'left'"),
    ],
)
def test_a_contradicting_declaration_is_refused(options, error, match):
    with pytest.raises(error, match=match):
        Join(PLANES, **options)


def test_the_target_is_a_column_of_the_rows(tmp_path):
    flights = FLIGHTS.drop(columns="delay")
    delays = pd.DataFrame({"plane": ["N1", "N2"], "delay": [1.0, 2.0]})
    with pytest.raises(ValueError, match="'delay' is a column of a joined table"):
        ingest(flights, tmp_path / "d", features=["hour"], columns={},
               joins=[Join(delays, on="plane", unmatched="drop")])  # fmt: skip
    data = ingest(FLIGHTS, tmp_path / "d", joins=joins("drop"))
    with pytest.raises(ValueError, match="joins cannot be given with like="):
        storage.ingest(FLIGHTS, tmp_path / "e", like=data, joins=joins("drop"))


def test_too_large_tables_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(joined_tables, "MAX_NBYTES", 400)
    with pytest.raises(storage.InvalidData, match="with planes, and at most 400 are allowed"):
        ingest(FLIGHTS, tmp_path / "d", joins=joins("keep"))
    monkeypatch.undo()
    monkeypatch.setattr(metadata, "_MAX_NBYTES", 2_000)
    with pytest.raises(storage.InvalidData, match="choose fewer columns of a joined table"):
        ingest(FLIGHTS, tmp_path / "d", joins=joins("keep"))
    assert not (tmp_path / "d").exists()


def test_a_small_file_is_not_unpacked_to_a_large_table():
    key = ["airport", "time"]
    [table] = load_tables([Join(WEATHER, on=key)], source_of(WEATHER[key], None, 99))
    plain = table.lookup.to_json()
    size = table.lookup.nbytes
    assert Lookup.from_json(plain, size).added.equals(table.lookup.added)
    with pytest.raises(ValueError, match="at most"):
        Lookup.from_json(plain, size // 2)
    with pytest.raises(ValueError, match="at most"):
        Lookup.from_json({**plain, "n_rows": 10**12})
    with pytest.raises(ValueError, match="has other than"):
        Lookup.from_json({**plain, "n_rows": 4})
    # A long text that several rows have is in the file once.
    airport = plain["columns"][0]
    airport["texts"] = ("x" * size, *airport["texts"][1:])
    assert Lookup.from_json(plain).nbytes > 2 * size
    with pytest.raises(ValueError, match="at most"):
        Lookup.from_json(plain, 2 * size)
