"""Find the rows whose value of a column an earlier row has, before the first pass over raw rows.

Each partition makes a hash of each value and divides the hashes into buckets, so that equal values
are in the same bucket. A task compares the hashes of a bucket in all partitions. The hashes stay
with the workers: this process only gets a mask of the rows, compressed.

Rows that are appended are also compared with the stored rows, which come before them.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from dask.delayed import delayed

from storage.computing import compute
from storage.errors import InvalidData
from storage.ingestion.cells import Mask
from storage.ingestion.checked_rows import CheckedRows
from storage.ingestion.column import Column
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.lookup import Lookup, columns_to_read
from storage.ingestion.pieces import in_one_layer
from storage.ingestion.rows import Rows
from storage.ingestion.stored_hashes import StoredHashes
from storage.ingestion.value_hashes import (
    Hashes,
    compared_names,
    hashes_of,
    is_missing,
    word_ranges,
)
from storage.progress import stage

__all__ = ["Duplicates"]

# With more buckets a comparison needs less memory, but each partition gives a task for each bucket.
_MAX_BUCKETS = 8


class _PackedMask(NamedTuple):
    """A mask of the rows of a partition, as compressed bits."""

    n_rows: int
    content: bytes

    @classmethod
    def of(cls, mask: Mask) -> _PackedMask:
        return cls(len(mask), zlib.compress(np.packbits(mask).tobytes(), 1))

    @property
    def mask(self) -> Mask:
        bits = np.frombuffer(zlib.decompress(self.content), np.uint8)
        return np.unpackbits(bits, count=self.n_rows).astype(bool)

    def joined(self, other: _PackedMask) -> _PackedMask:
        """Return the mask of the rows in one of both."""
        return _PackedMask.of(self.mask | other.mask)


#: The rows of a partition with duplicates, by column.
_Masks = Mapping[str, _PackedMask]


@dataclass(frozen=True)
class Duplicates:
    """The rows whose value of a column an earlier row of the source, or a stored row, has.

    Attributes
    ----------
    partitions : tuple of dict of str to _PackedMask
        For each partition, the rows by column. It is empty if no column forbids duplicates.
    """

    partitions: tuple[_Masks, ...]

    @classmethod
    def of(
        cls,
        read: Callable[[Sequence[str]], Sequence[LazyRows]],
        plan: Mapping[str, Column],
        joins: tuple[Lookup, ...],
        stored: StoredHashes | None = None,
    ) -> Duplicates:
        """Compare the values of all rows, if a column forbids duplicates.

        Missing values, and rows that other policies leave out, are not compared.

        Parameters
        ----------
        read : callable
            Returns the raw rows of each partition, with the columns that it is given.
        plan : dict of str to Column
            The rules of each column that is used.
        joins : tuple of Lookup
            The tables to join.
        stored : StoredHashes or None
            The rows that come before those of the source; None if there are none.

        Raises
        ------
        InvalidData
            When raw data cannot be read.
        ChunkCorrupt
            When stored hashes are damaged.
        """
        names = compared_names(plan)
        # Columns that may leave out rows are checked, too: their rows are not compared.
        columns = {
            name: column for name, column in plan.items() if name in names or column.may_drop
        }
        rows = read(columns_to_read([*columns], joins)) if names else ()
        if not rows:
            return cls(())
        n_buckets = min(_MAX_BUCKETS, len(rows))
        name = f"hashes-{uuid.uuid4().hex}"
        # One task holds the joined tables, because they may be large.
        shared = delayed(_Compared(columns, names, joins), name=f"rules-{name}", traverse=False)
        hashed = [
            partition.task(partial(_hashed, n_buckets), shared, (name, number))
            for number, partition in enumerate(rows)
        ]
        choose = [delayed(itemgetter(bucket), traverse=False) for bucket in range(n_buckets)]
        parts = in_one_layer([each(part) for each in choose for part in hashed], hashed)
        buckets = []
        for start in range(0, len(parts), len(rows)):
            new = parts[start : start + len(rows)]
            before = []
            if stored is not None:
                before = stored.among(delayed(_first_words, traverse=False)(*new),
                                      word_ranges(plan))  # fmt: skip
            repeated = delayed(partial(_repeated, len(before)), traverse=False)
            buckets.append(repeated(*before, *new))
        with stage("compare", n_buckets):
            found = compute(*buckets)
        return cls(tuple(map(_joined, zip(*found, strict=True))))

    def marked(self, rows: Sequence[LazyRows]) -> list[LazyRows]:
        """Return the rows of each partition, with the duplicates marked."""
        if not self.partitions:
            return [*rows]
        return [
            partition.then(partial(_marked, masks)) if masks else partition
            for partition, masks in zip(rows, self.partitions, strict=True)
        ]


@dataclass(frozen=True)
class _Compared:
    """The rules of columns, the names of those whose values are compared, and the joined tables."""

    columns: Mapping[str, Column]
    names: Sequence[str]
    joins: tuple[Lookup, ...]


class _Values(NamedTuple):
    """The values of a column in one bucket of a partition.

    Attributes
    ----------
    n_rows : int
        Number of rows of the partition.
    rows : ndarray of uint32 of shape (n_values,)
        The row of each value.
    hashes : ndarray of uint64 of shape (n_words, n_values)
        The hash of each value.
    """

    n_rows: int
    rows: npt.NDArray[np.uint32]
    hashes: Hashes


def _hashed(n_buckets: int, compared: _Compared, rows: Rows) -> list[dict[str, _Values]]:
    """Return the values of each bucket, by column."""
    checked = CheckedRows.of(compared.columns, compared.joins, rows.table, rows.file)
    found: list[dict[str, _Values]] = [{} for _ in range(n_buckets)]
    for name in compared.names:
        column = checked.columns[name]
        chosen = np.flatnonzero(checked.kept & ~is_missing(column.values))
        hashes = hashes_of(column, chosen)
        bucket_of = _spread(hashes[0]) % np.uint64(n_buckets)
        for bucket, values in enumerate(found):
            inside = bucket_of == bucket
            values[name] = _Values(
                len(checked.kept), chosen[inside].astype(np.uint32), hashes[:, inside]
            )
    return found


def _spread(words: Hashes) -> Hashes:
    """Return other words, whose lowest bits are evenly distributed for any numbers."""
    import pandas as pd

    spread: Hashes = pd.util.hash_array(words, categorize=False)
    return spread


def _first_words(*parts: Mapping[str, _Values]) -> dict[str, Hashes]:
    """Return by column the sorted distinct first words of the values of all partitions."""
    return {
        name: np.unique(np.concatenate([part[name].hashes[0] for part in parts]))
        for name in parts[0]
    }


def _repeated(n_stored: int, *parts: Mapping[str, Any]) -> list[dict[str, _PackedMask]]:
    """Return the rows of each partition whose value in this bucket an earlier row has.

    The first `n_stored` parts have the hashes of stored rows by column, the others the values of a
    partition.
    """
    before, new = parts[:n_stored], parts[n_stored:]
    found: list[dict[str, _PackedMask]] = [{} for _ in new]
    for name in new[0]:
        values: list[_Values] = [part[name] for part in new]
        stored: list[Hashes] = [part[name] for part in before]
        hashes = np.concatenate([*stored, *(each.hashes for each in values)], axis=1)
        # The sort is stable: equal values stay in the order of the rows, and the first is kept.
        order = np.lexsort(hashes)
        equal = np.ones(max(0, len(order) - 1), bool)
        for word in hashes:
            ordered = word[order]
            equal &= ordered[1:] == ordered[:-1]
        repeated = np.zeros(len(order), bool)
        repeated[order[1:][equal]] = True
        repeated = repeated[sum(each.shape[1] for each in stored) :]
        ends = np.cumsum([len(each.rows) for each in values])
        for masks, each, part in zip(found, values, np.split(repeated, ends[:-1]), strict=True):
            if part.any():
                mask = np.zeros(each.n_rows, bool)
                mask[each.rows[part]] = True
                masks[name] = _PackedMask.of(mask)
    return found


def _joined(buckets: Sequence[_Masks]) -> dict[str, _PackedMask]:
    """Join the masks of all buckets of a partition."""
    whole: dict[str, _PackedMask] = {}
    for masks in buckets:
        for name, mask in masks.items():
            whole[name] = whole[name].joined(mask) if name in whole else mask
    return whole


def _marked(masks: _Masks, rows: Rows) -> Rows:
    found = {}
    for name, packed in masks.items():
        if packed.n_rows != rows.table.num_rows:
            raise InvalidData(
                f"{rows.file} has changed while it was read: a part of it had {packed.n_rows:,} "
                f"rows, and now has {rows.table.num_rows:,}. Ingest it again"
            )
        found[name] = packed.mask
    return replace(rows, duplicates=found)
