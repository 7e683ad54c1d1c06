"""The largest matrix that the tasks of a pass can sum in the memory of the smallest worker."""

from __future__ import annotations

from dataclasses import dataclass

from dlbd_estimators.engine.reduction_tree import nodes

#: Share of a worker's memory for the matrices of a pass. A quarter may hold cached blocks, and the
#: rest is for the blocks that threads are loading or working on.
_SHARE = 0.5
#: Matrices that a kernel needs for one block: the sum, the product of a tile, and one more to
#: correct either of them for a centre.
_WORKING = 6
#: Partials for each thread that wait to be joined, after their bundles have ended.
_WAITING = 4


@dataclass(frozen=True)
class MatrixRoom:
    """The memory of a worker, and the number of matrices that it holds at a time during a pass.

    Attributes
    ----------
    limit : int
        Bytes of memory of the smallest worker.
    threads : int
        Threads of this worker that work at the same time.
    copies : int
        Matrices that each of these threads may hold at a time.
    """

    limit: int
    threads: int
    copies: int

    @property
    def nbytes(self) -> int:
        """Bytes of the largest matrix that fits."""
        return int(self.limit * _SHARE / (self.threads * self.copies))


def matrix_room(limit: int, threads: int, n_blocks: int, depth: int) -> MatrixRoom:
    """Return the room for the matrices of a pass.

    Parameters
    ----------
    limit, threads : int
        Bytes of memory of the smallest worker, and threads that share it.
    n_blocks : int
        Number of blocks of the pass.
    depth : int
        Depth of the reduction tree at which the pass is cut into bundles.
    """
    ranges = nodes(n_blocks, depth)
    longest = max((stop - start for start, stop in ranges), default=1)
    # In a bundle, one partial for each level of the tree waits for its neighbour.
    levels = max(longest - 1, 0).bit_length()
    at_once = max(1, min(threads, len(ranges)))
    return MatrixRoom(limit, at_once, levels + _WORKING + min(_WAITING, len(ranges)))
