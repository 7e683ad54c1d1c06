"""Which columns are so near zero that products need no centring."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators.kernels import centring
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.centring import centre_of, centre_of_block, is_near_zero
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss
from dlbd_estimators.kernels.packing import Packing


@pytest.mark.parametrize(("mean", "near"), [(0.0, True), (1.9, True), (2.1, False), (-1e9, False)])
def test_the_squared_mean_is_compared_with_the_variance(mean, near, rng):
    rows = rng.normal(size=(256, 3))
    rows -= rows.mean(axis=0)
    rows /= rows.std(axis=0)
    rows[:, 1] += mean
    assert is_near_zero(centre_of(rows, None), rows, 4.0) is near


@pytest.mark.parametrize(("value", "near"), [(0.0, True), (1e-20, False), (7.0, False)])
def test_a_constant_column_is_near_zero_only_if_it_is_zero(value, near):
    rows = np.column_stack([np.full(20, value), np.arange(20.0) - 9.5])
    assert is_near_zero(centre_of(rows, None), rows, 100.0) is near


def test_nan_and_no_rows(rng):
    rows = rng.normal(size=(20, 2)) + 1.0
    rows[3, 1] = np.nan
    assert not is_near_zero(centre_of(rows, None), rows, 100.0)
    assert is_near_zero(np.zeros(2), rows[:0], 1.0)


def test_the_centre_of_a_block_is_computed_for_the_first_pass_only(rng, monkeypatch):
    computed = []

    def counted(columns, weight, *arguments):
        computed.append(columns)
        return centre_of(columns, weight, *arguments)

    monkeypatch.setattr(centring, "centre_of", counted)
    blocks = [
        Block(rng.normal(size=(50, 3)) + shift, rng.integers(0, 2, 50) * 1.0) for shift in (0, 9)
    ]
    kernel = LinearKernel(HalfBinomialLoss(), Packing(1, 3, True), Order.HESSIAN, "float32")
    for _ in range(3):
        hessians = [kernel(block, np.zeros(4)).hessian for block in blocks]
    assert [id(X) for X in computed] == [id(block.X) for block in blocks]
    for block, hessian in zip(blocks, hessians, strict=True):
        np.testing.assert_array_equal(centre_of_block(block), centre_of(block.X, None))
        fresh = kernel(Block(block.X, block.y), np.zeros(4)).hessian
        np.testing.assert_array_equal(hessian, fresh)
