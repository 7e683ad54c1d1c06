"""One pass over raw rows: the task that reads a partition also counts, encodes and writes its rows.

This is possible if the steps are known before any row is read, because nothing is estimated from
the rows, and if it is known where the rows of each partition will be stored, because the source
tells their numbers and no policy leaves out a row. A partition writes the chunks that it has all
rows of. The other chunks belong to two partitions or more; a task for each block writes them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from dask.delayed import Delayed, delayed

from storage.chunk_files import write_chunk
from storage.computing import compute
from storage.entries import ChunkEntries, StoredChunk
from storage.errors import InvalidData
from storage.ingestion.checked_rows import CheckedRows
from storage.ingestion.column import Column
from storage.ingestion.feature_columns import feature_rows
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.pieces import blocks_at_once
from storage.ingestion.recipe import Recipe
from storage.ingestion.refusal import is_refused
from storage.ingestion.rows import Rows
from storage.ingestion.tally import Tally, tally_rows
from storage.ingestion.tally_tree import TallyTree
from storage.layout import HASHES
from storage.progress import stage
from storage.writer import BlockWriter, Finished

__all__ = ["write_in_one_pass"]


@dataclass(frozen=True)
class _Work:
    """What the tasks have in common, as one object in a graph.

    Attributes
    ----------
    plan : dict of str to Column
        The rules of each column.
    recipe : Recipe
        The steps.
    writers : dict of str to BlockWriter
        The arrays that are written.
    finished : dict of str to frozenset of int
        The blocks of each array that need not be written.
    """

    plan: Mapping[str, Column]
    recipe: Recipe
    writers: Mapping[str, BlockWriter]
    finished: Mapping[str, frozenset[int]]


class _Part(NamedTuple):
    """What is left of a partition after its whole chunks were written.

    Attributes
    ----------
    tally : Tally
        The counts of its rows.
    chunks : dict of int to StoredChunk
        The manifest's entries of the chunks of X that were written, by their numbers.
    rest : dict of int to ndarray
        The rows of X that are not in these chunks, by the number of their first row.
    start : int
        The number of the first row of `y`.
    y : ndarray or None
        The target of all rows; None if the rows break a rule, and are not encoded.
    hashes : ndarray or None
        The hashes of all rows, which also begin with the row `start`; None if there are none.
    """

    tally: Tally
    chunks: dict[int, StoredChunk]
    rest: dict[int, npt.NDArray[np.float64]]
    start: int
    y: npt.NDArray[Any] | None
    hashes: npt.NDArray[np.uint64] | None = None


class _Block(NamedTuple):
    """The manifest's entries of a block, and the tallies of the partitions that begin in it."""

    entries: dict[str, list[StoredChunk]]
    tallies: tuple[Tally, ...]


def write_in_one_pass(
    recipe: Recipe,
    plan: Mapping[str, Column],
    rows: Sequence[LazyRows],
    lengths: Sequence[int],
    writers: Mapping[str, BlockWriter],
    finished: Finished,
) -> tuple[dict[str, ChunkEntries], Tally]:
    """Count, encode and write raw rows, on the active cluster or on threads.

    Parameters
    ----------
    recipe : Recipe
        The steps.
    plan : dict of str to Column
        The rules of each column.
    rows : sequence of LazyRows
        The raw rows of each partition.
    lengths : sequence of int
        The number of rows of each partition, of which there is one or more in all.
    writers : dict of str to BlockWriter
        The arrays that are written.
    finished : dict
        The manifest's entries of blocks that are written already.

    Returns
    -------
    entries : dict of str to ChunkEntries
        The manifest's entries of each array; not complete if rows break a rule.
    tally : Tally
        The counts of all rows.

    Raises
    ------
    InvalidData
        When raw data cannot be read. Broken rules are only counted.
    """
    block_rows, starts = writers["X"].block_rows, np.cumsum([0, *lengths])
    n_blocks = ceil(int(starts[-1]) / block_rows)
    done = {name: dict(finished.get(name, {})) for name in writers}
    work = _Work(plan, recipe, writers, {name: frozenset(found) for name, found in done.items()})
    shared = delayed(work, name=f"work-{uuid.uuid4().hex}", traverse=False)
    tree, at_once = TallyTree(plan), blocks_at_once()
    with stage("write", n_blocks) as progress:
        for first in range(0, n_blocks, at_once):
            blocks = range(first, min(first + at_once, n_blocks))
            results: Sequence[_Block] = compute(*_tasks(shared, rows, starts, block_rows, blocks))
            progress.begin_next_part()
            for block, result in zip(blocks, results, strict=True):
                for name, found in result.entries.items():
                    done[name].setdefault(block, found)
                for tally in result.tallies:
                    tree.add(tally)
    entries = {
        name: ChunkEntries.from_chunks(chunk for block in sorted(found) for chunk in found[block])
        for name, found in done.items()
    }
    return entries, tree.whole()


