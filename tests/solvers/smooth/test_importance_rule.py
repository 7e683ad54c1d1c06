"""The rule by which a pass keeps rows, against its formulas on whole arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlbd_estimators.kernels.importance import ImportantRows
from dlbd_estimators.solvers.evaluation import Columns
from dlbd_estimators.solvers.smooth import important_rows
from dlbd_estimators.solvers.smooth.important_rows import (
    importance_rule,
    most_rows,
    underflows_float32,
    usable_rows,
)
from tests.solvers.dense import dense_derivatives
from tests.solvers.smooth.test_important_rows import in_blocks, rows_of
from tests.solvers.steps import regular


@pytest.mark.parametrize("n_classes", [2, 3])
def test_norms_limit_and_curvature(n_classes):
    rng = np.random.default_rng(3)
    X, y, weight = rows_of(rng, "weighted", n_classes)
    X = X * [1.0, 30.0, 0.1] + [0.0, 5.0, 1.0]
    problem = in_blocks(X, y, weight, n_classes)
    point = rng.normal(size=problem.packing.size) * 0.01
    hessian = regular(problem, dense_derivatives(problem, X, y, point, weight)[2])
    mean = np.average(X, axis=0, weights=weight)
    variance = np.cov(X.T, aweights=weight, bias=True).diagonal()
    rule = importance_rule(problem, hessian, Columns(mean, variance), weight.sum())
    outputs, width = problem.packing.shape
    parts = hessian.reshape(outputs, width, outputs, width)
    own = np.mean([parts[k, :, k] for k in range(outputs)], axis=0)
    Z = np.column_stack([X, np.ones(len(X))])
    norms = np.einsum("ia,ab,ib->i", Z, np.linalg.inv(own), Z)
    np.testing.assert_allclose(((Z @ rule.directions) ** 2).sum(axis=1), norms, rtol=1e-8)
    n_rows = most_rows(problem)
    assert rule.limit == pytest.approx(1.25 * n_rows / (weight.sum() * problem.packing.size**0.5))
    typical = np.median(np.diag(own)[:3] / (variance + mean**2))
    assert rule.curvature == pytest.approx(0.1 * outputs * typical, rel=1e-9)


@pytest.mark.parametrize(
    ("changed", "n_rows"),
    [
        ({}, 1_600),  # a quarter of 6,400
        ({"_SHARE": 1.0}, 6_400),
        ({"_SHARE": 1.0, "_ROWS": 700}, 700),
        ({"_SHARE": 1.0, "_ROWS": 50}, 100),  # twenty-five for each of four parameters
    ],
)
def test_the_number_of_rows_kept(changed, n_rows, monkeypatch):
    for name, value in changed.items():
        monkeypatch.setattr(important_rows, name, value)
    X, y, weight = rows_of(np.random.default_rng(3), "plain")
    assert important_rows._ROWS in (20_000, changed.get("_ROWS"))
    assert most_rows(in_blocks(X, y, weight)) == n_rows


def test_more_bytes_are_allowed_where_all_rows_are_in_memory():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80_000, 60)), rng.integers(0, 2, 80_000).astype(float)
    problem, row = in_blocks(X, y, None), 4 * 60 + 5 * 8
    small = replace(problem.blocks, n_blocks=1_000, sizes=(80,) * 1_000)
    assert most_rows(replace(problem, blocks=small)) == 5 * 2**20 // row
    lazy = replace(small, in_memory=False)
    assert most_rows(replace(problem, blocks=lazy)) == 5 * 2**18 // row


def test_a_limit_on_the_bytes_of_the_rows():
    """Each row has three features in float32 and five numbers in float64."""
    X, y, weight = rows_of(np.random.default_rng(3), "plain")
    problem = in_blocks(X, y, weight)
    assert most_rows(problem, 52 * 500) == 500
    columns = Columns(X.mean(axis=0), X.var(axis=0))
    rules = [
        importance_rule(problem, np.eye(4), columns, len(X), *limit) for limit in ([], [52 * 500])
    ]
    assert [rule.n_rows for rule in rules] == [1_600, 500]
    assert rules[1].limit == pytest.approx(rules[0].limit * 500 / 1_600)


@pytest.mark.parametrize(
    ("spreads", "underflows"), [([1.0, 1e-31], True), ([1e-29, 2.0], False), ([0.0, 1.0], False)]
)
def test_columns_that_vary_too_little_for_float32(spreads, underflows):
    columns = Columns(np.ones(2), np.array(spreads) ** 2)
    assert underflows_float32(columns) is underflows


@pytest.mark.parametrize(("n_rows", "usable"), [(39, False), (40, True)])
def test_ten_rows_for_each_parameter_are_of_use(n_rows, usable):
    problem = in_blocks(*rows_of(np.random.default_rng(3), "plain"))
    ones = np.ones(n_rows)
    rows = ImportantRows(np.ones((n_rows, 3), np.float32), ones, ones, ones, ones, ones)
    assert (usable_rows(problem, rows) is rows) is usable
    rows.X[5, 1] = np.inf
    assert usable_rows(problem, rows) is None
    assert usable_rows(problem, None) is None
    columns = Columns(np.zeros(3), np.ones(3))
    room = 52 * n_rows  # three features in float32 and five numbers in float64
    assert (importance_rule(problem, np.eye(4), columns, 6_400.0, room) is None) is not usable


@pytest.mark.parametrize(
    ("n_blocks", "n_rows"),
    [
        (4, 400),  # a quarter of the rows of a block
        (1_000, 19),  # the bytes of eight Hessians of four parameters
    ],
)
def test_large_blocks_and_hessians_leave_room_for_more_rows(n_blocks, n_rows):
    problem = in_blocks(*rows_of(np.random.default_rng(3), "plain"))
    blocks = replace(problem.blocks, n_blocks=n_blocks, sizes=None)
    assert most_rows(replace(problem, blocks=blocks, n_rows=6_400), 52) == n_rows


def test_a_rule_needs_memory_for_a_hessian_and_the_rows_twice(monkeypatch):
    asked = []
    monkeypatch.setattr(
        important_rows, "matrices_fit", lambda _, n_entries: asked.append(n_entries)
    )
    problem = in_blocks(*rows_of(np.random.default_rng(3), "plain"))
    columns = Columns(np.zeros(3), np.ones(3))
    assert importance_rule(problem, np.eye(4), columns, 6_400.0) is None
    assert asked == [16 + 2 * 1_600 * 52 // 8]
