"""Rows in random order: each once, beside its own y, all orders equally likely."""

from __future__ import annotations

import errno
import tempfile
from collections import Counter
from itertools import permutations
from pathlib import Path

import dask
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

import storage
from storage import shuffling
from storage.local_files import LocalFiles
from storage.random_order import collect_order, counts_of, deal_order
from tests.storage.killed_writer import Killed, killed_at
from tests.storage.strategies import values

N = 500
X = np.arange(3.0 * N).reshape(N, 3)
Y, WEIGHTS = np.arange(N, dtype=np.int32), np.arange(N) / 7
SMALL = {"chunk_nbytes": 480, "block_nbytes": 2_000}


@pytest.fixture
def data(tmp_path):
    data = storage.create_dataset(
        tmp_path / "sorted", X, Y, WEIGHTS, feature_names=["a", "b", "c"], target="number", **SMALL
    )
    assert data.X.numblocks[0] > 5
    return data


def order_of(sizes, seed):
    """Numbers of the rows in their new order, by the definition: all blocks in memory."""
    rows = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    dealt = [[] for _ in sizes]
    for block, (of_block, counts) in enumerate(zip(rows, counts_of(sizes, seed), strict=True)):
        out = of_block[deal_order(seed, block, len(of_block))]
        for new, part in zip(dealt, np.split(out, np.cumsum(counts)[:-1]), strict=True):
            new.append(part)
    together = [np.concatenate(parts) for parts in dealt]
    assert [len(each) for each in together] == list(sizes)
    return np.concatenate([e[collect_order(seed, n, len(e))] for n, e in enumerate(together)])


@given(
    array=values((60, 2), ("float32", "float64", "int16", "bool")),
    chunk_rows=st.integers(1, 70),
    blocks=st.integers(1, 3),
    seed=st.integers(0, 2**40),
    weighted=st.booleans(),
)
def test_each_row_comes_once_with_its_own_y(array, chunk_rows, blocks, seed, weighted):
    sizes = {"chunk_nbytes": chunk_rows * array[:1].nbytes}
    sizes["block_nbytes"] = max(sizes["chunk_nbytes"], blocks * chunk_rows * 40)
    y, weights = np.arange(60, dtype=np.int16), np.arange(60.0) if weighted else None
    with tempfile.TemporaryDirectory() as folder:
        data = storage.create_dataset(f"{folder}/sorted", array, y, weights, **sizes)
        mixed = storage.shuffle(data, f"{folder}/mixed", seed=seed)
        assert mixed.X.chunks == data.X.chunks
        expected = order_of(data.X.chunks[0], seed)
        np.testing.assert_array_equal(mixed.y.compute(), expected)
        assert mixed.X.compute().tobytes() == array[expected].tobytes()
        if weighted:
            np.testing.assert_array_equal(mixed.sample_weight.compute(), expected)


@pytest.mark.parametrize("sizes", [(4,), (2, 2), (3, 1), (1, 2, 1)])
def test_all_orders_are_equally_likely(sizes):
    found = Counter(tuple(order_of(sizes, seed)) for seed in range(2_400))
    counts = [found[order] for order in permutations(range(4))]
    assert sum(counts) == 2_400
    assert chisquare(counts).pvalue > 1e-3


def test_names_and_sizes_are_kept_and_the_seed_is_recorded(data, tmp_path):
    mixed = storage.shuffle(data, tmp_path / "mixed", seed=3)
    assert (mixed.feature_names, mixed.target) == (("a", "b", "c"), "number")
    assert mixed.schema.shuffle_seed == 3
    assert mixed.X.chunks == data.X.chunks
    assert mixed.layouts == data.layouts
    assert mixed.verify().chunks == data.verify().chunks
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixed", "sorted"]
    some = storage.open_dataset(data.path, columns=["c", "a"])
    columns = storage.shuffle(some, tmp_path / "columns", seed=3)
    np.testing.assert_array_equal(columns.X.compute(), mixed.X.compute()[:, [2, 0]])


@pytest.mark.parametrize("expected_rows", [None, 1_000])
def test_blocks_keep_their_numbers_of_rows(tmp_path, expected_rows):
    data = storage.create_dataset(tmp_path / "d", X[:100], Y[:100], expected_rows=expected_rows)
    data = storage.append(data, X[100:], Y[100:])
    mixed = storage.shuffle(data, tmp_path / "mixed", seed=0)
    assert mixed.X.chunks == data.X.chunks
    assert mixed.X.chunks[0] == ((500,) if expected_rows else (100,) * 5)
    assert {name: each.chunk_rows for name, each in mixed.layouts.items()} == {
        name: each.chunk_rows for name, each in data.layouts.items()
    }
    columns = storage.open_dataset(data.path, columns=["x1"])
    assert storage.shuffle(columns, tmp_path / "x1", seed=0).X.chunks[0] == data.X.chunks[0]


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
def test_workers_give_the_order_of_threads(data, tmp_path):
    there = storage.shuffle(data, tmp_path / "there", seed=5)
    with dask.config.set(scheduler="synchronous"):
        here = storage.shuffle(data, tmp_path / "here", seed=5)
        np.testing.assert_array_equal(there.y.compute(), here.y.compute())
        other = storage.shuffle(data, tmp_path / "other", seed=6)
        assert (other.y.compute() != here.y.compute()).any()


def test_in_its_own_place(data):
    mixed = storage.shuffle(data, data.path, seed=0, overwrite=True)
    np.testing.assert_array_equal(np.sort(mixed.y.compute()), Y)
    with pytest.raises(storage.DatasetReplaced):
        data.X.compute()
    assert [path.name for path in data.path.parent.iterdir()] == ["sorted"]


