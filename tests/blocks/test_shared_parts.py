"""What blocks share: the same answers as by a plain set of blocks for each part of a graph."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.blocks import shared_parts
from dlbd_estimators.blocks.shared_parts import sharing, size, union


def plainly_shared(dependencies, outputs, many=None):
    """Say what is shared, from the definition: by sets, in one order of the graph."""
    many = max(2, len(outputs) // 2) if many is None else many
    users = {
        key: {each for each in dependencies if key in dependencies[each]} for key in dependencies
    }
    blocks = {}

    def needing(key):
        """Blocks that need a key by a path that meets no shared key."""
        if key not in blocks:
            own = {index for index, keys in enumerate(outputs) if key in keys}
            passed = (needing(each) for each in users[key])
            blocks[key] = own.union(*(each for each in passed if len(each) <= many))
        return blocks[key]

    counts = {key: len(needing(key)) for key in dependencies}
    alone = [count for count in counts.values() if 0 < count <= many]
    return {key for key in counts if counts[key] > many}, sum(alone) / max(len(alone), 1)


@st.composite
def graphs(draw):
    """Draw a graph of layers, and the keys of its blocks."""
    n_blocks = draw(st.integers(1, 70))
    n_keys = draw(st.integers(1, 12))
    last = [("out", index) for index in range(n_blocks)]
    inner = [("in", index) for index in range(n_keys)]
    dependencies = {}
    for index, key in enumerate(inner):
        dependencies[key] = (
            frozenset(draw(st.sets(st.sampled_from(inner[index + 1 :]), max_size=4)))
            if inner[index + 1 :]
            else frozenset()
        )
    # Blocks that need a key: a run of them, every other one, or any.
    for key in last:
        dependencies[key] = frozenset()
    for key in draw(st.lists(st.sampled_from(inner), unique=True)):
        kind = draw(st.sampled_from(["run", "stride", "any"]))
        if kind == "run":
            start = draw(st.integers(0, n_blocks - 1))
            chosen = range(start, draw(st.integers(start, n_blocks)))
        elif kind == "stride":
            chosen = range(draw(st.integers(0, 3)), n_blocks, draw(st.integers(1, 4)))
        else:
            chosen = draw(st.sets(st.integers(0, n_blocks - 1)))
        for index in chosen:
            dependencies[last[index]] |= {key}
    outputs = [(key, key) if draw(st.booleans()) else (key,) for key in last]
    if draw(st.booleans()):
        # A block may be what others are made of, and two blocks the same.
        outputs = [(*keys, draw(st.sampled_from(inner))) for keys in outputs]
    order = draw(st.permutations(list(dependencies)))
    return {key: dependencies[key] for key in order}, outputs


@given(graphs(), st.none() | st.integers(1, 70), st.sampled_from([0, 1, 16]))
def test_the_same_is_shared_as_by_the_definition(graph, many, few_runs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_parts, "_FEW_RUNS", few_runs)
        found = sharing(*graph, many)
    shared, replays = plainly_shared(*graph, many)
    assert set(found.shared) == shared
    assert len(found.shared) == len(shared)
    assert found.replays == replays


@given(st.data(), st.integers(1, 200), st.sampled_from([0, 2, 16]))
def test_a_union_of_sets_of_blocks_is_that_of_sets(data, n_blocks, few_runs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_parts, "_FEW_RUNS", few_runs)
        numbers = st.sets(st.integers(0, n_blocks - 1))
        plain = data.draw(st.lists(st.lists(numbers, max_size=3), max_size=4))
        parts = [
            union([union([((i, i + 1),)], n_blocks) for each in sets for i in each], n_blocks)
            for sets in plain
        ]
        joined = union(parts, n_blocks)
    expected = {index for sets in plain for each in sets for index in each}
    assert size(joined) == len(expected)
    if isinstance(joined, int):
        assert joined == sum(1 << index for index in expected)
    else:
        assert {i for start, stop in joined for i in range(start, stop)} == expected
        assert all(left[1] < right[0] for left, right in pairwise(joined))


def peak(n_blocks, needed):
    """Return the most memory that finding what is shared takes, in bytes."""
    dependencies = {("out", i): frozenset(needed(i)) for i in range(n_blocks)}
    outputs = [(key,) for key in dependencies]
    inner = {key for keys in dependencies.values() for key in keys}
    dependencies |= dict.fromkeys(inner, frozenset())
    tracemalloc.start(1)
    try:
        sharing(dependencies, outputs)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def own(index):
    return [("in", index)]


def of_all(index):
    return [("mean", 0), ("in", index)]


def neighbours(index):
    return [("in", index), ("in", index // 2), ("in", index // 2 + 1)]


def scattered(index):
    return [("in", index), ("in", index * 7919 % 9001), ("in", index * 104_729 % 9973)]


@pytest.mark.parametrize("needed", [own, of_all, neighbours, scattered])
def test_memory_grows_with_the_graph_not_with_its_square(needed):
    # Bit by bit, twice as many blocks took four times as much.
    assert peak(20_000, needed) < 2.6 * peak(10_000, needed)
