"""A replica trains on all its rows, fill by fill, in the seeds' order; the next fill is loaded."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.blocks.block import ArrayLoader, Blocks
from dlbd_estimators.engine.rounds import LocalTraining, train_replica
from dlbd_estimators.exceptions import NonFiniteValues
from dlbd_estimators.kernels.activations import ACTIVATIONS
from dlbd_estimators.kernels.learner import Learner, Replica
from dlbd_estimators.kernels.losses import HalfSquaredError
from dlbd_estimators.kernels.network import Layers, Network
from dlbd_estimators.kernels.updates import SGD, Adam
from tests.strategies import cuts, in_dtype, random_generators, rows_of

NETWORK = Network(Layers((3, 4, 1)), ACTIVATIONS["tanh"], HalfSquaredError(), 0.1)
LEARNER = Learner(NETWORK, Adam(), 7)


def blocks_of(sizes, rng, *, weighted=False, dtype=np.float64):
    n = sum(sizes)
    X, y = rng.normal(size=(n, 3)).astype(dtype), rng.normal(size=n)
    weight = rng.integers(0, 3, n).astype(float) if weighted else None
    bounds = (0, *np.cumsum(sizes).tolist())
    loader = ArrayLoader(X, y, weight, bounds)
    return Blocks(loader, len(sizes), 3, tuple(sizes), None, itemsize=X.itemsize)


def training_of(blocks, fills, seeds, rng, *, rate=0.01, update=LEARNER.update):
    start = rng.normal(size=NETWORK.layers.size).astype(blocks.dtype)
    return LocalTraining(1, Replica.at(start, update), blocks, fills, seeds, rate)


@st.composite
def fills(draw, n_blocks):
    """Some of the blocks, in some order, cut into fills."""
    order = draw(st.permutations(range(n_blocks)))
    order = order[: draw(st.integers(1, n_blocks))]
    sizes = draw(cuts(len(order), empty=False))
    ends = np.cumsum(sizes)
    return [tuple(order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def rows_in(blocks, fill):
    """The rows of some blocks, one after the other, as training takes them."""
    starts = np.cumsum([0, *blocks.sizes])
    rows = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in fill])
    return in_dtype(rows_of(blocks.merged().load(0), rows), blocks.dtype)


@given(
    st.data(),
    cuts(50, empty=False),
    random_generators(),
    st.booleans(),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
)
def test_a_turn_is_its_fills_learned_one_after_the_other(
    data, sizes, rng, weighted, dtype, shuffled
):
    blocks = blocks_of(sizes, rng, weighted=weighted, dtype=dtype)
    parts = data.draw(fills(len(sizes)))
    seeds = [(3, number) for number in range(len(parts))] if shuffled else None
    training = training_of(blocks, parts, seeds, rng)
    before = training.replica.copy()
    result = train_replica(training, LEARNER)

    replica, losses, n_rows, nbytes = before.copy(), [], 0, 0
    for number, fill in enumerate(parts):
        rows = rows_in(blocks, fill)
        order = None
        if shuffled:
            order = np.random.default_rng(seeds[number]).permutation(rows.n_rows)
        replica, loss = LEARNER.learn(replica, rows, order, 0.01)
        losses.append(loss)
        n_rows += rows.n_rows
        nbytes += sum(blocks.load(index).nbytes for index in fill)

    np.testing.assert_array_equal(result.replica.parameters, replica.parameters)
    assert result.replica.parameters.dtype == dtype
    for mine, other in zip(result.replica.moments, replica.moments, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert result.replica.n_updates == replica.n_updates
    assert (result.totals, result.n_rows, result.cost.bytes_read) == (losses, n_rows, nbytes)
    cost = result.cost
    assert (cost.n_tasks, cost.n_blocks) == (1, sum(map(len, parts)))
    assert 0.0 <= cost.waited <= cost.seconds
    assert cost.decoded <= cost.loaded
    np.testing.assert_array_equal(training.replica.parameters, before.parameters)
    assert not any(moment.any() for moment in training.replica.moments)


class Watched:
    """Reads like another loader; tells which blocks it has begun and ended to read."""

    def __init__(self, loader):
        self._loader = loader
        self.read_ = {}
        self.changed = threading.Condition()

    def read(self, index, *, features=True):
        rows = self._loader.read(index, features=features)
        with self.changed:
            self.read_[index] = True
            self.changed.notify_all()
        return rows

    def wait_for(self, indices):
        with self.changed:
            assert self.changed.wait_for(lambda: all(i in self.read_ for i in indices), 20)


class Slow(Learner):
    """Learns a fill when the next one has been read, and keeps what it was given."""

    def learn(self, replica, rows, order, learning_rate, n_threads=1, number=0):
        fill = len(self.seen)
        following = self.fills[fill + 1] if fill + 1 < len(self.fills) else ()
        self.loader.wait_for(following)
        self.seen.append((rows.X.copy(), rows.y.copy(), set(self.loader.read_)))
        return replica, 0.0


def slow(loader, parts):
    learner = Slow(NETWORK, SGD(), 7)
    for name, value in (("loader", loader), ("fills", parts), ("seen", [])):
        object.__setattr__(learner, name, value)
    return learner


def test_the_next_fill_is_loaded_meanwhile_and_into_another_place(rng):
    blocks = blocks_of([5, 3, 4, 6, 2, 7, 5], rng)
    parts = [(0, 1), (2,), (3, 4), (5,), (6,)]
    watched = Watched(blocks.loader)
    one_ahead = Blocks(watched, blocks.n_blocks, 3, blocks.sizes, None)
    learner = slow(watched, parts)
    train_replica(training_of(one_ahead, parts, None, rng), learner)
    for number, (fill, (X, y, read)) in enumerate(zip(parts, learner.seen, strict=True)):
        expected = rows_in(blocks, fill)
        np.testing.assert_array_equal(X, expected.X)
        np.testing.assert_array_equal(y, expected.y)
        # One fill ahead, and no more: there is room for two.
        assert read == {index for part in parts[: number + 2] for index in part}


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_block_that_cannot_be_used_ends_the_turn_and_no_thread_stays(place, rng):
    blocks = blocks_of([5] * 5, rng)
    blocks.loader.X[5 * place + 3, 1] = np.nan
    before = set(threading.enumerate())
    with pytest.raises(NonFiniteValues, match=rf"NaN at row 3 of block {place} .*, column 1"):
        train_replica(training_of(blocks, [(0, 1), (2,), (3, 4)], None, rng), LEARNER)
    assert set(threading.enumerate()) <= before


def test_a_turn_that_diverges_ends_there(rng):
    blocks = blocks_of([5] * 5, rng)
    learner = Learner(
        Network(NETWORK.layers, ACTIVATIONS["identity"], HalfSquaredError()), SGD(), 1
    )
    training = training_of(blocks, [(i,) for i in range(5)], None, rng, rate=1e100, update=SGD())
    result = train_replica(training, learner)
    assert not np.isfinite(result.totals[-1])
    assert result.n_rows == 5


@pytest.mark.parametrize("empty", [(0,), (1,), (0, 1, 2)])
def test_fills_without_rows_teach_nothing(empty, rng):
    """Chunks of unknown length may be empty, and rows held out may leave none."""
    sizes = [0 if index in empty else 5 for index in range(3)]
    blocks = blocks_of(sizes, rng)
    training = training_of(blocks, [(0,), (1,), (2,)], [(1,), (2,), (3,)], rng)
    result = train_replica(training, LEARNER)
    assert result.n_rows == sum(sizes)
    assert result.replica.n_updates == 3 - len(empty)
