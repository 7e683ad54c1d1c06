"""Passes over rows as requests, so that the fits of several transformers can share them.

A fit that can share passes with others is a generator, like a solver: it yields a
:class:`RowsPass`, is sent the partial, and in the end returns a result of its own. So one reading
of the rows can serve many fits to their columns.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from dlbd_estimators.blocks.alignment import known
from dlbd_estimators.blocks.data_frames import merge_graphs
from dlbd_estimators.blocks.sources import is_frame
from dlbd_estimators.engine.column_passes import reduce_each, reduce_rows
from dlbd_estimators.exceptions import BlockTooLarge

Partial = TypeVar("Partial")
Found = TypeVar("Found")


@dataclass(frozen=True)
class RowsPass(Generic[Partial]):
    """A request for one pass over aligned rows. Its result is the partial.

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
        """Run this pass alone; return its partial."""
        return reduce_rows(
            self.collections, self.kernel, self.combine, name=self.name, names=self.names
        )


#: A generator that yields passes, is sent their partials, and returns its own result.
RowPassGenerator: TypeAlias = Generator[RowsPass[Any], Any, Found]


def run_fit(fit: RowPassGenerator[Found]) -> Found:
    """Run one fit alone: read the rows once for each pass that it requests; return its result."""
    try:
        requested = next(fit)
        while True:
            requested = fit.send(requested.run())
    except StopIteration as end:
        result: Found = end.value
        return result


def run_fits_together(fits: Sequence[RowPassGenerator[Any]]) -> int:
    """Run fits to columns of the same rows; passes requested at the same time share one reading.

    Parameters
    ----------
    fits : sequence of generator
        The fits. Their columns were computed row by row from the same collection.

    Returns
    -------
    int
        Number of times that the rows were read.
    """
    n_sweeps = 0
    requested: list[tuple[RowPassGenerator[Any], RowsPass[Any]]] = []

    def resume(fit: RowPassGenerator[Any], partial: Any) -> None:
        with suppress(StopIteration):
            requested.append((fit, fit.send(partial)))

    for fit in fits:
        resume(fit, None)
    while requested:
        waiting, requested = requested, []
        groups: dict[Hashable, list[tuple[RowPassGenerator[Any], RowsPass[Any]]]] = {}
        for number, pair in enumerate(waiting):
            groups.setdefault(_sharing_key(pair[1], number), []).append(pair)
        for group in groups.values():
            partials, n_read = _run([each for _, each in group])
            n_sweeps += n_read
            for (fit, _), partial in zip(group, partials, strict=True):
                resume(fit, partial)
    return n_sweeps


def _sharing_key(requested: RowsPass[Any], number: int) -> Hashable:
    """Return a key that is equal for passes over rows in the same blocks: they share a reading."""
    if len(requested.collections) > 1:
        return number  # no other pass has it: these collections may have different blocks
    (rows,) = requested.collections
    if is_frame(rows):
        # Never together with arrays: Dask optimises arrays and data frames separately, and would
        # read the data twice.
        return "frames", rows.npartitions
    return "arrays", rows.chunks[0] if known(rows) else rows.numblocks[0]


def _run(passes: Sequence[RowsPass[Any]]) -> tuple[list[Any], int]:
    """Run passes over the same blocks; return the partials, and how often blocks were read."""
    if len(passes) > 1:
        rows = merge_graphs(*(each.collections[0] for each in passes))
        if len({_n_blocks(each) for each in rows}) == 1:
            try:
                partials = reduce_each(
                    rows,
                    [each.kernel for each in passes],
                    [each.combine for each in passes],
                    name=passes[0].name,
                )
            except BlockTooLarge:  # nothing was read; the blocks of one pass alone may fit
                pass
            else:
                return partials, 1
    return [each.run() for each in passes], len(passes)


def _n_blocks(rows: Any) -> int:
    return int(rows.npartitions if is_frame(rows) else rows.numblocks[0])
