"""Sparse rows in random order: the order of dense rows, every entry as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path

import dask
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import storage
from storage.local_files import LocalFiles
from tests.storage.test_shuffling import bytes_read, bytes_written, order_of
from tests.storage.test_sparse import DTYPES, rows_like, same, sizes_are_known

SMALL = {"chunk_nbytes": 200, "block_nbytes": 800}


@pytest.fixture
def data(tmp_path):
    X = rows_like(300, 12)
    data = storage.create_dataset(tmp_path / "sorted", X, np.arange(300), np.ones(300), **SMALL)
    assert data.X.numblocks[0] > 5
    return data


@given(
    n_rows=st.integers(1, 90),
    n_features=st.integers(1, 9),
    dtype=st.sampled_from(DTYPES),
    share=st.sampled_from([0.0, 0.1, 0.6]),
    chunk=st.integers(8, 400),
    blocks=st.integers(1, 3),
    seed=st.integers(0, 2**40),
)
def test_each_row_comes_once_with_its_entries_and_its_y(
    n_rows, n_features, dtype, share, chunk, blocks, seed
):
    X, y = rows_like(n_rows, n_features, dtype, seed % 7, share), np.arange(n_rows)
    with tempfile.TemporaryDirectory() as folder:
        data = storage.create_dataset(
            f"{folder}/sorted", X, y, chunk_nbytes=chunk, block_nbytes=chunk * blocks
        )
        mixed = storage.shuffle(data, f"{folder}/mixed", seed=seed)
        expected = order_of(data.X.chunks[0], seed)
        np.testing.assert_array_equal(mixed.y.compute(), expected)
        same(mixed.X.compute(), X[expected])
        assert mixed.layouts == data.layouts
        assert mixed.X.chunks == data.X.chunks
        sizes_are_known(mixed)
        mixed.verify()


def test_the_order_is_that_of_dense_rows_with_the_same_blocks(tmp_path):
    dense = np.random.default_rng(0).integers(1, 9, (640, 3)).astype(float)  # no zeros
    y = np.arange(640)
    # Rows of three entries of 12 bytes, and four bytes for their length; or of three times 8 bytes.
    of_sparse = {"chunk_nbytes": 64 * 40, "block_nbytes": 128 * (8 + 36 + 8)}
    of_dense = {"chunk_nbytes": 64 * 24, "block_nbytes": 128 * (24 + 8)}
    one = storage.create_dataset(tmp_path / "s", sparse.csr_array(dense), y, **of_sparse)
    other = storage.create_dataset(tmp_path / "d", dense, y, **of_dense)
    assert one.X.chunks == other.X.chunks
    assert one.X.chunks[0] == (128,) * 5
    one, other = (storage.shuffle(each, f"{each.path}-mixed", seed=4) for each in (one, other))
    np.testing.assert_array_equal(one.y.compute(), other.y.compute())
    np.testing.assert_array_equal(one.X.compute().toarray(), other.X.compute())


def test_a_block_may_have_more_entries_than_any_before(tmp_path):
    # One full row in each block of ten.
    X = sparse.csr_array(np.where(np.arange(400)[:, None] % 10 == 0, 1.0, 0.0) * np.ones(50))
    data = storage.create_dataset(tmp_path / "d", X, np.arange(400), chunk_nbytes=700,
                                  block_nbytes=700)  # fmt: skip
    assert data.X.max_block_nnz == 50
    mixed = storage.shuffle(data, tmp_path / "mixed", seed=0)
    assert mixed.X.max_block_nnz >= 100
    sizes_are_known(mixed)
    same(mixed.X.compute(), X[mixed.y.compute()])


def test_chosen_columns(data, tmp_path):
    X = data.X.compute()
    some = storage.open_dataset(data.path, columns=["x5", 0, "x2"])
    mixed = storage.shuffle(some, tmp_path / "mixed", seed=3)
    same(mixed.X.compute(), X[:, [5, 0, 2]][mixed.y.compute()])
    assert mixed.X.chunks[0] == data.X.chunks[0]
    assert mixed.feature_names == ("x5", "x0", "x2")


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
def test_workers_give_the_order_of_threads(data, tmp_path):
    there = storage.shuffle(data, tmp_path / "there", seed=5)
    with dask.config.set(scheduler="synchronous"):
        here = storage.shuffle(data, tmp_path / "here", seed=5)
        same(there.X.compute(), here.X.compute())
        np.testing.assert_array_equal(there.y.compute(), here.y.compute())
    assert here.manifest.arrays["X"].checksums.tolist() == (
        there.manifest.arrays["X"].checksums.tolist()
    )


@pytest.mark.parametrize("part", range(4))
def test_damage_between_the_passes(data, tmp_path, monkeypatch, part):
    """The numbers of entries, the column numbers, the values, and the checksum of a group."""
    write = LocalFiles.write

    def damaged(self, key, parts, **options):
        if key == "X.3":
            place = part + next(n for n in range(0, len(parts), 4) if len(parts[n + 1]))
            parts[place] = bytes([parts[place][0] ^ 1]) + bytes(parts[place][1:])
        write(self, key, parts, **options)

    monkeypatch.setattr(LocalFiles, "write", damaged)
    with pytest.raises(storage.DatasetCorrupt, match=r"X\.3, written a moment ago"):
        storage.shuffle(data, tmp_path / "mixed", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["sorted"]


def test_a_block_without_memory_is_named(data, tmp_path, monkeypatch):
    def without_memory(*_):
        raise MemoryError

    monkeypatch.setattr("storage.dealt_rows.rows_of_entries", without_memory)
    with pytest.raises(storage.BlockTooLarge, match=r"block \d of array 'X' in its new order"):
        storage.shuffle(data, tmp_path / "mixed", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["sorted"]


def test_rows_of_svmlight_files_stay_such(tmp_path):
    lines = [f"{n % 3} {n % 5}:{n + 1}" for n in range(60)]
    (tmp_path / "rows.svm").write_text("\n".join(lines))
    form = storage.SVMLightFormat(zero_based=True)
    data = storage.ingest(tmp_path / "rows.svm", tmp_path / "d", svmlight=form)
    mixed = storage.shuffle(data, tmp_path / "mixed", seed=0)
    assert sorted(mixed.X.compute().sum(axis=1).tolist()) == list(range(1, 61))
    longer = storage.append(mixed, tmp_path / "rows.svm")  # columns numbered from 0, too
    same(longer.since(1).X.compute(), data.X.compute())


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts bytes")
def test_only_the_bytes_of_the_rows_are_read_and_written(tmp_path):
    # 40 x 40 groups of 2 rows of 20 entries: random values that cannot be compressed.
    X = sparse.random_array((3_200, 2_000), density=0.01, rng=np.random.default_rng(0)).tocsr()
    data = storage.create_dataset(
        tmp_path / "sorted", X, np.arange(3_200.0), chunk_nbytes=22_000, block_nbytes=24_000
    )
    assert 30 <= data.X.numblocks[0] <= 60
    nbytes = 12 * X.nnz + (4 + 8) * 3_200
    read, written = bytes_read(), bytes_written()
    storage.shuffle(data, tmp_path / "mixed", seed=0)
    # The checksums, and the numbers of rows and entries of 60 x 60 groups at most.
    assert bytes_read() - read < 2 * nbytes + 60 * 60 * 40
    assert bytes_written() - written < 2 * nbytes + 60 * 60 * 40
