"""What executors know of blocks: a numbered sequence, of which each can be read in any process.

What a block holds is another matter: rows of X, y and weights of a fit
(:mod:`dlbd_estimators.blocks.block`), or rows of any columns
(:mod:`dlbd_estimators.blocks.lazy_columns`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple, Self


class Rows(NamedTuple):
    """One block as it was stored: X is None where only the targets were asked for."""

    X: Any
    y: Any
    weight: Any


class Loader(ABC):
    """Something that can read block ``index``; it is pickled into the tasks that do."""

    @abstractmethod
    def read(self, index: int, *, features: bool = True) -> Rows:
        """Read one block; without ``features``, only its targets and weights."""

    @abstractmethod
    def select(self, indices: Sequence[int]) -> Loader:
        """Return a loader that can read these blocks and carries no more than it needs."""

    def stored(self) -> BlockSequence | None:
        """Return the same blocks with all their rows, where this loader leaves some out.

        Messages name rows by their place among all.
        """
        return None

    def remote_inputs(self, indices: Sequence[int]) -> dict[Any, Any]:
        """Return the parts of these blocks that already lie on a cluster, by key."""
        return {}

    def with_inputs(self, inputs: dict[Any, Any]) -> Loader:
        """Return a loader that has the values of its remote inputs at hand."""
        return self


class BlockSequence(ABC):
    """A numbered sequence of blocks of rows.

    Attributes
    ----------
    loader : Loader
        Reads a block.
    n_blocks : int
        Their number.
    sizes : tuple of int or None
        Rows of each block; None where they are not known before the blocks are read.
    block_nbytes : int or None
        Size of the largest block, in bytes; None where unknown.
    in_memory : bool
        The blocks are views of arrays in this process.
    """

    #: Passes read the blocks again and again: those that fit are kept meanwhile.
    read_again: bool = True
    #: Blocks of one fit that are read otherwise, with other labels or of fewer rows, have another
    #: one: what is kept of these is not taken for the same block of those.
    token: str = ""

    loader: Loader
    n_blocks: int
    sizes: tuple[int, ...] | None
    block_nbytes: int | None
    in_memory: bool

    @property
    def leader(self) -> str:
        """What the user calls the collection whose chunks are the blocks."""
        return "X"

    @abstractmethod
    def with_loader(self, loader: Loader) -> Self:
        """Return the same blocks, read by another loader."""

    @abstractmethod
    def load(self, index: int, *, features: bool = True) -> Any:
        """Read and check one block; it tells its ``nbytes``."""

    @abstractmethod
    def diagnose(self, index: int, block: Any) -> None:
        """Raise the error that explains why block ``index`` gave a non-finite partial."""

    def select(self, indices: Sequence[int]) -> Self:
        """Return blocks that carry what reading ``indices`` needs; numbers stay."""
        return self.with_loader(self.loader.select(indices))

    def read_by(self, part: Self) -> Self:
        """Return these blocks as a part of them can read them, which :meth:`select` gives."""
        return self.with_loader(part.loader)

    def rows(self, index: int) -> range | None:
        """Return the numbers of a block's rows among all, where known."""
        return None if self.sizes is None else range(self._starts[index], self._starts[index + 1])

    def where(self, index: int) -> str:
        """Name a block and, where known, its rows."""
        rows = self.rows(index)
        known = "" if rows is None else f" (rows {rows.start} to {rows.stop})"
        return f"block {index}{known}"

    @cached_property
    def _starts(self) -> list[int]:
        """First row of each block: every block that is read is named, should it be bad."""
        return [0, *accumulate(self.sizes or ())]

    def __getstate__(self) -> dict[str, Any]:
        # Tasks carry these blocks.
        return {name: value for name, value in vars(self).items() if name != "_starts"}
