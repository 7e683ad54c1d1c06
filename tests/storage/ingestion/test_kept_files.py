"""Clean rows in files between the two passes: exact, removed at the end, and not needed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import storage
from storage.ingestion import first_pass, kept_files
from storage.ingestion.checked_rows import CleanColumn, CleanRows
from storage.ingestion.rows_file import packed_rows, unpacked_rows
from storage.local_files import LocalFiles
from storage.resuming import make_locked

TEXT = "a,b,y\n" + "".join(f"{row / 8},{'uvw'[row % 3]},{row % 2}\n" for row in range(300))


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A file of several partitions; rows that are not kept in files are read again."""
    monkeypatch.setattr(first_pass, "_KEPT_NBYTES", 0)
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a.csv").write_text(TEXT)
    return folder / "a.csv"


@pytest.fixture
def written(monkeypatch):
    """The paths of the files of rows that were written."""
    found, write = [], LocalFiles.write

    def watched(files, key, parts, **options):
        write(files, key, parts, **options)
        if files.root.endswith(".rows"):
            found.append(Path(files.root, key))

    monkeypatch.setattr(LocalFiles, "write", watched)
    return found


def ingest(source, url, **options):
    return storage.ingest(source, url, target="y", partition_nbytes=1000, **options)


def content(data):
    return data.X.compute().tolist(), data.y.compute().tolist(), data.quality


@st.composite
def clean_rows(draw):
    n_rows = draw(st.integers(1, 20))
    columns = {}
    for number, dtype in enumerate(draw(st.lists(st.sampled_from(["f8", "M8[us]", "i4", "i8"]),
                                                 min_size=1, max_size=4))):  # fmt: skip
        values = draw(arrays(dtype, n_rows))
        missing = draw(st.none() | arrays(bool, n_rows))
        texts = tuple(draw(st.lists(st.text(max_size=3), max_size=3)))
        columns[f"c{number}, ü"] = CleanColumn(values, missing, texts)
    return CleanRows(columns, n_rows)


def content_of_file(rows, compressed):
    return b"".join(packed_rows(rows, compressed=compressed))


@given(clean_rows(), st.booleans())
def test_rows_come_back_from_a_file_bit_for_bit(rows, compressed):
    found = unpacked_rows(content_of_file(rows, compressed))
    assert found.n_rows == rows.n_rows
    assert [*found.columns] == [*rows.columns]
    for name, column in rows.columns.items():
        again = found.columns[name]
        assert again.values.dtype == column.values.dtype
        assert again.values.tobytes() == column.values.tobytes()
        assert again.values.flags.aligned
        assert (again.missing is None) == (column.missing is None)
        if column.missing is not None:
            np.testing.assert_array_equal(again.missing, column.missing)
        assert again.texts == column.texts


@given(clean_rows(), st.booleans(), st.data())
def test_a_damaged_file_is_noticed(rows, compressed, data):
    damaged = bytearray(content_of_file(rows, compressed))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="its checksum is wrong"):
        unpacked_rows(bytes(damaged))


def test_files_are_removed_after_an_ingest_and_an_append(source, tmp_path, written):
    data = ingest(source, tmp_path / "deep" / "er" / "d")
    assert len(written) == len(TEXT) // 1000
    n_written = len(written)
    assert os.listdir(tmp_path / "deep" / "er") == ["d"]
    newer = storage.append(data, source)
    assert len(written) == n_written + 1
    assert os.listdir(tmp_path / "deep" / "er") == ["d"]
    np.testing.assert_array_equal(newer.X.compute(), np.tile(data.X.compute(), (2, 1)))


def test_files_are_removed_after_an_error(source, tmp_path, written, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr("storage.create.create_group", refuse)
    with pytest.raises(OSError, match="no"):
        ingest(source, tmp_path / "deep" / "d")
    assert written
    assert os.listdir(tmp_path) == ["source"]


def test_folders_of_killed_ingests_are_removed_and_those_of_others_are_not(source, tmp_path):
    dead, alive, foreign = (
        tmp_path / name
        for name in (f".d.{'0' * 32}.rows", f".d.{'1' * 32}.rows", f".e.{'0' * 32}.rows")
    )
    dead.mkdir()
    (dead / "0").write_bytes(b"rows")
    foreign.mkdir()
    lock = make_locked(alive)
    try:
        ingest(source, tmp_path / "d")
        assert sorted(os.listdir(tmp_path)) == sorted([alive.name, foreign.name, "d", "source"])
    finally:
        os.close(lock)


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"1" * 99)]
)
def test_rows_whose_file_is_gone_or_damaged_are_read_again(
    source, tmp_path, written, damage, monkeypatch
):
    whole = ingest(source, tmp_path / "whole")
    written.clear()
    read = kept_files.kept_rows

    def damaged(files, name, *rest):
        if int(name.partition("-")[2]) % 2:
            damage(Path(files.root, name))
        return read(files, name, *rest)

    monkeypatch.setattr(first_pass, "kept_rows", damaged)
    assert content(ingest(source, tmp_path / "d")) == content(whole)
    assert len(written) > 2


def test_on_a_full_disk_the_text_is_read_again(source, tmp_path, monkeypatch):
    whole = ingest(source, tmp_path / "whole")
    refused, write = [], LocalFiles.write

    def full(files, key, parts, **options):
        if files.root.endswith(".rows"):
            refused.append(key)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(files, key, parts, **options)

    monkeypatch.setattr(LocalFiles, "write", full)
    assert content(ingest(source, tmp_path / "d")) == content(whole)
    assert refused


def test_rows_are_not_kept_on_a_disk_with_little_space(source, tmp_path, written, monkeypatch):
    usage = kept_files.shutil.disk_usage(tmp_path)
    little = usage._replace(free=kept_files._FREE_OF_TEXT * len(TEXT) - 1)
    monkeypatch.setattr(kept_files.shutil, "disk_usage", lambda _: little)
    whole = ingest(source, tmp_path / "d")
    assert not written
    monkeypatch.undo()
    assert content(ingest(source, tmp_path / "e")) == content(whole)


def test_a_file_takes_no_more_space_than_its_text(tmp_path):
    rows = CleanRows({"a": CleanColumn(np.arange(1000.0), None, ())}, 1000)
    files = LocalFiles(str(tmp_path))
    plain, small = (len(content_of_file(rows, compressed)) for compressed in (False, True))
    assert small < plain / 2
    assert not kept_files.keep_rows(files, "0", rows, small - 1)
    assert not os.listdir(tmp_path)
    for limit, size in ((small, small), (plain - 1, small), (plain, plain)):
        assert kept_files.keep_rows(files, "0", rows, limit)
        assert (tmp_path / "0").stat().st_size == size
        np.testing.assert_array_equal(
            kept_files.kept_rows(files, "0", None).columns["a"].values, rows.columns["a"].values
        )


def test_an_object_store_has_no_folder_for_rows(source, written):
    data = ingest(source, "memory://kept-files")
    assert data.quality.n_kept == 300
    assert not written
