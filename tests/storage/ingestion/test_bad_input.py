"""Raw data that is not as it should be: each error says where, and nothing is stored."""

from __future__ import annotations

import bz2
import gzip
import os

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import storage
from storage import Column, CSVFormat
from tests.storage.edited_metadata import manifest_of_older_release


def refused(source, folder, match, error=storage.InvalidData, **options):
    before = sorted(folder.rglob("*"))
    with pytest.raises(error, match=match):
        storage.ingest(source, folder / "d", **{"target": "y", **options})
    assert sorted(folder.rglob("*")) == before


def written(folder, **files):
    for name, content in files.items():
        content = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.csv").write_bytes(content)
    return str(folder / "*.csv")


ROWS = "1,2,0\n" * 30


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"a": "x,z\n1,2\n"}, r"no column 'y': its columns are x, z"),
        ({"a": f"x,z,y\n{ROWS}", "b": "x,y\n1,2\n"}, r"b\.csv has no column 'z': its header is x"),
        ({"a": "x,x,y\n1,2,3\n"}, r"header of .*a\.csv has 2 columns called 'x'"),
        ({"a": f"x,z,y\n{ROWS}1,2\n{ROWS}"}, r"fields, 1 of 61: '1,2' in line 32 of .*a\.csv"),
        ({"a": f"x,z,y\n{ROWS}\n\r\n1,2,3,4\n"}, r"'1,2,3,4' in line 34 of .*a\.csv"),
        ({"a": f"x,z,y\n{ROWS}".encode() + b"1,\xe9,3\n"}, r"line 32 of .* is not utf-8.*0xe9"),
        ({"a": b"x,\xe9,y\n"}, r"line 1 of .*a\.csv is not utf-8"),
        ({"a": "", "b": ""}, r"all files of .* are empty"),
        ({"a": "x;z;y\n1;2;3\n"}, r"has no column 'y': .*delimiter=';'"),
        ({"a": ",z,y\n0,2,3\n"}, r"column 1 of .* has no name.* with features="),
        ({"a": "x,z,y\r1,2,3\r"}, r"lines of .*a\.csv end with a carriage return only"),
        ({"a": f"x,z,y\n{ROWS}1,\0,3\n"}, r"line 32 of .*a\.csv has a byte 0"),
        ({"a": f'x,z,y\n{ROWS}1,"2,0\n{ROWS}'}, r"begins in line 32 of .*a\.csv does not end"),
        ({"a": f'x,z,y\n{ROWS}\n1,"2\n3",0\n{ROWS}'}, r"in line 33 of .*multiline=True"),
        ({"a": "x,z,y\n"}, r"column 'x' is not known, as the sample has no value"),
        ({"a": f"x,z,y\n{ROWS}9007199254740993,2,0\n"}, r"'9007199254740993' in line 32"),
        ({"a": f"x,z,y\n{ROWS}1,inf,0\n"}, r"'z', 1 of 31 rows: .* not a number: 'inf'"),
        ({"a": f"x,z,y\n{ROWS}1,2,\n"}, r"'y', 1 of 31 rows: a missing value: nothing in line 32"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("nbytes", [50, 2**20])
def test_csv_files_that_cannot_be_read(tmp_path, files, match, nbytes):
    refused(written(tmp_path, **files), tmp_path, match, partition_nbytes=nbytes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", b"no gzip"),
        ("a.csv.gz", gzip.compress(b"x,y\n" + b"1,2\n3,5\n" * 9000)[:-20]),
        ("a.csv.bz2", bz2.compress(b"x,y\n1,2\n")[:-9]),
        ("a.csv.zip", b"no zip"),
    ],
)
def test_compressed_files_that_are_damaged(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    suffix = name.removeprefix("a.csv")
    refused(tmp_path / name, tmp_path, rf"{name} cannot be read as a \{suffix} file: .*damaged")


def test_a_column_that_changes_its_type_half_way(tmp_path):
    files = {f"{number:02}": f"x,z,y\n{ROWS}" for number in range(40)}
    files["21"] += "1,none of it,0\n1,x,0\n"
    source = written(tmp_path, **files)
    refused(source, tmp_path, r"'z', 2 of 1,202 rows: .*'none of it' in line 32 of .*21\.csv; 'x'")
    lenient = {"z": Column(unparsable="missing", missing="drop")}
    data = storage.ingest(source, tmp_path / "d", target="y", columns=lenient)
    assert (data.n_samples, data.quality.columns["z"].broken["unparsable"]) == (1_200, 2)


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    source = written(tmp_path, a=f"x,z,y\n{ROWS}a,2,0\n1,b,0\n1,2\n")
    refused(source, tmp_path, r"(?s)'1,2' in line 34.*column 'x'.*'a' in line 32.*column 'z'.*'b'",
            columns={"x": Column("number"), "z": Column("number")})  # fmt: skip


def test_what_can_be_read_is_read(tmp_path):
    written(tmp_path, a=b"\xef\xbb\xbfx,z,y\r\n1,2,0\r\n\r\n3,4,5\r\n", b="", c="z;y;x\n")
    written(tmp_path, c="z,y,x\n7,8,6\n", d='x,z,y\n9,"10",11')
    data = storage.ingest(str(tmp_path / "*.csv"), tmp_path / "d", target="y")
    assert data.X.compute().tolist() == [[1, 2], [3, 4], [6, 7], [9, 10]]
    assert data.y.compute().tolist() == [0, 5, 8, 11]


def test_another_format(tmp_path):
    written(tmp_path, a="é;'a\nb';1\nü;'c;d';2\n1;2\n".encode("latin-1"))
    form = CSVFormat(
        delimiter=";", quotechar="'", encoding="latin-1", names=["x", "z", "y"], multiline=True,
        on_bad_lines="skip",
    )  # fmt: skip
    data = storage.ingest(tmp_path / "a.csv", tmp_path / "d", target="y", csv=form)
    assert data.feature_names == ("x_é", "x_ü", "z_a\nb", "z_c;d")
    assert (data.quality.n_malformed, data.quality.n_rows) == (1, 3)
    assert "lines with too many or too few fields: 1 skipped; '1;2'" in repr(data.quality)


def test_files_that_are_not_there_or_may_not_be_read(tmp_path, monkeypatch):
    refused(tmp_path / "no.csv", tmp_path, "no file is at", FileNotFoundError)
    source = written(tmp_path, a=f"x,y\n{ROWS}")
    refused([source, tmp_path / "no.csv"], tmp_path, "no file is at", FileNotFoundError)
    (tmp_path / "a.xlsx").write_bytes(b"")
    refused(tmp_path / "a.xlsx", tmp_path, r"the kind of .*a\.xlsx is not known")
    refused([source, tmp_path / "a.xlsx"], tmp_path, r"the kind of .* is not known")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    refused(tmp_path / "a.parquet", tmp_path, r"a\.parquet cannot be read as Parquet")
    refused([source, tmp_path / "a.parquet"], tmp_path, "files of several kinds, CSV and Parquet")
    # Tests may run as root, whom no file refuses.
    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", _forbidden)
    refused(source, tmp_path, r"a\.csv", PermissionError)


def _forbidden(_, path, *__, **___):
    raise PermissionError(13, os.strerror(13), path)


def frame(**columns):
    return pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [0, 1, 0], **columns})


