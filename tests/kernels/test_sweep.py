"""The kernels of several passes, in one reading: each brings what it would bring alone."""

from __future__ import annotations

import copy

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.engine.reduction_tree import reduce_range
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.moments import MomentsKernel
from dlbd_estimators.kernels.sweep import SweepKernel
from tests.strategies import cuts, pieces, problems


@given(problems(), st.data())
def test_partials_are_those_of_each_alone(problem, data):
    block, loss, packing, parameters = problem
    kernels = (
        LinearKernel(loss, packing, Order.HESSIAN),
        MomentsKernel(packing.fit_intercept),
        LinearKernel(loss, packing, Order.GRADIENT, moments=True),
    )
    given_to = (parameters, None, 2.0 * parameters)
    parts = pieces(block, data.draw(cuts(block.n_rows)))

    def reduced(kernel, parameters):
        def evaluate(position):
            return kernel(parts[position], parameters)

        return reduce_range(evaluate, kernel.combine, 0, len(parts))

    together = reduced(SweepKernel(kernels), given_to)
    assert isinstance(together, tuple)
    for kernel, each, partial in zip(kernels, given_to, together, strict=True):
        for name, value in vars(reduced(kernel, each)).items():
            np.testing.assert_array_equal(getattr(partial, name), value)


@given(problems(), st.integers(0, 1))
def test_one_that_is_not_finite_is_told(problem, place):
    block, loss, packing, parameters = problem
    kernel = SweepKernel((LinearKernel(loss, packing), LinearKernel(loss, packing)))
    partials = kernel(block, (parameters, parameters))
    assert kernel.is_finite(partials)
    spoilt = copy.deepcopy(partials)
    spoilt[place].gradient[-1] = np.nan
    assert not kernel.is_finite(spoilt)
