"""Sources that are no tables, or hold values that no column can have, are refused at once."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray

import storage
from storage import Column
from tests.storage.ingestion.test_bad_input import frame, refused


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.arrow", "a.npy", "a.svm", "a.csv.gz"])
def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path, name):
    os.mkfifo(tmp_path / name)
    (tmp_path / f"link-{name}").symlink_to(tmp_path / name)
    for source in (name, f"link-{name}", f"*{name}"):
        refused(tmp_path / source, tmp_path, "is a pipe, a socket or a device", target=None if
                name == "a.svm" else "y")  # fmt: skip
    with pytest.raises(storage.InvalidData, match="is a pipe"):
        storage.ingest(
            frame(), tmp_path / "d", target="y",
            joins=[storage.Join(str(tmp_path / name), on="x")],
        )  # fmt: skip


def test_an_empty_list_of_files(tmp_path):
    refused([], tmp_path, "the source is an empty list", ValueError)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"target": 1}, r"must be a str, got 1: .* are called '0', '1' here"),
        ({"target": "1", "features": [0]}, "must be a str, got 0"),
        ({"target": "1", "columns": {0: Column()}}, "must be a str, got 0"),
        ({"target": ("a", "b")}, r"must be a str, got \('a', 'b'\)"),
    ],
)
def test_names_of_columns_that_are_no_texts(tmp_path, options, match):
    refused(pd.DataFrame(np.eye(2)), tmp_path, match, TypeError, **options)


@pytest.mark.parametrize("wide", [10**30, -(10**30)])
@pytest.mark.parametrize("kind", [pd.DataFrame, np.array])
def test_integers_of_any_size_are_unparsable(tmp_path, wide, kind):
    rows = np.array([[wide, 0], [1, 1], [2.5, 0]], dtype=object)
    names = ("x", "y") if kind is pd.DataFrame else ("x0", "x1")
    source = pd.DataFrame(rows, columns=names) if kind is pd.DataFrame else rows
    number = {names[0]: Column("number")}
    refused(source, tmp_path, rf"'{names[0]}', 1 of 3 rows: a value that is not a number: '-?1",
            target=names[1], columns=number)  # fmt: skip


def test_texts_that_are_not_unicode_name_their_column(tmp_path):
    texts = np.array(["a", "b\ud800", "c"], dtype=object)
    match = r"column '\w+' of .* has the text 'b\\ud800', which is not Unicode"
    refused(frame(t=pd.Series(texts, dtype=object)), tmp_path, match)
    refused(np.column_stack([texts, texts]), tmp_path, match, target="x1")


def test_complex_numbers_are_refused_in_every_source(tmp_path):
    values = np.array([1j, 2, 3])
    match = "'z' of .* has the dtype complex128, which no column can have"
    refused(frame(z=values), tmp_path, match)
    named = xarray.Dataset({name: ("t", frame()[name]) for name in "xy"} | {"z": ("t", values)})
    refused(named, tmp_path, match)
    refused(np.column_stack([values, values]), tmp_path, "'x0' of .* the dtype complex128",
            target="x1")  # fmt: skip


def test_xarray_without_rows(tmp_path):
    refused(xarray.Dataset({"y": 3, "x": 2}), tmp_path, "the Dataset has no dimension")
    refused(xarray.Dataset(), tmp_path, "the Dataset has no dimension")
    refused(xarray.DataArray(3, name="y"), tmp_path, "the DataArray has no dimension")
    tree = xarray.DataTree(xarray.Dataset({"y": ("t", [1]), "x": ("t", [2])}))
    refused(tree, tmp_path, "cannot ingest a DataTree", TypeError)


def archive(**members):
    file = io.BytesIO()
    np.savez(file, **members)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.npy", b"", "it is damaged, not complete, or not a file of NumPy"),
        ("a.npz", b"", "it is damaged"),
        ("a.npz", b"PK", "it is damaged"),
        ("a.npz", archive(X=np.eye(300))[:-900], "it is damaged"),
        ("a.npz", archive(X=np.eye(300)).replace(b"\xf0?", b"\xf1?"), "it is damaged"),
        ("a.npz", archive(X=np.eye(3, dtype=object)), "Python objects. Save numbers or texts"),
        ("a.npy", b"\x80\x04K\x01.", "it is damaged"),
    ],
    ids=["empty-npy", "empty-npz", "short-npz", "cut-npz", "flipped-npz", "objects", "pickle"],
)
def test_files_of_numpy_that_are_damaged_or_hold_objects(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, tmp_path, rf"{name} cannot be read as NumPy's: .*{match}")


def test_damaged_archives_are_what_the_tests_mean():
    damaged = io.BytesIO(archive(X=np.eye(300)).replace(b"\xf0?", b"\xf1?"))
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        zipfile.ZipFile(damaged).read("X.npy")


def test_a_quality_report_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    data = storage.ingest(frame(), "memory://odd-sources-page", target="y")
    page = data.quality.to_html(tmp_path / "q.html")
    before = page.read_text()
    with pytest.raises(IsADirectoryError, match="is a folder: name the file of the page"):
        data.quality.to_html(tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left") as error:
        data.quality.to_html(page)
    monkeypatch.undo()
    assert error.value.filename == str(page)
    assert page.read_text() == before
    assert os.listdir(tmp_path) == ["q.html"]


@pytest.mark.parametrize(
    "write",
    [
        lambda _, place: storage.ingest(frame(), place, target="y"),
        lambda _, place: storage.create_dataset(place, np.eye(3), np.arange(3)),
        lambda data, place: storage.shuffle(data, place, seed=0),
    ],
    ids=["ingest", "create", "shuffle"],
)
def test_a_read_only_disk_names_the_folder_that_was_given(tmp_path, monkeypatch, write):
    data = storage.create_dataset(tmp_path / "old", np.eye(3), np.arange(3))
    made = Path.mkdir

    def read_only(path, *args, **options):
        if tmp_path in path.parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        made(path, *args, **options)

    def moved(path, target):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path), None, str(target))

    monkeypatch.setattr(Path, "mkdir", read_only)
    monkeypatch.setattr(Path, "rename", moved)
    with pytest.raises(OSError, match="Read-only") as error:
        write(data, tmp_path / "d")
    monkeypatch.undo()
    assert (error.value.filename, error.value.filename2) == (str(tmp_path), None)


def test_parquet_files_of_string_views(tmp_path):
    texts = ["a", "b", None, "a"]
    table = pa.table({"x": pa.array(texts, pa.string_view()), "y": [0, 1, 0, 1]})
    pq.write_table(table, tmp_path / "a.parquet")
    data = storage.ingest(tmp_path / "a.parquet", tmp_path / "d", target="y")
    assert data.feature_names == ("x_a", "x_b")
    np.testing.assert_array_equal(data.X.compute()[:, 0], [1, 0, np.nan, 1])


def test_places_where_no_data_set_can_be(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("thesis")
    for place in (file / "d", file / "more" / "d"):
        match = r"a\.txt is not a folder, so no data set can be at .*d"
        with pytest.raises(storage.DatasetExists, match=match):
            storage.ingest(frame(), place, target="y")
        with pytest.raises(storage.DatasetExists, match=match):
            storage.create_dataset(place, np.eye(3), np.arange(3), overwrite=True)
    most = os.pathconf(tmp_path, "PC_NAME_MAX") - 44
    for name in ("n" * (most + 1), "é" * 120, "n" * 300):
        with pytest.raises(ValueError, match=f"bytes: choose one of at most {most}"):
            storage.ingest(frame(), tmp_path / name, target="y")
    assert storage.ingest(frame(), tmp_path / ("n" * most), target="y").n_samples == 3
    assert sorted(os.listdir(tmp_path)) == sorted(["a.txt", "n" * most])
