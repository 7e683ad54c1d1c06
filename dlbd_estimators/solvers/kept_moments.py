"""Moments that a model keeps from one batch of rows to the next, and joins with those of others."""

from __future__ import annotations

from dataclasses import dataclass

from dlbd_estimators.engine.passes import Asks
from dlbd_estimators.kernels.moments import Moments, MomentsKernel
from dlbd_estimators.solvers.moment_scores import join
from dlbd_estimators.solvers.problem import Problem


@dataclass(frozen=True)
class Increment:
    """What is known of earlier rows, and where more comes from.

    Moments of [X, y] are centred, with an intercept or without, and float64, whatever X is.

    Parameters
    ----------
    earlier : Moments or None
        Of the rows until now.
    added : Moments or None
        Of rows elsewhere; None is the rows of the problem, which are read.
    """

    earlier: Moments | None
    added: Moments | None = None

    def ask(self, problem: Problem) -> Asks[Moments]:
        """Return the moments of all rows together."""
        added = self.added
        if added is None:
            side = problem.packing.n_features + problem.packing.n_outputs
            kernel = MomentsKernel(centre=True, precise=True)
            added = yield from problem.ask(kernel, None, "moments-pass-{}", n_entries=side**2)
        return added if self.earlier is None else join([self.earlier, added], [0, 1])
