"""However a pass is cut into bundles, the same partials are joined in the same order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.engine.reduction_tree import (
    join,
    nodes,
    parent,
    reduce_range,
    split,
    stratified,
    uncovered,
    within,
)


def written(left, right):
    return f"({left}{right})"


def cut_and_joined(n, depth, evaluate, combine):
    partials = {node: reduce_range(evaluate, combine, *node) for node in nodes(n, depth)}
    return join(partials, combine, 0, n)


@given(st.integers(1, 200), st.integers(0, 10))
def test_nodes_cover_the_blocks_in_order(n, depth):
    ranges = nodes(n, depth)
    assert [i for start, stop in ranges for i in range(start, stop)] == list(range(n))
    assert len(ranges) == min(n, 2**depth) or (n < 2**depth and len(ranges) <= n)
    sizes = [stop - start for start, stop in ranges]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1 or max(sizes) <= 2 * min(sizes)


@given(st.integers(1, 200), st.integers(0, 10))
def test_any_depth_makes_the_same_joins(n, depth):
    expected = reduce_range(str, written, 0, n)
    assert cut_and_joined(n, depth, str, written) == expected


@given(st.integers(1, 100), st.integers(0, 2**32))
def test_any_depth_gives_the_same_bits(n, seed):
    values = np.random.default_rng(seed).normal(size=n) * 10.0 ** np.arange(n)[::-1].clip(0, 15)
    expected = reduce_range(values.__getitem__, float.__add__, 0, n)
    for depth in range(8):
        assert cut_and_joined(n, depth, values.__getitem__, lambda a, b: a + b) == expected


@given(st.integers(2, 100), st.data())
def test_a_node_may_be_halved_again_and_joined(n, data):
    """This is what happens to the bundle of a dead worker."""
    ranges = nodes(n, 2)
    divided = data.draw(st.sampled_from(ranges))
    if divided[1] - divided[0] > 1:
        ranges = [r for r in ranges if r != divided] + list(split(*divided))
    partials = {node: reduce_range(str, written, *node) for node in ranges}
    assert join(partials, written, 0, n) == reduce_range(str, written, 0, n)


def test_few_partials_are_alive_at_a_time():
    alive, most = set(), 0

    def evaluate(i):
        nonlocal most
        alive.add(i)
        most = max(most, len(alive))
        return {i}

    def combine(left, right):
        alive.discard(min(right))
        return left | right

    assert reduce_range(evaluate, combine, 0, 1024) == set(range(1024))
    assert most <= 11


def test_blocks_are_evaluated_in_order():
    """The block after this one is being read meanwhile: there must be no other order."""
    seen = []
    reduce_range(lambda i: seen.append(i) or i, lambda a, _b: a, 3, 40)
    assert seen == list(range(3, 40))


@pytest.mark.parametrize(("n", "depth"), [(1, 0), (7, 2), (128, 4), (1000, 5)])
def test_a_stratified_sample_has_one_block_of_each_node(n, depth, rng):
    chosen = stratified(n, depth, lambda a, b: int(rng.integers(a, b)))
    assert len(chosen) == len(nodes(n, depth))
    for index, (start, stop) in zip(chosen, nodes(n, depth), strict=True):
        assert start <= index < stop


@given(st.integers(1, 300), st.data())
def test_the_parent_of_a_node_is_the_one_that_splits_into_it(n, data):
    node = (0, n)
    assert parent(node, n) is None
    while node[1] - node[0] > 1 and data.draw(st.booleans()):
        above, node = node, data.draw(st.sampled_from(split(*node)))
        assert parent(node, n) == above
        assert within(node, above)
        assert not within(above, node)


@given(st.integers(1, 60), st.data())
def test_uncovered_nodes_are_the_largest_that_hold_no_covered_block(n, data):
    covered = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    found = uncovered((0, n), covered)
    # Of all nodes: those without a covered block whose parents have one.
    every = sorted({node for depth in range(8) for node in nodes(n, depth)})
    free = [node for node in every if not covered[slice(*node)].any()]
    assert found == [node for node in free if parent(node, n) not in free]
