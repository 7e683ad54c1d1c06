"""L-BFGS in passes: the minimum, however the rows are cut, and as many passes as it says."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn import linear_model, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from dlbd_estimators.blocks.block import ArrayLoader, Blocks, from_arrays
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.activations import ACTIVATIONS
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfSquaredError
from dlbd_estimators.kernels.network import Layers, Network
from dlbd_estimators.solvers import Fit, Status, minimize
from dlbd_estimators.solvers.saving import from_bytes, to_bytes
from dlbd_estimators.solvers.stochastic import line_search
from dlbd_estimators.solvers.stochastic.full_batch import FullBatch, FullBatchLBFGS
from tests.inputs import task
from tests.strategies import cuts


def found(network, blocks, start=None, *, tol=1e-8, max_iter=2000, max_fun=15000, **hooks):
    """The solution, and how often the data were passed over."""
    clock = itertools.count()
    start = np.zeros(network.layers.size) if start is None else start
    with ThreadExecutor(1) as executor:
        sweep, passes = executor.sweep, []
        executor.sweep = lambda asked, *more: (
            passes.extend(each.name for each in asked) or sweep(asked, *more)
        )
        fit = Fit(
            FullBatchLBFGS(max_fun),
            FullBatch(blocks, network, "test"),
            start,
            tol=tol,
            max_iter=max_iter,
            clock=lambda: float(next(clock)),
            **hooks,
        )
        return minimize(executor, fit), passes


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
    assert result.state.value == pytest.approx(least, rel=1e-7)
    minimum = np.append(model.coef_, model.intercept_)
    np.testing.assert_allclose(result.parameters, minimum, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("alpha", [1e-2, 3.0])
@pytest.mark.parametrize("far", [0.0, 5.0])
def test_steps_and_evaluations_are_those_of_scipy(alpha, far):
    X, y = task("binary")
    X, y = X * [1.0, 1.0, 2.0, 3.0, 5.0], y.astype(float)

    def objective(w):
        raw = X @ w[:5] + w[5]
        residual = (special.expit(raw) - y) / len(X)
        value = np.mean(np.logaddexp(0.0, raw) - y * raw) + alpha / 2 * w[:5] @ w[:5] / len(X)
        return value, np.append(residual @ X + alpha * w[:5] / len(X), residual.sum())

    start = far * np.random.default_rng(0).normal(size=6)
    result, passes = found(logistic(alpha), from_arrays(X, y, None), start, tol=1e-6)
    other = optimize.minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-6, "maxcor": 10}
    )
    assert (result.n_iter, len(passes)) == (other.nit, other.nfev)
    assert result.state.n_evaluations == other.nfev
    np.testing.assert_allclose(result.parameters, other.x, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_the_last_step_is_that_of_scipy_whatever_the_size_of_the_objective(size):
    """Its gain is a small share of the value, or of 1 if the value is smaller than 1."""
    X, _ = task("number")
    y = size * (X @ np.arange(1.0, 6.0) + np.random.default_rng(0).normal(size=len(X)))
    network = Network(Layers((5, 1)), ACTIVATIONS["tanh"], HalfSquaredError(), 0.0)

    def objective(w):
        residual = X @ w[:5] + w[5] - y
        gradient = np.append(residual @ X, residual.sum()) / len(X)
        return 0.5 * np.mean(residual**2), gradient

    result, passes = found(network, from_arrays(X, y, None), tol=0.0)
    options = {"gtol": 0.0, "maxcor": 10}
    other = optimize.minimize(objective, np.zeros(6), jac=True, method="L-BFGS-B", options=options)
    assert result.status is Status.CONVERGED
    assert (result.n_iter, len(passes)) == (other.nit, other.nfev)
    np.testing.assert_allclose(result.parameters, other.x, rtol=1e-4, atol=1e-6 * size)


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
    assert result.state.value == pytest.approx(theirs.loss_, rel=1e-6)


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
    assert passes == [f"test-lbfgs-pass-{n}" for n in range(1, int(result.n_passes) + 1)]
    table = {key: [entry[key] for entry in result.history] for key in result.history[0]}
    assert list(table) == ["iteration", "pass", "loss", "seconds", "bytes_read"]
    assert table["iteration"] == list(range(1, result.n_iter + 1))
    for name in ("pass", "seconds", "bytes_read"):
        assert table[name] == sorted(table[name])
    assert table["loss"] == sorted(table["loss"], reverse=True)
    assert table["loss"][-1] == result.state.value
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
    assert (state.value, state.n_iter) == (result.state.value, result.n_iter)
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


@settings(max_examples=8)
@given(st.integers(0, 5), st.integers(1, 12), st.sampled_from(["tanh", "relu"]))
def test_a_fit_resumed_at_any_step_has_the_bits_of_one_never_stopped(seed, stop_at, activation):
    X, y = task("number", n=60)
    network = Network(Layers((5, 3, 1)), ACTIVATIONS[activation], HalfSquaredError(), 0.1)
    start = np.random.default_rng(seed).normal(size=network.layers.size)
    blocks = from_arrays(X, y, None)

    def this(begin, **hooks):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return found(network, blocks, begin, max_iter=20, **hooks)[0]

    whole = this(start)
    stopped = this(start, on_step=lambda state, _: state.n_iter == stop_at)
    if stopped.status is not Status.STOPPED:
        assert whole.n_iter <= stop_at
        return
    resumed = this(from_bytes(FullBatchLBFGS(1), to_bytes(stopped.state)))
    np.testing.assert_array_equal(resumed.parameters, whole.parameters)
    assert to_bytes(resumed.state) == to_bytes(whole.state)
    assert [entry["loss"] for entry in stopped.history + resumed.history] == [
        entry["loss"] for entry in whole.history
    ]


class Wrong(Network):
    """Gives a gradient that points uphill once it has been asked so often."""

    def value_and_gradient(self, *rows):
        value = super().value_and_gradient(*rows)
        ASKED.append(value)
        if len(ASKED) > 5:
            rows[-1].gradient *= -1.0
        return value


ASKED: list[float] = []


def test_where_no_step_is_better_the_fit_ends_with_a_warning(monkeypatch):
    # Rounding decides whether a longer search ends at its limit, or at a step of no length.
    monkeypatch.setattr(line_search, "_MOST_TRIALS", 1)
    X, y = task("binary")
    ASKED.clear()
    network = Wrong(Layers((5, 1)), ACTIVATIONS["tanh"], HalfBinomialLoss(), 1e-2)
    with pytest.warns(ConvergenceWarning, match="no step reduces the loss"):
        result, passes = found(network, from_arrays(X, y.astype(float), None))
    assert result.status is Status.STALLED
    assert result.n_iter == len(result.history)
    assert result.n_passes == len(passes)


@pytest.mark.filterwarnings("ignore:Training interrupted by user")
def test_an_interrupt_leaves_the_steps_that_were_made():
    def on_step(state, _entry):
        if state.n_iter == 3:
            raise KeyboardInterrupt

    X, y = task("binary")
    blocks = from_arrays(X, y.astype(float), None)
    result, _ = found(logistic(1.0), blocks, on_step=on_step)
    assert result.status is Status.INTERRUPTED
    expected, _ = found(logistic(1.0), blocks, on_step=lambda state, _: state.n_iter == 3)
    np.testing.assert_array_equal(result.parameters, expected.parameters)
