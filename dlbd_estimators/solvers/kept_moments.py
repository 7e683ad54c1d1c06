"""Moments that a model keeps between batches of rows, and adds to those of other models."""

from __future__ import annotations

from dataclasses import dataclass

from dlbd_estimators.engine.passes import PassGenerator
from dlbd_estimators.kernels.moments import Moments, MomentsKernel
from dlbd_estimators.solvers.moment_scores import join
from dlbd_estimators.solvers.problem import Problem


@dataclass(frozen=True)
class Increment:
    """The moments of earlier rows, and the source of the moments to add to them.

    Moments are those of [X, y]. They are centred, also for models without an intercept, and
    float64, also for float32 data.

    Parameters
    ----------
    earlier : Moments or None
        Moments of the rows so far.
    added : Moments or None
        Moments of other rows, already computed. If None, a pass over the rows of the problem
        computes them.
    """

    earlier: Moments | None
    added: Moments | None = None

    def ask(self, problem: Problem) -> PassGenerator[Moments]:
        """Return the moments of all rows together."""
        added = self.added
        if added is None:
            side = problem.packing.n_features + problem.packing.n_outputs
            kernel = MomentsKernel(centre=True, precise=True)
            added = yield from problem.ask(kernel, None, "moments-pass-{}", n_entries=side**2)
        return added if self.earlier is None else join([self.earlier, added], [0, 1])
