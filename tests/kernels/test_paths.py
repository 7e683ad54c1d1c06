"""Gradients and scores of many models at once are those of each model alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import DividedBlock, Splits, multiplicity, rows_of
from dlbd_estimators.kernels.paths import PathKernel
from dlbd_estimators.kernels.row_sample import RowSampleKernel, SamplingRates
from tests.strategies import cuts, features, random_generators, weights

DTYPES = ("float64", "float32")


@st.composite
def cases(draw):
    """A block divided into folds or overlapping parts, and models of each split."""
    n, p, n_splits = draw(st.integers(1, 50)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    n_classes, fit_intercept = draw(st.integers(2, 4)), draw(st.booleans())
    rng = draw(random_generators())
    X = draw(features(n, p, (np.float64, np.float32)))
    y = rng.integers(0, n_classes, n).astype(float)
    if draw(st.booleans()):
        splits = Splits.folds(n_splits, rest=True)
        names = rng.integers(0, n_splits + 1, n)
        positions = [np.flatnonzero(names == part) for part in range(n_splits + 1)]
    else:  # of rows that stand several times, too
        splits = Splits.overlapping(n_splits)
        positions = [
            np.sort(rng.integers(0, n, rng.integers(0, n + 1))) for _ in range(2 * n_splits)
        ]
        positions.append(np.arange(n))
    block = DividedBlock(X, y, draw(weights(n)), tuple(rows_of(each) for each in positions))
    packing = Packing(1 if n_classes == 2 else n_classes, p, fit_intercept)
    models = rng.normal(size=(n_splits, draw(st.integers(1, 3)), packing.size))
    factors = rng.uniform(0.5, 2.0, n_classes) if draw(st.booleans()) else None
    centre = rng.normal(size=p) if draw(st.booleans()) else None
    return block, positions, PathKernel(packing, splits, factors, centre), models


def rows(positions, parts):
    return np.concatenate([np.zeros(0, int), *(positions[each] for each in parts)])


@given(cases())
def test_each_model_has_the_gradient_and_the_scores_that_it_has_alone(case):
    block, positions, kernel, models = case
    packing, splits = kernel.packing, kernel.splits
    loss = HalfBinomialLoss() if packing.n_outputs == 1 else HalfMultinomialLoss()
    alone = LinearKernel(loss, packing, Order.GRADIENT, centre=kernel.centre)
    sums = kernel(block, models)
    weight = np.ones(block.n_rows) if block.weight is None else block.weight
    plain = weight if kernel.factors is None else weight / kernel.factors[block.y.astype(int)]
    X = block.X.astype(float) - (0.0 if kernel.centre is None else kernel.centre)
    for split in range(len(models)):
        train, test = (rows(positions, each[split]) for each in (splits.train, splits.test))
        np.testing.assert_allclose(sums.weight[split], plain[test].sum(), rtol=1e-12)
        for place, model in enumerate(models[split]):
            one = alone(Block(block.X[train], block.y[train], weight[train]), model)
            size = 1.0 + np.abs(X).max() * weight.sum()
            np.testing.assert_allclose(sums.gradient[split, place], one.gradient, atol=1e-13 * size)
            held = alone(Block(block.X[test], block.y[test], plain[test]), model)
            np.testing.assert_allclose(sums.losses[split, place], held.value, atol=1e-12 * size)
            coef, intercept = packing.unpack(model)
            raw = X[test] @ coef.T + intercept
            chosen = raw[:, 0] > 0 if packing.n_outputs == 1 else raw.argmax(axis=1)
            wrong = plain[test] @ (chosen != block.y[test])
            np.testing.assert_allclose(sums.wrong[split, place], wrong, atol=1e-12)
    scores = replace(kernel, gradients=False)(block, models)
    assert scores.gradient is None
    np.testing.assert_array_equal(scores.losses, sums.losses)


@given(cases(), st.sampled_from([0.0, 1e4]))
def test_float32_differs_by_rounding_errors_of_centred_rows(case, far):
    block, _, kernel, models = case
    centre = (0.0 if kernel.centre is None else kernel.centre) + far
    X = block.X + np.asarray(far, dtype=block.X.dtype)
    kernel, block = replace(kernel, centre=centre + np.zeros(X.shape[1])), replace(block, X=X)
    exact, rounded = (replace(kernel, dtype=each)(block, models) for each in DTYPES)
    weight = 1.0 if block.weight is None else block.weight.sum()
    row = 1.0 + np.abs(X - kernel.centre).max()
    size = 1e-6 * block.n_rows * (1.0 + weight) * row * (1.0 + row * np.abs(models).sum())
    for name in ("gradient", "losses", "weight"):
        np.testing.assert_allclose(getattr(rounded, name), getattr(exact, name), atol=size)
    assert rounded.gradient.dtype == rounded.losses.dtype == np.float64


def cut_up(block, sizes):
    times = multiplicity(block, len(block.parts)).astype(int)
    edges = np.cumsum([0, *sizes])
    for first, last in pairwise(edges):
        parts = tuple(np.repeat(np.arange(last - first), each) for each in times[:, first:last])
        weight = None if block.weight is None else block.weight[first:last]
        yield DividedBlock(block.X[first:last], block.y[first:last], weight, parts)


@given(cases(), st.data())
def test_blocks_add_up(case, data):
    block, _, kernel, models = case
    whole = kernel(block, models)
    pieces = [kernel(each, models) for each in cut_up(block, data.draw(cuts(block.n_rows)))]
    together = pieces[0]
    for each in pieces[1:]:
        together = kernel.combine(together, each)
    for name in ("gradient", "weight", "wrong", "losses"):
        size = np.abs(getattr(whole, name)).max(initial=1.0)
        np.testing.assert_allclose(
            getattr(together, name), getattr(whole, name), rtol=1e-10, atol=1e-10 * size
        )


@given(cases())
def test_all_rows_are_drawn_once_where_their_chance_is_one(case):
    block, _, kernel, _ = case
    n_classes = int(max(kernel.packing.n_outputs, 2))
    drawn = RowSampleKernel(kernel.packing, len(block.parts))(
        block, SamplingRates(np.full(n_classes, np.inf))
    )
    np.testing.assert_array_equal(drawn.X[0], block.X)
    np.testing.assert_array_equal(drawn.y[0], block.y)
    weight = np.ones(block.n_rows) if block.weight is None else block.weight
    np.testing.assert_array_equal(drawn.weight[0], weight)
    np.testing.assert_array_equal(drawn.parts[0], multiplicity(block, len(block.parts)).T)


@given(random_generators(), st.booleans())
def test_drawn_rows_stand_for_those_left_out(rng, importance_rates):
    n, packing = 20_000, Packing(1, 2, True)
    X, y = rng.normal(size=(n, 2)), rng.integers(0, 2, n).astype(float)
    weight = rng.uniform(0.0, 2.0, n)
    block = DividedBlock(X, y, weight, (slice(0, n // 2), slice(n // 2, n)))
    model, projection = (
        (rng.normal(size=3), rng.normal(size=(3, 4))) if importance_rates else (None,) * 2
    )
    rates = SamplingRates(np.array([0.1, 0.2]), None, model, projection)
    kernel = RowSampleKernel(packing, 2)
    drawn = kernel(block, rates)
    assert 0 < len(drawn.X[0]) < n
    # Rows of importance have chances up to one; five standard errors of the sum.
    error = 5 * np.sqrt((drawn.weight[0] ** 2).sum())
    assert abs(drawn.weight[0].sum() - weight.sum()) < error
    np.testing.assert_array_equal(kernel(block, rates).X[0], drawn.X[0])
    both = kernel.combine(drawn, kernel(block, rates))
    assert len(both.X) == len(both.parts) == 2
