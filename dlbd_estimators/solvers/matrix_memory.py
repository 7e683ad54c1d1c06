"""Check whether the workers have the memory for the matrix that a solver needs."""

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

#: Matrices of at most this many bytes fit on any worker, and asking takes longer than many fits.
_ANYWHERE = 2**20


def room_for(executor: Executor, blocks: Blocks, packing: Packing) -> MatrixRoom | None:
    """Return the room for the matrices of a model; None means that there is no limit."""
    side = max(packing.size, packing.n_features + packing.n_outputs)
    return executor.matrix_room(blocks) if 8 * side**2 > _ANYWHERE else None


def matrices_fit(problem: Problem, n_entries: int) -> bool:
    """Return whether the workers have room for one or more matrices of ``n_entries`` in total."""
    return 8 * n_entries <= _ANYWHERE or _is_within(problem.room, n_entries)


def sweep_fits(executor: Executor, blocks: BlockSequence, n_entries: int) -> bool:
    """Return whether the workers have room for the matrices of all passes of a sweep."""
    return 8 * n_entries <= _ANYWHERE or _is_within(executor.matrix_room(blocks), n_entries)


def _is_within(room: MatrixRoom | None, n_entries: int) -> bool:
    return room is None or 8 * n_entries <= room.nbytes


def largest_side(problem: Problem) -> int:
    """Return the largest number of rows that a square matrix may have."""
    if problem.room is None:
        return LARGEST_HESSIAN
    return min(LARGEST_HESSIAN, math.isqrt(max(problem.room.nbytes, _ANYWHERE) // 8))


def check_room(problem: Problem, solver: str, n_rows: int, otherwise: str) -> None:
    """Raise an error if a solver's matrix does not fit, before any data are read.

    Parameters
    ----------
    problem : Problem
        The problem to solve.
    solver : str
        Name of the solver.
    n_rows : int
        Number of rows of the square matrix that the solver needs.
    otherwise : str
        What to do instead: a sentence without its full stop.

    Raises
    ------
    MatrixTooLarge
        The message gives the memory that is needed, the memory that there is, and what to do.
    """
    room = problem.room
    if room is None or matrices_fit(problem, n_rows**2):
        return
    nbytes = 8 * n_rows**2
    raise MatrixTooLarge(
        f"solver={solver!r} needs a matrix of {n_rows} x {n_rows} numbers, which takes "
        f"{nbytes / 2**20:.0f} MiB, and a pass holds up to {room.copies} of them at a time in each "
        f"thread. A worker with {room.limit / 2**20:.0f} MiB of memory and {room.threads} "
        f"thread(s) has room for matrices of {room.nbytes / 2**20:.1f} MiB. {otherwise}, or give "
        f"each thread of the workers more memory."
    )
