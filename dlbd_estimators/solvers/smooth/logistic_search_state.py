"""The state of a search for the strength of the L2 penalty of a logistic regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.solvers.path_rows import PathRows
from dlbd_estimators.solvers.smooth.newton import NewtonState


@dataclass(frozen=True)
class LogisticSearchState(NewtonState):
    """State of a search: adds models, the sample of rows, scores and the choice to Newton's state.

    Attributes
    ----------
    models : ndarray of shape (n_splits, n_Cs, size) or None
        Models in standard units, which the next sweep evaluates.
    before, slope_before : ndarray or None
        Steps that led to these models, and the absolute slopes at the beginning of these steps.
    scale : ndarray of shape (n_features,) or None
        Standard deviations of the columns.
    rows : PathRows or None
        The rows from which curvature is computed.
    complete : bool
        Whether these are all rows.
    drawn : bool
        Whether these rows were drawn by importance.
    dtype : str
        Precision of the next sweep.
    scores : ndarray of shape (n_splits, n_Cs) or None
        Scores of the models in the last sweep.
    scored_error : float
        Approximate error of a coefficient of these models, relative to the largest coefficient.
    unconverged : ndarray of bool of shape (n_splits, n_Cs) or None
        Models that are not minimisers to the accuracy of the search.
    newton_at : int or None
        Index of the strength at which Newton's method fits all rows.
    chosen : int or None
        Index of the chosen strength; None until one is chosen.
    averaged : bool
        Whether the search has ended without a refit.
    sweeps : int
        Number of sweeps.
    """

    shapes: ClassVar[Shapes] = {
        "models": ("n_splits", "n_Cs", "n_parameters"),
        "before": ("n_splits", "n_Cs", "n_parameters"),
        "scale": ("n_features",),
        "scores": ("n_splits", "n_Cs"),
        "unconverged": ("n_splits", "n_Cs"),
    }

    models: FloatArray | None = None
    before: FloatArray | None = None
    slope_before: FloatArray | None = None
    scale: FloatArray | None = None
    rows: PathRows | None = None
    complete: bool = False
    drawn: bool = False
    dtype: str = "float64"
    scores: FloatArray | None = None
    scored_error: float = np.inf
    unconverged: NDArray[np.bool_] | None = None
    newton_at: int | None = None
    chosen: int | None = None
    averaged: bool = False
    sweeps: int = 0

    def meets(self, tol: float) -> bool:
        # Newton's method must have evaluated the chosen model.
        proved = self.chosen is not None and self.base is not None and super().meets(tol)
        return proved or self.averaged
