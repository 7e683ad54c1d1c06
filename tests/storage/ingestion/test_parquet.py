"""Parquet files as Spark writes them hold the same values here; the tests write them with Arrow."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage import Column
from storage.ingestion.cells import read_cells

ROWS = pa.table({"x": [1.0, 2.0], "y": [0, 1]})


def written(root, folder="", rows=ROWS, name="part-0.parquet", **options):
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, place / name, **options)
    return root


@pytest.mark.parametrize("year", [1, 1500, 1969, 2013, 9999])
def test_times_of_96_bits_of_any_year(tmp_path, year):
    time = dt.datetime.fromisoformat(f"{year:04}-12-31T23:58:59")
    rows = pa.table({"t": pa.array([time, None], pa.timestamp("us")), "y": [0, 1]})
    written(tmp_path / "raw", rows=rows, use_deprecated_int96_timestamps=True)
    parts = ("year", "month", "day", "hour", "minute", "second")
    data = storage.ingest(
        tmp_path / "raw", tmp_path / "d", target="y", columns={"t": Column(parts=parts)}
    )
    expected = [[getattr(time, part) for part in parts], [np.nan] * len(parts)]
    np.testing.assert_array_equal(data.X.compute(), expected)


@given(
    st.integers(1, 38).flatmap(
        lambda digits: st.tuples(
            st.just(digits),
            st.integers(0, digits),
            st.lists(st.none() | st.integers(1 - 10**digits, 10**digits - 1), min_size=1),
        )
    )
)
def test_a_decimal_is_the_nearest_float_or_no_number(of_digits):
    digits, scale, unscaled = of_digits
    values = [None if each is None else Decimal((each < 0, Decimal(each).as_tuple().digits, -scale))
              for each in unscaled]  # fmt: skip
    cells = read_cells(pa.chunked_array([pa.array(values, pa.decimal128(digits, scale))]), "number")
    expected = [np.nan if each is None else float(each) for each in values]
    np.testing.assert_array_equal(cells.values, expected)
    # As with integers: a whole number that float64 cannot hold is none.
    rounded = [each is not None and each == int(each) and int(each) != int(float(each))
               for each in values]  # fmt: skip
    np.testing.assert_array_equal(cells.unparsable, rounded)


KEYS = {
    "number": st.integers(-(2**53), 2**53).map(str) | st.sampled_from(["007", "1.5"]),
    "datetime": st.dates().map(str) | st.datetimes().map(str),
    "category": st.text("ab =%/:é", min_size=1, max_size=4).map("v{}".format),
}


@given(st.data(), st.sampled_from(sorted(KEYS)))
def test_columns_of_folders_are_those_of_a_file(tmp_path_factory, draws, kind):
    values = draws.draw(st.lists(KEYS[kind], min_size=1, max_size=4, unique=True))
    root = tmp_path_factory.mktemp("keys")
    for value in values:
        written(root / "raw", f"k={quote(value, safe=' ')}")
    written(root / "raw", "k=__HIVE_DEFAULT_PARTITION__")
    data = storage.ingest(root / "raw", root / "d", target="y")
    assert data.quality.columns["k"].kind == kind
    rows = pa.concat_tables(
        ROWS.append_column("k", pa.array([value] * 2, pa.string()))
        for value in [*sorted(values, key=lambda each: quote(each, safe=" ")), None]
    )
    expected = storage.ingest(
        rows, root / "e", target="y", features=["x", "k"], columns={"k": Column(kind)}
    )
    assert data.feature_names == expected.feature_names
    # Folders are read in the order of their names.
    for found, wanted in ((data.X, expected.X), (data.y, expected.y)):
        order = [np.lexsort(np.nan_to_num(each.compute().reshape(len(each), -1).T, nan=-9))
                 for each in (found, wanted)]  # fmt: skip
        np.testing.assert_array_equal(found.compute()[order[0]], wanted.compute()[order[1]])


def test_folders_in_folders_name_columns_in_their_order(tmp_path):
    written(tmp_path / "raw", "year=2019/zone=EU/a=1")
    written(tmp_path / "raw", "year=2020/zone=US/a=2")
    data = storage.ingest(tmp_path / "raw", tmp_path / "d", target="y")
    assert data.feature_names == ("x", "year", "zone_EU", "zone_US", "a")
    assert data.X.compute()[:, 1:].tolist() == [[2019, 1, 0, 1]] * 2 + [[2020, 0, 1, 2]] * 2
    single = storage.ingest(
        tmp_path / "raw" / "year=2019" / "zone=EU" / "a=1" / "part-0.parquet",
        tmp_path / "e", target="y", features=["x", "year"],
    )  # fmt: skip
    assert single.X.compute().tolist() == [[1, 2019], [2, 2019]]
    with pytest.raises(storage.InvalidData, match="no column 'year'"):
        storage.ingest(
            tmp_path / "raw" / "year=2019", tmp_path / "f", target="y", features=["year"]
        )


def test_what_a_killed_job_left_behind_is_not_read(tmp_path):
    for folder in ("", "_temporary/0/attempt_0", ".hidden"):
        written(tmp_path / "_raw", folder)
    (tmp_path / "_raw" / "_SUCCESS").touch()
    data = storage.ingest(tmp_path / "_raw", tmp_path / "d", target="y")
    assert data.n_samples == 2
    csv = tmp_path / "csv"
    for folder in ("", "_temporary/0"):
        (csv / folder).mkdir(parents=True, exist_ok=True)
        (csv / folder / "part-0.csv").write_text("x,y\n1,0\n2,1\n")
    assert storage.ingest(csv, tmp_path / "e", target="y").n_samples == 2


def test_files_without_rows(tmp_path):
    written(tmp_path / "raw", rows=ROWS.slice(0, 0))
    with pytest.raises(storage.InvalidData, match="the source has no rows"):
        storage.ingest(tmp_path / "raw", tmp_path / "d", target="y")
    written(tmp_path / "raw", name="part-1.parquet")
    assert storage.ingest(tmp_path / "raw", tmp_path / "d", target="y").n_samples == 2
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "_SUCCESS").touch()
    with pytest.raises(storage.InvalidData, match="empty is a folder without files"):
        storage.ingest(tmp_path / "empty", tmp_path / "e", target="y")


@pytest.mark.parametrize(("folder", "product"), [("_delta_log", "Delta Lake"), (".hoodie", "Hudi")])
def test_a_table_whose_files_hold_deleted_rows_is_refused(tmp_path, folder, product):
    (written(tmp_path / "raw") / folder).mkdir()
    with pytest.raises(storage.InvalidData, match=f"a table of {product}"):
        storage.ingest(tmp_path / "raw", tmp_path / "d", target="y")
