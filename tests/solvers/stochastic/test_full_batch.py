"""L-BFGS in passes: the minimum, however the rows are cut, and as many passes as it says."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn import linear_model, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from dlbd_estimators.blocks.block import ArrayLoader, Blocks, from_arrays
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.activations import ACTIVATIONS
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfSquaredError
from dlbd_estimators.kernels.network import Layers, Network
from dlbd_estimators.solvers.stochastic.full_batch import minimize_in_passes
from tests.inputs import task
from tests.strategies import cuts


def found(network, blocks, start=None, *, tol=1e-8, max_iter=2000, max_fun=15000, **hooks):
    """The result, and how often the data were passed over."""
    clock = itertools.count()
    start = np.zeros(network.layers.size) if start is None else start
    with ThreadExecutor(1) as executor:
        map_reduce, passes = executor.map_reduce, []
        executor.map_reduce = lambda *args, **names: (
            passes.append(names["name"]) or map_reduce(*args, **names)
        )
        result = minimize_in_passes(
            executor,
            network,
            blocks,
            start,
            tol=tol,
            max_iter=max_iter,
            max_fun=max_fun,
            name="test",
            clock=lambda: float(next(clock)),
            **hooks,
        )
    return result, passes


def logistic(alpha, n_features=5):
    return Network(Layers((n_features, 1)), ACTIVATIONS["tanh"], HalfBinomialLoss(), alpha)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [1e-2, 1.0, 30.0])
def test_without_hidden_layers_it_finds_the_minimum(alpha, weighted):
    X, y = task("binary")
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X)) if weighted else None
    result, _ = found(logistic(alpha), from_arrays(X, y.astype(float), weight))
    model = linear_model.LogisticRegression(C=1 / alpha, tol=1e-12, solver="newton-cholesky")
    model.fit(X, y, weight)
    least = log_loss(y, model.predict_proba(X), sample_weight=weight)
    total = len(X) if weight is None else weight.sum()
    least += alpha / 2 * float((model.coef_**2).sum()) / total
    assert result.value == pytest.approx(least, rel=1e-7)
    minimum = np.append(model.coef_, model.intercept_)
    np.testing.assert_allclose(result.parameters, minimum, rtol=1e-3, atol=1e-3)


def test_with_hidden_layers_it_ends_where_scikit_learn_does():
    X, y = task("number")
    theirs = neural_network.MLPRegressor(
        hidden_layer_sizes=(3,), activation="tanh", solver="lbfgs", alpha=0.5, tol=1e-7,
        max_iter=5000, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one step, for where it begins
        theirs.set_params(max_fun=1, max_iter=1).fit(X, y)
    network = Network(Layers((5, 3, 1)), ACTIVATIONS["tanh"], HalfSquaredError(), 0.5)
    start = network.layers.pack(theirs.coefs_, theirs.intercepts_)
    theirs.set_params(warm_start=True, max_fun=15000, max_iter=5000).fit(X, y)
    result, _ = found(network, from_arrays(X, y, None), start, tol=1e-7)
    assert result.value == pytest.approx(theirs.loss_, rel=1e-6)


@settings(max_examples=10)
@given(cuts(300, empty=False))
def test_the_cut_of_the_rows_changes_nothing_but_bits(sizes):
    X, y = task("binary")
    whole = Blocks(ArrayLoader(X, y.astype(float), None, (0, 300)), 1, 5, (300,), None)
    bounds = (0, *np.cumsum(sizes).tolist())
    cut = Blocks(ArrayLoader(X, y.astype(float), None, bounds), len(sizes), 5, sizes, None)
    (one, _), (other, _) = found(logistic(1.0), whole), found(logistic(1.0), cut)
    np.testing.assert_allclose(other.parameters, one.parameters, rtol=1e-5, atol=1e-8)


def test_passes_are_counted_and_recorded_by_step():
    X, y = task("binary")
    result, passes = found(logistic(1e-2), from_arrays(X, y.astype(float), None))
    assert passes == [f"test-lbfgs-pass-{n}" for n in range(1, result.n_passes + 1)]
    table = {key: [entry[key] for entry in result.history] for key in result.history[0]}
    assert list(table) == ["iteration", "pass", "loss", "seconds", "bytes_read"]
    assert table["iteration"] == list(range(1, result.n_iter + 1))
    for name in ("pass", "seconds", "bytes_read"):
        assert table[name] == sorted(table[name])
    assert table["loss"] == sorted(table["loss"], reverse=True)
    assert table["loss"][-1] == result.value
    assert table["pass"][-1] <= result.n_passes


@pytest.mark.parametrize("limit", ["max_iter", "max_fun"])
def test_too_few_steps_or_passes_are_told(limit):
    X, y = task("binary")
    with pytest.warns(ConvergenceWarning, match=rf"after \d iteration.*{limit}=3"):
        result, _ = found(logistic(1e-2), from_arrays(X, y.astype(float), None), **{limit: 3})
    assert result.n_iter <= 3


def test_rows_without_any_weight_are_no_problem_to_solve():
    X, y = task("binary")
    with pytest.raises(ValueError, match="sample_weight must not be zero for all rows"):
        found(logistic(1.0), from_arrays(X, y.astype(float), np.zeros(len(X))))


@pytest.mark.parametrize("stop_at", [1, 3, 1000])
def test_it_stops_where_it_is_asked_to_and_nobody_is_warned(stop_at):
    X, y = task("binary")
    begun, ended = [], []

    def on_step(state, entry):
        ended.append((state, entry.entry()))
        return len(ended) == stop_at

    blocks = from_arrays(X, y.astype(float), None)
    result, passes = found(logistic(1.0), blocks, before_step=begun.append, on_step=on_step)
    whole, _ = found(logistic(1.0), blocks)
    assert result.n_iter == len(ended) == min(stop_at, whole.n_iter)
    assert result.n_passes == len(passes)
    state = ended[-1][0]
    np.testing.assert_array_equal(state.parameters, result.parameters)
    assert (state.value, state.n_iter, state.history) == (
        result.value, result.n_iter, result.history,
    )  # fmt: skip
    assert [entry for _, entry in ended] == result.history
    # A step begins where the last one ended, the first at the start.
    np.testing.assert_array_equal(begun[0].parameters, np.zeros(6))
    assert all(before is after for before, (after, _) in zip(begun[1:], ended, strict=False))
    assert len(begun) == len(ended)


def test_a_start_that_is_good_enough_is_a_step_that_ends_nowhere():
    X, y = task("binary")
    begun, ended = [], []
    result, _ = found(
        logistic(1.0), from_arrays(X, y.astype(float), None), tol=1e6,
        before_step=begun.append, on_step=lambda *step: bool(ended.append(step)),
    )  # fmt: skip
    assert (len(begun), ended, result.n_iter, result.n_passes) == (1, [], 0, 1)


def test_stop_iteration_is_an_error_of_who_raises_it():
    def on_step(_state, _entry):
        raise StopIteration

    X, y = task("binary")
    with pytest.raises(RuntimeError, match="return True"):
        found(logistic(1.0), from_arrays(X, y.astype(float), None), on_step=on_step)
