"""Compute the numbers of training rows and test rows of a split, rounded as in scikit-learn."""

from __future__ import annotations

from math import ceil, floor
from numbers import Integral, Real
from typing import Any


def split_sizes(
    n_samples: int, test_size: Any, train_size: Any, default_test_size: float
) -> tuple[int, int]:
    """Return the numbers of rows to train on and to test on.

    Parameters
    ----------
    n_samples : int
        Number of all rows.
    test_size, train_size : float, int or None
        Share of the rows, in (0, 1), or their number. The number of test rows is rounded up, and
        the number of training rows is rounded down. None means all rows that are not in the other
        part.
    default_test_size : float
        The value of ``test_size`` if both are None.

    Returns
    -------
    tuple of int
        ``n_train, n_test``. Some rows may be in neither part.

    Raises
    ------
    ValueError
        A size is out of range, the sum of both is more than all rows, or no training row is left.
    """
    if test_size is None and train_size is None:
        test_size = default_test_size
    n_test = _rows("test_size", test_size, n_samples, ceil)
    n_train = _rows("train_size", train_size, n_samples, floor)
    if n_test is not None and n_train is not None:
        # Check the shares, too: their rounded numbers of rows may fit although the sum is above 1.
        shares = not isinstance(test_size, Integral) and not isinstance(train_size, Integral)
        if n_train + n_test > n_samples or (shares and test_size + train_size > 1):
            raise ValueError(
                f"The sum of train_size={train_size} and test_size={test_size} is more than all "
                f"{n_samples} samples. Reduce one of them."
            )
    if n_train is None:
        assert n_test is not None
        n_train = n_samples - n_test
    elif n_test is None:
        n_test = n_samples - n_train
    if n_train == 0:
        raise ValueError(
            f"With n_samples={n_samples}, test_size={test_size} and train_size={train_size}, the "
            f"resulting train set will be empty. Adjust any of the aforementioned parameters."
        )
    return n_train, n_test


def _rows(name: str, size: Any, n_samples: int, rounding: Any) -> int | None:
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, Real):
        raise ValueError(
            f"Invalid value for {name}: {size!r}. Pass a float in (0, 1), an int or None."
        )
    is_count = isinstance(size, Integral)
    number: Any = size
    if not 0 < number < (n_samples if is_count else 1):
        raise ValueError(
            f"{name}={size} should be either positive and smaller than the number of samples "
            f"{n_samples} or a float in the (0, 1) range."
        )
    return int(number) if is_count else int(rounding(number * n_samples))