@pytest.mark.parametrize(
    ("options", "match", "error"),
    [
        ({"target": "z"}, "no column 'z': its columns are x, y", ValueError),
        ({"features": ["q"]}, "no column 'q'", ValueError),
        ({"features": ["x", "y"]}, "must not include the target", ValueError),
        ({"features": "x"}, "must be a sequence of names", TypeError),
        ({"features": []}, "there are no features", ValueError),
        ({"columns": {"q": Column()}}, "no column 'q'", ValueError),
        ({"columns": {"x": "number"}}, r"columns\['x'\] must be a storage.Column", TypeError),
        ({"columns": {"y": Column("datetime")}}, "datetime cannot be the target", ValueError),
        ({"columns": {"y": Column(missing="impute")}}, "cannot be imputed or ignored", ValueError),
        ({"columns": {"x": Column(parts=["day"])}}, "'x' looks like a number: parts", ValueError),
        ({"columns": {"x": Column(maximum=2)}}, r"'x', 1 of 3 .*outside .* to 2: '3'", ValueError),
        ({"csv": CSVFormat()}, "csv is for files", ValueError),
        ({"partition_nbytes": 0}, "partition_nbytes must be 1 or more", ValueError),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(tmp_path, options, match, error):
    refused(frame(), tmp_path, match, error, **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"kind": "text"}, "kind must be one of"),
        ({"missing": "clip"}, "missing must be one of 'keep'"),
        ({"kind": "number", "categories": ["a"]}, "categories applies to .* a category"),
        ({"fill_value": 3}, "no effect without missing='impute'"),
        ({"kind": "datetime", "missing": "impute"}, "a datetime is not imputed by its mean"),
        ({"unknown": "ignore", "encoding": "codes"}, "categories have no code"),
        ({"out_of_range": "drop"}, "no effect without minimum or maximum"),
        ({"categories": ["a", "a"]}, "distinct texts"),
        ({"categories": ["a"], "missing": "impute", "fill_value": "b"}, "none of the categories"),
        ({"parts": ["century"]}, "parts must be one of"),
        ({"kind": "number", "minimum": 3, "maximum": np.float32(2)}, r"3 is above maximum 2\.0"),
        ({"kind": "number", "minimum": "low"}, "could not convert"),
        ({"kind": "datetime", "maximum": "soon"}, "soon"),
    ],
)
def test_columns_that_contradict_themselves(options, match):
    with pytest.raises(ValueError, match=match):
        Column(**options)


