"""Classes as columns of numbers: 1 for the rows of a class, -1 for all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, Kernel
from dlbd_estimators.kernels.parts import DividedBlock

Partial = TypeVar("Partial")


def to_signs(codes: NDArray[np.intp], n_classes: int) -> FloatArray:
    """Return one column per class; for two classes only the column of the second class.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Numbers of the classes, from 0.
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)
    """
    classes = np.arange(n_classes) if n_classes > 2 else np.arange(1, n_classes)
    return np.where(codes[:, None] == classes, 1.0, -1.0)


def to_codes(signs: FloatArray) -> NDArray[np.intp]:
    """Return the number of each row's class, the inverse of :func:`to_signs`."""
    if signs.shape[1] == 1:
        return (signs[:, 0] > 0).astype(np.intp)
    return np.asarray(signs.argmax(axis=1), dtype=np.intp)


@dataclass(frozen=True)
class LabelledKernel(Kernel[Partial]):
    """Evaluates a kernel that expects class numbers on blocks that hold classes as columns.

    Parameters
    ----------
    kernel : Kernel
        Kernel to evaluate, with the parameters of the pass.
    """

    kernel: Kernel[Partial]

    def __call__(self, block: Block, parameters: Any) -> Partial:
        assert isinstance(block, DividedBlock)
        codes = to_codes(block.targets).astype(np.float64)
        return self.kernel(DividedBlock(block.X, codes, block.weight, block.parts), parameters)

    def combine(self, left: Partial, right: Partial) -> Partial:
        return self.kernel.combine(left, right)

    def is_finite(self, partial: Partial) -> bool:
        return self.kernel.is_finite(partial)
