"""How coefficients and intercepts lie in one flat vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray


@dataclass(frozen=True)
class Packing:
    """One row an output, the intercept behind its coefficients, rows end to end.

    ``[coef_0, intercept_0, coef_1, intercept_1, ...]``; without an intercept the
    coefficients alone. Hessians are square in the same order.
    """

    n_outputs: int
    n_features: int
    fit_intercept: bool

    @property
    def shape(self) -> tuple[int, int]:
        """(n_outputs, parameters an output)."""
        return self.n_outputs, self.n_features + self.fit_intercept

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return self.shape[0] * self.shape[1]

    def pack(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Join coefficients (n_outputs, n_features) and intercepts (n_outputs,)."""
        packed = np.empty(self.shape)
        packed[:, : self.n_features] = coef
        if self.fit_intercept:
            packed[:, -1] = intercept
        return packed.ravel()

    def unpack(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Split into copies: coefficients (n_outputs, n_features), intercepts."""
        rows = parameters.reshape(self.shape)
        coef = rows[:, : self.n_features].copy()
        intercept = rows[:, -1].copy() if self.fit_intercept else np.zeros(self.n_outputs)
        return coef, intercept
