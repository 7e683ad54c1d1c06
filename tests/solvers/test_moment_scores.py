"""Splits without enough rows to train or to test on are refused with the number of the split."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.solvers.moment_scores import (
    check_split,
    determination,
    negative_mean_squared_error,
)


def rows(n_rows, weight=None):
    """Return the moments of some rows of one feature and one target."""
    zero = np.zeros(2)
    return Moments(n_rows if weight is None else weight, n_rows, zero, zero, np.eye(2), 1e-16)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (rows(0), rows(3), "Split 4 of cv has no rows to train on"),
        (rows(2, 0.0), rows(3), "Split 4 of cv has only rows of sample_weight 0 to train on"),
        (rows(3), rows(0), "Split 4 of cv has no rows to test on"),
        (rows(3), rows(2, 0.0), "Split 4 of cv has only rows of sample_weight 0 to test on"),
        (rows(3), rows(1), "Split 4 of cv tests on one row, for which R2 is not defined"),
    ],
)
def test_a_split_needs_rows(train, test, message):
    with pytest.raises(ValueError, match=message):
        check_split(4, train, test, determination)


def test_one_row_is_enough_but_for_r2():
    check_split(0, rows(1), rows(2), determination)
    check_split(0, rows(1), rows(1), negative_mean_squared_error)
    check_split(0, rows(1), rows(1))