def test_values_that_are_not_as_declared(tmp_path):
    dates = frame(t=["2020-01-01", "2020-13-01", "2031-01-01"])
    strict = {"t": Column("datetime", minimum="2000-01-01", maximum="2030-01-01")}
    refused(dates, tmp_path, r"(?s)not a datetime: '2020-13-01' in row 1.*outside.*'2031-01-01'",
            columns=strict)  # fmt: skip
    refused(frame(t=list("abc")), tmp_path, r"more than 2 categories \('a', 'b', 'c', \.\.\.\)",
            columns={"t": Column(max_categories=2)})  # fmt: skip
    refused(frame(t=[None] * 3), tmp_path, "'t' is not known, as the sample has no value")
    refused(frame(t=[[1], [2], [3]]), tmp_path, "column 't' of the DataFrame: values of type list")
    refused(frame(t=pd.to_timedelta([1, 2, 3])), tmp_path, "values of type duration")
    mixed = frame(t=pd.Series([1, "b", 3.5], dtype=object))
    refused(mixed, tmp_path, r"'t', 1 of 3 rows: a value that is not a number: 'b' in row 1",
            columns={"t": Column("number")})  # fmt: skip
    refused(dd.from_pandas(frame(), npartitions=2), tmp_path, "'3' in row 0 of partition 1",
            columns={"x": Column(maximum=2)})  # fmt: skip
    refused(frame(), tmp_path, "no row is left of 3",
            columns={"x": Column(minimum=9, out_of_range="drop")})  # fmt: skip
    twice = pd.DataFrame([[1, 2, 3]], columns=["x", "x", "y"])
    refused(twice, tmp_path, "the frame has 2 columns called 'x'")
    refused(np.eye(3), tmp_path, "a NumPy array has no column 'y': its columns are x0, x1, x2")
    refused(pa.table({"x": [2**63 - 1], "y": [1]}), tmp_path, "not a number: '9223372036854775807'")


def test_new_rows_that_are_not_as_those_ingested(tmp_path):
    data = storage.ingest(frame(c=["a", "b", "a"]), tmp_path / "d", target="y")
    new = frame(c=["a", "new", "b"]).drop(columns="y")
    with pytest.raises(storage.InvalidData, match=r"none of the categories in row 1 .*'c': 'new'"):
        data.encode(new)
    with pytest.raises(storage.InvalidData, match="row 1 of partition 0 of the raw data"):
        data.encode(dd.from_pandas(new, npartitions=1)).X.compute()
    with pytest.raises(
        storage.InvalidData, match="no column 'c': the data set was made from the columns x, c"
    ):
        data.encode(new[["x"]])
    with pytest.raises(TypeError, match="cannot encode a ndarray"):
        data.encode(np.eye(3))
    chosen = storage.open_dataset(tmp_path / "d", columns=["c_b", "x"])
    assert chosen.encode(frame(c=["a", "b", "a"])).X.tolist() == [[0, 1], [1, 2], [0, 3]]


def test_a_data_set_that_was_not_ingested_or_is_damaged(tmp_path):
    plain = storage.create_dataset(tmp_path / "p", np.eye(3), np.arange(3))
    with pytest.raises(storage.NotADataset, match=r"storage\.ingest did not make it"):
        _ = plain.quality
    data = storage.ingest(frame(), tmp_path / "d", target="y")
    record = tmp_path / "d" / "ingest.json"
    good = record.read_bytes()
    record.write_bytes(good.replace(b'"number"', b'"nomber"', 1))
    with pytest.raises(storage.MetadataCorrupt, match="it was changed"):
        _ = data.quality
    manifest = tmp_path / "d" / "manifest.json"
    manifest.write_bytes(manifest_of_older_release(manifest.read_bytes()))
    data = storage.open_dataset(tmp_path / "d")
    with pytest.raises(storage.MetadataCorrupt, match="its checksum is wrong"):
        _ = data.quality
    storage.ingest(frame(), tmp_path / "e", target="y")
    record.write_bytes((tmp_path / "e" / "ingest.json").read_bytes())
    with pytest.raises(storage.MetadataCorrupt, match="belongs to another data set"):
        data.encode(frame())
    storage.ingest(frame(), tmp_path / "d", target="y", overwrite=True)
    with pytest.raises(storage.DatasetReplaced):
        _ = data.quality
    with pytest.raises(storage.DatasetExists):
        storage.ingest(frame(), tmp_path / "d", target="nothing that is there")
