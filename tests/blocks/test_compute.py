"""Computing parts of a graph here: what Dask would compute, each task once, values let go early."""

from __future__ import annotations

import weakref

import dask
import numpy as np
import pytest
from dask.task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.blocks.compute import compute


def joined(name, *parts):
    return (name, *parts)


def fused(draw, key, needed):
    """Draw a task that Dask has made of several in a row, each of which may need others."""
    inner = [Task(("inner", key, 0), joined, 0, *map(TaskRef, needed))]
    for number in range(1, draw(st.integers(2, 4))):
        others = draw(st.lists(st.sampled_from(needed), max_size=2)) if needed else []
        before = TaskRef(inner[-1].key)
        inner.append(Task(("inner", key, number), joined, before, *map(TaskRef, others)))
    whole = GraphNode.fuse(*inner, key=key)
    if draw(st.booleans()):  # once more, as when a graph is optimised again
        whole = GraphNode.fuse(whole, Task(("outer", key), joined, TaskRef(key)), key=key)
    return whole


@st.composite
def graphs(draw):
    """Draw a graph of tasks, values and other names, in any order, and some of its keys."""
    graph = {}
    for number in range(draw(st.integers(1, 12))):
        key = draw(st.sampled_from([("part", number), f"part-{number}"]))
        earlier = list(graph)
        needed = draw(st.lists(st.sampled_from(earlier), max_size=4)) if earlier else []
        kind = draw(st.sampled_from(["task", "value", "name", "fused"]))
        if kind == "name" and needed:
            graph[key] = Alias(key, needed[0])
        elif kind == "fused":
            graph[key] = fused(draw, key, needed)
        elif kind == "value":
            graph[key] = DataNode(key, (number,))
        else:
            graph[key] = Task(key, joined, number, *map(TaskRef, needed))
    keys = draw(st.lists(st.sampled_from(list(graph)), min_size=1, max_size=4))
    order = draw(st.permutations(list(graph)))
    return {key: graph[key] for key in order}, keys


@given(graphs())
def test_values_are_those_that_dask_computes(drawn):
    graph, keys = drawn
    assert compute(graph, keys) == list(dask.get(graph, keys))


def test_each_task_that_is_needed_runs_once_and_no_other():
    ran = []
    graph = {
        "a": Task("a", ran.append, "a"),
        "b": Task("b", lambda _: ran.append("b"), TaskRef("a")),
        "c": Task("c", lambda *_: ran.append("c"), TaskRef("a"), TaskRef("b")),
        "other": Task("other", ran.append, "other"),
    }
    assert compute(graph, ["c", "b", "c"]) == [None] * 3
    assert ran == ["a", "b", "c"]


def test_fused_tasks_are_run_without_planning_them(monkeypatch):
    # Dask puts the tasks within a fused one into an order anew for each block that is read.
    inner = [
        Task("a", joined, 1),
        Task("b", joined, TaskRef("a"), TaskRef("value")),
        Task("c", joined, TaskRef("b")),
    ]
    graph = {"value": DataNode("value", 2), "c": GraphNode.fuse(*inner)}
    expected = dask.get(graph, "c")

    def planned(*_, **__):
        raise AssertionError("planned")

    monkeypatch.setattr(dask.order, "order", planned)
    assert compute(graph, ["c"]) == [expected]


def test_a_task_of_older_form_is_computed_too():
    assert compute({"a": (np.add, "b", 1), "b": 2, "c": (int, "1/0")}, ("a",)) == [3]


def test_what_no_task_needs_any_more_is_let_go():
    alive = []

    def made(_before=None):
        assert sum(each() is not None for each in alive) <= 1
        array = np.zeros(3).view(Watched)
        alive.append(weakref.ref(array))
        return array

    graph = {0: Task(0, made)} | {i: Task(i, made, TaskRef(i - 1)) for i in range(1, 6)}
    (last,) = compute(graph, [5])
    assert alive[-1]() is last


class Watched(np.ndarray):
    """Arrays of a class of one's own can be watched."""


def test_an_error_is_that_of_the_task():
    with pytest.raises(ZeroDivisionError):
        compute({"a": Task("a", lambda: 1 / 0)}, ["a"])


def test_many_tasks_in_a_row_take_no_stack():
    graph = {0: DataNode(0, 0)} | {
        i: Task(i, lambda x: x + 1, TaskRef(i - 1)) for i in range(1, 5000)
    }
    assert compute(graph, [4999]) == [4999]
