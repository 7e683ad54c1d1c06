"""What has no room in memory is read from disk, the same, and leaves no file behind."""

from __future__ import annotations

import gc
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask import threaded
from dask.local import get_sync
from dask.task_spec import DataNode, Task, TaskRef
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators import Ridge
from dlbd_estimators.blocks import rows_on_disk
from dlbd_estimators.blocks.rows_on_disk import SpillingCache, compute_with_spill


def block(number, n_rows):
    return np.full((n_rows, 4), float(number))


def own(graph, keys):
    """A scheduler of the user's."""
    return get_sync(graph, keys)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 600), st.booleans()), max_size=30),
    st.sampled_from([0, 2**14, 2**17]),
)
def test_values_are_a_dictionary_of_bounded_size(actions, room):
    values, expected = SpillingCache(room), {}
    for key, n_rows, deletes in actions:
        if deletes and key in expected:
            del values[key], expected[key]
            continue
        values[key] = expected[key] = block(key + n_rows, n_rows)
        in_memory = [each for each in values._held.values() if isinstance(each, np.ndarray)]
        assert sum(each.nbytes for each in in_memory if each.nbytes >= 2**12) <= room
    assert values.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(values[key], value)
        np.testing.assert_array_equal(values.node(key)(), value)
    if values._directory is not None:
        assert len(list(values._directory.path.iterdir())) == values.n_on_disk
    with pytest.raises(KeyError):
        del values["another"]


@pytest.mark.parametrize("room", [0, 2**30])
@pytest.mark.parametrize("run", [threaded.get, get_sync, own])
def test_a_graph_gives_the_same_whatever_the_room(room, run, monkeypatch, tmp_path):
    monkeypatch.setattr(rows_on_disk, "MEMORY_NBYTES", room)
    graph = {("a", i): Task(("a", i), block, i, 500) for i in range(6)}
    for i in range(6):
        parts = [TaskRef(("a", i)), TaskRef(("a", (i + 1) % 6))]
        graph["b", i] = Task(("b", i), np.add, *parts)
    keys = [("b", i) for i in range(6)]
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        values = compute_with_spill(graph, keys, run)
    for i, key in enumerate(keys):
        np.testing.assert_array_equal(values.node(key)(), block(i + (i + 1) % 6, 500))
    assert values.n_on_disk == (0 if room else 6)
    nodes = [values.node(key) for key in keys]
    del values
    if not room:  # what reads the files keeps them
        np.testing.assert_array_equal(nodes[0](), block(1, 500))
    assert all(isinstance(each, DataNode) for each in nodes) == bool(room)
    del nodes
    gc.collect()
    assert list(Path(tmp_path).iterdir()) == []


def test_a_shuffle_by_tasks_holds_no_more_rows_than_there_is_room_for(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(6000, 3)), columns=list("abc"))
    rows = rows.assign(k=rng.integers(0, 50, 6000), y=rows.a + 2 * rows.b - rows.c)
    shuffled = dd.from_pandas(rows, npartitions=40).shuffle("k", shuffle_method="tasks")

    def coefs():
        return Ridge(alpha=0.0).fit(shuffled[list("abc")], shuffled["y"]).coef_

    in_memory, seen, run = coefs(), [], rows_on_disk.compute_with_spill
    monkeypatch.setattr(rows_on_disk, "MEMORY_NBYTES", 2**14)
    monkeypatch.setattr(
        "dlbd_estimators.blocks.dask_blocks.compute_with_spill",
        lambda *given: seen.append(run(*given)) or seen[-1],
    )
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        np.testing.assert_array_equal(coefs(), in_memory)
    assert seen[-1].n_on_disk > 10
    seen.clear()
    gc.collect()
    assert list(Path(tmp_path).iterdir()) == []
