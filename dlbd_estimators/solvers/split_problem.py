"""The objective on the rows that one split of a cross-validation trains on."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

from dlbd_estimators.engine.passes import Asks
from dlbd_estimators.kernels.kernel import Kernel
from dlbd_estimators.kernels.parts import KeptRowsKernel
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.sampling import Sample


@dataclass(frozen=True, eq=False)
class SplitProblem(Problem):
    """A problem of divided blocks in which only the rows of some parts have weight.

    All splits have the same blocks, so that their passes share sweeps.

    Parameters
    ----------
    parts : tuple of int
        Parts whose rows are trained on.
    """

    _: KW_ONLY
    parts: tuple[int, ...] = ()

    def ask(
        self,
        kernel: Kernel[Any],
        parameters: Any,
        label: str,
        indices: Sample | None = None,
        n_entries: int = 0,
    ) -> Asks[Any]:
        kernel = KeptRowsKernel(kernel, self.parts)
        return super().ask(kernel, parameters, label, indices, n_entries)
