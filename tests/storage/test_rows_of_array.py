"""Ranges of rows of a blocked array."""

from __future__ import annotations

import dask.array as da
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.feature_array import FeatureArray
from storage.rows_of_array import rows_in


@st.composite
def arrays_and_ranges(draw):
    chunks = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=6)))
    n = sum(chunks)
    edges = sorted(draw(st.lists(st.integers(0, n), max_size=8)))
    ranges = list(zip(edges[::2], edges[1::2], strict=False))
    values = np.arange(2 * n).reshape(n, 2)
    return values, da.from_array(values, chunks=(chunks, 2)), ranges


@given(arrays_and_ranges())
def test_the_rows_are_those_of_the_ranges_and_each_block_is_read_once(drawn):
    values, array, ranges = drawn
    wanted = [row for start, stop in ranges for row in range(start, stop)]
    found = rows_in(FeatureArray.of(array, ["a", "b"]), ranges)
    np.testing.assert_array_equal(found.compute(), values[wanted])
    assert found.shape == (len(wanted), 2)
    assert tuple(found.feature_names) == ("a", "b")
    block_of = np.repeat(np.arange(array.numblocks[0]), array.chunks[0])
    assert found.numblocks[0] == max(1, len({*block_of[wanted]}))
    # y has one dimension.
    np.testing.assert_array_equal(rows_in(array[:, 0], ranges).compute(), values[wanted, 0])


def test_a_few_rows_do_not_keep_their_block_in_memory():
    array = da.from_array(np.arange(1000.0).reshape(100, 10), chunks=(50, 10))
    found = rows_in(array, [(10, 12)]).compute(scheduler="synchronous")
    assert found.base is None


def test_the_names_of_tasks_depend_on_the_rows_only():
    array = da.from_array(np.arange(10), chunks=4)
    assert rows_in(array, [(1, 7)]).name == rows_in(array, [(1, 7)]).name
    assert rows_in(array, [(1, 7)]).name != rows_in(array, [(1, 8)]).name
