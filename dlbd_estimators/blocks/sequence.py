"""The interface of blocks that executors use: a numbered sequence, readable in any process.

Subclasses define what a block holds: rows of X, y and weights of a fit
(:mod:`dlbd_estimators.blocks.block`), or rows of any columns
(:mod:`dlbd_estimators.blocks.lazy_columns`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar, NamedTuple, Self


class Rows(NamedTuple):
    """One block as it is stored; X is None if only targets and weights were requested."""

    X: Any
    y: Any
    weight: Any


class Loader(ABC):
    """An object that reads blocks by number; it is pickled into the tasks that read them."""

    @abstractmethod
    def read(self, index: int, *, features: bool = True) -> Rows:
        """Read one block; without ``features``, only its targets and weights."""

    @abstractmethod
    def select(self, indices: Sequence[int]) -> Loader:
        """Return a loader that can read these blocks, and holds only what it needs for them."""

    def stored(self) -> BlockSequence | None:
        """Return the same blocks with all their rows, if this loader leaves some out; else None.

        Messages need it to number rows within the whole block.
        """
        return None

    def remote_inputs(self, indices: Sequence[int]) -> dict[Any, Any]:
        """Return the futures on a cluster that reading these blocks needs, by key."""
        return {}

    def with_inputs(self, inputs: dict[Any, Any]) -> Loader:
        """Return a loader that holds the values of its remote inputs, given by key."""
        return self


class BlockSequence(ABC):
    """A numbered sequence of blocks of rows.

    Attributes
    ----------
    loader : Loader
        Reads a block.
    n_blocks : int
        Number of blocks.
    sizes : tuple of int or None
        Rows of each block; None if they are not known before the blocks are read.
    block_nbytes : int or None
        Size of the largest block, in bytes; None if unknown.
    in_memory : bool
        The blocks are views of arrays in this process.
    """

    #: Whether several passes read the blocks, so that blocks that fit are cached between passes.
    read_again: bool = True
    #: Whether the features of a block may be sparse.
    sparse: bool = False
    #: Distinguishes the blocks in a cache. Blocks of the same fit that are read differently (other
    #: labels, fewer rows) have another token, so that one is not taken for the other.
    token: str = ""

    #: Attributes that are computed once, from all others.
    _computed: ClassVar[frozenset[str]] = frozenset({"_starts"})

    loader: Loader
    n_blocks: int
    sizes: tuple[int, ...] | None
    block_nbytes: int | None
    in_memory: bool

    @property
    def leader(self) -> str:
        """Name of the collection whose chunks are the blocks, for messages."""
        return "X"

    @abstractmethod
    def with_loader(self, loader: Loader) -> Self:
        """Return the same blocks, read by another loader."""

    @abstractmethod
    def load(self, index: int, *, features: bool = True) -> Any:
        """Read and check one block, which has an attribute ``nbytes``."""

    @abstractmethod
    def diagnose(self, index: int, block: Any) -> None:
        """Raise the error that explains why block ``index`` gave a non-finite partial."""

    def select(self, indices: Sequence[int]) -> Self:
        """Return blocks that hold only what reading ``indices`` needs, with the same numbers."""
        return self.with_loader(self.loader.select(indices))

    def with_loader_of(self, part: Self) -> Self:
        """Return these blocks with the loader of ``part``, which :meth:`select` returned."""
        return self.with_loader(part.loader)

    def rows(self, index: int) -> range | None:
        """Return the row numbers of a block in the whole data set, or None if not known."""
        return None if self.sizes is None else range(self._starts[index], self._starts[index + 1])

    def where(self, index: int) -> str:
        """Return the name of a block for messages, with its row numbers if known."""
        rows = self.rows(index)
        known = "" if rows is None else f" (rows {rows.start} to {rows.stop})"
        return f"block {index}{known}"

    @cached_property
    def _starts(self) -> list[int]:
        """First row of each block, computed once: each block that is read calls :meth:`where`."""
        return [0, *accumulate(self.sizes or ())]

    def __getstate__(self) -> dict[str, Any]:
        # Blocks are pickled into tasks: leave out what can be computed again.
        return {name: value for name, value in vars(self).items() if name not in self._computed}
