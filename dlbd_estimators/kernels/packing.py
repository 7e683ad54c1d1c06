"""The layout of coefficients and intercepts in one flat vector."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray


@dataclass(frozen=True)
class Packing:
    """The order of the parameters: for each output its coefficients, then its intercept.

    The vector is ``[coef_0, intercept_0, coef_1, intercept_1, ...]``; without an intercept
    it holds only the coefficients. Rows and columns of a Hessian have the same order.
    """

    n_outputs: int
    n_features: int
    fit_intercept: bool

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(n_outputs, number of parameters per output)."""
        return self.n_outputs, self.n_features + self.fit_intercept

    @cached_property
    def size(self) -> int:
        """Length of the flat vector."""
        return self.shape[0] * self.shape[1]

    def pack(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return coefficients (n_outputs, n_features) and intercepts (n_outputs,) as one vector."""
        packed = np.empty(self.shape)
        packed[:, : self.n_features] = coef
        if self.fit_intercept:
            packed[:, -1] = intercept
        return packed.ravel()

    def unpack(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return copies of the coefficients (n_outputs, n_features) and the intercepts."""
        rows = parameters.reshape(self.shape)
        coef = rows[:, : self.n_features].copy()
        intercept = rows[:, -1].copy() if self.fit_intercept else np.zeros(self.n_outputs)
        return coef, intercept
