"""Graphs of blocks reach a worker once a fit, wherever later passes run, and are gone after it."""

from __future__ import annotations

import pickle
import threading
import time
from dataclasses import replace

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client
from distributed.protocol.pickle import dumps
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression, MLPRegressor
from dlbd_estimators.blocks.dask_blocks import from_dask
from dlbd_estimators.engine import cluster as cluster_module
from dlbd_estimators.engine import graph_parts, per_fit_cache
from dlbd_estimators.engine.cluster import ClusterExecutor
from dlbd_estimators.engine.graph_parts import NotKept, Part, SentParts, read_part
from dlbd_estimators.engine.held_partials import Held, join_held
from dlbd_estimators.engine.per_fit_cache import PerFitCache
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.solvers.stochastic.epoch_plan import EpochLayout
from dlbd_estimators.solvers.stochastic.one_epoch import InRounds
from dlbd_estimators.solvers.stochastic.outer_optimizer import OuterStep
from tests.engine.test_cluster import own_cluster
from tests.engine.test_joining import ROWS, N, _Reads, _Sums, arrays, kill_holders
from tests.engine.test_rounds import LEARNER, NETWORK
from tests.neural_network.test_rounds import run_epoch


def kept_parts():
    from dlbd_estimators.engine.graph_parts import part_store

    return len(part_store)


def forget_parts():
    from dlbd_estimators.engine.graph_parts import part_store

    part_store.clear()


