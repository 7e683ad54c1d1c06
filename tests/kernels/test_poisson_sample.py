"""Poisson samples: every row alike, independently, and the same however steps are grouped."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.poisson_sample import PoissonSampleKernel, joined


def numbered(n_rows):
    """A block whose rows are their numbers."""
    numbers = np.arange(float(n_rows))
    return Block(numbers[:, None], numbers, numbers)


def drawn(kernel, block):
    return [joined(pieces).y.astype(int) for pieces in kernel(block)]


@given(st.integers(0, 50), st.sampled_from([0.0, 0.1, 0.7, 1.0]), st.integers(1, 5), st.data())
def test_samples_do_not_depend_on_the_steps_drawn_together(n_rows, rate, n_steps, data):
    block, seed = numbered(n_rows), (data.draw(st.integers(0, 9)), 1)
    together = drawn(PoissonSampleKernel(rate, 3, n_steps, seed).of_block(2), block)
    for number, sample in enumerate(together):
        [alone] = drawn(PoissonSampleKernel(rate, 3 + number, 1, seed).of_block(2), block)
        np.testing.assert_array_equal(alone, sample)
        assert len(np.unique(sample)) == len(sample)
        if rate in (0.0, 1.0):
            assert len(sample) == n_rows * rate


def test_each_row_is_drawn_with_the_rate_and_independently_of_others():
    n_rows, rate, n_steps = 40, 0.3, 4_000
    block = numbered(n_rows)
    counts = np.zeros((n_steps, n_rows))
    for step, sample in enumerate(drawn(PoissonSampleKernel(rate, 0, n_steps, (1, 1)), block)):
        counts[step, sample] = 1
    # The tests reject a right sampling once in 10,000 draws.
    of_rows = counts.sum(axis=0)
    spread = ((of_rows - n_steps * rate) ** 2 / (n_steps * rate * (1 - rate))).sum()
    assert stats.chi2(n_rows).sf(spread) > 1e-4
    # A sample of fixed size would have no spread, and rows would be correlated.
    sizes = counts.sum(axis=1)
    ratio = sizes.var() / (n_rows * rate * (1 - rate))
    assert abs(ratio - 1) < 3.9 * (2 / n_steps) ** 0.5
    correlations = np.corrcoef(counts.T)[np.triu_indices(n_rows, 1)]
    assert np.abs(correlations).max() < 5 / n_steps**0.5


def test_blocks_have_samples_of_their_own_in_their_order():
    kernel, block = PoissonSampleKernel(0.5, 0, 2, (1, 1)), numbered(30)
    left, right = kernel.of_block(0)(block), kernel.of_block(1)(block)
    alone = [joined(pieces).y for pieces in left], [joined(pieces).y for pieces in right]
    both = [joined(pieces) for pieces in kernel.combine(left, right)]
    for number, sample in enumerate(both):
        assert not np.array_equal(alone[0][number], alone[1][number])
        np.testing.assert_array_equal(
            sample.y, np.concatenate([alone[0][number], alone[1][number]])
        )
        np.testing.assert_array_equal(sample.X[:, 0], sample.y)
        np.testing.assert_array_equal(sample.weight, sample.y)


def test_nan_in_a_drawn_row_is_seen():
    kernel, block = PoissonSampleKernel(1.0, 0, 1, (1, 1)), numbered(3)
    assert kernel.is_finite(kernel(block))
    block.X[1] = np.nan
    assert not kernel.is_finite(kernel(block))
