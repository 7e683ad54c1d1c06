"""The fixed binary tree that joins the partials of blocks.

The tree over blocks ``start..stop`` splits in the middle, down to single blocks. Its
shape depends on the number of blocks alone. The nodes at any depth are consecutive ranges of
nearly equal size: these are the bundles. The same partials are joined in the same order,
however many bundles there are, and wherever each is run. So the sum has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Partial = TypeVar("Partial")
#: Consecutive blocks ``start..stop``.
Node = tuple[int, int]
Combine = Callable[[Partial, Partial], Partial]


def split(start: int, stop: int) -> tuple[Node, Node]:
    """Split a node of the tree into its two children."""
    middle = (start + stop) // 2
    return (start, middle), (middle, stop)


def within(node: Node, other: Node) -> bool:
    """Return whether ``node`` equals ``other`` or is below it in the tree."""
    return other[0] <= node[0] and node[1] <= other[1]


def parent(node: Node, n: int) -> Node | None:
    """Return the parent of a node in the tree over ``n`` blocks; None for the root."""
    above, below = None, (0, n)
    while below != node:
        above, (left, right) = below, split(*below)
        below = left if within(node, left) else right
    return above


def uncovered(node: Node, covered: NDArray[np.bool_]) -> list[Node]:
    """Return the largest nodes, from ``node`` down, that contain no covered block."""
    start, stop = node
    if covered[start:stop].all():
        return []
    if not covered[start:stop].any():
        return [node]
    return [part for half in split(start, stop) for part in uncovered(half, covered)]


def nodes(n: int, depth: int) -> list[Node]:
    """Return the ranges at ``depth`` of the tree over ``n`` blocks, in order.

    Ranges of one block are not split further, so there are at most ``min(n, 2**depth)``.
    """
    level = [(0, n)]
    for _ in range(depth):
        level = [
            child
            for start, stop in level
            for child in (split(start, stop) if stop - start > 1 else [(start, stop)])
        ]
    return level


def reduce_range(
    evaluate: Callable[[int], Partial], combine: Combine[Partial], start: int, stop: int
) -> Partial:
    """Evaluate the blocks of a node in order and join their partials in the tree.

    At most ``log2(stop - start) + 1`` partials are alive at a time.
    """
    if stop - start == 1:
        return evaluate(start)
    left, right = split(start, stop)
    first = reduce_range(evaluate, combine, *left)
    return combine(first, reduce_range(evaluate, combine, *right))


def join(
    partials: dict[Node, Partial], combine: Combine[Partial], start: int, stop: int
) -> Partial:
    """Join the partials of nodes that together cover ``start..stop``."""
    if (start, stop) in partials:
        return partials.pop((start, stop))
    left, right = split(start, stop)
    first = join(partials, combine, *left)
    return combine(first, join(partials, combine, *right))


def stratified(n: int, depth: int, choose: Callable[[int, int], int]) -> Sequence[int]:
    """Choose one block from each node at ``depth``: a sample from across the whole range.

    With one block from each node, the tree of the sample is the top of the tree of all blocks.
    """
    return [choose(start, stop) for start, stop in nodes(n, depth)]
