"""Rounds: what each replica is given, and how what it gives back goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.engine.rounds import TrainedReplica, train_replica
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.solvers.stochastic.epoch_plan import EpochLayout
from dlbd_estimators.solvers.stochastic.one_epoch import InRounds
from dlbd_estimators.solvers.stochastic.outer_optimizer import OuterStep
from tests.engine.test_rounds import LEARNER, NETWORK, blocks_of
from tests.solvers.dense import answer
from tests.strategies import cuts, random_generators

SHAPES = st.builds(EpochLayout, st.integers(1, 4), st.integers(1, 3), st.integers(1, 2))


class Recorder(ThreadExecutor):
    """Trains replicas one by one, and keeps them by round."""

    def __init__(self):
        super().__init__(1)
        self.rounds = []

    def _run_round(self, trainings, learner, name):
        results = [train_replica(training, learner) for training in trainings]
        self.rounds.append((trainings, results, name))
        return results


def run_epoch(executor, scheme, state):
    """Where an epoch comes to, and what its rounds cost."""
    costs = []

    def run(asked):
        result = executor.run_round(asked)
        costs.append((result.cost, asked.n_passes))
        return result.partial

    while True:
        state = answer(scheme.epoch(state), run)
        if not state.within:
            return state, costs


def epochs(blocks, shape, n_epochs, *, outer=OuterStep(0.7, 0.9), shuffle=True):  # noqa: B008 - frozen
    """All rounds of some epochs, and where training stood before, between and after them."""
    start = np.random.default_rng(0).normal(size=NETWORK.layers.size)
    scheme = InRounds(LEARNER, blocks, shape, outer, 5, shuffle=shuffle, name="test")
    stands, told = [scheme.begin(start, 0.01)], []
    with Recorder() as executor:
        for number in range(n_epochs):
            state = replace(stands[-1], learning_rate=0.01 / (number + 1))
            state, costs = run_epoch(executor, scheme, state)
            stands.append(state)
            told.append(costs)
    return executor.rounds, stands, told


@given(cuts(60, empty=False), SHAPES, random_generators(), st.booleans())
def test_every_replica_goes_on_from_its_own_moments_and_the_common_parameters(
    sizes, shape, rng, shuffle
):
    outer = OuterStep(0.7, 0.9)
    blocks = blocks_of(sizes, rng)
    shape = replace(shape, n_replicas=min(shape.n_replicas, len(sizes)))
    rounds, stands, told = epochs(blocks, shape, 2, outer=outer, shuffle=shuffle)
    replicas, velocity = list(stands[0].replicas), stands[0].velocity
    common = stands[0].parameters
    for trainings, results, _ in rounds:
        for training, result in zip(trainings, results, strict=True):
            assert training.replica.n_updates == replicas[training.number].n_updates
            np.testing.assert_array_equal(training.replica.parameters, common)
            for mine, last in zip(
                training.replica.moments, replicas[training.number].moments, strict=True
            ):
                np.testing.assert_array_equal(mine, last)
            replicas[training.number] = result.replica
        if shape.n_replicas == 1:
            common = results[0].replica.parameters
        else:
            ends = [result.replica.parameters for result in results]
            n_rows = [result.n_rows for result in results]
            common, velocity = outer(common, velocity, ends, n_rows)
    np.testing.assert_array_equal(stands[-1].parameters, common)
    np.testing.assert_array_equal(stands[-1].velocity, velocity)
    for replica in stands[-1].replicas:
        np.testing.assert_array_equal(replica.parameters, common)
    assert [stand.n_seen for stand in stands] == [0, 60, 120]
    assert [stand.n_epochs for stand in stands] == [0, 1, 2]
    totals = [sum(sum(result.totals) for result in results) for _, results, _ in rounds]
    nbytes = sum(blocks.load(index).nbytes for index in range(blocks.n_blocks))
    for costs in told:
        assert sum(cost.bytes_read for cost, _ in costs) == nbytes
        assert [n_passes for _, n_passes in costs] == [1.0] + [0.0] * (len(costs) - 1)
    ends = stands[1:]
    assert [end.n_rounds for end in ends] == [len(costs) for costs in told]
    assert sum(end.n_rounds for end in ends) == len(rounds)
    assert sum(end.value for end in ends) * 60 == pytest.approx(sum(totals))


@given(cuts(60, empty=False), SHAPES, random_generators())
def test_no_two_fills_are_put_in_order_by_the_same_seed(sizes, shape, rng):
    shape = replace(shape, n_replicas=min(shape.n_replicas, len(sizes)))
    rounds, _, _ = epochs(blocks_of(sizes, rng), shape, 3)
    seeds = [
        seed for trainings, _, _ in rounds for training in trainings for seed in training.seeds
    ]
    assert len(seeds) == sum(
        len(training.fills) for trainings, _, _ in rounds for training in trainings
    )
    streams = {tuple(np.random.default_rng(seed).integers(0, 2**63, 2)) for seed in seeds}
    assert len(streams) == len(seeds)


def orders(rounds, n_epochs):
    """Blocks in the order in which each epoch takes them, replica after replica in each round."""
    taken = [
        [index for training in trainings for index in training.indices]
        for trainings, _, _ in rounds
    ]
    each = len(rounds) // n_epochs
    epochs = [taken[i * each : (i + 1) * each] for i in range(n_epochs)]
    return [[index for training in epoch for index in training] for epoch in epochs]


@pytest.mark.parametrize("n_replicas", [1, 3])
def test_blocks_come_in_another_order_each_epoch(n_replicas, rng):
    blocks = blocks_of([2] * 30, rng)
    for shuffle, n_orders in ((True, 4), (False, 1)):
        rounds, _, _ = epochs(blocks, EpochLayout(n_replicas, 2, 8), 4, shuffle=shuffle)
        found = orders(rounds, 4)
        assert len(set(map(tuple, found))) == n_orders
        assert all(sorted(order) == list(range(30)) for order in found)
        if not shuffle:
            assert found[0] == list(range(30))
            assert all(
                training.seeds is None for trainings, _, _ in rounds for training in trainings
            )


def test_rounds_have_the_epochs_learning_rate_and_names_that_people_recognise(rng):
    rounds, _, _ = epochs(blocks_of([2] * 8, rng), EpochLayout(2, 1, 2), 2)
    assert [name for _, _, name in rounds] == [
        f"test-epoch-{epoch}-round-{number}" for epoch in (1, 2) for number in (1, 2)
    ]
    rates = [{training.learning_rate for training in trainings} for trainings, _, _ in rounds]
    assert rates == [{0.01}, {0.01}, {0.005}, {0.005}]


@pytest.mark.parametrize("bad", ["loss", "parameters"])
@pytest.mark.parametrize("culprit", [0, 1])
def test_the_round_is_named_in_which_any_replica_diverged(culprit, bad, rng):
    class Diverges(Recorder):
        def _run_round(self, trainings, learner, name):
            results = super()._run_round(trainings, learner, name)
            if len(self.rounds) == 3:
                last = results[culprit]
                parameters = last.replica.parameters * (np.inf if bad == "parameters" else 1.0)
                totals = [np.nan] if bad == "loss" else last.totals
                replica = replace(last.replica, parameters=parameters)
                results[culprit] = TrainedReplica(replica, totals, last.n_rows, last.cost)
            return results

    blocks = blocks_of([2] * 16, rng)
    shape, outer = EpochLayout(2, 1, 2), OuterStep(1.0, 0.0)
    scheme = InRounds(LEARNER, blocks, shape, outer, 5, shuffle=True, name="t")
    begin = scheme.begin(rng.normal(size=NETWORK.layers.size), 0.5)
    told = r"in epoch 1, round 3 of 4: .* instead of 0\.5"
    with Diverges() as executor, pytest.raises(Diverged, match=told):
        run_epoch(executor, scheme, begin)
