from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from zarr.storage import MemoryStore

import storage
from storage.local_files import LocalFiles
from storage.location import store_at


def test_paths_and_file_urls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = LocalFiles(str(Path(tmp_path / "a b").resolve()))
    for url in ("a b", Path("a b"), f"{tmp_path}/a b", f"file://{tmp_path}/a%20b",
                f"file://localhost{tmp_path}/a b", "./x/../a b"):  # fmt: skip
        assert store_at(url) == expected


def test_colons_in_names_are_no_scheme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store_at("2013:01") == LocalFiles(f"{tmp_path}/2013:01")


@pytest.mark.parametrize("url", ["ftp://host/d", "file://host/x", "zip::a.zip", "s3::a"])
def test_other_schemes(url):
    for function in (storage.open_dataset, storage.verify):
        with pytest.raises(storage.UnsupportedURL, match="besides local paths"):
            function(url)


def test_nonsense():
    with pytest.raises(ValueError, match="url is empty"):
        store_at("")
    for nonsense in (b"d", 3, None):
        with pytest.raises(TypeError, match="must be a str, a path or a store of zarr"):
            store_at(nonsense)


def test_a_store_that_cannot_hold_a_data_set():
    # icechunk is not installed here; its store refuses keys that are not those of Zarr.
    icechunk = type("IcechunkStore", (MemoryStore,), {"__module__": "icechunk.store"})
    with pytest.raises(storage.UnsupportedURL, match=r"icechunk .* zarr\.open_group\(store\)"):
        storage.create_dataset(icechunk(), np.eye(3), np.arange(3))
