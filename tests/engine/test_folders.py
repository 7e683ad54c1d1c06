"""Folders of files, on a disk, behind fsspec and in an object store, behave alike."""

from __future__ import annotations

import itertools

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from dlbd_estimators.engine.folders import FsspecFolder, LocalFolder, ObstoreFolder, folder_at
from dlbd_estimators.engine.packed_file import MODEL, pack, unpack
from dlbd_estimators.exceptions import ModelDamaged

_numbers = itertools.count()


@pytest.fixture
def folders(tmp_path_factory):
    name = f"folders-{next(_numbers)}"
    yield lambda: [
        LocalFolder(str(tmp_path_factory.mktemp("folder")), make=True),
        FsspecFolder(f"memory://{name}/{next(_numbers)}", make=True),
        ObstoreFolder(MemoryStore(), "s3://bucket/folder"),
    ]
    fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


def parts_of(value):
    return pack({"value": value}, [], MODEL)


def test_files_are_written_replaced_read_and_deleted(folders):
    for folder in folders():
        folder.check("a.model")
        for value in ("first", "second"):
            folder.write("a.model", parts_of(value))
            assert unpack(folder.read("a.model", MODEL), MODEL)[0] == {"value": value}
        folder.write("b.model", parts_of("other"))
        assert sorted(folder.names()) == ["a.model", "b.model"]
        folder.delete("a.model")
        assert [*folder.names()] == ["b.model"]
        with pytest.raises(FileNotFoundError):
            folder.read("a.model", MODEL)


@given(st.text(max_size=50), st.integers(0, 200))
def test_a_file_of_another_length_is_refused(value, length):
    folder = ObstoreFolder(MemoryStore(), "s3://bucket/folder")
    content = b"".join(bytes(part) for part in parts_of(value))
    damaged = (content + b"0" * 200)[:length]
    folder.write("a.model", [damaged])
    if length == len(content):
        assert folder.read("a.model", MODEL) == content
    else:
        with pytest.raises(ModelDamaged):
            folder.read("a.model", MODEL)


def test_a_folder_is_no_file_to_write():
    store = MemoryStore()
    ObstoreFolder(store, "s3://bucket").write("models/a.model", parts_of(1))
    with pytest.raises(IsADirectoryError, match="s3://bucket/models is a folder"):
        ObstoreFolder(store, "s3://bucket").check("models")


@pytest.mark.parametrize("url", ["s3://bucket/fit", "gs://bucket/fit", "az://bucket/fit"])
def test_urls_of_object_stores_need_no_package_of_fsspec(url, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    assert isinstance(folder_at(url), ObstoreFolder)


def test_an_error_hides_credentials():
    with pytest.raises(OSError, match=r"\*\*\*") as caught:
        folder_at("az://me:secret@/bucket\0/x")
    assert "secret" not in str(caught.value)
