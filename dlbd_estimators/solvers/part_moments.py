"""Second moments of each part of divided blocks, in one sweep if the workers have the memory."""

from __future__ import annotations

from dlbd_estimators.engine.passes import Pass, PassGenerator
from dlbd_estimators.kernels.moments import Moments, PartMomentsKernel
from dlbd_estimators.kernels.parts import Splits
from dlbd_estimators.kernels.sweep import SweepKernel
from dlbd_estimators.solvers.problem import Problem, check_weight


def ask_part_moments(
    problem: Problem, splits: Splits, *, precise: bool
) -> PassGenerator[list[Moments]]:
    """Return the centred moments of each part, from as few sweeps as the memory allows.

    Parameters
    ----------
    problem : Problem
        A problem over divided blocks.
    splits : Splits
        How the blocks are divided.
    precise : bool
        Form products in float64, also for float32 data.
    """
    side = problem.packing.n_features + problem.packing.n_outputs
    kernels = [PartMomentsKernel(True, precise, part) for part in range(splits.n_parts)]
    room = problem.room
    at_once = len(kernels) if room is None else max(1, room.nbytes // (8 * side**2))
    moments: list[Moments] = []
    for first in range(0, len(kernels), at_once):
        batch = tuple(kernels[first : first + at_once])
        moments += yield Pass(
            SweepKernel(batch),
            (None,) * len(batch),
            f"{problem.name}-fold-moments-pass-{{}}",
            n_entries=len(batch) * side**2,
        )
    all_rows = [moments[part] for part in splits.all_rows]
    check_weight(sum(each.weight for each in all_rows), sum(each.n_rows for each in all_rows))
    return moments
