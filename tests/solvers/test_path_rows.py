"""Classifiers of several splits on rows in memory, and how these rows are chosen."""

from __future__ import annotations

from dataclasses import replace

import dask
import numpy as np
import pytest
from scipy import special

from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, Splits
from dlbd_estimators.kernels.row_sample import DrawnRows, RowSampleKernel
from dlbd_estimators.solvers import path_rows
from dlbd_estimators.solvers.evaluation import Known
from dlbd_estimators.solvers.path_rows import PathRows, Tilted
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
    np.testing.assert_allclose(tilted.hessian(weights[:, 0], models[0, 0]), hessian, atol=1e-14)
    narrow = tilted.hessian(weights[:, 0], models[0, 0], "float32")
    np.testing.assert_allclose(narrow, hessian, atol=1e-6)
    assert np.abs(narrow - hessian).max() > 1e-10


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradients_of_many_rows_in_pieces(n_classes, rng, monkeypatch):
    """Each piece has several tiles, the last one of them is shorter, and no row is lost."""
    monkeypatch.setattr(path_rows, "_WORK_OF_A_PIECE", 100_000)
    rows = rows_of(n_classes, n=30_000)
    packing = Packing(1 if n_classes == 2 else n_classes, 3, True)
    tilted, weights = Tilted.of(rows, packing, SPLITS), weights_of(rows)
    models = rng.normal(size=(3, 1, packing.size))
    expected = [derivatives(rows, packing, weights[:, k], models[k, 0])[0] for k in range(3)]
    bits = []
    for n_threads in (1, 3):
        with dask.config.set(num_workers=n_threads):
            bits.append(tilted.gradient(models))
    np.testing.assert_allclose(bits[0][:, 0], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(*bits)


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