def test_a_scratch_folder_that_is_given(data, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    mixed = storage.shuffle(data, "memory://test-of-scratch", seed=0, scratch=scratch)
    np.testing.assert_array_equal(np.sort(mixed.y.compute()), Y)
    assert list(scratch.iterdir()) == []


class TestBadInput:
    def test_seeds_and_places(self, data, tmp_path, monkeypatch):
        with pytest.raises(ValueError, match="seed must be 0 or more"):
            storage.shuffle(data, tmp_path / "mixed", seed=-1)
        with pytest.raises(ValueError, match="name one as `scratch`"):
            storage.shuffle(data, "memory://nowhere", seed=0)
        with monkeypatch.context() as patched:
            patched.setattr("storage.shuffling.compute", None)  # before anything is read
            with pytest.raises(storage.DatasetExists):
                storage.shuffle(data, data.path, seed=0)
        assert [path.name for path in tmp_path.iterdir()] == ["sorted"]
        np.testing.assert_array_equal(data.y.compute(), Y)

    def test_too_many_rows(self, data, tmp_path, monkeypatch):
        monkeypatch.setattr("storage.shuffling.MOST_ROWS", 400)
        with pytest.raises(ValueError, match="500 rows are too many"):
            storage.shuffle(data, tmp_path / "mixed", seed=0)

    def test_a_damaged_chunk(self, data, tmp_path):
        victim = data.path / data.layouts["X"].key(2)
        victim.write_bytes(victim.read_bytes()[:-1])
        with pytest.raises(storage.ChunkCorrupt, match="chunk 2 of array 'X'"):
            storage.shuffle(data, tmp_path / "mixed", seed=0)
        assert [path.name for path in tmp_path.iterdir()] == ["sorted"]

    @pytest.mark.parametrize("cut", [False, True])
    def test_damage_between_the_passes(self, data, tmp_path, monkeypatch, cut):
        write = LocalFiles.write

        def damaged(self, key, parts, **options):
            if key == "y.3":
                changed = [bytes([parts[0][0] ^ 1]) + parts[0][1:], *parts[1:]]
                parts = parts[:-1] if cut else changed
            write(self, key, parts, **options)

        monkeypatch.setattr(LocalFiles, "write", damaged)
        with pytest.raises(storage.DatasetCorrupt, match=r"y\.3, written a moment ago"):
            storage.shuffle(data, tmp_path / "mixed", seed=0)
        assert [path.name for path in tmp_path.iterdir()] == ["sorted"]


class TestFaults:
    @pytest.mark.parametrize("name", ["y.5", "X/c.5.0"])
    def test_a_full_disk(self, data, tmp_path, monkeypatch, name):
        write = LocalFiles.write

        def full(self, key, parts, **options):
            if key == name:
                raise OSError(errno.ENOSPC, "no space left")
            write(self, key, parts, **options)

        monkeypatch.setattr(LocalFiles, "write", full)
        with pytest.raises(OSError, match="no space left"):
            storage.shuffle(data, tmp_path / "mixed", seed=0)
        assert [path.name for path in tmp_path.iterdir()] == ["sorted"]

    @pytest.mark.parametrize("given", [False, True])
    def test_what_a_killed_shuffle_leaves_is_removed_by_the_next(self, data, tmp_path, given):
        scratch = tmp_path / "scratch" if given else None
        left = set()
        with dask.config.set(scheduler="synchronous"):
            for number in (1, 2, 3, 8, 40, 60, 100):
                with pytest.raises(Killed), killed_at(number):
                    storage.shuffle(data, tmp_path / "mixed", seed=0, scratch=scratch)
                left |= {path.suffix for path in (scratch or tmp_path).glob(".*")}
            assert ".shuffling" in left
            mixed = storage.shuffle(data, tmp_path / "mixed", seed=0, scratch=scratch)
        np.testing.assert_array_equal(np.sort(mixed.y.compute()), Y)
        expected = ["mixed", "scratch", "sorted"] if given else ["mixed", "sorted"]
        assert sorted(path.name for path in tmp_path.iterdir()) == expected
        assert not given or not list(scratch.iterdir())

    def test_the_scratch_files_of_a_living_shuffle_are_kept(self, data, tmp_path, monkeypatch):
        write_counts = shuffling.write_counts

        def shuffle_another(folder, counts):
            monkeypatch.setattr(shuffling, "write_counts", write_counts)
            write_counts(folder, counts)
            storage.shuffle(data, "memory://beside", seed=1, scratch=tmp_path, overwrite=True)

        monkeypatch.setattr(shuffling, "write_counts", shuffle_another)
        mixed = storage.shuffle(data, "memory://living", seed=0, scratch=tmp_path, overwrite=True)
        np.testing.assert_array_equal(np.sort(mixed.y.compute()), Y)


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts bytes")
def test_only_the_bytes_of_the_rows_are_read(tmp_path):
    # 40 x 40 parts of 0.5 kB: a buffer of 8 KiB for each of them would read 12 MB.
    array = np.random.default_rng(0).normal(size=(2_560, 40))
    sizes = {"chunk_nbytes": 20_480, "block_nbytes": 21_000}
    data = storage.create_dataset(tmp_path / "sorted", array, array[:, 0], **sizes)
    assert data.X.numblocks[0] == 40
    before = bytes_read()
    storage.shuffle(data, tmp_path / "mixed", seed=0)
    assert bytes_read() - before < 2 * data.nbytes + 40 * 40_000


def bytes_read():
    """Return the bytes that all calls of this process have read from files."""
    return _counted("rchar")


def bytes_written():
    """Return the bytes that all calls of this process have written to files."""
    return _counted("wchar")


def _counted(name):
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts[name])
