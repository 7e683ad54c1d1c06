"""Checksums of blocks: of the numbers alone, and of each of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels import row_checksum
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.parts import DividedBlock
from dlbd_estimators.kernels.row_checksum import RowChecksumKernel, checksum
from tests.strategies import features, random_generators, weights

kernel = RowChecksumKernel()


@st.composite
def blocks(draw):
    n, p = draw(st.integers(1, 40)), draw(st.integers(1, 5))
    y = draw(random_generators()).normal(size=n)
    return Block(draw(features(n, p)), y, draw(weights(n)))


@given(blocks())
def test_how_rows_lie_in_memory_changes_nothing(block):
    wide = np.full((2 * block.n_rows, block.X.shape[1] + 3), np.nan, block.X.dtype)
    wide[::2, 1:-2] = block.X
    for X in (np.asfortranarray(block.X), np.ascontiguousarray(block.X), wide[::2, 1:-2]):
        assert kernel(replace(block, X=X)) == kernel(block)


@given(blocks(), st.data())
def test_each_number_counts(block, data):
    row = data.draw(st.integers(0, block.n_rows - 1))
    column = data.draw(st.integers(0, block.X.shape[1] - 1))
    X, y = block.X.copy(), block.y.copy()
    X[row, column] = np.nextafter(X[row, column], np.inf)
    y[row] = -y[row]
    other = [replace(block, X=X), replace(block, y=y)]
    if block.weight is not None:
        other.append(replace(block, weight=np.nextafter(block.weight, np.inf)))
    other.append(replace(block, weight=None if block.weight is not None else np.ones(len(y))))
    other.append(DividedBlock(block.X, block.y, block.weight, (slice(0, row + 1),)))
    other.append(DividedBlock(block.X, block.y, block.weight, (slice(row, block.n_rows + 1),)))
    found = {kernel(each) for each in (block, *other[:-2])}
    assert len(found) == len(other) - 1
    parts = {kernel(each) for each in (block, *other[-2:])}
    assert len(parts) == (2 if block.n_rows == 1 else 3)


@given(blocks(), st.data())
def test_tiles_change_nothing(block, data):
    size = data.draw(st.integers(1, 50))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_checksum, "tile_rows", lambda _: size)
        cut = kernel(block)
    assert cut == kernel(block)


def test_blocks_are_told_in_their_order(rng):
    one, other = (Block(rng.normal(size=(3, 2)), np.zeros(3)) for _ in range(2))
    assert kernel.combine(kernel(one), kernel(other)) == kernel(one) + kernel(other)
    assert kernel.is_finite(kernel(Block(np.full((1, 1), np.nan), np.zeros(1))))


@pytest.mark.parametrize(
    "labels",
    [["a", "bc"], [True, False], [1, 2], [b"x", b"yz"], ["2020-01-01", "2020-01-02"]],
)
def test_labels_of_any_kind(labels):
    kinds = [np.array(labels), np.array(labels, dtype=object)]
    if str(labels[0]).startswith("2020"):
        kinds.append(np.array(labels, dtype="datetime64[D]"))
    for array in kinds:
        assert checksum(array) == checksum(array.copy())
        assert checksum(array) != checksum(array[::-1])
