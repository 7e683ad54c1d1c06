"""Passes over rows as requests: fits of transformers ask for them, alone or together.

A fit that can share passes with others is a generator, like a solver: it yields a
:class:`RowsPass`, is sent the partial, and in the end returns a result of its own. So one sweep can
serve many fits to columns of the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from dlbd_estimators.blocks.alignment import known
from dlbd_estimators.blocks.data_frames import together
from dlbd_estimators.blocks.sources import is_frame
from dlbd_estimators.engine.column_passes import reduce_each, reduce_rows
from dlbd_estimators.exceptions import BlockTooLarge

Partial = TypeVar("Partial")
Found = TypeVar("Found")


@dataclass(frozen=True)
class RowsPass(Generic[Partial]):
    """One pass over aligned rows. Its result is the partial.

    Attributes
    ----------
    collections, kernel, combine, name, names
        The arguments of :func:`~dlbd_estimators.engine.column_passes.reduce_rows`.
    """

    collections: Sequence[Any]
    kernel: Callable[..., Partial]
    combine: Callable[[Partial, Partial], Partial]
    name: str
    names: Sequence[str] = ()

    def run(self) -> Partial:
        """Run it alone."""
        return reduce_rows(
            self.collections, self.kernel, self.combine, name=self.name, names=self.names
        )


#: A generator that yields passes, is sent their partials, and returns its own result.
AsksForRows: TypeAlias = Generator[RowsPass[Any], Any, Found]


def answered(asks: AsksForRows[Found]) -> Found:
    """Run one fit, with a reading of the rows for each pass that it asks for."""
    try:
        asked = next(asks)
        while True:
            asked = asks.send(asked.run())
    except StopIteration as end:
        found: Found = end.value
        return found


def answered_together(fits: Sequence[AsksForRows[Any]]) -> int:
    """Run fits to columns of the same rows; one sweep serves what they ask for at the same time.

    Parameters
    ----------
    fits : sequence of generator
        Each works on columns that were made, row by row, of one collection.

    Returns
    -------
    int
        How often the rows were read.
    """
    n_sweeps = 0
    asked: list[tuple[AsksForRows[Any], RowsPass[Any]]] = []

    def go_on(fit: AsksForRows[Any], partial: Any) -> None:
        with suppress(StopIteration):
            asked.append((fit, fit.send(partial)))

    for fit in fits:
        go_on(fit, None)
    while asked:
        waiting, asked = asked, []
        groups: dict[Hashable, list[tuple[AsksForRows[Any], RowsPass[Any]]]] = {}
        for place, pair in enumerate(waiting):
            groups.setdefault(_cut(pair[1], place), []).append(pair)
        for group in groups.values():
            partials, n_read = _run([each for _, each in group])
            n_sweeps += n_read
            for (fit, _), partial in zip(group, partials, strict=True):
                go_on(fit, partial)
    return n_sweeps


def _cut(asked: RowsPass[Any], place: int) -> Hashable:
    """Return a key. Passes with equal keys read rows that are cut into the same blocks."""
    if len(asked.collections) > 1:
        return place  # the weights may be cut into other blocks
    (rows,) = asked.collections
    if is_frame(rows):
        # Not with arrays: Dask optimises arrays and data frames apart, and would read twice.
        return "frames", rows.npartitions
    return "arrays", rows.chunks[0] if known(rows) else rows.numblocks[0]


def _run(passes: Sequence[RowsPass[Any]]) -> tuple[list[Any], int]:
    """Run passes over the same blocks; return their partials, and how often these were read."""
    if len(passes) > 1:
        rows = together(*(each.collections[0] for each in passes))
        if len({_n_blocks(each) for each in rows}) == 1:
            try:
                partials = reduce_each(
                    rows,
                    [each.kernel for each in passes],
                    [each.combine for each in passes],
                    name=passes[0].name,
                )
            except BlockTooLarge:  # before anything was read; alone they may fit
                pass
            else:
                return partials, 1
    return [each.run() for each in passes], len(passes)


def _n_blocks(rows: Any) -> int:
    return int(rows.npartitions if is_frame(rows) else rows.numblocks[0])
