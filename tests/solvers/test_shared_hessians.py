"""Hessians that models of several strengths and splits share."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators.solvers.path_rows import Tilted
from dlbd_estimators.solvers.shared_hessians import SharedHessians
from tests.solvers.test_path_newton import penalty_of, tilted_of, without_shift


@pytest.fixture
def formed(monkeypatch):
    """The weights, models and precisions of all Hessians that are formed."""
    calls, plain = [], Tilted.hessian

    def recorded(self, weight, model, dtype="float64"):
        calls.append((weight, model, dtype))
        return plain(self, weight, model, dtype)

    monkeypatch.setattr(Tilted, "hessian", recorded)
    return calls


def everything(hessians):
    return np.ones(hessians._own.shape, dtype=bool)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_steps_are_those_of_the_shared_hessian_and_of_each_penalty(n_classes, formed, rng):
    tilted, packing = tilted_of(n_classes, rng)
    penalty = penalty_of(packing)
    models = without_shift(0.01 * rng.normal(size=penalty.shape), packing)
    hessians = SharedHessians(tilted, models, penalty)
    [(weight, model, dtype)] = formed
    assert dtype == "float32"
    np.testing.assert_allclose(weight, tilted.weights.mean(axis=0))
    np.testing.assert_allclose(model, models.mean(axis=(0, 1)))
    gradient = without_shift(rng.normal(size=models.shape), packing)
    wanted = everything(hessians)
    wanted[1, 2] = False
    steps = hessians.steps(gradient, wanted)
    assert not steps[1, 2].any()
    hessian = tilted.hessian(weight, model)
    for split, strength in ((0, 0), (1, 1), (2, 2)):
        full = hessian + np.diag(penalty[split, strength])
        product = full @ steps[split, strength]
        np.testing.assert_allclose(product, -gradient[split, strength], rtol=1e-3, atol=1e-4)
    by_class = steps.reshape(3, 3, *packing.shape)
    if n_classes > 2:
        np.testing.assert_allclose(by_class.sum(axis=2), 0.0, atol=1e-15 * np.abs(steps).max() * 9)


def test_strengths_with_other_predictions_get_another_hessian(formed, rng):
    tilted, packing = tilted_of(2, rng)
    penalty = penalty_of(packing)
    models = np.zeros_like(penalty)
    models[:, 1:] = [3.0, 0.0, 0.0, 0.0, 0.0]
    SharedHessians(tilted, models, penalty)
    assert [model[0] for _, model, _ in formed] == [0.0, 3.0]
    formed.clear()
    models[2, 0, 0] = 8.0  # this split is far from the mean of its strength
    hessians = SharedHessians(tilted, models, penalty)
    assert hessians._own[:, 0].all()
    assert not hessians._own[:, 1:].any()
    assert [model[0] for _, model, _ in formed[-3:]] == [0.0, 0.0, 8.0]
    np.testing.assert_array_equal(formed[-1][0], tilted.weights[2])


def test_a_hessian_is_renewed_where_models_move_far_or_their_steps_are_slow(formed, rng):
    tilted, packing = tilted_of(2, rng)
    penalty = penalty_of(packing)
    models, none = np.zeros_like(penalty), np.zeros((3, 3), dtype=bool)
    hessians = SharedHessians(tilted, models, penalty)

    def renewed(moved, slow):
        """Move strength 1, and return the number of Hessians formed."""
        models[:, 1, 0] += moved
        formed.clear()
        hessians.renew(models, everything(hessians), slow)
        return len(formed)

    slow = none.copy()
    slow[0, 1] = True
    assert renewed(0.1, none) == 0
    assert renewed(0.0, slow) == 1  # shared by all splits: the model was far for slow steps
    assert formed[0][1][0] == pytest.approx(0.1)
    assert not hessians._own.any()
    assert renewed(0.5, none) == 1
    assert renewed(0.0, slow) == 1  # near its point: only another Hessian than the others' can help
    np.testing.assert_array_equal(formed[0][0], tilted.weights[0])
    assert np.argwhere(hessians._own).tolist() == [[0, 1]]
    assert renewed(0.0, slow) == 1
    assert renewed(0.5, none) == 1  # of the two splits that still share one
    models[:, 1, 0] += 2.0
    formed.clear()
    hessians.renew(models, none, none)  # no model makes another step
    assert not formed


@pytest.mark.parametrize("reason", ["dependent", "overflow"])
def test_float64_where_float32_is_not_enough(reason, formed, rng):
    tilted, packing = tilted_of(2, rng)
    if reason == "dependent":
        tilted.X[:, 1] = tilted.X[:, 0] + 1e-3 * tilted.X[:, 1]
    else:
        tilted.X[:, 1] *= 1e25
    penalty = penalty_of(packing, np.array([1e-8]))
    models = np.zeros_like(penalty)
    with np.errstate(over="ignore"):
        hessians = SharedHessians(tilted, models, penalty)
    assert [dtype for *_, dtype in formed] == ["float32", "float64"]
    formed.clear()
    slow = np.zeros((3, 1), dtype=bool)
    slow[1] = True
    hessians.renew(models, everything(hessians), slow)
    assert [dtype for *_, dtype in formed] == ["float64"]  # float32 is not tried again
