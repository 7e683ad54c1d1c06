"""Classifiers of several splits on rows in memory, and how these rows are chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, Splits
from dlbd_estimators.kernels.row_sample import DrawnRows, RowSampleKernel
from dlbd_estimators.solvers import path_rows
from dlbd_estimators.solvers.evaluation import Known
from dlbd_estimators.solvers.path_rows import PathRows, Tilted, lengths, overshoots
from dlbd_estimators.solvers.smooth import path_sample
from tests.solvers.dense import problem_of

SPLITS = Splits(((0,), (1, 2), (0, 2)), ((1,), (0,), (1,)), (0, 1, 2))


def rows_of(n_classes, n=150):
    """Rows in standard units, in parts that hold some of them twice."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(n, 3))
    y = (X @ rng.normal(size=(3, n_classes)) + rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    times = rng.integers(0, 3, (n, 3)).astype(float)
    weight = rng.uniform(0.5, 2.0, n)
    return PathRows(X, y.astype(float), weight, np.ones(n), times)


def weights_of(rows):
    weights = np.column_stack(
        [rows.times[:, list(parts)].sum(axis=1) * rows.weight for parts in SPLITS.train]
    )
    return weights / weights.sum(axis=0)


def derivatives(rows, packing, weight, model):
    """Gradient and Hessian of the mean loss of one split, by formulas."""
    Z = np.column_stack([rows.X, np.ones(len(rows.X))])[:, : packing.shape[1]]
    raw, label = Z @ model.reshape(packing.shape).T, rows.y.astype(int)
    if packing.n_outputs == 1:
        p = special.expit(raw)
        first, second = p - rows.y[:, None], (p * (1 - p))[:, :, None]
    else:
        p = special.softmax(raw, axis=1)
        first = p - np.eye(packing.n_outputs)[label]
        second = p[:, :, None] * np.eye(packing.n_outputs) - p[:, :, None] * p[:, None, :]
    hessian = np.einsum("i,ikj,ia,ib->kajb", weight, second, Z, Z)
    return ((first * weight[:, None]).T @ Z).ravel(), hessian.reshape(packing.size, packing.size)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradients_and_hessians_are_those_of_the_splits(n_classes, fit_intercept, rng):
    rows, packing = (
        rows_of(n_classes),
        Packing(1 if n_classes == 2 else n_classes, 3, fit_intercept),
    )
    tilted, weights = Tilted.of(rows, packing, SPLITS), weights_of(rows)
    np.testing.assert_allclose(tilted.weights, weights.T, rtol=1e-12)
    models = rng.normal(size=(3, 2, packing.size))
    found = tilted.gradient(models)
    for split in range(3):
        for number in range(2):
            expected, _ = derivatives(rows, packing, weights[:, split], models[split, number])
            np.testing.assert_allclose(found[split, number], expected, rtol=1e-9, atol=1e-12)
    _, hessian = derivatives(rows, packing, weights[:, 0], models[0, 0])
    penalty, right = rng.uniform(0.1, 1.0, packing.size), rng.normal(size=packing.size)
    if n_classes > 2:  # no step has a shift common to all classes
        penalty = np.tile(penalty[: packing.shape[1]], 3)
        right = (right.reshape(3, -1) - right.reshape(3, -1).mean(axis=0)).ravel()
    factor = tilted.metric(weights[:, 0], models[0, 0], penalty)
    expected = np.linalg.solve(hessian + np.diag(penalty), right)
    np.testing.assert_allclose(factor.solve(right), expected, rtol=1e-8)


#: Number of classes, whether the start is far away, and the gradients and Hessians that an exact
#: and a rough answer take, or one less.
WORK = [
    (2, False, (8, 7), (3, 1)),
    (3, False, (10, 7), (4, 1)),
    (2, True, (17, 9), (8, 9)),
    (3, True, (18, 12), (11, 12)),
]


@pytest.mark.parametrize(("n_classes", "far", "exact", "rough"), WORK)
def test_minimisers_and_the_work_for_them(n_classes, far, exact, rough, monkeypatch):
    rng = np.random.default_rng(0)
    rows, packing = rows_of(n_classes), Packing(1 if n_classes == 2 else n_classes, 3, True)
    tilted, counts = Tilted.of(rows, packing, SPLITS), {"gradient": 0, "metric": 0}

    def counted(name):
        plain = getattr(Tilted, name)

        def method(self, *args):
            counts[name] += 1
            return plain(self, *args)

        return method

    for name in counts:
        monkeypatch.setattr(Tilted, name, counted(name))
    start = np.zeros((3, packing.size))
    if far:
        start = rng.normal(size=start.shape) * 6.0
    tilt = 0.01 * rng.normal(size=start.shape)
    if n_classes > 2:
        start, tilt = (
            (
                models.reshape(3, 3, -1) - models.reshape(3, 3, -1).mean(axis=1, keepdims=True)
            ).reshape(3, -1)
            for models in (start, tilt)
        )
    penalty = np.full(start.shape, 0.05)
    before = start.copy()
    found = tilted.minimise(start, tilt, penalty, 1e-10)
    np.testing.assert_array_equal(start, before)
    for split, model in enumerate(found):
        slope, _ = derivatives(rows, packing, weights_of(rows)[:, split], model)
        np.testing.assert_allclose(slope + tilt[split] + 0.05 * model, 0.0, atol=1e-8)
    assert_about(counts, exact)
    counts.update(gradient=0, metric=0)
    found_roughly = tilted.minimise(start, tilt, penalty, 0.1)
    assert_about(counts, rough)
    assert 0.0 < np.abs(found_roughly - found).max() < 0.5


def assert_about(counts, expected):
    """Rounding may save a step or cost one."""
    assert abs(counts["gradient"] - expected[0]) <= 1
    assert abs(counts["metric"] - expected[1]) <= 1


def test_a_step_that_goes_too_far_is_halved():
    X, y = np.linspace(-1.0, 1.0, 40)[:, None], np.arange(40) % 2
    tilted = Tilted(X, y, np.full((1, 40), 1 / 40), Packing(1, 1, False))
    gradients = []

    def slopes(models):
        gradients.append(models.copy())
        return tilted.gradient(models[:, None])[:, 0] + models

    models, step = np.array([[0.0]]), np.array([[8.0]])
    gradient = slopes(models) - 1.0

    def tilted_slopes(models):
        return slopes(models) - 1.0

    found, there = path_rows._damped_step(models, gradient, step.copy(), tilted_slopes)
    tried = [float(point[0, 0]) for point in gradients[1:]]
    wanted = [8.0]
    while np.abs(8.0 * gradient).max() * 0.5 * wanted[-1] / 8.0 < wanted[-1] * float(
        tilted_slopes(np.array([[wanted[-1]]]))[0, 0]
    ):
        wanted.append(wanted[-1] / 2)
    assert tried == [8.0 / 2**k for k in range(len(tried))]
    assert found[0, 0] == tried[-1]
    np.testing.assert_array_equal(there, tilted_slopes(found))
    assert 1.0 <= found[0, 0] < 4.0


@pytest.mark.parametrize(
    ("slope", "before", "too_far"), [(0.6, 1.0, True), (0.4, 1.0, False), (-2.0, 1.0, False)]
)
def test_a_step_goes_too_far_if_more_than_half_the_slope_comes_back(slope, before, too_far):
    step = np.array([[2.0, 0.0]])
    gradient = np.array([[slope / 2.0, 5.0]])
    assert overshoots(step, gradient, np.array([before])).tolist() == [too_far]
    assert not overshoots(step, gradient * 1e-14, np.array([0.0]))[0]  # rounding is no slope
    assert overshoots(step, np.array([[4e-13, 0.0]]), np.array([0.0]))[0]  # above 1e-13 of the step


def test_the_length_of_a_step_is_relative_to_the_largest_parameter():
    step = np.array([[0.1, -0.3], [4.0, 1.0], [0.0, 0.0]])
    models = np.array([[-6.0, 1.0], [2.0, -1.0], [0.0, 0.0]])
    np.testing.assert_allclose(lengths(step, models), [0.05, 1.0, 0.0])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_as_many_rows_are_drawn_as_there_is_room_for(n_classes, monkeypatch):
    """The most important of them with probability one; their weights stand for all rows."""
    monkeypatch.setattr(path_sample, "_MOST_ROWS", 400)
    rng, n = np.random.default_rng(1), 6000
    X = rng.normal(size=(n, 3)) * [1.0, 20.0, 0.1] + [0.0, 5.0, 0.0]
    X[:, 2] = 0.05 * (X[:, 0] + 0.5 * X[:, 2] / 0.1)  # a metric that is not diagonal
    y = (X[:, 0] * 2 > rng.logistic(size=n)).astype(float) + (n_classes == 3) * (
        rng.random(n) < 0.3
    )
    weight = rng.uniform(0.5, 1.5, n)
    loss = HalfBinomialLoss() if n_classes == 2 else HalfMultinomialLoss()
    outputs = 1 if n_classes == 2 else 3
    problem = problem_of(X, y, loss, n_outputs=outputs, weight=weight)
    packing, scale, mean = problem.packing, X.std(axis=0), X.mean(axis=0)
    problem = replace(problem, known=Known(weight.sum(), centre=mean))
    first = rng.choice(n, 500, replace=False)
    sample = PathRows(
        (X - mean)[first] / scale, y[first], weight[first], np.ones(500), np.ones((500, 1))
    )
    middle = rng.normal(size=packing.size)
    rates = path_sample.importance_rates(problem, sample, middle, scale)
    drawn = RowSampleKernel(packing, 1)(DividedBlock(X, y, weight, (np.arange(n),)), rates)
    [kept], [drawn_weight] = drawn.X, drawn.weight
    assert 250 < len(kept) < 500
    assert drawn_weight.sum() == pytest.approx(weight.sum(), rel=0.25)
    # Probabilities are proportional to the root of curvature times leverage, by formulas.
    Z = np.column_stack([(X - mean) / scale, np.ones(n)])
    raw = Z @ middle.reshape(packing.shape).T
    p = special.softmax(raw, axis=1) if outputs > 1 else special.expit(raw)
    curvature = (p * (1 - p)).sum(axis=1)
    metric = (Z[first] * (weight * curvature)[first, None]).T @ Z[first]
    leverage = np.einsum("ia,ab,ib->i", Z, np.linalg.inv(metric), Z)
    importance = np.sqrt(curvature * leverage)
    found = RowSampleKernel(packing, 1)._importance(DividedBlock(X, y, weight, ()), rates)
    ratio = found / importance
    assert np.percentile(ratio, 95) < 2.5 * np.percentile(ratio, 5)  # sixteen random directions


def test_columns_of_drawn_rows_are_weighted():
    rng = np.random.default_rng(0)
    X, weight = rng.normal([0.0, 1e6], size=(30, 2)), rng.integers(0, 3, 30).astype(float)
    halves = [X[:10], X[10:]], [weight[:10], weight[10:]]
    mean, variance = path_sample.columns_of(DrawnRows(halves[0], [], halves[1], [], []))
    np.testing.assert_allclose(mean, np.average(X, axis=0, weights=weight), rtol=1e-12)
    expected = np.cov(X.T, aweights=weight, bias=True).diagonal()
    np.testing.assert_allclose(variance, expected, rtol=1e-6)
    mean, variance = path_sample.columns_of(DrawnRows([X], [], [np.zeros(30)], [], []))
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, X.var(axis=0), rtol=1e-6)
    no_rows = DrawnRows([np.zeros((0, 2))], [], [np.zeros(0)], [], [])
    np.testing.assert_array_equal(path_sample.columns_of(no_rows), np.zeros((2, 2)))


def test_penalties_are_those_of_coefficients_in_standard_units():
    packing, scale = Packing(2, 2, True), np.array([2.0, 0.5])
    Cs, totals, widths = np.array([0.1, 10.0]), np.array([50.0, 40.0]), np.array([[1.0, 3.0]] * 2)
    found = path_sample.penalties(packing, scale, Cs, totals, widths)
    for split in range(2):
        for index in range(2):
            row = [(1.0 / 2.0) ** 2, (3.0 / 0.5) ** 2, 0.0]
            expected = np.tile(row, 2) / Cs[index] / totals[split]
            np.testing.assert_allclose(found[split, index], expected)
    np.testing.assert_allclose(
        path_sample.penalties(packing, scale, Cs, totals)[0, 0, :2], [1 / 4 / 5, 4 / 5]
    )


@pytest.mark.parametrize(
    ("n_features", "rows"), [(4, 30_000), (999, 20_000), (200_000, 167), (40_000_000, 1)]
)
def test_the_number_of_rows_in_memory(n_features, rows):
    found = path_sample.most_rows(Packing(1, n_features, True))
    assert found == rows
