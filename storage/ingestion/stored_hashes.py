"""The hashes of the rows that a data set has, for the rows that are appended.

They are read block by block, and only those are kept that the new rows may have, too. So the memory
does not grow with the number of stored rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.array.core import Array as DaskArray
from dask.delayed import Delayed, delayed

from storage.blocks import BlockReader, ExpectedChunks, block_array
from storage.ingestion.keys import sorted_positions
from storage.ingestion.value_hashes import Hashes
from storage.layout import HASHES
from storage.rows_of_array import rows_in

if TYPE_CHECKING:
    from storage.arrays import StoredArrays
    from storage.ingestion.split import Split

__all__ = ["StoredHashes", "hash_array"]

#: Bytes of hashes that one task reads, at least one block.
_TASK_NBYTES = 16 * 2**20

#: A block of a reader: its number, and the manifest's entries of its chunks.
_Block = tuple[int, bytes]


def hash_array(data: StoredArrays | Split) -> DaskArray | None:
    """Return the stored hashes of all rows, or of those of a split; None if there are none."""
    from storage.ingestion.split import Split

    whole = data.data if isinstance(data, Split) else data
    if HASHES not in whole.layouts:
        return None
    hashes = block_array(whole.reader(HASHES), whole.manifest.arrays[HASHES])
    if isinstance(data, Split):
        return rows_in(hashes, [(start, stop) for _, start, stop in data.ranges])
    return hashes


@dataclass(frozen=True)
class StoredHashes:
    """The hashes of the rows of a data set.

    Attributes
    ----------
    reader : BlockReader
        Reads a block of them.
    blocks : tuple of (int, bytes)
        What the reader needs to know of each block.
    """

    reader: BlockReader
    blocks: tuple[_Block, ...]

    @classmethod
    def of(cls, data: StoredArrays) -> StoredHashes | None:
        """Return the hashes of an open data set; None if it stores none."""
        if HASHES not in data.layouts:
            return None
        reader = data.reader(HASHES)
        expected = ExpectedChunks(reader, data.manifest.arrays[HASHES])
        return cls(reader, tuple(expected[(block,)] for block in range(expected.numblocks[0])))

    def among(self, new: Delayed, words: Mapping[str, slice]) -> list[Delayed]:
        """Return tasks that find the stored hashes which new rows may have.

        Parameters
        ----------
        new : Delayed
            By column, the sorted distinct first words of the new values.
        words : dict of str to slice
            By column, its words among those of a row.

        Returns
        -------
        list of Delayed
            Each task gives by column hashes of shape (n_words, n_found): those of some stored rows
            whose first word is among the new ones.
        """
        nbytes = self.reader.block_rows * self.reader.layout.row_nbytes
        step = max(1, _TASK_NBYTES // nbytes)
        name = f"stored-hashes-{uuid.uuid4().hex}"
        runs = [self.blocks[start : start + step] for start in range(0, len(self.blocks), step)]
        return [
            delayed(partial(_found, self.reader, run, words), traverse=False)(
                new, dask_key_name=(name, number)
            )
            for number, run in enumerate(runs)
        ]


def _found(
    reader: BlockReader,
    blocks: Sequence[_Block],
    words: Mapping[str, slice],
    new: Mapping[str, Hashes],
) -> dict[str, Hashes]:
    found: dict[str, list[Hashes]] = {name: [] for name in words}
    for block in blocks:
        rows: Any = reader(block)
        for name, columns in words.items():
            hashes = rows[:, columns]
            found[name].append(hashes[sorted_positions(hashes[:, 0], new[name]) >= 0].T)
    return {name: np.concatenate(each, axis=1) for name, each in found.items()}
