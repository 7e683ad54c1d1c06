"""The scores of a sweep of the search over logistic regressions, and the decision after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.parts import Splits
from dlbd_estimators.kernels.paths import PathSums
from dlbd_estimators.solvers.evaluation import Known
from dlbd_estimators.solvers.path_rows import PathRows
from dlbd_estimators.solvers.smooth.logistic_search import LogisticSearch
from dlbd_estimators.solvers.smooth.logistic_search_state import LogisticSearchState
from dlbd_estimators.solvers.status import Status
from tests.solvers.dense import problem_of

N, ACCURACY = 60, 1e-3
CS, TOTALS = np.array([0.5, 2.0, 8.0]), [40.0, 20.0]
SCALE, CENTRE = np.array([2.0, 0.25]), np.array([3.0, -1.0])
SPLITS = Splits(((0,), (1,)), ((1,), (0,)), (0, 1))
#: Sums over the test rows of two splits, for three strengths. The mean loss is 2, 1 and 4 on the
#: first split, 5, 3 and 2 on the second one: the second strength is the best one on average.
SUMS = PathSums(
    None,
    np.array([4.0, 2.0]),
    np.array([[1.0, 2.0, 3.0], [1.0, 0.5, 1.5]]),
    np.array([[8.0, 4.0, 16.0], [10.0, 6.0, 4.0]]),
)
LOSSES = np.array([[2.0, 1.0, 4.0], [5.0, 3.0, 2.0]])


def search(score="neg_log_loss", *, refit=True):
    return LogisticSearch(CS, SPLITS, None, TOTALS, score=score, refit=refit, accuracy=ACCURACY)


def setting(n_classes=2):
    """Return a problem, the state before a sweep is scored, the models after it, and their tilt."""
    rng = np.random.default_rng(5)
    Z = rng.normal(size=(N, 2))
    y = (Z @ rng.normal(size=(2, n_classes)) + rng.gumbel(size=(N, n_classes))).argmax(axis=1)
    loss = HalfBinomialLoss() if n_classes == 2 else HalfMultinomialLoss()
    problem = problem_of(
        Z * SCALE + CENTRE, y * 1.0, loss, n_outputs=1 if n_classes == 2 else n_classes
    )
    problem = problem.with_known(Known(sum(TOTALS), centre=CENTRE))
    times = np.repeat([[1.0, 0.0], [0.0, 1.0]], [40, 20], axis=0)
    size = (2, len(CS), problem.packing.size)
    state = LogisticSearchState(
        np.zeros(problem.packing.size),
        known=problem.known,
        models=rng.normal(size=size),
        scale=SCALE,
        rows=PathRows(Z, y * 1.0, np.ones(N), np.ones(N), times),
        complete=True,
        status=Status.STALLED,
        shortened=True,
        sweeps=3,
    )
    return problem, state, rng.normal(size=size), 0.01 * rng.normal(size=size)


def after(solver, error, *, problem=None, state=None, models=None, tilt=None):
    """Return the state after a sweep that left this error."""
    plain = setting()
    return solver._scored(
        problem or plain[0],
        state or plain[1],
        SUMS,
        plain[2] if models is None else models,
        plain[3] if tilt is None else tilt,
        error,
    )


def test_scores_are_means_over_the_test_rows():
    losses, accuracies = after(search(), 1.0), after(search("accuracy"), 1.0)
    np.testing.assert_array_equal(losses.scores, -LOSSES)
    np.testing.assert_array_equal(accuracies.scores, [[0.75, 0.5, 0.25], [0.5, 0.75, 0.25]])
    # The value is the mean loss of the best strength over the splits, whatever the score is. Of
    # two strengths that are equally good the first one counts.
    assert losses.value == 2.0
    assert accuracies.value == 3.5


@pytest.mark.parametrize("error", [ACCURACY, 2 * ACCURACY])
def test_a_scorer_receives_models_of_the_users_columns_once_they_are_accurate(error):
    _, state, *_ = setting()
    received = []

    def score(models):
        received.append(models)
        return -LOSSES[:, ::-1]

    found = after(search(score), error)
    if error > ACCURACY:
        assert received == []
        np.testing.assert_array_equal(found.scores, -LOSSES)  # until then, the loss decides
        return
    np.testing.assert_array_equal(found.scores, -LOSSES[:, ::-1])
    coef = state.models[..., :2] / SCALE
    np.testing.assert_allclose(received[0][..., :2], coef, rtol=1e-14)
    np.testing.assert_allclose(received[0][..., 2], state.models[..., 2] - coef @ CENTRE)


@pytest.mark.parametrize(("error", "done"), [(ACCURACY, True), (1.001 * ACCURACY, False)])
def test_a_strength_is_chosen_once_no_coefficient_is_wrong_by_more_than_the_accuracy(error, done):
    _, _, models, _ = setting()
    found = after(search(), error)
    assert found.chosen == (1 if done else None)
    assert found.scored_error == error
    assert found.sweeps == 4
    assert not found.shortened
    np.testing.assert_array_equal(found.models, models)
    assert not found.averaged


@pytest.mark.parametrize(
    ("error", "begins"), [(0.0, True), (30 * ACCURACY, True), (30.1 * ACCURACY, False)]
)
def test_newtons_method_begins_at_the_best_strength_shortly_before_the_end(error, begins):
    _, state, models, _ = setting()
    found = after(search(), error)
    assert found.newton_at == (1 if begins else None)
    # Until then, the answer is the mean of the best strength's models.
    mean = models[:, 1].mean(axis=0) / np.append(SCALE, 1.0)
    assert np.allclose(found.parameters, mean, rtol=1e-14) != begins
    assert found.status is None
    assert after(search(), error, state=replace(state, newton_at=0)).newton_at == (
        1 if begins else 0
    )


@pytest.mark.parametrize("error", [0.0, 10 * ACCURACY])
def test_newtons_method_goes_on_at_the_same_strength(error):
    _, state, *_ = setting()
    found = after(search(), error, state=replace(state, newton_at=1))
    np.testing.assert_array_equal(found.parameters, state.parameters)
    # A status that Newton's method reports counts only for a strength that has been chosen.
    assert found.status is (None if error else Status.STALLED)


def test_without_a_refit_the_answer_is_the_mean_of_the_best_model_of_each_split():
    _, _, models, _ = setting()
    found = after(search(refit=False), ACCURACY)
    assert found.averaged
    units = np.append(SCALE, 1.0)
    np.testing.assert_allclose(
        found.parameters, (models[0, 1] + models[1, 2]) / 2 / units, rtol=1e-14
    )
    earlier = after(search(refit=False), 2 * ACCURACY)
    assert not earlier.averaged
    assert earlier.newton_at is None
    np.testing.assert_allclose(earlier.parameters, models[:, 1].mean(axis=0) / units, rtol=1e-14)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_newtons_method_starts_at_the_minimum_of_the_sample_with_the_mean_tilt(n_classes):
    problem, state, models, tilt = setting(n_classes)
    outputs, width = problem.packing.shape
    if n_classes > 2:  # neither models nor gradients have a shift common to all classes
        models, tilt = (
            (part - part.mean(axis=2, keepdims=True)).reshape(models.shape)
            for part in (array.reshape(2, 3, outputs, width) for array in (models, tilt))
        )
    found = after(search(), ACCURACY, problem=problem, state=state, models=models, tilt=tilt)
    start = (found.parameters.reshape(outputs, width) * np.append(SCALE, 1.0)).ravel()
    Z, label = np.column_stack([state.rows.X, np.ones(N)]), state.rows.y.astype(int)
    raw = Z @ start.reshape(outputs, width).T
    if n_classes == 2:
        residual = special.expit(raw) - label[:, None]
    else:
        residual = special.softmax(raw, axis=1) - np.eye(3)[label]
    penalty = np.tile(np.append(1.0 / SCALE**2, 0.0), outputs) / CS[1] / sum(TOTALS)
    slope = (residual.T @ Z).ravel() / N + tilt[:, 1].mean(axis=0) + penalty * start
    np.testing.assert_allclose(slope, 0.0, atol=1e-12)
