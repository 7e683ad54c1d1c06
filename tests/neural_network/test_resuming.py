"""Training that is stopped, saved and resumed has the bits of one that never stopped."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlbd_estimators.engine.cluster import ClusterExecutor
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.neural_network import perceptron as module
from dlbd_estimators.solvers import Status, minimize
from dlbd_estimators.solvers.random_states import freeze, set_to, thaw
from dlbd_estimators.solvers.saving import from_bytes, to_bytes
from tests.inputs import in_chunks, perceptron, task

N_EPOCHS = 6
SOLVERS = [
    {"solver": "adam"},
    {"solver": "sgd", "learning_rate": "invscaling"},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5, "tol": 0.1,
     "n_iter_no_change": 1},
]  # fmt: skip
ROWS = [
    {},
    {"chunks": 40},
    {"chunks": 40, "n_replicas": 3, "batch_size": 20, "buffer_size": 2 * 40 * 5 * 8},
]
OPTIONS = st.builds(
    lambda *parts: {name: value for part in parts for name, value in part.items()},
    st.sampled_from(SOLVERS),
    st.sampled_from(ROWS),
    st.fixed_dictionaries({"early_stopping": st.booleans(), "shuffle": st.booleans()}),
)


def fit_of(kind, *, chunks=None, dtype=np.float64, max_iter=N_EPOCHS, **options):
    """What an estimator asks the driver for."""
    asked = []

    def record(executor, fit):
        asked.append(fit)
        return minimize(executor, fit)

    X, y = task(kind, n=160)
    data = (X.astype(dtype), y) if chunks is None else in_chunks(chunks, X.astype(dtype), y)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cut short
        patch.setattr(module, "minimize", record)
        perceptron(kind, max_iter=max_iter, **options).fit(*data)
    return replace(asked[0], clock=float, before_step=None, on_step=None)


def run(fit, executor=None, **more):
    with warnings.catch_warnings(), executor or ThreadExecutor(2) as running:
        warnings.simplefilter("ignore")
        return minimize(running, replace(fit, **more))


def check_resumed(fit, stop_at, executor_of=lambda: None):
    whole = run(fit, executor_of())
    stopped = run(fit, executor_of(), on_step=lambda state, _: state.n_iter == stop_at)
    if stopped.status is not Status.STOPPED:
        assert whole.n_iter <= stop_at
        return
    state = from_bytes(fit.solver, to_bytes(stopped.state))
    assert type(state) is fit.solver.state
    assert to_bytes(state) == to_bytes(stopped.state)
    resumed = run(fit, executor_of(), start=state)
    np.testing.assert_array_equal(resumed.parameters, whole.parameters)
    assert resumed.status is whole.status
    assert stopped.history + resumed.history == whole.history
    assert to_bytes(resumed.state) == to_bytes(whole.state)


@given(
    st.sampled_from(["classes", "number"]),
    st.sampled_from([np.float32, np.float64]),
    OPTIONS,
    st.integers(1, N_EPOCHS - 1),
)
@example("classes", np.float32, {"early_stopping": True, "chunks": 40, "n_replicas": 2}, 3)
@settings(max_examples=12)
def test_training_resumed_at_any_epoch_has_the_bits_of_one_never_stopped(
    kind, dtype, options, stop_at
):
    check_resumed(fit_of(kind, dtype=dtype, **options), stop_at)


def test_a_cluster_resumes_with_the_same_bits(client):
    fit = fit_of("classes", chunks=80, n_replicas=2, early_stopping=True, max_iter=3)
    check_resumed(fit, 2, lambda: ClusterExecutor(client))


def test_a_file_names_generators_alone():
    with pytest.raises(ValueError, match="no generator 'test'"):
        thaw((("bit_generator", "test"),))


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.PCG64, np.random.Philox])
def test_a_random_state_that_is_thawed_goes_on_as_it_would_have(kind):
    whole = np.random.RandomState(kind(3))
    whole.normal(size=3)  # which leaves half of a pair behind
    frozen, other = freeze(whole), np.random.RandomState(kind(4))
    again = thaw(frozen)
    set_to(other, frozen)
    for each in (again, other):
        assert repr(freeze(each)) == repr(frozen)
    np.testing.assert_array_equal(again.normal(size=9), other.normal(size=9))
    np.testing.assert_array_equal(whole.permutation(9), thaw(frozen).permutation(9))
