"""Opening: what a data set tells, and how anything else is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

import storage
from tests.storage.edited_metadata import manifest_of_older_release

X, Y = np.arange(300.0).reshape(100, 3), np.arange(100)


@pytest.fixture
def data(tmp_path):
    return storage.create_dataset(
        tmp_path / "d", X, Y % 2, np.ones(100), feature_names=["a", "b", "c"], target="late",
        classes=["no", "yes"], source="made up", seed=7, chunk_nbytes=480, block_nbytes=1600,
    )  # fmt: skip


def test_what_it_tells(data):
    opened = storage.open_dataset(data.url)
    assert (opened.n_samples, opened.n_features, opened.dtype) == (100, 3, np.dtype("float64"))
    assert opened.nbytes == 100 * (3 + 1 + 1) * 8
    assert opened.path == data.path
    assert opened.X.chunks[0] == opened.y.chunks[0] == opened.sample_weight.chunks[0]
    assert opened.sample_weight.dtype == opened.X.dtype
    assert opened.nbytes_stored == sum(
        path.stat().st_size for path in data.path.glob("*/c.*") if path.is_file()
    )


def test_repr_is_for_people(data):
    lines = repr(data).splitlines()
    assert lines[0] == f"Dataset {data.path}"
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:]}
    assert told["rows"] == "100"
    assert told["features"] == "3 float64: a, b, c"
    assert told["y"] == "late int64, 2 classes"
    assert told["sample_weight"] == "float64"
    assert told["blocks"] == "3 of 40 rows, 1.6 KiB"
    assert told["chunks"] == "5 of 20 rows of X, 480 B"
    assert told["NaN"] == "none"
    assert told["source"].startswith("made up; shuffled with seed 7; written 20")


def test_repr_without_any_names(tmp_path):
    data = storage.create_dataset(tmp_path / "d", np.full((9, 8), np.nan), np.zeros((9, 2)))
    assert "x0, x1, x2, x3, x4, x5, ..." in repr(data)
    assert "(unnamed) float64 x 2" in repr(data)
    assert "72 in X" in repr(data)


def edit(path, change):
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def set_version(version):
    return lambda group: group["attributes"]["dlbd"].update(version=version)


def test_nothing_there(tmp_path):
    with pytest.raises(storage.DatasetNotFound, match="nothing is there"):
        storage.open_dataset(tmp_path / "d")
    with pytest.raises(FileNotFoundError):
        storage.verify(tmp_path / "d")


def test_a_file_or_another_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder"):
        with pytest.raises(storage.NotADataset, match=f"{name} is a {name} without") as error:
            storage.open_dataset(tmp_path / name)
        assert "storage.ingest (dlbd ingest) makes one from tables" in str(error.value)


def test_plain_zarr(tmp_path):
    zarr.create_group(tmp_path / "g")
    zarr.create_array(tmp_path / "a", shape=(3,), dtype="f8")
    for name, kind in (("g", "group"), ("a", "array")):
        with pytest.raises(storage.NotADataset, match=rf"Zarr {kind}, .*pass its arrays to fit"):
            storage.open_dataset(tmp_path / name)


def test_half_written(data):
    (data.path / "manifest.json").unlink()
    with pytest.raises(storage.DatasetIncomplete, match="half-written"):
        storage.open_dataset(data.path)


def test_newer_version(data):
    edit(data.path / "zarr.json", set_version(4))
    with pytest.raises(storage.UnsupportedVersion, match=r"version 4.*upgrade"):
        storage.open_dataset(data.path)


def test_the_version_of_data_sets_with_hashes_needs_hashes(data):
    edit(data.path / "zarr.json", set_version(3))
    with pytest.raises(storage.MetadataCorrupt, match="hashes are stored, in one file"):
        storage.open_dataset(data.path)


@pytest.mark.parametrize("position", [3, 50, 80, 200, -3])
@pytest.mark.parametrize("change", ["cut", "flip"])
def test_damaged_manifest(data, position, change):
    path = data.path / "manifest.json"
    text = bytearray(path.read_bytes())
    if change == "cut":
        del text[position:]
    else:
        text[position] ^= 1
    path.write_bytes(text)
    with pytest.raises(storage.MetadataCorrupt, match=r"manifest\.json"):
        storage.open_dataset(data.path)


def test_a_changed_number_in_the_manifest(data):
    path = data.path / "manifest.json"
    text = path.read_bytes()
    assert b'"nan": 0' in text
    path.write_bytes(text.replace(b'"nan": 0', b'"nan": 1', 1))
    with pytest.raises(storage.MetadataCorrupt, match="checksum is wrong"):
        storage.open_dataset(data.path)


DAMAGE = {
    "not JSON": ("zarr.json", None, "damaged"),
    "list": ("zarr.json", [], "no JSON object"),
    "no version": ("zarr.json", set_version(None), "version is None"),
    "no names": ("zarr.json", lambda g: g["attributes"]["dlbd"].pop("feature_names"), "feature_n"),
    "rows": ("zarr.json", lambda g: g["attributes"]["dlbd"].update(n_samples=99), "n_samples=99"),
    "type": ("zarr.json", lambda g: g["attributes"]["dlbd"].update(n_samples="9"), "n_samples"),
    "features": ("zarr.json", lambda g: g["attributes"]["dlbd"].update(n_features=2), "3 feature"),
    "block": ("zarr.json", lambda g: g["attributes"]["dlbd"].update(block_rows=7), "whole number"),
    "none": ("zarr.json", lambda g: g["attributes"]["dlbd"].update(block_rows=0), "below 1"),
    "other": ("zarr.json", lambda g: g["attributes"]["dlbd"].update(dataset_id="0"), "two differ"),
    "X": ("X/zarr.json", None, "X/zarr.json"),
    "shape": ("X/zarr.json", lambda a: a.update(shape=[99, 3]), "lengths"),
    "chunks": ("y/zarr.json", lambda a: a["chunk_grid"]["configuration"].update(chunk_shape=[20]),
               "same chunks of array 'y'"),
    "codecs": ("X/zarr.json", lambda a: a["codecs"].pop(), r"codecs \['bytes', 'blosc'\]"),
    "dtype": ("X/zarr.json", lambda a: a.update(data_type="quaternion"), "quaternion"),
    "keys": ("X/zarr.json", lambda a: a["chunk_key_encoding"]["configuration"].update(
        separator="/"), "separated"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_metadata(data, case):
    name, change, message = DAMAGE[case]
    if callable(change):
        edit(data.path / name, change)
    else:
        (data.path / name).write_text("{" if change is None else json.dumps(change))
    with pytest.raises(storage.MetadataCorrupt):
        storage.open_dataset(data.path)
    manifest = data.path / "manifest.json"
    manifest.write_bytes(manifest_of_older_release(manifest.read_bytes()))
    with pytest.raises(storage.MetadataCorrupt, match=message):
        storage.open_dataset(data.path)


@pytest.mark.parametrize("name", ["X", "y"])
def test_missing_array(data, name):
    (data.path / name).rename(data.path.parent / "gone")
    with pytest.raises(storage.MetadataCorrupt, match="X or y is missing"):
        storage.open_dataset(data.path)


def test_missing_weights_are_not_taken_for_none(data):
    (data.path / "sample_weight").rename(data.path.parent / "gone")
    with pytest.raises(storage.MetadataCorrupt, match=r"sample_weight/zarr\.json.*missing"):
        storage.open_dataset(data.path)


def test_a_moved_data_set_opens(data, tmp_path):
    data.path.rename(tmp_path / "moved")
    with pytest.raises(storage.DatasetReplaced, match="moved"):
        data.X.compute()
    np.testing.assert_array_equal(storage.open_dataset(tmp_path / "moved").X.compute(), X)