def _tasks(
    shared: Delayed,
    rows: Sequence[LazyRows],
    starts: npt.NDArray[np.int64],
    block_rows: int,
    blocks: range,
) -> list[Delayed]:
    """Return the tasks of a run of blocks. A partition in two runs is read twice."""
    name = uuid.uuid4().hex
    bounds = (blocks.start * block_rows, min(blocks.stop * block_rows, int(starts[-1])))
    # A partition without rows is counted with the block of the row after it, or the last block.
    owners = np.minimum(starts[:-1], starts[-1] - 1) // block_rows
    ends = (starts[1:] - 1) // block_rows
    parts: dict[int, Delayed] = {}
    tasks = []
    for block in blocks:
        begins = np.flatnonzero(owners == block)
        others = np.flatnonzero((owners < block) & (ends >= block))
        for number in (*others.tolist(), *begins.tolist()):
            if number not in parts:
                read = partial(
                    _write_partition, int(starts[number]), int(starts[number + 1]), bounds
                )
                parts[number] = rows[number].task(read, shared, (f"encode-{name}", number))
        write = delayed(partial(_write_block, block, len(others)), traverse=False)
        used = [parts[number] for number in (*others.tolist(), *begins.tolist())]
        tasks.append(write(shared, *used, dask_key_name=(f"write-{name}", block)))
    return tasks


def _write_partition(
    start: int, stop: int, bounds: tuple[int, int], work: _Work, rows: Rows
) -> _Part:
    """Count and encode the rows `start` to `stop`, and write the whole chunks within `bounds`."""
    joins = work.recipe.joins
    checked = CheckedRows.of(work.plan, joins, rows.table, rows.file, rows.duplicates)
    tally = tally_rows(work.plan, joins, rows, checked)
    if tally.n_kept != stop - start:
        raise InvalidData(
            f"{rows.file} has other rows than when it was listed: it was changed while it was "
            f"read. Ingest it again"
        )
    if is_refused(tally, work.plan, joins):
        return _Part(tally, {}, {}, start, None)
    clean = checked.clean()
    columns = work.recipe.feature_columns(clean)
    writer, chunks, rest = work.writers["X"], {}, {}
    layout = writer.layout
    first, last = max(start, bounds[0]), min(stop, bounds[1])
    for chunk in layout.chunks_of(first - first % layout.chunk_rows, last) if first < last else ():
        if chunk * layout.chunk_rows // writer.block_rows in work.finished["X"]:
            continue
        begin, end = layout.rows_of(chunk)
        whole = first <= begin and end <= last
        begin, end = max(begin, first), min(end, last)
        X = feature_rows(columns, begin - start, end - start)
        if whole:
            chunks[chunk] = _written(writer, chunk, X)
        else:
            rest[begin] = X
    return _Part(tally, chunks, rest, start, work.recipe.target_values(clean), clean.hashes)


def _write_block(block: int, n_begun: int, work: _Work, *parts: _Part) -> _Block:
    """Write the chunks of a block that no partition could write.

    The first `n_begun` of the partitions begin before this block.
    """
    tallies = tuple(part.tally for part in parts[n_begun:])
    entries: dict[str, list[StoredChunk]] = {}
    if any(part.y is None for part in parts):
        return _Block(entries, tallies)
    written = {number: chunk for part in parts for number, chunk in part.chunks.items()}
    pieces: dict[str, list[tuple[int, Any]]] = {
        "X": [piece for part in parts for piece in part.rest.items()],
        "y": [(part.start, part.y) for part in parts],
        HASHES: [(part.start, part.hashes) for part in parts],
    }
    for name, writer in work.writers.items():
        if block in work.finished[name]:
            continue
        known = written if name == "X" else {}
        entries[name] = [
            known[chunk]
            if chunk in known
            else _written(writer, chunk, _rows_of(pieces[name], *writer.layout.rows_of(chunk)))
            for chunk in writer.layout.chunks_of(*writer.rows_of(block))
        ]
    return _Block(entries, tallies)


def _rows_of(pieces: Sequence[tuple[int, Any]], start: int, stop: int) -> npt.NDArray[Any]:
    """Return the rows `start` to `stop` of pieces in their order, each with its first row."""
    return np.concatenate(
        [
            piece[max(start - first, 0) : max(stop - first, 0)]
            for first, piece in pieces
            if first < stop and start < first + len(piece)
        ]
    )


def _written(writer: BlockWriter, chunk: int, rows: npt.NDArray[Any]) -> StoredChunk:
    """Write a chunk, and return its entry in the manifest."""
    first, stop = writer.layout.rows_of(chunk)
    stored = writer.converted(writer.checked(rows, first, stop), first, chunk)
    return write_chunk(writer.store, writer.layout, chunk, stored, durable=writer.durable)
