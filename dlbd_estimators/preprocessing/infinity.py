"""Refuse infinite values in a block of floats, as scikit-learn's transformers do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.exceptions import NonFiniteValues


def refuse_infinity(
    block: NDArray[Any], *, start: int = 0, names: Any = None, cause: Exception | None = None
) -> None:
    """Raise NonFiniteValues, which names row and column, if a block of floats holds infinity.

    Parameters
    ----------
    block : ndarray of shape (n_rows, n_features)
        Floats.
    start : int
        Number of the first row in messages.
    names : sequence of str, optional
        Names of the columns.
    cause : Exception, optional
        Earlier error, which becomes the ``__cause__`` of the new one.
    """
    infinite = np.isinf(block)
    if infinite.any():
        row, column = (int(i) for i in np.argwhere(infinite)[0])
        where = f"column {column}" if names is None else f"column {names[column]!r}"
        raise NonFiniteValues(
            f"Input X contains infinity at row {start + row} of the block, {where}. Replace "
            f"infinite values, with NaN for example, before preprocessing."
        ) from cause