@pytest.fixture
def sent(monkeypatch):
    """Size of what the client submits, by pass and in order."""
    sizes = {}
    submit = Client.submit

    def counting(client, function, *args, key, **options):
        number = key.split("-")[-4]
        sizes[number] = sizes.get(number, 0) + len(cloudpickle.dumps(args))
        return submit(client, function, *args, key=key, **options)

    monkeypatch.setattr(Client, "submit", counting)
    return sizes


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The client of one worker: of two, one may take what was meant for the other."""
    with own_cluster(1, tmp_path_factory.mktemp("alone")) as client:
        yield client


def test_only_the_first_pass_sends_the_graphs(alone, sent):
    X = da.random.default_rng(0).normal(size=(4000, 2), chunks=(4, 2))
    y = X[:, 0] + X[:, 1] ** 2 > 0
    fit = LogisticRegression(solver="nesterov", max_iter=5).fit
    with pytest.warns(ConvergenceWarning):
        model = fit(X, y)
    first, *others = sent.values()
    assert len(others) >= 3
    assert first > 200_000  # 1,000 blocks
    assert max(others) < first / 10
    found = model.coef_
    with dask.config.set(scheduler="threads"), pytest.warns(ConvergenceWarning):
        np.testing.assert_array_equal(found, fit(X, y).coef_)
    deadline = time.monotonic() + 30
    while any(alone.run(kept_parts).values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.usefixtures("alone")
def test_only_the_first_epoch_of_a_network_sends_the_graphs(sent):
    X = da.random.default_rng(0).normal(size=(800, 2), chunks=(2, 2))
    y = X[:, 0] + X[:, 1] ** 2
    network = MLPRegressor(
        hidden_layer_sizes=(2,), max_iter=3, n_iter_no_change=3, tol=0.0, random_state=0
    )
    with pytest.warns(ConvergenceWarning):
        model = network.fit(X, y)
    first, *others = sent.values()
    assert len(others) == 2
    assert first > 80_000  # 400 blocks
    assert max(others) < first / 5
    with dask.config.set(scheduler="threads"), pytest.warns(ConvergenceWarning):
        again = clone(network).fit(X, y)
    for mine, other in zip(model.coefs_, again.coefs_, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("share", [graph_parts._SHARE, 1e-9])
def test_replicas_go_on_where_a_worker_has_lost_its_graphs_or_never_kept_them(
    alone, sent, monkeypatch, share
):
    monkeypatch.setattr(graph_parts, "_SHARE", share)
    X = da.random.default_rng(0).normal(size=(600, 3), chunks=(2, 3))
    blocks = from_dask(X, X[:, 0], None)
    scheme = InRounds(
        LEARNER, blocks, EpochLayout(1, 100, 8), OuterStep(1.0, 0.0), 5, shuffle=True, name="t"
    )

    def ends(executor, between=lambda _number: None):
        state = scheme.begin(np.zeros(NETWORK.layers.size), 0.01)
        for number in range(4):
            between(number)
            state, _ = run_epoch(executor, scheme, state)
        return state.parameters

    with ThreadExecutor(1) as executor:
        expected = ends(executor)
    with ClusterExecutor(alone) as executor:
        found = ends(executor, lambda number: number == 2 and alone.run(forget_parts))
    np.testing.assert_array_equal(found, expected)
    named = [size < max(sent.values()) / 2 for size in sent.values()]
    # What is sent again goes with its task, and is packed with the next one.
    assert named == ([False, True, False, False] if share > 1e-9 else [False] * 4)


def summed(executor, blocks):
    return executor.map_reduce(_Sums(), None, blocks, name="ridge-gram-pass").partial


@pytest.mark.parametrize("large", [0, 2**20])
def test_what_a_worker_has_not_kept_is_sent_again(alone, sent, monkeypatch, large):
    monkeypatch.setattr(cluster_module, "large_nbytes", lambda _n_bundles: large)
    blocks = from_dask(*arrays(), None)
    with ThreadExecutor(2) as executor:
        expected = summed(executor, blocks)
    with ClusterExecutor(alone) as executor:
        for number in range(5):
            if number == 2:
                alone.run(forget_parts)
            np.testing.assert_array_equal(summed(executor, blocks), expected)
    named = [size < 30_000 for size in sent.values()]
    assert named == [False, True, False, False, True]


def test_a_part_that_is_too_large_goes_with_each_pass(alone, sent, monkeypatch):
    monkeypatch.setattr(graph_parts, "_SHARE", 1e-9)
    blocks = from_dask(*arrays(), None)
    with ClusterExecutor(alone) as executor:
        first, second = (summed(executor, blocks) for _ in range(2))
        assert not any(alone.run(kept_parts).values())
    np.testing.assert_array_equal(first, second)
    assert min(sent.values()) > 8 * N


@pytest.mark.long
@pytest.mark.parametrize(("n_workers", "n_victims", "failures"), [(3, 1, 3), (2, 2, 3), (2, 1, 0)])
def test_workers_killed_in_a_later_pass_change_no_bit(
    n_workers, n_victims, failures, tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster_module, "large_nbytes", lambda _n_bundles: 0)
    with ThreadExecutor(2) as executor:
        expected = summed(executor, from_dask(*arrays(), None))
    reads = tmp_path / "reads"
    reads.mkdir()
    (reads / "killed").touch()  # the first pass waits for nothing
    blocks = from_dask(*arrays(_Reads(reads)), None)
    killed = []
    settings = {
        "distributed.scheduler.allowed-failures": failures,
        "dlbd-estimators.cache-share": 0,
    }
    with dask.config.set(settings), own_cluster(n_workers, tmp_path) as client:
        client.wait_for_workers(n_workers)
        with ClusterExecutor(client) as executor:
            found = [summed(executor, blocks)]
            for each in reads.iterdir():
                each.unlink()
            killer = threading.Thread(target=kill_holders, args=(client, n_victims, reads, killed))
            killer.start()
            found += [summed(executor, blocks) for _ in range(2)]
            killer.join()
    assert len(killed) == n_victims
    assert len(list(reads.glob("read-*"))) > 2 * (N // ROWS)
    for partial in found:
        np.testing.assert_array_equal(partial, expected)


@given(st.data(), st.integers(1, 9))
def test_a_part_reads_what_all_blocks_would(data, n_blocks):
    X = da.arange(6 * n_blocks, chunks=6).astype(float).reshape(-1, 2)
    blocks = from_dask(X, X[:, 0], None)
    some = data.draw(st.lists(st.integers(0, n_blocks - 1), min_size=1, unique=True))
    part = SentParts(dumps).packed(blocks, some, blocks.select(some), "home", 0)
    light = pickle.loads(pickle.dumps(blocks.select(())))
    whole = light.with_loader_of(part.pickled.load())
    for index in some:
        np.testing.assert_array_equal(whole.load(index).X, blocks.load(index).X)
        assert whole.where(index) == blocks.where(index)


def test_parts_are_told_apart_by_what_they_read():
    X = da.ones((8, 2), chunks=(1, 2))
    first, second = (from_dask(X, X[:, 0] + each, None) for each in range(2))
    sent = SentParts(dumps)
    assert sent.named(first, range(3), "home") is None
    part = sent.packed(first, range(3), first.select(range(3)), "home", 2**30)
    assert sent.named(first, range(3), "home") == Part(part.name)
    assert sent.named(first.encoded(first.encoding), range(3), "home") == Part(part.name)
    assert sent.named(first, range(3, 6), "home") is None
    assert sent.named(second, range(3), "home") is None
    assert sent.named(first, range(3), "elsewhere") is None
    sent.forget(first, range(3), "home")
    assert sent.named(first, range(3), "home") is None


def test_rows_that_were_counted_since_are_sent_with_their_numbers():
    X = da.ones((8, 2), chunks=(4, 2))
    known = from_dask(X, X[:, 0], None)
    unknown = replace(known, sizes=None)
    sent = SentParts(dumps)
    sent.packed(unknown, range(2), unknown.select(range(2)), "home", 2**30)
    parts, rest = sent.grouped(known, [0, 1], "home", 2**30)
    assert rest == []
    for part in parts.values():
        assert known.select(()).with_loader_of(part.pickled.load()).rows(1) == range(4, 8)


@given(st.data(), st.integers(1, 9))
def test_groups_and_what_is_in_none_read_what_all_blocks_would(data, n_blocks):
    X = da.arange(6 * n_blocks, chunks=6).astype(float).reshape(-1, 2)
    blocks = from_dask(X, X[:, 0], None)
    sent = SentParts(dumps)
    for _ in range(3):  # rounds
        some = data.draw(st.lists(st.integers(0, n_blocks - 1), min_size=1, unique=True))
        memory = data.draw(st.sampled_from([0, 1, 10**5]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(graph_parts, "_GROUP", 2)
            parts, rest = sent.grouped(blocks, some, "home", memory)
        assert {index for index in some if index - index % 2 not in {g.start for g in parts}} == {
            *rest
        }
        for group, part in parts.items():
            kept = read_part("groups", part)
            for index in set(group) & set(some):
                light = pickle.loads(pickle.dumps(blocks.select(()))).with_loader_of(kept)
                np.testing.assert_array_equal(light.load(index).X, blocks.load(index).X)
                assert light.rows(index) == blocks.rows(index)
    graph_parts.part_store.clear()


def part_of(rows):
    blocks = from_dask(da.ones((rows, 2), chunks=(1, 2)), da.ones(rows, chunks=1), None)
    return SentParts(dumps).packed(blocks, range(rows), blocks, "home", 0)


@pytest.fixture
def store(monkeypatch):
    mine = PerFitCache(600.0)
    monkeypatch.setattr(graph_parts, "part_store", mine)
    return mine


def test_what_a_task_brings_after_its_fit_ended_is_used_and_not_kept(store):
    part = part_of(3)
    assert read_part("fit", Part(part.name)) is None
    assert read_part("fit", part).n_blocks == 3
    assert read_part("fit", Part(part.name)).n_blocks == 3
    assert read_part("other", Part(part.name)) is None
    store.drop("fit")
    assert read_part("fit", part).n_blocks == 3
    assert read_part("fit", Part(part.name)) is None


def test_parts_of_a_fit_that_is_gone_give_way(store, monkeypatch):
    part = part_of(3)
    read_part("gone", part)
    monkeypatch.setattr(store, "_idle_seconds", -1.0)
    read_part("new", part)
    assert read_part("gone", Part(part.name)) is None


def test_ends_of_fits_are_not_remembered_for_ever(store, monkeypatch):
    monkeypatch.setattr(per_fit_cache, "_MAX_ENDED", 2)
    for number in range(5):
        store.drop(f"fit-{number}")
    assert len(store._ended) == 2


def test_what_cannot_be_made_again_is_not_joined():
    with ThreadExecutor(1) as executor:
        cost = executor.map_reduce(_Sums(), None, from_dask(*arrays(), None), name="sums").cost
    held = Held(np.ones(2), cost)
    for pair in ((held, NotKept()), (NotKept(), held), (NotKept(), NotKept())):
        assert isinstance(join_held(_Sums(), *pair), NotKept)
