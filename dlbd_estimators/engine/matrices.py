"""How large a matrix may be that all tasks of a pass sum at once in the smallest worker."""

from __future__ import annotations

from dataclasses import dataclass

from dlbd_estimators.engine.reduction_tree import nodes

#: Share of a worker's memory for the matrices of a pass. A quarter may hold decoded blocks, and
#: the rest is for the blocks in hand.
_SHARE = 0.5
#: What a kernel makes of one block at a time: the matrix, the product of a tile, and what is added
#: to either for a centre.
_WORKING = 6
#: Partials of bundles that have ended, for each thread, which wait to be joined.
_WAITING = 4


@dataclass(frozen=True)
class MatrixRoom:
    """The memory that a pass needs for each matrix that it sums, and the memory there is.

    Attributes
    ----------
    limit : int
        Bytes of memory of the smallest worker.
    threads : int
        That work there at the same time.
    copies : int
        Matrices that each of them may have at a time.
    """

    limit: int
    threads: int
    copies: int

    @property
    def nbytes(self) -> int:
        """Of the largest matrix that fits."""
        return int(self.limit * _SHARE / (self.threads * self.copies))


def matrix_room(limit: int, threads: int, n_blocks: int, depth: int) -> MatrixRoom:
    """Return the room for the matrices of a pass.

    Parameters
    ----------
    limit, threads : int
        Bytes of memory of the smallest worker, and threads that share it.
    n_blocks : int
        Blocks of the pass.
    depth : int
        Of the tree at which the pass is cut into bundles.
    """
    ranges = nodes(n_blocks, depth)
    longest = max((stop - start for start, stop in ranges), default=1)
    # In a bundle one partial waits for its neighbour at each level of the tree.
    levels = max(longest - 1, 0).bit_length()
    at_once = max(1, min(threads, len(ranges)))
    return MatrixRoom(limit, at_once, levels + _WORKING + min(_WAITING, len(ranges)))
