"""Find models without a penalty whose coefficients would grow without end.

Without a penalty, the loss has no minimiser if the classes, or some of their rows, are separable.
The coefficients then grow until the gradient is zero in floating-point numbers, which looks like a
minimum. But along the direction of growth, the curvature of all rows has vanished. At a minimum, a
large share of the initial curvature is left in every direction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.solvers.path_rows import Tilted

#: A direction counts if its initial curvature is above this share of the largest. Below it, columns
#: are nearly dependent, and the curvature that is left is rounding error.
_CURVED = 1e-6
#: The curvature in a direction has vanished if less than this share of it is left.
_LEFT = 1e-9


def curvature_vanished(
    tilted: Tilted, models: FloatArray, penalty: FloatArray
) -> NDArray[np.bool_]:
    """Return which models have no penalty, and have lost their curvature in a direction.

    Parameters
    ----------
    tilted : Tilted
        The rows, and the splits.
    models : ndarray of shape (n_splits, n_strengths, size)
        The models.
    penalty : ndarray of shape (n_splits, n_strengths, size)
        Diagonals of the penalties' Hessians.

    Returns
    -------
    ndarray of bool of shape (n_splits, n_strengths)
    """
    # A penalty whose slope is smaller than the rounding error of the gradient bounds nothing.
    slope = (penalty * np.abs(models)).max(axis=-1, initial=0.0)
    unpenalised = slope <= np.finfo(float).eps
    vanished = np.zeros(unpenalised.shape, dtype=bool)
    for split in np.flatnonzero(unpenalised.any(axis=1)):
        weight = tilted.weights[split]
        initial = tilted.hessian(weight, np.zeros(models.shape[-1]))
        values, vectors = linalg.eigh(initial, check_finite=False)
        curved = values > _CURVED * values[-1]
        basis = vectors[:, curved] / np.sqrt(values[curved])
        for strength in np.flatnonzero(unpenalised[split]):
            hessian = tilted.hessian(weight, models[split, strength])
            shares = linalg.eigvalsh(basis.T @ hessian @ basis, check_finite=False)
            vanished[split, strength] = shares.min(initial=1.0) < _LEFT
    return vanished
