"""Appends in object stores: the same versions as on a disk, and only one of two writers commits."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from zarr.storage import FsspecStore, MemoryStore

import storage
from storage import appending
from storage.objects import Objects
from storage.zarr_stores import AtURL

SMALL = {"chunk_nbytes": 400, "block_nbytes": 1_200}
X, Y = np.arange(600.0).reshape(200, 3), np.arange(200)


def same(data):
    np.testing.assert_array_equal(data.X.compute(), X[: data.n_samples])
    np.testing.assert_array_equal(data.y.compute(), Y[: data.n_samples])
    assert data.verify().chunks == data.manifest.n_chunks


def appended(place):
    first = storage.create_dataset(place, X[:50], Y[:50], **SMALL)
    second = storage.append(first, X[50:60], Y[50:60])
    third = storage.append(place, da.from_array(X[60:], chunks=37), da.from_array(Y[60:]))
    for data in (first, second, third, *(storage.open_dataset(place, version=k) for k in (1, 2))):
        same(data)
    assert [each.n_samples for each in third.versions] == [50, 60, 200]
    return third


def test_versions_in_an_object_store(place):
    data = appended(place)
    group = zarr.open_group(data.store.for_zarr(), mode="r")
    np.testing.assert_array_equal(group["X"][:], X)
    # A chunk of appended rows is stored once.
    stored = [name for name in data.store.names() if name.startswith("version-3")]
    kept = [name for name in data.store.names_in(stored[0]) if ".c." in name]
    assert 0 < len(kept) <= 4 < data.layouts["X"].n_chunks


def test_versions_in_other_stores():
    appended(MemoryStore())
    appended("memory://appended")
    appended(FsspecStore.from_url("memory://here", read_only=False))


def test_of_two_appends_to_an_object_store_the_second_fails(place, monkeypatch):
    data = storage.create_dataset(place, X[:50], Y[:50], **SMALL)
    write_arrays, seen = appending.write_arrays, []

    def overtaken(arrays, writers, **options):
        if not seen:
            seen.append("the other append begins")
            storage.append(data, X[50:90], Y[50:90])
        return write_arrays(arrays, writers, **options)

    monkeypatch.setattr(appending, "write_arrays", overtaken)
    with pytest.raises(storage.AppendConflict, match="committed first, as version 2"):
        storage.append(data, X[50:60] + 1, Y[50:60])
    same(storage.open_dataset(place))
    same(data)
    assert storage.open_dataset(place).n_samples == 90


class Interrupted(BaseException):
    """Ends an append as a kill does: nothing is cleaned up."""


@pytest.mark.parametrize("step", [1, 4, 8, 11, 12, 13, 16, 20])
def test_an_append_to_an_object_store_that_is_stopped_leaves_a_whole_version(monkeypatch, step):
    place = f"memory://stopped{step}"
    storage.create_dataset(place, X[:50], Y[:50], **SMALL)
    count = 0

    def counted(change):
        def run(self, *args, **kwargs):
            nonlocal count
            count += 1
            if count >= step:
                raise Interrupted
            return change(self, *args, **kwargs)

        return run

    with monkeypatch.context() as patch:
        for name in ("write", "create", "copy", "delete"):
            patch.setattr(Objects, name, counted(getattr(Objects, name)))
        with pytest.raises(Interrupted):
            storage.append(place, X[50:90], Y[50:90])
    now = storage.open_dataset(place)
    same(now)
    rows = zarr.open_group(Objects(AtURL(place)).for_zarr(), mode="r")["X"][:]
    np.testing.assert_array_equal(rows, X[: len(rows)])
    newest = storage.append(place, X[now.n_samples :], Y[now.n_samples :])
    assert newest.version == now.version + 1
    same(newest)
