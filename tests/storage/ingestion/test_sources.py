"""Every kind of source gives the same rows, with where they are from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage.ingestion.csv_files import csv_blocks
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.rows import nth_unskipped


def table():
    return pd.DataFrame({"x": [1.0, 2.0, 3.0, np.nan], "z": [4, 5, 6, 7], "y": [0, 1, 1, 0]})


def expected(data, z="z"):
    assert data.feature_names == ("x", z)
    np.testing.assert_array_equal(data.X.compute(), table()[["x", "z"]])
    np.testing.assert_array_equal(data.y.compute(), table()["y"])


def test_folders_of_parquet_tell_columns(tmp_path):
    for month, part in table().groupby("z"):
        folder = tmp_path / "months" / f"z={month}"
        folder.mkdir(parents=True)
        part.drop(columns="z").to_parquet(folder / "part-0.parquet", index=False)
    (tmp_path / "months" / "_SUCCESS").touch()
    (tmp_path / "months" / ".part-0.crc").touch()
    data = storage.ingest(tmp_path / "months", tmp_path / "d", target="y", features=["x", "z"])
    expected(data)
    (gap,) = data.quality.columns["x"].examples["missing"]
    assert str(gap).endswith("nothing in row 0 of " + str(tmp_path / "months/z=7/part-0.parquet"))


def test_parquet_files_of_other_columns_and_types(tmp_path):
    table().to_parquet(tmp_path / "1.parquet", index=False)
    table().astype({"z": str})[["y", "z", "x"]].to_parquet(tmp_path / "2.parquet", index=False)
    source = tmp_path / "*.parquet"
    data = storage.ingest(source, tmp_path / "d", target="y",
                          columns={"z": storage.Column("number")})  # fmt: skip
    np.testing.assert_array_equal(data.X.compute(), pd.concat([table()] * 2)[["x", "z"]])
    with pytest.raises(storage.InvalidData, match=r"'z' looks like a number in .*a category in"):
        storage.ingest(source, tmp_path / "e", target="y")
    table()[["x", "y"]].to_parquet(tmp_path / "3.parquet")
    with pytest.raises(storage.InvalidData, match=r"3\.parquet has no column 'z'"):
        storage.ingest(source, tmp_path / "e", target="y", features=["x", "z"])


def test_numpy_files(tmp_path):
    frame = table()
    np.save(tmp_path / "plain.npy", frame.to_numpy())
    data = storage.ingest(tmp_path / "plain.npy", tmp_path / "a", target="x2", partition_nbytes=50)
    np.testing.assert_array_equal(data.X.compute(), frame[["x", "z"]])
    np.save(tmp_path / "named.npy", frame.to_records(index=False))
    expected(storage.ingest(tmp_path / "named.npy", tmp_path / "b", target="y"))
    np.savez(tmp_path / "many.npz", **{name: frame[name].to_numpy() for name in frame})
    expected(storage.ingest(tmp_path / "many.npz", tmp_path / "c", target="y"))
    np.save(tmp_path / "deep.npy", np.zeros((2, 2, 2)))
    with pytest.raises(storage.InvalidData, match=r"deep\.npy has 3 dimensions"):
        storage.ingest(tmp_path / "deep.npy", tmp_path / "e", target="y")
    np.save(tmp_path / "objects.npy", np.array([{}, 1], object))
    with pytest.raises(storage.InvalidData, match=r"objects\.npy cannot be read as NumPy's"):
        storage.ingest(tmp_path / "objects.npy", tmp_path / "e", target="y")


def test_tables_data_sets_and_remote_files(tmp_path):
    frame = table()
    data = storage.ingest(pl.from_pandas(frame), tmp_path / "a", target="y")
    expected(data)
    expected(storage.ingest(data, tmp_path / "b", target="y", partition_nbytes=1))
    expected(storage.ingest(pa.Table.from_pandas(frame), "memory://ingested", target="y"))
    assert storage.open_dataset("memory://ingested").quality.n_kept == 4
    import fsspec

    with fsspec.open("memory://raw/rows.csv", "w") as file:
        frame.to_csv(file, index=False)
    expected(storage.ingest("memory://raw/*.csv", tmp_path / "c", target="y", partition_nbytes=9))


@given(
    st.lists(st.text("ab,\"'é", max_size=6), min_size=1, max_size=12),
    st.integers(1, 40),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_blocks_of_any_size_hold_each_line_once(tmp_path_factory, texts, nbytes, end, ended):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    lines = ["name,n", *(f'"{each.replace(chr(34), chr(34) * 2)}",{n}' for n, each in
                         enumerate(texts))]  # fmt: skip
    path.write_bytes((end.join(lines) + end * ended).encode())
    import fsspec

    blocks = csv_blocks(fsspec.filesystem("file"), [str(path)], CSVFormat(null_values=()), nbytes)
    found = [block(["name", "n"]) for block in blocks]
    rows = pa.concat_tables([each.table for each in found]).to_pydict()
    assert rows == {"name": texts, "n": [str(n) for n in range(len(texts))]}
    assert sum(each.n_units for each in found) == len(lines)
    begun = 0
    for each in found:
        for row in range(each.table.num_rows):
            line = lines[each.number(row) + begun - 1]
            assert line.endswith("," + each.table["n"][row].as_py())
        begun += each.n_units


@given(st.sets(st.integers(0, 12)), st.integers(0, 12))
def test_counting_besides_some_numbers(besides, n):
    assert nth_unskipped(sorted(besides), n) == [k for k in range(40) if k not in besides][n]


def test_the_page_escapes_what_data_says(tmp_path):
    evil = "<script>alert(1)</script>"
    frame = pd.DataFrame({evil: [evil, "b", None], "x": [1.0, 500.0, None], "y": [evil, "q", "q"]})
    data = storage.ingest(
        frame, tmp_path / "d", target="y",
        columns={"x": storage.Column("number", maximum=9, out_of_range="clip")},
    )  # fmt: skip
    page = data.quality.to_html(tmp_path / "page.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    policies = (
        "<p>keep: stays missing (NaN), which models refuse unless an imputer fills it in; "
        "clip: replaced by the limit.</p>"
    )
    shown = ("3 of 3 rows kept", "66.67%", "&#39;500&#39; in row 1 of the DataFrame", policies)
    for told in shown:
        assert told in page
    assert data.quality.class_balance == {evil: 1 / 3, "q": 2 / 3}
    assert data.quality == storage.open_dataset(tmp_path / "d").quality


def test_shuffled_rows_keep_their_steps_and_report(tmp_path):
    frame = table().assign(c=["a", "b", "a", "c"])
    data = storage.ingest(frame, tmp_path / "d", target="y")
    mixed = storage.shuffle(data, tmp_path / "m", seed=0)
    np.testing.assert_array_equal(mixed.encode(frame).X, data.X.compute())
    assert mixed.quality == data.quality
    chosen = storage.open_dataset(tmp_path / "d", columns=["c_a"])
    with pytest.raises(storage.NotADataset):
        _ = storage.shuffle(chosen, tmp_path / "n", seed=0).quality


def test_what_is_unknown_is_ignored_where_that_is_asked(tmp_path):
    column = storage.Column(categories=["b", "a"], unknown="ignore")
    frame = pd.DataFrame({"c": ["a", "b", "q", None], "y": [0, 1, 2, 3]})
    data = storage.ingest(frame, tmp_path / "d", target="y", columns={"c": column})
    nan = np.nan
    np.testing.assert_array_equal(data.X.compute(), [[0, 1], [1, 0], [0, 0], [nan, nan]])
    assert data.quality.columns["c"].broken == {"unknown": 1, "missing": 1}
    assert data.quality.columns["c"].categories == {"a": 1, "b": 1}
    assert data.feature_names == ("c_b", "c_a")


def test_times_numbers_and_truth_as_people_write_them(tmp_path):
    rows = [
        ("t,d,b,n,y", ""), ("2020-01-01T02:00:00+02:00,31.12.2019,yes, 1.5 ,0", ""),
        ("2020-06-01,01.01.2020,F,-.5e1,1", ""), (",,,NA,2", ""),
    ]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join(row for row, _ in rows))
    data = storage.ingest(
        tmp_path / "a.csv", tmp_path / "d", target="y",
        columns={
            "t": storage.Column("datetime", parts=["month", "hour"]),
            "d": storage.Column("datetime", format="%d.%m.%Y", parts=["day_of_year"]),
            "b": storage.Column("boolean"),
        },
    )  # fmt: skip
    np.testing.assert_array_equal(
        data.X.compute(), [[1, 0, 365, 1, 1.5], [6, 0, 1, 0, -5], [np.nan] * 5]
    )


def test_a_row_that_is_left_out_breaks_no_other_rule(tmp_path):
    frame = pd.DataFrame({"x": ["1", "no number", "3"], "c": ["a", "only here", "b"],
                          "y": [0, np.nan, 1]})  # fmt: skip
    columns = {"x": storage.Column("number"), "y": storage.Column(missing="drop")}
    data = storage.ingest(frame, tmp_path / "d", target="y", columns=columns)
    assert data.X.compute().tolist() == [[1, 1, 0], [3, 0, 1]]
    assert data.quality.columns["x"].broken == {}
    assert data.encode(frame).kept.tolist() == [True, False, True]
