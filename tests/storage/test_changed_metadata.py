"""No file of metadata can change unnoticed: names, labels and dtypes are as written."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import storage
from tests.storage.edited_metadata import manifest_of_older_release

FRAME = pd.DataFrame({"carrier": ["AA", "UA", "AA", "DL"] * 5, "delay": np.arange(20.0)})

#: Changes that leave each file valid, with a meaning that differs.
CHANGES = {
    "a name": ("zarr.json", b"carrier_AA", b"carrier_AB"),
    "the target": ("zarr.json", b'"target": "delay"', b'"target": "decay"'),
    "the source": ("zarr.json", b'"source": "', b'"source": "not '),
    "a copy for zarr": ("zarr.json", b'"fill_value": "NaN"', b'"fill_value": 0.0'),
    "a dtype": ("y/zarr.json", b"float64", b"int64"),
    "an attribute": ("X/zarr.json", b'"attributes": {}', b'"attributes": {"unit": "m"}'),
    "a space": ("X/zarr.json", b"{", b"{ "),
    "the record": ("ingest.json", b'"n_kept": 20', b'"n_kept": 21'),
}  # fmt: skip


@pytest.fixture
def data(tmp_path):
    return storage.ingest(FRAME, tmp_path / "d", target="delay")


def edit(data, key, old, new):
    path = data.path / key
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_refused(data, change):
    key = CHANGES[change][0]
    edit(data, *CHANGES[change])
    with pytest.raises(storage.MetadataCorrupt, match=key):
        storage.verify(data.path)
    with pytest.raises(storage.MetadataCorrupt, match=rf"{key}.*changed"):
        data.verify()
    if key == "ingest.json":
        with pytest.raises(storage.MetadataCorrupt, match=rf"{key}.*changed"):
            _ = data.quality
    else:
        with pytest.raises(storage.MetadataCorrupt, match=rf"{key}.*changed"):
            storage.open_dataset(data.path)


@pytest.mark.parametrize("key", ["X/zarr.json", "ingest.json"])
def test_a_missing_file_is_refused(data, key):
    (data.path / key).unlink()
    with pytest.raises(storage.MetadataCorrupt, match=f"{key}.*missing"):
        data.verify()
    with pytest.raises(storage.MetadataCorrupt, match="missing"):
        storage.open_dataset(data.path).encode(FRAME)


def test_removed_weights_are_noticed(tmp_path):
    data = storage.create_dataset(tmp_path / "d", np.eye(3), np.arange(3.0), np.ones(3))
    (data.path / "sample_weight" / "zarr.json").unlink()
    with pytest.raises(storage.MetadataCorrupt, match=r"sample_weight/zarr\.json.*missing"):
        storage.open_dataset(data.path)


def test_files_of_a_shuffled_data_set_in_memory_are_listed(data):
    shuffled = storage.shuffle(data, "memory://changed-metadata", seed=0, scratch=data.path.parent)
    assert set(shuffled.manifest.files) == {
        "zarr.json", "X/zarr.json", "y/zarr.json", "ingest.json",
    }  # fmt: skip
    store = shuffled.store
    shuffled.verify()
    store.write("y/zarr.json", [store.read_bytes("y/zarr.json", 10**6) + b" "])
    with pytest.raises(storage.MetadataCorrupt, match=r"y/zarr\.json.*changed"):
        storage.open_dataset("memory://changed-metadata")


def test_data_sets_of_older_releases_open(data):
    manifest = data.path / "manifest.json"
    manifest.write_bytes(manifest_of_older_release(manifest.read_bytes()))
    edit(data, *CHANGES["a space"])
    older = storage.open_dataset(data.path)
    assert older.manifest.files is None
    assert older.verify().chunks == 2
    np.testing.assert_array_equal(older.encode(FRAME).X, data.X.compute())
    assert older.quality == data.quality


def test_an_older_release_finds_the_arrays_in_the_manifest(data):
    # It reads the manifest by lines; other readers may parse it as JSON.
    manifest = json.loads((data.path / "manifest.json").read_bytes())
    assert [*manifest] == ["dataset_id", "crc32c", "files", "arrays"]
    assert sorted(manifest["arrays"]) == ["X", "y"]
    size = (data.path / "X" / "zarr.json").stat().st_size
    assert manifest["files"]["X/zarr.json"]["bytes"] == size
