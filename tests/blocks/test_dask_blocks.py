"""Blocks of Dask arrays: alignment, laziness, and parts of the graph that blocks share."""

from __future__ import annotations

import pickle

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators import LogisticRegression
from dlbd_estimators.blocks import row_functions, rows_on_disk, sources
from dlbd_estimators.blocks.dask_blocks import from_dask
from dlbd_estimators.engine.column_passes import with_lengths_of_one_source
from dlbd_estimators.exceptions import LengthMismatch
from tests.strategies import cuts, random_generators


def unknown(array):
    """The same array with chunk lengths nobody knows."""
    chunks = ((np.nan,) * array.numblocks[0], *array.chunks[1:])
    return da.Array(array.dask, array.name, chunks, dtype=array.dtype)


def never(_block):
    raise AssertionError("computed")


def uncomputable(*shape, chunks):
    return da.zeros(shape, chunks=chunks).map_blocks(never, meta=np.empty((0,) * len(shape)))


def all_rows(blocks):
    loaded = [blocks.load(index) for index in range(blocks.n_blocks)]
    weights = None if loaded[0].weight is None else np.concatenate([b.weight for b in loaded])
    return np.concatenate([b.X for b in loaded]), np.concatenate([b.y for b in loaded]), weights


@given(st.data(), random_generators())
def test_any_chunking_of_the_arrays_gives_the_same_rows(data, rng):
    n, p = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 4))
    X, y, weight = rng.normal(size=(n, p)), rng.normal(size=(n, 2)), rng.uniform(size=n)
    columns = data.draw(cuts(p, empty=False))
    rows = [data.draw(cuts(n)) for _ in range(3)]
    hidden = [data.draw(st.booleans()) for _ in range(3)]
    for i in (1, 2):
        # As in Dask itself, as many chunks of unknown length are taken to be aligned.
        if any(hidden) and len(rows[i]) == len(rows[0]):
            rows[i] = rows[0]
    lazy = da.from_array(X, chunks=(rows[0], columns))
    target = da.from_array(y, chunks=(rows[1], (1, 1)))
    weights = da.from_array(weight, chunks=(rows[2],))
    lazy, target, weights = (
        unknown(array) if hide else array
        for array, hide in zip((lazy, target, weights), hidden, strict=True)
    )
    with dask.config.set(scheduler="synchronous"):
        blocks = from_dask(*with_lengths_of_one_source([lazy, target, weights]))
        found = all_rows(blocks)
    for mine, other in zip(found, (X, y, weight), strict=True):
        np.testing.assert_array_equal(mine, other)
    if blocks.sizes is not None:
        assert sum(blocks.sizes) == n
        assert min(blocks.sizes) >= 1


def test_nothing_is_computed_where_lengths_are_known():
    X = uncomputable(100, 3, chunks=(10, 3))
    blocks = from_dask(X, uncomputable(100, chunks=25), uncomputable(100, chunks=7))
    assert blocks.sizes == (10,) * 10
    with pytest.raises(AssertionError, match="computed"):
        blocks.load(0)


def test_different_lengths_are_refused_before_anything_is_computed():
    X = uncomputable(100, 3, chunks=(10, 3))
    with pytest.raises(LengthMismatch, match="X has 100 rows but y has 99"):
        from_dask(X, uncomputable(99, chunks=10), None)
    with pytest.raises(LengthMismatch, match="X has 100 rows but sample_weight has 101"):
        from_dask(X, uncomputable(100, chunks=10), uncomputable(101, chunks=10))


def as_two_columns(block):
    return np.stack([block, block], axis=1)


def test_unknown_lengths_are_compared_block_by_block():
    X = da.arange(30, chunks=10).map_blocks(as_two_columns, chunks=((10,) * 3, (2,)), new_axis=1)
    y = X.map_blocks(lambda block: block[int(block[0, 0] == 10) :, 0], drop_axis=1, dtype=float)
    blocks = from_dask(unknown(X), unknown(y), None)
    blocks.load(0)
    with pytest.raises(LengthMismatch, match="In block 1, X has 10 rows but y has 9"):
        blocks.load(1)


def test_unknown_lengths_of_other_sources_are_counted():
    X, y = da.ones((30, 2), chunks=(10, 2)), da.ones(30, chunks=((10, 9, 11),))
    X, y = with_lengths_of_one_source([unknown(X), unknown(y)])
    assert from_dask(X, y, None).sizes == (10, 10, 10)


def test_targets_alone_do_not_read_the_features():
    X = uncomputable(100, 3, chunks=(10, 3))
    blocks = from_dask(X, da.ones(100, chunks=10), None)
    assert blocks.load(3, features=False).y.sum() == 10


def test_empty_chunks_are_left_out():
    X = da.from_array(np.arange(12.0).reshape(6, 2), chunks=((0, 4, 0, 2, 0), 2))
    blocks = from_dask(X, da.arange(6, chunks=3), None)
    assert blocks.sizes == (4, 2)
    np.testing.assert_array_equal(all_rows(blocks)[1], np.arange(6))


