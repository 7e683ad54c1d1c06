"""A fit that is stopped, saved and resumed goes the way of one that never stopped."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbd_estimators.engine.packed_file import pack, unpack
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.linear_model.choose_solver import SOLVERS
from dlbd_estimators.solvers import Status, minimize
from dlbd_estimators.solvers.saving import from_bytes, from_facts, to_bytes, to_facts
from tests.solvers.test_together import OF_NUMBERS, classes, fit, numbers
from tests.strategies import random_generators


def outcome(one):
    with warnings.catch_warnings(), ThreadExecutor(1) as executor:
        warnings.simplefilter("ignore")  # of steps that do not suffice
        return minimize(executor, one)


@pytest.mark.parametrize("name", SOLVERS)
@given(random_generators(), st.integers(1, 6), st.floats(-3, 3))
@settings(max_examples=6)
def test_a_fit_resumed_at_any_step_has_the_bits_of_one_never_stopped(name, rng, stop_at, power):
    of_numbers = name in OF_NUMBERS and (name != "lbfgs" or rng.random() < 0.5)
    blocks = (numbers if of_numbers else classes)(rng)

    def this(**more):
        return fit(name, blocks, 10.0**power, **more)

    whole = outcome(this())
    stopped = outcome(this(on_step=lambda state, _: state.n_iter == stop_at))
    if stopped.status is not Status.STOPPED:
        assert whole.n_iter <= stop_at
        return
    state = from_bytes(SOLVERS[name](), to_bytes(stopped.state))
    resumed = outcome(replace(this(), start=state))
    np.testing.assert_array_equal(resumed.parameters, whole.parameters)
    assert resumed.status is whole.status
    assert stopped.history + resumed.history == whole.history
    assert to_bytes(resumed.state) == to_bytes(whole.state)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_state_comes_back_as_it_was(name, rng):
    blocks = (numbers if name in OF_NUMBERS else classes)(rng)
    states = []
    outcome(fit(name, blocks, before_step=states.append))
    for state in states:
        again = from_bytes(SOLVERS[name](), to_bytes(state))
        assert type(again) is type(state) is SOLVERS[name].state
        assert repr(again) == repr(state)
        assert to_bytes(again) == to_bytes(state)


def test_a_value_without_an_annotation_comes_back_as_it_was():
    value = (1, "text", None, np.float32(0.5), (np.arange(3.0), True))
    arrays = []
    facts = to_facts(value, arrays)
    again = from_facts(facts, arrays, Any)
    assert again[:4] == value[:4]
    assert type(again[3]) is np.float32
    np.testing.assert_array_equal(again[4][0], value[4][0])
    assert again[4][1] is True


#: Of the fields of a state, by name.
WRONG = {
    "parameters": {"array": 10**9},
    "value": "1.0",
    "n_iter": 1.5,
    "rests": 1,
    "error_is": None,
    "status": {"name": "NONE"},
    "shortened": {"name": ["CONVERGED"]},
    "known": {"fields": []},
    "dependent": {"tuple": {"0": 1}},
}


def test_what_is_no_state_of_a_solver_is_refused(rng):
    states = []
    outcome(fit("newton", classes(rng), before_step=states.append))
    data = to_bytes(states[-1])
    with pytest.raises(ValueError, match="not the fields of LBFGSState"):
        from_bytes(SOLVERS["lbfgs"](), data)
    facts, arrays = unpack(data)
    for name, wrong in WRONG.items():
        held = {**facts["fields"], name: wrong}
        with pytest.raises(ValueError, match=r"There is no array|is not a value of"):
            from_bytes(SOLVERS["newton"](), b"".join(pack({"fields": held}, arrays)))
