"""Distinct labels, their rows and their weights, against np.unique on everything."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.labels import LabelKernel
from tests.strategies import cuts, pieces, random_generators, weights

ALPHABETS = {
    "bool": np.array([False, True]),
    "int8": np.array([-128, 0, 127], dtype=np.int8),
    "uint8": np.array([0, 1, 255], dtype=np.uint8),
    "int64": np.array([-(2**63), -5, 3, 2**63 - 1]),
    "small int64": np.array([2**62, 2**62 + 5, 2**62 + 2**15]),
    "uint64": np.array([2**63 + 1, 2**63 + 9, 2**64 - 1], dtype=np.uint64),
    "small uint64": np.array([2**63 + 1, 2**63 + 9], dtype=np.uint64),
    "float64": np.array([-1.0, 0.0, 1.0, 70_000.0]),
    "float32": np.array([0.5, 2.5], dtype=np.float32),
    "str": np.array(["a", "b", "long label", ""]),
    "object": np.array(["yes", "no", "perhaps"], dtype=object),
}


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
@given(data=st.data())
def test_labels_counts_and_weights_in_any_cut(alphabet, data):
    n = data.draw(st.integers(1, 50))
    rng = data.draw(random_generators())
    y = alphabet[rng.integers(0, len(alphabet), n)]
    weight = data.draw(weights(n))
    block = Block(np.empty((n, 0)), y, weight)
    kernel = LabelKernel()
    partials = [kernel(each) for each in pieces(block, data.draw(cuts(n)))]
    found = reduce(kernel.combine, partials)
    labels, codes = np.unique(y, return_inverse=True)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.labels.dtype.kind == y.dtype.kind
    np.testing.assert_array_equal(found.counts, np.bincount(codes))
    np.testing.assert_allclose(found.weights, np.bincount(codes, weights=weight), rtol=1e-13)
    assert found.n_rows == n
    assert kernel.is_finite(found)


def test_labels_that_are_not_finite_show():
    kernel = LabelKernel()
    for bad in (np.nan, np.inf):
        y = np.array([0.0, 1.0, bad])
        assert not kernel.is_finite(kernel(Block(np.empty((3, 0)), y)))


@pytest.mark.parametrize("block", [[1, "a", 2], ["a", (1, 2)]])
def test_labels_without_an_order_are_named(block):
    y = np.empty(len(block), dtype=object)
    y[:] = block
    with pytest.raises(TypeError, match=r"y holds .*'a' \(str\).* Convert all labels to one type"):
        LabelKernel()(Block(np.empty((len(y), 0)), y))
