"""The first pass over raw rows: count all of them, and keep the clean rows of some partitions.

Reading and converting text takes most of the time of an ingest. So clean rows are kept for the
second pass: in files beside the data set, if it is on a disk with room for them, otherwise in
memory, as long as they need a small share of it. In memory the partitions that are kept are the
first ones, always the same. The text of rows that are not kept is read a second time.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import NamedTuple

from dask.delayed import Delayed, delayed

from storage.computing import compute, persist, worker_memory
from storage.ingestion.checked_rows import CheckedRows, CleanRows
from storage.ingestion.column import Column
from storage.ingestion.joined_tallies import joined
from storage.ingestion.kept_files import KeptFiles, keep_rows, kept_rows
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.lookup import Lookup
from storage.ingestion.rows import Rows
from storage.ingestion.tally import Tally, tally_rows
from storage.ingestion.tally_tree import JOINED
from storage.local_files import LocalFiles
from storage.progress import stage

__all__ = ["FirstPass", "count_and_keep"]

#: Bytes of clean rows that are kept in this process, if there is no cluster.
_KEPT_NBYTES = 512 * 2**20
#: Share of the workers' memory for clean rows, if there is a cluster.
_KEPT_SHARE = 1 / 16
# Text of numbers takes about as many bytes as the numbers. Where it is much shorter, as for a
# column of single digits, the rows of a partition are not kept.
_NBYTES_OF_TEXT_BYTE = 2
#: Most bytes of text of a partition that is kept in a file.
_FILE_NBYTES = 2**28


class _Place(NamedTuple):
    """Where the clean rows of a partition are kept if they take no more than so many bytes.

    A place without a folder is in memory. In a folder, hashes take bytes of their own.
    """

    nbytes: int
    folder: LocalFiles | None


class _Counted(NamedTuple):
    """For each split the counts of a partition, and its clean rows if they are kept in memory."""

    tallies: tuple[Tally, ...]
    rows: tuple[CleanRows, ...] | None
    in_files: tuple[bool, ...]


class FirstPass(NamedTuple):
    """The result of the first pass.

    Parameters
    ----------
    tallies : tuple of Tally
        The counts of all rows of each split.
    n_kept : tuple of tuple of int
        For each split and each partition, the number of rows that no policy leaves out.
    kept : dict of (int, int) to LazyRows
        The clean rows that are kept for the second pass, by the numbers of the split and of the
        partition.
    """

    tallies: tuple[Tally, ...]
    n_kept: tuple[tuple[int, ...], ...]
    kept: dict[tuple[int, int], LazyRows]


def count_and_keep(
    rows: Sequence[LazyRows],
    sizes: Sequence[int | None],
    plan: Mapping[str, Column],
    joins: tuple[Lookup, ...],
    files: KeptFiles | None = None,
    splits: tuple[int, ...] = (0,),
) -> FirstPass:
    """Count the rows of all partitions, and keep the clean rows.

    This runs on the active cluster or on threads. The counts of the partitions are joined there, so
    this process only gets their sum.

    Parameters
    ----------
    rows : sequence of LazyRows
        The raw rows of each partition.
    sizes : sequence of (int or None)
        Bytes of text of each partition. Partitions without a size are not kept; no sizes mean that
        none is.
    plan : dict of str to Column
        The rules of each column that is used.
    joins : tuple of Lookup
        The tables to join.
    files : KeptFiles or None
        The folder for rows; None keeps them in memory.
    splits : tuple of int, default=(0,)
        Numbers of the splits whose rows are counted, each on its own; all rows are in the only one
        if they are not divided.
    """
    # One task holds the joined tables, because they may be large.
    shared = delayed(_Joins(joins), name=f"joins-{uuid.uuid4().hex}", traverse=False)
    in_files = {
        number: size
        for number, size in enumerate(sizes)
        if size is not None and size <= _FILE_NBYTES
    }
    folder = files.begin(sum(in_files.values())) if files is not None and in_files else None
    limits = _limits(sizes) if folder is None else {}
    places = {
        number: _Place(limit, folder)
        for number, limit in (limits if folder is None else in_files).items()
    }
    name = f"count-{uuid.uuid4().hex}"
    counted = [
        partition.task(
            partial(_count, plan, splits, number, places.get(number)), shared, (name, number)
        )
        for number, partition in enumerate(rows)
    ]
    with stage("count", len(rows)):
        first = dict(zip(limits, persist(*(counted[number] for number in limits)), strict=True))
        counted = [first.get(number, each) for number, each in enumerate(counted)]
        tallies, *results = compute(
            _joined_in_a_tree(plan, splits, counted, with_rows=first),
            *(delayed(_result_of, traverse=False)(each) for each in counted),
        )
    kept = {
        (split, number): LazyRows(partial(_rows_of, place), (first[number],))
        for number, result in enumerate(results)
        if result.in_memory
        for place, split in enumerate(splits)
    }
    if folder is not None:
        kept |= {
            (split, number): LazyRows(
                partial(kept_rows, folder, _file_name(split, number), rows_of_split.read),
                rows_of_split.inputs,
                quick=True,
            )
            for number, result in enumerate(results)
            for split, in_file in zip(splits, result.in_files, strict=False)
            if in_file
            for rows_of_split in [rows[number].then(methodcaller("in_split", split))]
        }
    n_kept = tuple(zip(*(result.n_kept for result in results), strict=True))
    return FirstPass(tallies, n_kept or ((),) * len(splits), kept)


def _file_name(split: int, number: int) -> str:
    """Return the name of the file with the rows of one split of a partition."""
    return f"{split}-{number}"


def _joined_in_a_tree(
    plan: Mapping[str, Column],
    splits: tuple[int, ...],
    counted: Sequence[Delayed],
    with_rows: Collection[int],
) -> Delayed:
    """Return the tallies of all partitions; a task joins the tallies of a few neighbours.

    Partitions with rows in memory give their tallies alone, so that no other worker gets the rows.
    """
    join = delayed(partial(_join_tallies, plan, len(splits)), traverse=False)
    tallies = [
        delayed(_tallies_of, traverse=False)(each) if number in with_rows else each
        for number, each in enumerate(counted)
    ]
    while len(tallies) > JOINED:
        groups = range(0, len(tallies), JOINED)
        tallies = [join(*tallies[start : start + JOINED]) for start in groups]
    whole: Delayed = join(*tallies)
    return whole


def _limits(sizes: Sequence[int | None]) -> dict[int, int]:
    """Return the most bytes of clean rows to keep, by the number of the partition."""
    memory = worker_memory()
    room = _KEPT_NBYTES if memory is None else int(memory * _KEPT_SHARE)
    limits: dict[int, int] = {}
    for number, size in enumerate(sizes):
        if size is None or room < size * _NBYTES_OF_TEXT_BYTE:
            break
        limits[number] = size * _NBYTES_OF_TEXT_BYTE
        room -= limits[number]
    return limits


@dataclass(frozen=True)
class _Joins:
    """The joined tables, as one object in a graph."""

    tables: tuple[Lookup, ...]


class _Result(NamedTuple):
    """The numbers of kept rows of a partition for each split, and where its clean rows are."""

    n_kept: tuple[int, ...]
    in_memory: bool
    in_files: tuple[bool, ...]


def _count(
    plan: Mapping[str, Column],
    splits: tuple[int, ...],
    number: int,
    place: _Place | None,
    joins: _Joins,
    rows: Rows,
) -> _Counted:
    tallies, clean, in_files = [], [], []
    for split in splits:
        part = rows.in_split(split)
        checked = CheckedRows.of(plan, joins.tables, part.table, part.file, part.duplicates)
        tallies.append(tally_rows(plan, joins.tables, part, checked))
        if place is None:
            continue
        if place.folder is None:
            clean.append(checked.clean())
        else:
            name = _file_name(split, number)
            found = checked.clean()
            in_files.append(
                keep_rows(place.folder, name, found, place.nbytes + found.hashes_nbytes)
            )
    in_memory = (
        place is not None
        and place.folder is None
        and sum(each.nbytes for each in clean) <= place.nbytes
    )
    return _Counted(tuple(tallies), tuple(clean) if in_memory else None, tuple(in_files))


def _tallies_of(counted: _Counted) -> tuple[Tally, ...]:
    return counted.tallies


def _join_tallies(
    plan: Mapping[str, Column], n_splits: int, *parts: tuple[Tally, ...] | _Counted
) -> tuple[Tally, ...]:
    tallies = [part.tallies if isinstance(part, _Counted) else part for part in parts]
    return tuple(joined([each[place] for each in tallies], plan) for place in range(n_splits))


def _result_of(counted: _Counted) -> _Result:
    n_kept = tuple(tally.n_kept for tally in counted.tallies)
    return _Result(n_kept, counted.rows is not None, counted.in_files)


def _rows_of(place: int, counted: _Counted) -> CleanRows:
    assert counted.rows is not None
    return counted.rows[place]
