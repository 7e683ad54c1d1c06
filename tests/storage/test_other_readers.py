"""Others open a data set without a warning: zarr, and xarray by the names of the dimensions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

import storage
from tests.storage.edited_metadata import manifest_of_older_release

X = np.arange(60, dtype=np.int16).reshape(20, 3)
Y = np.arange(40.0).reshape(20, 2)


@pytest.fixture
def data(tmp_path):
    return storage.create_dataset(tmp_path / "d", X, Y, np.ones(20), chunk_nbytes=48)


def test_zarr_lists_the_arrays_and_nothing_else(data):
    group = zarr.open_group(data.path, mode="r")
    assert sorted(name for name, _ in group.members()) == ["X", "sample_weight", "y"]
    np.testing.assert_array_equal(group["X"][:], X)
    assert group["X"].metadata.dimension_names == ("sample", "feature")
    assert group["y"].metadata.dimension_names == ("sample", "output")


def test_zarr_reads_the_same_metadata_from_the_group_and_from_the_arrays(data):
    for name in ("X", "y", "sample_weight"):
        listed = zarr.open_group(data.path, mode="r")[name].metadata
        alone = zarr.open_array(data.path / name, mode="r").metadata
        assert json.dumps(listed.to_dict(), default=str) == json.dumps(alone.to_dict(), default=str)


def test_xarray_opens_it(data):
    xarray = pytest.importorskip("xarray")
    opened = xarray.open_zarr(data.path)
    assert dict(opened.sizes) == {"sample": 20, "feature": 3, "output": 2}
    np.testing.assert_array_equal(opened["X"], X)
    np.testing.assert_array_equal(opened["y"], Y)
    np.testing.assert_array_equal(opened["sample_weight"], np.ones(20))


def test_data_sets_of_before_open_still(data):
    """Integers were stored as floats; no dimension had a name, and the group listed no array."""
    group = json.loads((data.path / "zarr.json").read_bytes())
    del group["consolidated_metadata"]
    (data.path / "zarr.json").write_text(json.dumps(group))
    for name in ("X", "y", "sample_weight"):
        path = data.path / name / "zarr.json"
        array = json.loads(path.read_bytes())
        del array["dimension_names"]
        path.write_text(json.dumps(array))
    manifest = data.path / "manifest.json"
    manifest.write_bytes(manifest_of_older_release(manifest.read_bytes()))
    opened = storage.open_dataset(data.path)
    np.testing.assert_array_equal(opened.X.compute(), X)
    opened.verify()
