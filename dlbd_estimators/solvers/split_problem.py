"""The objective on the rows that one split of a cross-validation trains on."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from dlbd_estimators.kernels.kernel import Kernel
from dlbd_estimators.kernels.parts import TrainingRowsKernel
from dlbd_estimators.solvers.problem import Problem


@dataclass(frozen=True, eq=False)
class SplitProblem(Problem):
    """A problem over divided blocks in which only the rows of some parts have weight.

    All splits have the same blocks, so that their passes share sweeps.

    Parameters
    ----------
    parts : tuple of int
        Indices of the parts whose rows are used for training.
    """

    _: KW_ONLY
    parts: tuple[int, ...] = ()

    def restricted(self, kernel: Kernel[Any]) -> Kernel[Any]:
        return TrainingRowsKernel(kernel, self.parts)
