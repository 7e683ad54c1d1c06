"""Lazy data are read block by block, and learned from like rows in memory."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from dlbd_estimators.blocks import held_out
from dlbd_estimators.engine import rounds
from dlbd_estimators.kernels import learner
from tests.blocks.test_dask_blocks import unknown
from tests.inputs import CLASSES, LAZY, NUMBERS, as_kind, flat, in_chunks, perceptron, task
from tests.strategies import cuts

KINDS = [*CLASSES, *NUMBERS]

# All fits are cut short: bits are the same from the first epoch, and so is what is learned.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fit(kind, *data, **options):
    return perceptron(kind, **{"max_iter": 3, "batch_size": 32, **options}).fit(*data)


def assert_same_bits(mine, other):
    np.testing.assert_array_equal(flat(mine), flat(other))
    assert mine.loss_curve_ == other.loss_curve_
    assert mine.validation_scores_ == other.validation_scores_


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_in_one_buffer_are_learned_from_like_rows_in_memory(kind, solver):
    X, y = task(kind, n=800)
    options = {"solver": solver, "max_iter": 15, "learning_rate_init": 0.02}
    eager = fit(kind, X, y, **options)
    lazy = fit(kind, *in_chunks(100, X, y), **options)
    gain = eager.loss_curve_[0] - eager.loss_
    assert gain > 0
    assert lazy.loss_ == pytest.approx(eager.loss_, abs=0.1 * gain)
    assert lazy.score(X, y) == pytest.approx(eager.score(X, y), abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_without_an_order_one_buffer_is_rows_in_memory_bit_by_bit(kind, solver):
    X, y = task(kind)
    weight = np.random.default_rng(2).integers(0, 3, len(X)).astype(float)
    options = {"solver": solver, "shuffle": False}
    eager = fit(kind, X, y, weight, **options)
    assert_same_bits(fit(kind, *in_chunks(64, X, y, weight), **options), eager)


@settings(max_examples=15)
@given(cuts(160), st.integers(1, 3), st.booleans(), st.booleans())
def test_any_cut_sees_every_row_once_an_epoch(sizes, n_replicas, hidden, early_stopping):
    """One-row and empty blocks too, of known length and of unknown."""
    X, y = task("number", n=160)
    lazy = da.from_array(X, chunks=(sizes, 5)), da.from_array(y, chunks=(sizes,))
    if hidden:
        lazy = tuple(map(unknown, lazy))
    n_blocks = len(sizes) if hidden else np.count_nonzero(sizes)
    model = fit(
        "number",
        *lazy,
        n_replicas=min(n_replicas, int(n_blocks)),
        early_stopping=early_stopping,
        validation_fraction=0.3,
        buffer_size=2 * 8 * 5 * max(sizes),
        max_iter=2,
    )
    if not early_stopping:
        assert model.t_ == 2 * 160
    assert np.isfinite(model.loss_curve_).all()


@pytest.mark.parametrize("n_replicas", [1, 2])
def test_rounds_without_rows_change_nothing(n_replicas):
    """What is left of many chunks of which a filter kept a few."""
    X, y = task("number", n=300)
    keep = da.arange(300, chunks=5) < 15
    lazy = [array[keep] for array in in_chunks(5, X, y)]
    options = {"n_replicas": n_replicas, "buffer_size": 2 * 5 * 5 * 8, "batch_size": 5}
    model = fit("number", *lazy, **options)
    assert model.history_[0]["rounds"] > 1
    assert model.t_ == 3 * 15
    assert np.isfinite(flat(model)).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("data", LAZY)
def test_any_kind_of_lazy_input_is_learned_from(data, weighted):
    X, y = task("classes", n=700)
    weight = np.random.default_rng(1).integers(1, 4, len(X)).astype(float) if weighted else None
    options = {"max_iter": 8, "learning_rate_init": 0.02}
    model = fit("classes", *as_kind(data, X, y, weight), **options)
    expected = fit("classes", X, y, weight, **options)
    assert model.t_ == 8 * 700
    assert model.loss_ == pytest.approx(expected.loss_, rel=0.15)


def test_targets_and_weights_are_cut_as_the_features_are():
    X, y = task("classes", n=700)
    weight = np.random.default_rng(1).integers(1, 4, len(X)).astype(float)
    aligned = fit("classes", *as_kind("dask", X, y, weight))
    assert_same_bits(fit("classes", *as_kind("misaligned", X, y, weight)), aligned)
    assert_same_bits(fit("classes", *as_kind("columns", X, y, weight)), aligned)
    assert_same_bits(fit("classes", *as_kind("mixed", X, y, weight)), aligned)


def test_unknown_lengths_change_no_bit():
    X, y = in_chunks(70, *task("counts"))
    for options in ({}, {"n_replicas": 2}, {"early_stopping": True}):
        assert_same_bits(fit("counts", unknown(X), unknown(y), **options),
                         fit("counts", X, y, **options))  # fmt: skip


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, bool])
def test_integers_are_numbers(dtype):
    X, y = task("binary")
    X = (3 * np.abs(X)).astype(np.int8).astype(dtype)
    model = fit("binary", *in_chunks(70, X, y))
    assert_same_bits(model, fit("binary", *in_chunks(70, X.astype(float), y)))
    assert model.coefs_[0].dtype == np.float64


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_float32_stays_float32_and_halves_what_is_read(solver):
    X, y = task("counts")
    narrow, wide = (
        fit("counts", *in_chunks(70, X.astype(t), y.astype(t)), solver=solver)
        for t in (np.float32, np.float64)
    )
    assert {part.dtype for part in narrow.coefs_ + narrow.intercepts_} == {np.dtype(np.float32)}
    assert narrow.predict(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(narrow.loss_curve_, wide.loss_curve_, rtol=1e-3)
    if solver != "lbfgs":
        assert narrow.history_[-1]["bytes_read"] < 0.7 * wide.history_[-1]["bytes_read"]


@pytest.mark.parametrize(("size", "fills"), [(2 * 4000, 10), ("16 kB", 5), (10**6, 1), ("auto", 1)])
def test_the_buffer_holds_what_it_was_given_room_for(size, fills, monkeypatch):
    X, y = in_chunks(100, *task("number", n=1000))
    seen = []

    def run(training, *args):
        seen.append([len(fill) for fill in training.fills])
        return train_replica(training, *args)

    train_replica = rounds.train_replica
    monkeypatch.setattr(rounds, "train_replica", run)
    fit("number", X, y, buffer_size=size, max_iter=1)
    assert sum(map(sum, seen)) == 10
    assert sum(map(len, seen)) == fills
    assert max(map(max, seen)) == 10 // fills
    assert len(seen) == -(-fills // 8)


@pytest.mark.parametrize("n_replicas", [1, 2])
@pytest.mark.parametrize("kind", ["classes", "number"])
def test_sorted_data_train_as_well_as_others(kind, n_replicas):
    X, y = task(kind, n=2000)
    order = np.argsort(y, kind="stable")
    options = {
        "n_replicas": n_replicas,
        "buffer_size": 2 * 8 * 100 * 5 * 8,
        "max_iter": 20,
        "learning_rate_init": 0.02,
    }
    mixed = fit(kind, *in_chunks(100, X, y), **options)
    in_order = fit(kind, *in_chunks(100, X[order], y[order]), **options)
    assert in_order.score(X, y) == pytest.approx(mixed.score(X, y), abs=0.1)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("n_replicas", [1, 2, 3])
def test_any_number_of_threads_gives_the_same_bits(n_replicas, early_stopping, monkeypatch):
    # Replicas alone have threads left, if a batch is worth some.
    monkeypatch.setattr(learner, "_SHARD_FLOPS", 2e3)
    monkeypatch.setattr(learner, "_SHARD_ROWS", 1)
    X, y = in_chunks(60, *task("classes", n=500))
    options = {"n_replicas": n_replicas, "early_stopping": early_stopping, "solver": "adam"}
    options |= {"buffer_size": 2 * 2 * 60 * 5 * 8}
    models = []
    for n_threads in (0, 1, 2, 4):
        scheduler = "threads" if n_threads else "synchronous"
        with dask.config.set(scheduler=scheduler, num_workers=n_threads or None):
            models.append(fit("classes", X, y, **options))
    for model in models[1:]:
        assert_same_bits(model, models[0])


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_any_number_of_threads_gives_the_same_bits_in_memory(solver, monkeypatch):
    monkeypatch.setattr(learner, "_SHARD_FLOPS", 1e4)
    monkeypatch.setattr(learner, "_SHARD_ROWS", 1)
    X, y = task("classes")
    models = []
    for n_threads in (1, 2, 3):
        with threadpool_limits(n_threads, user_api="blas"):
            models.append(fit("classes", X, y, solver=solver, hidden_layer_sizes=(200, 90)))
    for model in models[1:]:
        assert_same_bits(model, models[0])


@pytest.mark.parametrize("n_replicas", [1, 3])
def test_random_state_says_all(n_replicas):
    X, y = in_chunks(60, *task("classes"))
    models = [
        fit("classes", X, y, n_replicas=n_replicas, random_state=state)
        for state in (3, np.random.RandomState(3), 4)
    ]
    assert_same_bits(models[0], models[1])
    assert not np.array_equal(flat(models[0]), flat(models[2]))


def test_plain_averages_of_replicas_with_the_same_data_are_one_replica():
    X, y = task("number", n=200)
    twice = [np.concatenate([array, array]) for array in (X, y)]
    options = {"shuffle": False, "outer_learning_rate": 1.0, "outer_momentum": 0.0}
    one = fit("number", *in_chunks(200, X, y), **options)
    two = fit("number", *in_chunks(200, *twice), n_replicas=2, **options)
    np.testing.assert_allclose(flat(two), flat(one), rtol=1e-12)
    np.testing.assert_allclose(two.loss_curve_, one.loss_curve_, rtol=1e-12)


@pytest.fixture
def parts(monkeypatch):
    """What training sees and what is held out, once a fit has split its blocks."""
    last = []

    def hold_out(*args):
        last[:] = held_out.hold_out(*args)
        return last

    monkeypatch.setattr("dlbd_estimators.neural_network.training_rows.hold_out", hold_out)
    return last


def test_rows_held_out_are_not_trained_on(parts):
    X, y = task("number", n=400)
    options = {"early_stopping": True, "validation_fraction": 0.25}
    model = fit("number", *in_chunks(80, X, y), **options)
    rows = np.concatenate([80 * i + parts[1].loader.choose(i, 80) for i in range(5)])
    y[rows] += 10.0
    other = fit("number", *in_chunks(80, X, y), **options)
    assert other.loss_curve_ == model.loss_curve_
    assert other.validation_scores_ != model.validation_scores_
    assert model.t_ == 3 * (400 - len(rows))


def test_a_validation_score_is_of_the_rows_held_out_and_the_best_is_kept(parts):
    X, y = task("classes")
    model = fit("classes", *in_chunks(60, X, y), early_stopping=True, learning_rate_init=0.1)
    rows = np.concatenate([60 * i + parts[1].loader.choose(i, 60) for i in range(5)])
    assert model.best_validation_score_ == pytest.approx(model.score(X[rows], y[rows]))
    assert model.best_validation_score_ == max(model.validation_scores_)
