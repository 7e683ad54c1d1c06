"""Whether workers have the memory for the matrix that a solver needs."""

from __future__ import annotations

import math

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.matrices import MatrixRoom
from dlbd_estimators.exceptions import MatrixTooLarge
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN
from dlbd_estimators.solvers.problem import Problem

#: Smaller matrices fit anywhere, and to ask would take longer than many fits.
_ANYWHERE = 2**20


def room_for(executor: Executor, blocks: Blocks, packing: Packing) -> MatrixRoom | None:
    """Return the room for the matrices of a model; None means that there is no limit."""
    side = max(packing.size, packing.n_features + packing.n_outputs)
    return executor.matrix_room(blocks) if 8 * side**2 > _ANYWHERE else None


def holds(problem: Problem, n_entries: int) -> bool:
    """Tell whether the workers have room for a matrix, or several, of so many entries."""
    return 8 * n_entries <= _ANYWHERE or _is_within(problem.room, n_entries)


def sweep_holds(executor: Executor, blocks: BlockSequence, n_entries: int) -> bool:
    """Tell whether the workers have room for the matrices of all passes of a sweep."""
    return 8 * n_entries <= _ANYWHERE or _is_within(executor.matrix_room(blocks), n_entries)


def _is_within(room: MatrixRoom | None, n_entries: int) -> bool:
    return room is None or 8 * n_entries <= room.nbytes


def largest_side(problem: Problem) -> int:
    """Return how many rows a square matrix may have."""
    if problem.room is None:
        return LARGEST_HESSIAN
    return min(LARGEST_HESSIAN, math.isqrt(max(problem.room.nbytes, _ANYWHERE) // 8))


def check_room(problem: Problem, solver: str, n_rows: int, otherwise: str) -> None:
    """Refuse a solver whose matrix does not fit, before anything is read.

    Parameters
    ----------
    problem : Problem
        What is to be minimised.
    solver : str
        Its name.
    n_rows : int
        Of the square matrix that it needs.
    otherwise : str
        What to do instead; a sentence.

    Raises
    ------
    MatrixTooLarge
        Says what it needs, what there is and what to do.
    """
    room = problem.room
    if room is None or holds(problem, n_rows**2):
        return
    nbytes = 8 * n_rows**2
    raise MatrixTooLarge(
        f"solver={solver!r} needs a matrix of {n_rows} x {n_rows} numbers, which takes "
        f"{nbytes / 2**20:.0f} MiB, and a pass has up to {room.copies} of them at a time in each "
        f"thread. A worker with {room.limit / 2**20:.0f} MiB of memory and {room.threads} "
        f"thread(s) has room for {room.nbytes / 2**20:.1f} MiB each. {otherwise}, or give each "
        f"thread of the workers more memory."
    )
