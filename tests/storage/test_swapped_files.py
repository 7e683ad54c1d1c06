"""A chunk's file that is whole but not this chunk's is never returned, by any reading."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest

import storage

# 25 chunks of X in 5 blocks; y has as many bytes a chunk as a block of it has rows.
X = np.random.default_rng(0).normal(size=(1000, 4))
Y = X[:, 0].copy()
SIZES = {"chunk_nbytes": 40 * 4 * 8, "block_nbytes": 200 * 5 * 8}


def make(path, shift=0.0, *, compressible=False, **options):
    values = np.round(X) + shift if compressible else X + shift
    return storage.create_dataset(path, values, Y + shift, **SIZES, **options)


@pytest.fixture(params=[False, True], ids=["stored as it is", "compressed"])
def compressible(request):
    return request.param


@pytest.fixture
def data(tmp_path, compressible):
    return make(tmp_path / "d", compressible=compressible)


def file_of(data, array, chunk):
    return data.path / data.layouts[array].key(chunk)


def refused(data, array, chunk):
    """Neither what is open already nor what is opened now returns the rows, and verify tells."""
    match = rf"chunk {chunk} of array '{array}'"
    for opened in (data, storage.open_dataset(data.path), pickle.loads(pickle.dumps(data))):
        lazy = getattr(opened, array)
        start = data.layouts[array].rows_of(chunk)[0]
        for read in (lazy, lazy[start], (lazy + 1).sum()):
            with pytest.raises(storage.ChunkCorrupt, match=match):
                read.compute(scheduler="synchronous")
    with pytest.raises(storage.DatasetCorrupt, match=match):
        data.verify()


def test_two_files_of_one_array_swapped(data):
    one, other = file_of(data, "X", 3), file_of(data, "X", 17)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    refused(data, "X", 3)
    other.write_bytes(first)
    refused(data, "X", 17)


def test_a_file_copied_within_a_block(data):
    shutil.copyfile(file_of(data, "X", 1), file_of(data, "X", 0))
    refused(data, "X", 0)


def test_a_file_of_another_array(tmp_path):
    # One column, cut alike: each file would be a right one of the other.
    column = X[:, :1]
    data = storage.create_dataset(
        tmp_path / "d", column, Y + 1, np.ones(1000), chunk_nbytes=320, block_nbytes=960
    )
    assert data.layouts["X"].chunk_nbytes == data.layouts["y"].chunk_nbytes
    for array, other in (("X", "y"), ("y", "sample_weight"), ("sample_weight", "X")):
        good = file_of(data, array, 2).read_bytes()
        file_of(data, array, 2).write_bytes(file_of(data, other, 2).read_bytes())
        refused(data, array, 2)
        file_of(data, array, 2).write_bytes(good)
    data.verify()


def test_a_file_of_another_data_set(data, tmp_path, compressible):
    other = make(tmp_path / "e", 1.0, compressible=compressible)
    shutil.copyfile(file_of(other, "X", 5), file_of(data, "X", 5))
    refused(data, "X", 5)


def test_a_file_of_an_earlier_writing(data, compressible):
    old = file_of(data, "X", 5).read_bytes()
    new = make(data.path, 1.0, compressible=compressible, overwrite=True)
    file_of(new, "X", 5).write_bytes(old)
    refused(new, "X", 5)
    with pytest.raises(storage.DatasetReplaced):
        data.X.compute()


@pytest.mark.parametrize(
    "change",
    [lambda good: good[:-1], lambda good: good + b"\0", lambda _: b"", None],
    ids=["truncated", "padded", "empty", "missing"],
)
def test_a_file_of_another_length(data, change):
    path = file_of(data, "X", 5)
    path.unlink() if change is None else path.write_bytes(change(path.read_bytes()))
    refused(data, "X", 5)


def test_all_files_of_an_earlier_writing_under_the_new_manifest(data, tmp_path, compressible):
    shutil.copytree(data.path / "X", tmp_path / "old X")
    new = make(data.path, 1.0, compressible=compressible, overwrite=True)
    shutil.rmtree(new.path / "X")
    (tmp_path / "old X").rename(new.path / "X")
    for block in range(new.X.numblocks[0]):
        with pytest.raises(storage.ChunkCorrupt, match="array 'X'"):
            new.X.blocks[block].compute()
    with pytest.raises(storage.DatasetCorrupt, match="25 of 50 chunks"):
        new.verify()


def test_a_manifest_of_an_earlier_writing(data, compressible):
    old = (data.path / "manifest.json").read_bytes()
    new = make(data.path, 1.0, compressible=compressible, overwrite=True)
    (new.path / "manifest.json").write_bytes(old)
    with pytest.raises(storage.MetadataCorrupt, match="two different data sets"):
        storage.open_dataset(new.path)
    with pytest.raises(storage.DatasetReplaced):
        new.X.compute()


def test_all_metadata_of_an_earlier_writing(data, tmp_path, compressible):
    shutil.copytree(data.path, tmp_path / "old")
    new = make(data.path, 1.0, compressible=compressible, overwrite=True)
    for name in ("zarr.json", "manifest.json"):
        shutil.copyfile(tmp_path / "old" / name, new.path / name)
    with pytest.raises(storage.ChunkCorrupt):
        storage.open_dataset(new.path).X.compute()
    # Opened before the overwrite: the identity is right again, the files are not.
    with pytest.raises(storage.ChunkCorrupt):
        data.y.compute()


def test_entries_are_those_of_the_commit_that_was_opened(data, tmp_path):
    """A manifest that was made to fit after the opening changes nothing for what is open."""
    other = make(tmp_path / "e", 1.0)
    shutil.copyfile(file_of(other, "X", 5), file_of(data, "X", 5))
    text = (other.path / "manifest.json").read_text()
    ours, theirs = data.schema.dataset_id, other.schema.dataset_id
    (data.path / "manifest.json").write_text(text.replace(theirs, ours))
    with pytest.raises(storage.ChunkCorrupt, match="chunk 5 of array 'X'"):
        data.X.blocks[1].compute()


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("client")
def test_in_worker_processes(tmp_path):
    data = make(tmp_path / "d")
    np.testing.assert_array_equal(data.X.compute(), X)
    shutil.copyfile(file_of(data, "X", 1), file_of(data, "X", 12))
    with pytest.raises(storage.ChunkCorrupt, match=r"chunk 12 of array 'X'.*to another chunk"):
        data.X.sum().compute()
    np.testing.assert_array_equal(data.X[:400].compute(), X[:400])
