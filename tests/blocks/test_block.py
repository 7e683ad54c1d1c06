"""Blocks: what a loader's rows become, and what is refused, with the place named."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dlbd_estimators.blocks.block import Encoding, from_arrays
from dlbd_estimators.exceptions import BadBlock, NonFiniteValues
from dlbd_estimators.kernels.kernel import tile_rows


def arrays(rng, n=50_000, p=3):
    return rng.normal(size=(n, p)), rng.normal(size=n)


def test_blocks_of_arrays_are_views_that_cover_all_rows(rng):
    X, y = arrays(rng)
    weight = rng.uniform(size=len(y))
    blocks = from_arrays(X, y, weight)
    loaded = [blocks.load(index) for index in range(blocks.n_blocks)]
    assert sum(blocks.sizes) == len(X)
    assert tuple(block.n_rows for block in loaded) == blocks.sizes
    np.testing.assert_array_equal(np.concatenate([block.X for block in loaded]), X)
    np.testing.assert_array_equal(np.concatenate([block.weight for block in loaded]), weight)
    assert all(np.shares_memory(block.X, X) for block in loaded)


def test_a_block_of_arrays_is_checked_and_encoded_once_for_each_encoding(rng):
    X, y = arrays(rng)
    stored = from_arrays(X, np.where(y > 0, "yes", "no"), rng.uniform(size=len(y)))
    blocks = stored.encoded(Encoding(np.array(["no", "yes"])))
    assert blocks.load(1) is blocks.load(1)
    start = blocks.sizes[0]
    np.testing.assert_array_equal(blocks.load(1).y, y[start:][: blocks.sizes[1]] > 0)
    assert blocks.load(0).n_rows == start
    without = blocks.load(1, features=False)
    assert without.X.shape[1] == 0
    np.testing.assert_array_equal(without.y, blocks.load(1).y)
    turned = blocks.encoded(Encoding(np.array(["no", "yes"]), np.array([2.0, 3.0])))
    factor = np.where(blocks.load(1).y > 0, 3.0, 2.0)
    np.testing.assert_array_equal(turned.load(1).weight, blocks.load(1).weight * factor)
    fresh = stored.encoded(Encoding(np.array(["no", "yes"])))
    size = len(pickle.dumps(fresh))
    fresh.load(0)
    assert len(pickle.dumps(fresh)) == size


@pytest.mark.parametrize(
    ("X", "encoding"),
    [
        pytest.param(np.ones((9, 1)), Encoding(np.arange(9), signs=True), id="wide_targets"),
        pytest.param(np.ones((9, 40), dtype=int), Encoding(np.arange(9)), id="converted_features"),
    ],
)
def test_a_block_that_takes_more_memory_than_its_labels_is_not_kept(X, encoding):
    blocks = from_arrays(X, np.arange(9), None).encoded(encoding)
    assert blocks.load(0) is not blocks.load(0)


@pytest.mark.parametrize("n", [1, 7, 8192, 8193, 2_000_000])
def test_the_cut_depends_on_the_shape_alone(n):
    X, y = np.zeros((n, 1)), np.zeros(n)
    blocks = from_arrays(X, y, None)
    assert blocks.sizes == from_arrays(X + 1, y + 1, None).sizes
    assert min(blocks.sizes) >= 1
    assert blocks.n_blocks <= 128
    assert blocks.n_blocks == 1 or min(blocks.sizes[:-1]) >= tile_rows(1)


class Read(tuple):
    """Sizes of blocks that count how many of them are read."""

    __slots__ = ()
    n_read = 0

    def __getitem__(self, index):
        found = super().__getitem__(index)
        Read.n_read += len(found) if isinstance(index, slice) else 1
        return found

    def __iter__(self):
        Read.n_read += len(self)
        return super().__iter__()


def test_naming_blocks_reads_each_size_once(rng):
    blocks = from_arrays(np.zeros((500, 2)), np.zeros(500), None)
    sizes = tuple(int(size) for size in rng.integers(0, 5, 1000))
    blocks = replace(blocks, sizes=Read(sizes))
    pickled = len(pickle.dumps(blocks))
    starts = np.cumsum([0, *sizes])
    for index, size in enumerate(sizes):
        start = starts[index]
        assert blocks.where(index) == f"block {index} (rows {start} to {start + size})"
    assert Read.n_read <= 3 * len(sizes)
    assert len(pickle.dumps(blocks)) == pickled


def test_without_features_only_targets_and_weights_are_read(rng):
    X, y = arrays(rng)
    block = from_arrays(X, y, None).load(1, features=False)
    assert block.X.shape == (block.n_rows, 0)
    assert block.n_rows == len(block.y)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "c", "a"], ["a", "b", "c"]),
        ([True, False, True], [False, True]),
        ([5, -3, 5], [-3, 5]),
        (np.array(["x", "y"], dtype=object), ["x", "y"]),
    ],
)
def test_labels_become_their_positions_among_the_classes(labels, classes):
    labels = np.asarray(labels)
    blocks = from_arrays(np.zeros((len(labels), 1)), labels, None)
    block = blocks.encoded(Encoding(np.array(classes))).load(0)
    assert block.y.dtype == np.float64
    np.testing.assert_array_equal(np.array(classes)[block.y.astype(int)], labels)


def test_class_weights_multiply_sample_weights():
    y, weight = np.array([0, 1, 1, 0]), np.array([1.0, 2.0, 0.0, 4.0])
    blocks = from_arrays(np.zeros((4, 1)), y, weight)
    block = blocks.encoded(Encoding(np.array([0, 1]), np.array([10.0, 3.0]))).load(0)
    np.testing.assert_array_equal(block.weight, [10.0, 6.0, 0.0, 40.0])


def test_a_label_that_was_not_among_the_classes_is_refused_or_marked():
    y = np.array(["a", "z", "b"])
    blocks = from_arrays(np.zeros((3, 1)), y, None)
    with pytest.raises(BadBlock, match=r"'z'.* at row 1 of block 0"):
        blocks.encoded(Encoding(np.array(["a", "b"]))).load(0)
    block = blocks.encoded(Encoding(np.array(["a", "b"]), unknown=True)).load(0)
    np.testing.assert_array_equal(block.y, [0.0, -1.0, 1.0])


@pytest.mark.parametrize(
    ("encoding", "good", "bad", "match"),
    [
        (Encoding(labels=True), [0, 1, 1], 2, "Labels must be 0 or 1"),
        (Encoding(labels=True), [True, False, True], -1, "Labels must be 0 or 1"),
        (Encoding(counts=True), [0, 1, 7], -1, "Targets must be at least 0"),
        (Encoding(counts=True), [0.0, 0.25, 1e9], -0.5, "Targets must be at least 0"),
    ],
)
@pytest.mark.parametrize("columns", [0, 2])
def test_targets_of_a_range_are_numbers_within_it(encoding, good, bad, match, columns):
    y = np.array(good) if not columns else np.column_stack([good] * columns)
    block = from_arrays(np.zeros((3, 1)), y, None).encoded(encoding).load(0)
    assert block.y.dtype == np.float64
    np.testing.assert_array_equal(block.y, y)
    y = y.astype(float)
    y[(1, -1) if columns else 1] = bad
    with pytest.raises(BadBlock, match=rf"{match}, but y is .*{bad}.* at row 1 of block 0"):
        from_arrays(np.zeros((3, 1)), y, None).encoded(encoding).load(0)


@pytest.mark.parametrize("encoding", [Encoding(labels=True), Encoding(counts=True)])
def test_a_target_that_is_nan_is_refused_whatever_its_range(encoding):
    y = np.array([0.0, np.nan, 1.0])
    with pytest.raises(ValueError, match="row 1 of block 0"):
        from_arrays(np.zeros((3, 1)), y, None).encoded(encoding).load(0)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
@pytest.mark.parametrize("raw", [False, True])
def test_a_missing_label_is_refused(missing, raw):
    y = np.array(["a", "b", missing, "b"], dtype=object)
    blocks = from_arrays(np.zeros((4, 1)), y, None)
    encoding = Encoding(raw=True) if raw else Encoding(np.array(["a", "b"], dtype=object))
    with pytest.raises(NonFiniteValues, match="Input y contains NaN at row 2 of block 0"):
        blocks.encoded(encoding).load(0)


def test_a_bad_block_is_diagnosed_by_row_column_and_name(rng):
    X, y = arrays(rng, n=20_000)
    X[12_345, 2] = -np.inf
    blocks = from_arrays(X, y, None, feature_names=["age", "height", "weight"])
    index = next(i for i in range(blocks.n_blocks) if not np.isfinite(blocks.load(i).X).all())
    start = sum(blocks.sizes[:index])
    with pytest.raises(
        NonFiniteValues,
        match=rf"X contains infinity at row {12_345 - start} of block {index} "
        rf"\(rows {start} to {start + blocks.sizes[index]}\), column 2 \('weight'\)",
    ):
        blocks.diagnose(index, blocks.load(index))
    with pytest.raises(BadBlock, match="overflowed"):
        blocks.diagnose(0, blocks.load(0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_bad_weight_is_refused_by_row(bad, rng):
    X, y = arrays(rng, n=10)
    weight = np.ones(10)
    weight[4] = bad
    with pytest.raises(NonFiniteValues, match=r"sample_weight .* at row 4 of block 0"):
        from_arrays(X, y, weight).load(0)


@pytest.mark.parametrize("dtype", ["float16", "int8", "bool", ">f8", "longdouble"])
def test_other_dtypes_become_float64(dtype):
    X = np.array([[0, 1], [1, 1]]).astype(dtype)
    block = from_arrays(X, np.zeros(2), None).load(0)
    assert block.X.dtype == np.float64
    assert block.X.dtype.isnative
    np.testing.assert_array_equal(block.X, [[0, 1], [1, 1]])