class _Reads:
    """Counts calls of a task in a file, so that processes can count together."""

    def __init__(self, path):
        self.path = path

    def __call__(self, block, *, name="read"):
        with self.path.open("a") as file:
            file.write(f"{name}\n")
        return block

    def count(self):
        return len(self.path.read_text().splitlines()) if self.path.exists() else 0


def test_what_all_blocks_share_is_computed_once_and_their_own_parts_are_not(tmp_path):
    reads = _Reads(tmp_path / "reads")
    values = np.random.default_rng(0).normal(size=(400, 3))
    X = da.from_array(values, chunks=(10, 3)).map_blocks(reads, meta=np.empty((0, 0)))
    centred = (X - X.mean(axis=0)) / X.std(axis=0)
    blocks = from_dask(centred, da.ones(400, chunks=10), None)
    assert reads.count() == 40  # once, for mean and standard deviation
    found, _, _ = all_rows(blocks)
    assert reads.count() == 80  # and once a block
    expected = (values - values.mean(axis=0)) / values.std(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    all_rows(blocks)
    assert reads.count() == 120
    # Only the shared values travel: nothing of another block.
    assert len(cloudpickle.dumps(blocks.select([3]))) < 20_000


class _Source:
    """Rows of three columns that counts how often a part of it is read."""

    shape, dtype, ndim = (40, 3), np.dtype(np.float64), 2

    def __init__(self):
        self.n_reads = 0
        self.rows = np.random.default_rng(0).normal(size=self.shape)

    def __getitem__(self, index):
        self.n_reads += 1
        return self.rows[index].copy()

    def apart(self):
        return self.rows[:, :2], self.rows[:, 2]


def _of_stored(source):
    return da.from_array(source, chunks=(10, 3))


def _of_a_function(source):
    numbers = da.arange(4, chunks=1)
    return numbers.map_blocks(
        lambda block: source[10 * block[0] : 10 * block[0] + 10],
        new_axis=1,
        chunks=((10,) * 4, (3,)),
        dtype=float,
    )


@pytest.mark.parametrize("make", [_of_stored, _of_a_function])
def test_what_features_and_targets_are_cut_out_of_is_read_once(make):
    source = _Source()
    table = make(source)
    blocks = from_dask(table[:, :2], table[:, 2], table[:, 2] ** 2)
    source.n_reads = 0  # Dask itself has looked at the type of what it gives
    X, y, weight = all_rows(blocks)
    assert source.n_reads == 4
    np.testing.assert_array_equal(np.column_stack([X, y]), source.rows)
    np.testing.assert_array_equal(weight, source.rows[:, 2] ** 2)


@pytest.mark.parametrize("make", [_of_stored, _of_a_function])
def test_a_fit_keeps_what_it_cuts_out_of_a_source(make):
    source = _Source()
    table = make(source)
    with dask.config.set(scheduler="synchronous"):
        X, y = table[:, :2], table[:, 2] > 0
        source.n_reads = 0
        model = LogisticRegression().fit(X, y)
        assert model.n_passes_ > 2
        # Once for the classes, and once for all passes over the features.
        assert source.n_reads == 2 * 4
        X, y = (da.from_array(each, chunks=(10, *each.shape[1:])) for each in source.apart())
        again = LogisticRegression().fit(X, y > 0)
    np.testing.assert_array_equal(model.coef_, again.coef_)


def test_what_is_cut_out_of_an_array_in_memory_is_not_copied():
    table = da.from_array(np.ones((40, 3)), chunks=(10, 3))
    blocks = from_dask(table[:, :2], table[:, 2], None)
    assert np.shares_memory(blocks.load(1).X, blocks.load(1).X)


def test_a_zarr_array_is_not_read_before_its_blocks_are(tmp_path):
    stored = zarr.create_array(tmp_path / "X", shape=(1000, 100), chunks=(10, 100), dtype="f8")
    stored[:] = np.arange(100_000.0).reshape(1000, 100)
    blocks = from_dask(da.from_zarr(stored), da.ones(1000, chunks=10), None)
    assert len(pickle.dumps(blocks)) < 200_000  # the data are 800,000 bytes
    stored[250] = -1.0
    assert blocks.load(25).X[0, 0] == -1.0


def test_of_an_array_in_memory_only_a_slice_travels():
    values = np.arange(400_000.0).reshape(4000, 100)
    X = da.from_array(values, chunks=(4000, 100)).rechunk((40, 100))
    blocks = from_dask(X, da.ones(4000, chunks=40), None)
    np.testing.assert_array_equal(all_rows(blocks)[0], values)
    assert len(cloudpickle.dumps(blocks.select([7]))) < 40 * 100 * 8 + 20_000


@pytest.mark.parametrize("n_blocks", [20, 400])
def test_a_block_carries_its_own_graph_alone(n_blocks):
    X = da.random.default_rng(0).normal(size=(n_blocks * 10, 4), chunks=(10, 4))
    blocks = from_dask(X * 2.0 + 1.0, da.ones(n_blocks * 10, chunks=10), None)
    assert len(cloudpickle.dumps(blocks.select([5]).loader)) < 10_000


def test_a_block_is_read_without_looking_for_its_tasks_twice(monkeypatch):
    def culled(*_):
        raise AssertionError("culled")

    X = da.random.default_rng(0).normal(size=(40, 2), chunks=(10, 2))
    blocks = from_dask(X, (X[:, 0] * 2).map_blocks(np.abs), None)
    expected = X.compute()
    for module in (rows_on_disk, row_functions):
        monkeypatch.setattr(module, "cull", culled)
    np.testing.assert_array_equal(all_rows(blocks)[0], expected)
    np.testing.assert_array_equal(blocks.load(3, features=False).y, abs(expected[30:, 0] * 2))


def test_a_block_does_not_carry_the_sizes_of_all_others():
    X, y = da.zeros((20_000, 1), chunks=(1, 1)), da.zeros(20_000, chunks=1)
    blocks = from_dask(X, y, None)
    part = blocks.select([19_000])
    assert len(cloudpickle.dumps(part)) < 10_000
    assert part.where(19_000) == blocks.where(19_000) == "block 19000 (rows 19000 to 19001)"


@given(cuts(40, empty=False), st.data())
def test_selected_blocks_have_the_numbers_and_the_names_they_had(sizes, data):
    X, y = da.zeros((40, 1), chunks=(sizes, 1)), da.zeros(40, chunks=(sizes,))
    for blocks in (from_dask(X, y, None), from_dask(unknown(X), unknown(X)[:, 0], None)):
        chosen = data.draw(st.lists(st.sampled_from(range(blocks.n_blocks)), unique=True))
        part = pickle.loads(pickle.dumps(blocks.select(chosen)))
        for index in chosen:
            assert part.where(index) == blocks.where(index)
            assert part.rows(index) == blocks.rows(index)
            assert blocks.sizes is None or len(part.rows(index)) == sizes[index]


def test_splitting_a_graph_takes_time_and_memory_by_its_size_not_its_square():
    X = da.zeros((3000, 2), chunks=(1, 2))
    blocks = from_dask(X - X.mean(axis=0), da.zeros(3000, chunks=1), None)
    parts = [blocks.loader.select([index]).graph for index in range(3000)]
    assert sum(map(len, parts)) < 10 * 3000


def test_a_split_graph_gives_the_same_bits_as_computing_the_array():
    X = da.random.default_rng(3).normal(size=(200, 4), chunks=(17, 3))
    X = da.concatenate([X, X[::-1] * 2.0])[:350]
    X = X[X[:, 0] > -1.0]
    y = X.sum(axis=1)
    blocks = from_dask(X, y, None)
    found, targets, _ = all_rows(blocks)
    np.testing.assert_array_equal(found, X.compute())
    np.testing.assert_array_equal(targets, y.compute())


def test_two_blocks_of_one_stored_chunk_do_not_carry_it():
    loads = []

    def load(block_info=None):
        loads.append(block_info[None]["array-location"][0])
        return np.ones((300, 4))

    stored = da.map_blocks(load, chunks=((300, 300), (4,)), dtype=float, meta=np.empty((0, 0)))
    half = stored.rechunk({0: (150, 150, 300)})[:300]
    blocks = from_dask(half, da.ones(300, chunks=150), None)
    assert not loads
    assert blocks.load(0).X.sum() == blocks.load(1).X.sum() == 600.0
    assert len(loads) == 2


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "float16"])
def test_bytes_in_zarr_are_cut_by_what_they_become(dtype, tmp_path, rng, monkeypatch):
    monkeypatch.setattr(sources, "_BLOCK_NBYTES", 2**14)
    stored = zarr.create_array(tmp_path / "a.zarr", shape=(2500, 8), chunks=(1000, 8), dtype=dtype)
    stored[:] = values = rng.integers(0, 2, (2500, 8)).astype(dtype)
    lazy = sources.from_zarr(stored)
    assert max(lazy.chunks[0]) * 8 * 8 <= 2**14
    edges = np.cumsum(lazy.chunks[0])
    assert {1000, 2000, 2500} <= set(edges.tolist())
    np.testing.assert_array_equal(lazy.compute(), values)
    y = rng.integers(0, 2, 2500)
    model = LogisticRegression().fit(stored, y)
    expected = LogisticRegression().fit(values.astype(float), y)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-8)


def test_chunks_of_floats_stay_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_BLOCK_NBYTES", 2**14)
    stored = zarr.create_array(
        tmp_path / "a.zarr", shape=(2500, 8), chunks=(1000, 8), dtype="float32"
    )
    assert sources.from_zarr(stored).chunks[0] == (1000, 1000, 500)
