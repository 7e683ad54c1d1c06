"""Computing parts of a graph here: what Dask would compute, each task once, values let go early."""

from __future__ import annotations

import weakref

import dask
import numpy as np
import pytest
from dask.task_spec import Alias, DataNode, Task, TaskRef
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.blocks_compute import compute


def joined(name, *parts):
    return (name, *parts)


@st.composite
def graphs(draw):
    """Draw a graph of tasks, values and other names, in any order, and some of its keys."""
    graph = {}
    for number in range(draw(st.integers(1, 12))):
        key = draw(st.sampled_from([("part", number), f"part-{number}"]))
        earlier = list(graph)
        needed = draw(st.lists(st.sampled_from(earlier), max_size=4)) if earlier else []
        kind = draw(st.sampled_from(["task", "value", "name"]))
        if kind == "name" and needed:
            graph[key] = Alias(key, needed[0])
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
