"""A copy of a frozen data class equals that of ``dataclasses.replace``."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from dlbd_estimators.blocks.block import from_arrays
from dlbd_estimators.kernels.losses import HalfSquaredError
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.solvers.evaluation import Known
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.smooth.newton import NewtonState


def problem_of(n_rows):
    blocks = from_arrays(np.ones((n_rows, 2)), np.ones(n_rows), None)
    return Problem(blocks, HalfSquaredError(), L2(), Packing(1, 2, True), name="test")


@pytest.mark.parametrize("changes", [{}, {"value": 2.0}, {"known": Known(3.0), "rank": 4}])
def test_a_copy_has_the_new_values_and_all_others(changes):
    state = NewtonState(np.zeros(3), best=0.5)
    before = dict(vars(state))
    copy = replace(state, **changes)
    assert vars(copy) == vars(dataclasses.replace(state, **changes))
    assert type(copy) is NewtonState
    assert copy is not state
    assert vars(state) == before
    assert vars(pickle.loads(pickle.dumps(copy))).keys() == before.keys()
    with pytest.raises(dataclasses.FrozenInstanceError):
        copy.value = 1.0


def test_values_that_follow_from_fields_are_computed_again():
    problem = problem_of(3)
    assert replace(problem, blocks=problem_of(5).blocks).n_rows == 5


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match=r"NewtonState has no field length, size\.$"):
        replace(NewtonState(np.zeros(3)), value=1.0, size=2, length=3)
