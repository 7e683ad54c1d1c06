"""Mini-batch training against a plain loop, and its bits on several threads."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dlbd_estimators.kernels.learner as learner_module
import dlbd_estimators.kernels.network as network_module
from dlbd_estimators.kernels.activations import ACTIVATIONS
from dlbd_estimators.kernels.dropout import Dropout, Mask
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.learner import Learner, Replica
from dlbd_estimators.kernels.losses import HalfPoissonDeviance, HalfSquaredError
from dlbd_estimators.kernels.network import Layers, Network, Workspace
from dlbd_estimators.kernels.network import cut as rows_of_shard
from dlbd_estimators.kernels.network_predictor import NetworkPredictor
from dlbd_estimators.kernels.updates import SGD, Adam
from tests.strategies import DTYPES, in_dtype, networks, random_generators, rows_of

RATE = 1e-4


class Course(NamedTuple):
    """All that `learn` takes: a learner, a replica, rows and the order in which to take them."""

    learner: Learner
    replica: Replica
    rows: Block
    order: np.ndarray | None


class TardyNetwork(Network):
    """Keeps each thread busy for another while, so that one that does not wait reads too early."""

    def propagate(self, rows, *args):
        value = super().propagate(rows, *args)
        # Late, and not all equally: what is written before the delay is the old batch's.
        time.sleep(1e-4 * (rows.n_rows % 3))
        return value

    def differentiate(self, X, outputs, errors, workspace, panel=0, n_panels=1):
        time.sleep(1e-4 * (panel % 3))
        super().differentiate(X, outputs, errors, workspace, panel, n_panels)


@st.composite
def courses(draw, **options):
    block, network, parameters = draw(networks(**options))
    update = draw(st.sampled_from([SGD(), SGD(nesterov=False), SGD(0.0), Adam()]))
    decay = draw(st.sampled_from([0.0, 0.0, 10.0]))
    clip_norm = draw(st.sampled_from([None, None, 1e-3, 1.0, 1e9]))
    rate = draw(st.sampled_from([0.0, 0.0, 0.3]))
    dropout = Dropout((rate,) * (len(network.layers.units) - 2), 5) if rate else None
    learner = Learner(network, update, draw(st.integers(1, 25)), decay, clip_norm, dropout)
    order = None
    if draw(st.booleans()):
        order = draw(random_generators()).permutation(block.n_rows)
    if isinstance(network.loss, HalfPoissonDeviance):
        # Steps as large as exp(10) end in another place for every rounding.
        raw = NetworkPredictor(network, parameters)(block.X)
        assume(raw.max() < 4.0)
    replica = Replica.at(parameters, update)
    return Course(learner, replica, in_dtype(block, parameters.dtype), order)


@st.composite
def fine_cuts(draw):
    """Work that is worth a shard, and coefs that are worth a panel, for nets as small as here."""
    return draw(st.sampled_from([1.0, 100.0, 1000.0])), draw(st.sampled_from([1, 8]))


def learned(course, n_threads=1, cut=None, rate=RATE):
    """Train a copy; where asked, cut batches and parameters finely."""
    learner, replica, rows, order = course
    with pytest.MonkeyPatch.context() as patch:
        if cut is not None:
            patch.setattr(learner_module, "_SHARD_FLOPS", cut[0])
            patch.setattr(learner_module, "_SHARD_ROWS", 1)
            patch.setattr(network_module, "_SMALL_LAYER", cut[1])
        return learner.learn(replica.copy(), rows, order, rate, n_threads)


def plainly_learned(course, rate=RATE):
    """What `learn` does, without shards, panels and threads."""
    learner, replica, rows, order = course
    network, replica, total = learner.network, replica.copy(), 0.0
    flat, layers, t = replica.parameters, network.layers, replica.n_updates
    order = np.arange(rows.n_rows) if order is None else order
    for start in range(0, rows.n_rows, learner.batch_size):
        batch = rows_of(rows, order[start : start + learner.batch_size])
        weight = batch.n_rows if batch.weight is None else batch.weight.sum()
        if weight == 0:
            continue
        workspace = Workspace(layers, batch.n_rows, flat.dtype)
        masks = ()
        if learner.dropout is not None:
            # As many shards as the batch has; each draws its own rows.
            n, n_shards = batch.n_rows, learner.n_shards
            drawn = [
                learner.dropout.masks(
                    (0, t, shard),
                    len(range(n)[rows_of_shard(n, shard, n_shards)]),
                    layers.units[1:-1],
                    flat.dtype,
                )
                for shard in range(n_shards)
            ]
            masks = tuple(
                parts[0] and Mask(np.concatenate([part.factors for part in parts]), parts[0].keep)
                for parts in zip(*drawn, strict=True)
            )
        value = (
            network.value_and_gradient(batch, *layers.unpack(flat), workspace, 1.0, masks) / weight
        )
        gradient, coefs = workspace.gradient / weight, flat[: layers.n_weights]
        value += 0.5 * network.alpha * float(coefs @ coefs) / weight
        gradient[: layers.n_weights] += network.alpha * coefs / weight
        if learner.clip_norm is not None:
            # As torch.nn.utils.clip_grad_norm_ is documented: a factor that is at most 1.
            norm = np.linalg.norm(gradient.astype(np.float64))
            gradient *= np.minimum(1.0, learner.clip_norm / (norm + 1e-6))
        # Loshchilov and Hutter's AdamW, and torch.optim.AdamW: weights decay before the step.
        coefs -= rate * learner.weight_decay * coefs
        learner.update.apply(flat, gradient, replica.moments, t, rate)
        total += value * batch.n_rows
        t += 1
    return replace(replica, n_updates=t), total


def assert_same(left, right, rtol=None):
    """To the bit, or as far as sums in another order agree."""
    (mine, total), (other, other_total) = left, right
    assert mine.n_updates == other.n_updates
    vectors = zip((mine.parameters, *mine.moments), (other.parameters, *other.moments), strict=True)
    if rtol is None:
        assert total == other_total
        for vector, expected in vectors:
            np.testing.assert_array_equal(vector, expected)
    else:
        assert total == pytest.approx(other_total, rel=rtol, abs=rtol)
        for vector, expected in vectors:
            size = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(vector, expected, rtol=0, atol=rtol * size)


@given(courses(dtypes=(np.float64,)), st.one_of(st.none(), fine_cuts()), st.integers(1, 3))
def test_learning_is_a_plain_loop_over_batches(course, cut, n_threads):
    with pytest.MonkeyPatch.context() as patch:
        if cut is not None:  # masks are drawn by shard
            patch.setattr(learner_module, "_SHARD_FLOPS", cut[0])
            patch.setattr(learner_module, "_SHARD_ROWS", 1)
        expected = plainly_learned(course)
    assert_same(learned(course, n_threads, cut), expected, 1e-9)


@given(courses(), fine_cuts())
def test_bits_do_not_depend_on_the_number_of_threads(course, cut):
    alone = learned(course, 1, cut)
    for n_threads in (2, 3):
        assert_same(learned(course, n_threads, cut), alone)


@given(courses(min_rows=6), fine_cuts())
def test_threads_wait_for_each_other(course, cut):
    """All write before one reads: the errors of every shard, then every panel of parameters."""
    network = course.learner.network
    tardy = TardyNetwork(network.layers, network.activation, network.loss, network.alpha)
    slow = course._replace(learner=replace(course.learner, network=tardy, batch_size=5))
    quick = course._replace(learner=replace(course.learner, batch_size=5))
    assert_same(learned(slow, 3, (1.0, cut[1])), learned(quick, 1, (1.0, cut[1])))


@given(courses(), fine_cuts())
def test_no_order_is_the_order_in_which_rows_lie(course, cut):
    # To the bit only where rows lie in memory as gathered ones do: BLAS sums other layouts
    # in another order.
    X = np.ascontiguousarray(course.rows.X)
    rows = replace(course.rows, X=X)
    as_they_lie = course._replace(rows=rows, order=None)
    named = course._replace(rows=rows, order=np.arange(rows.n_rows))
    assert_same(learned(as_they_lie, cut=cut), learned(named, cut=cut))


@given(courses(), random_generators())
def test_an_order_is_rows_that_lie_so(course, rng):
    order = rng.permutation(course.rows.n_rows)
    lying = rows_of(course.rows, order)
    lying = replace(lying, X=np.ascontiguousarray(lying.X))
    assert_same(
        learned(course._replace(order=order)), learned(course._replace(rows=lying, order=None))
    )


@given(courses(min_rows=2), st.data())
def test_learning_may_pause_between_batches(course, data):
    """Moments and the count of updates are all there is to remember."""
    size, n = course.learner.batch_size, course.rows.n_rows
    stop = min(n, size * data.draw(st.integers(1, n)))
    order = np.arange(n) if course.order is None else course.order
    whole, total = learned(course._replace(order=order))
    replica, parts = course.replica, []
    for part in (order[:stop], order[stop:]):
        if len(part):
            rows = rows_of(course.rows, part)
            rows = replace(rows, X=np.ascontiguousarray(rows.X))
            # Batches are cut alike: the size says so, not how many rows there are.
            replica, sum_of_part = learned(course._replace(replica=replica, rows=rows, order=None))
            parts.append(sum_of_part)
    assert_same((replica, sum(parts)), (whole, pytest.approx(total, rel=1e-12)))


@given(courses(), st.integers(1, 3), fine_cuts())
def test_rows_of_no_weight_teach_nothing(course, n_threads, cut):
    rows = replace(course.rows, weight=np.zeros_like(course.rows.y, shape=course.rows.n_rows))
    replica, total = learned(course._replace(rows=rows), n_threads, cut)
    assert total == 0.0
    assert_same((replica, total), (course.replica, 0.0))


@given(courses(min_rows=4), st.integers(1, 3))
def test_a_batch_of_no_weight_is_passed_over(course, n_threads):
    n = course.rows.n_rows
    size = n // 3 or 1
    learner = replace(course.learner, batch_size=size)
    rows = replace(
        course.rows, X=np.ascontiguousarray(course.rows.X), weight=np.ones(n, course.rows.X.dtype)
    )
    rows.weight[size : 2 * size] = 0.0
    present = rows_of(rows, rows.weight > 0)
    course = course._replace(learner=learner, order=None)
    assert_same(
        learned(course._replace(rows=rows), n_threads), learned(course._replace(rows=present))
    )


@given(courses(), st.integers(0, 30))
def test_a_batch_has_no_more_rows_than_there_are(course, extra):
    n = course.rows.n_rows
    exact, larger = (
        course._replace(learner=replace(course.learner, batch_size=size)) for size in (n, n + extra)
    )
    assert_same(learned(larger), learned(exact))
    replica, _ = learned(larger)
    assert replica.n_updates == 1


@given(courses(), fine_cuts())
def test_precision_and_rows_stay_as_they_are(course, cut):
    dtype, rows = course.replica.parameters.dtype, course.rows
    before = rows.X.copy(), rows.y.copy(), None if rows.weight is None else rows.weight.copy()
    replica, _ = learned(course, cut=cut)
    assert all(vector.dtype == dtype for vector in (replica.parameters, *replica.moments))
    for left, right in zip((rows.X, rows.y, rows.weight), before, strict=True):
        np.testing.assert_array_equal(left, right)


@given(courses())
def test_a_replica_is_trained_in_place(course):
    replica = course.replica.copy()
    trained, _ = course.learner.learn(replica, course.rows, course.order, RATE)
    assert trained.parameters is replica.parameters
    assert trained.moments == replica.moments
    assert trained.is_finite


@given(courses())
def test_a_copy_shares_no_memory(course):
    replica = learned(course)[0]
    copy = replica.copy()
    assert copy.n_updates == replica.n_updates
    pairs = zip(
        (replica.parameters, *replica.moments), (copy.parameters, *copy.moments), strict=True
    )
    for left, right in pairs:
        np.testing.assert_array_equal(left, right)
        assert not np.shares_memory(left, right)


@given(courses())
def test_a_replica_begins_with_its_own_parameters_and_no_memory(course):
    parameters = course.replica.parameters
    replica = Replica.at(parameters, course.learner.update)
    assert not np.shares_memory(replica.parameters, parameters)
    assert len(replica.moments) == course.learner.update.n_moments
    assert not np.any(replica.moments)
    assert replica.n_updates == 0


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["identity", "relu"])
def test_training_that_diverges_says_so_and_stops(name, dtype, n_threads, rng):
    layers = Layers((3, 4, 2))
    network = Network(layers, ACTIVATIONS[name], HalfSquaredError(), alpha=1.0)
    rows = Block(rng.normal(size=(400, 3)).astype(dtype), rng.normal(size=(400, 2)).astype(dtype))
    learner = Learner(network, SGD(), 4)
    replica = Replica.at(rng.normal(size=layers.size).astype(dtype), learner.update)
    course = Course(learner, replica, rows, None)
    trained, total = learned(course, n_threads, (1.0, 1), rate=1e6)
    assert not np.isfinite(total)
    assert 0 < trained.n_updates < 100
    assert replica.is_finite


@pytest.mark.timeout(20)
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_an_error_on_a_thread_reaches_the_caller(n_threads, rng):
    layers = Layers((3, 1))
    learner = Learner(Network(layers, ACTIVATIONS["tanh"], HalfSquaredError()), SGD(), 8)
    rows = Block(rng.normal(size=(16, 3)), rng.normal(size=(16, 2)))  # one target too many
    replica = Replica.at(np.zeros(layers.size), learner.update)
    with pytest.raises(ValueError, match="reshape"):
        learned(Course(learner, replica, rows, None), n_threads, (1.0, 1))


@pytest.mark.parametrize("order", [None, np.arange(0)])
def test_no_rows_teach_nothing(order):
    layers = Layers((3, 2, 1))
    learner = Learner(Network(layers, ACTIVATIONS["tanh"], HalfSquaredError()), Adam(), 8)
    replica = Replica.at(np.ones(layers.size), learner.update)
    rows = Block(np.empty((0, 3)), np.empty((0, 1)))
    trained = learned(Course(learner, replica, rows, order))
    assert_same(trained, (replica, 0.0))


@given(st.integers(1, 10**5), st.lists(st.integers(1, 10**4), min_size=2, max_size=4))
def test_shards_are_as_many_as_the_shapes_alone_say(batch_size, units):
    network = Network(Layers(tuple(units)), ACTIVATIONS["tanh"], HalfSquaredError())
    n_shards = Learner(network, SGD(), batch_size).n_shards
    assert n_shards in (1, 2, 4, 8, 16)
    assert n_shards == 1 or batch_size >= 100 * n_shards
    assert n_shards <= Learner(network, SGD(), 2 * batch_size).n_shards


@pytest.mark.parametrize(
    ("batch_size", "units", "n_shards"),
    [
        (200, (784, 256, 10), 2),
        (200, (68, 64, 32, 1), 1),
        (199, (784, 1024, 1024, 10), 1),
        (500, (784, 1024, 1024, 10), 4),
        (10_000, (784, 1024, 1024, 10), 16),
    ],
)
def test_a_shard_has_enough_work_and_enough_rows(batch_size, units, n_shards):
    network = Network(Layers(units), ACTIVATIONS["tanh"], HalfSquaredError())
    assert Learner(network, SGD(), batch_size).n_shards == n_shards
