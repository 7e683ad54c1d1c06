"""Shuffle all rows of a data set in two passes over files, for any number of blocks.

First, the number of rows that each block sends to each block of the new data set is drawn at
random, so that each new block gets exactly the rows that it has room for. The first pass deals the
rows of each block out in these numbers, and writes one file for each block. The second pass
collects the rows for each new block from all files, and puts them into random order. Every order of
all rows is equally likely.

(This is the divide and conquer method of Rao and Sandelius for random permutations, with fixed
sizes of blocks: the numbers of rows have a multivariate hypergeometric distribution.)
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import dask.array as da
import google_crc32c
import numpy as np
import numpy.typing as npt
from dask.delayed import delayed

from storage.computing import compute
from storage.create import store_arrays
from storage.dataset import Dataset
from storage.default_names import given_names
from storage.errors import DatasetCorrupt, NotADataset
from storage.group import INGEST
from storage.local_files import LocalFiles, fill
from storage.location import store_at
from storage.progress import stage
from storage.tables import refuse_sparse
from storage.writing import writing_to

if TYPE_CHECKING:
    from storage.arrays import StoredArrays
    from storage.ingestion.split import Split
    from storage.location import Location

__all__ = ["shuffle"]

Counts = npt.NDArray[np.int64]
Rows = npt.NDArray[np.generic]

_COUNTS = "counts.npy"
_CHECKSUM = 4
# NumPy's multivariate hypergeometric distribution is limited to fewer rows than this.
_MOST_ROWS = 10**9
# Numbers of the random streams that are derived from one seed.
_DEALT, _OUT, _IN = range(3)


def shuffle(
    data: Dataset | Split,
    url: Location,
    *,
    seed: int,
    scratch: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Dataset:
    """Store the rows of a data set in random order, all equally likely, as another data set.

    Rows of X keep their y and sample_weight. All blocks are read and written twice, on the active
    cluster or on threads: once to a scratch folder, and from there to `url`. A task holds two
    blocks. The order depends on the seed and on the blocks of `data`, not on the workers.

    Parameters
    ----------
    data : Dataset or Split
        The rows, in any order. If it was opened with `columns`, only these columns are stored. A
        data set with named splits is refused, because their rows lie together: give one split.
    url : str, path-like or zarr.abc.store.Store
        Where the new data set goes, as for :func:`~storage.create_dataset`.
    seed : int
        Seed of the order, at least 0. The new data set records it.
    scratch : str or path-like, optional
        Folder for intermediate files, on a disk that all workers see, with room for all rows,
        uncompressed. None means the parent folder of the new data set, if that is on a disk. The
        intermediate files are removed at the end.
    overwrite : bool, default=False
        Whether to replace a data set at `url`, as for :func:`~storage.create_dataset`. It may be
        the data set that is shuffled.

    Returns
    -------
    Dataset
        The new data set, opened; its blocks have as many rows as those of `data`.

    Raises
    ------
    ValueError
        When the seed is negative, when there are a billion rows or more, when `data` has named
        splits, or when `url` is in an object store and no `scratch` is given.
    DatasetExists
        When something is at `url` already.
    ChunkCorrupt
        When a chunk of `data` is not the one that was written.
    OSError
        For example when a disk is full. What was written is removed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import storage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     X = np.arange(6).reshape(6, 1)
    ...     data = storage.create_dataset(f"{folder}/sorted.zarr", X, 10 * X[:, 0])
    ...     mixed = storage.shuffle(data, f"{folder}/mixed.zarr", seed=0)
    ...     mixed.X[:, 0].compute().tolist(), mixed.y.compute().tolist()
    ([5, 3, 1, 4, 2, 0], [50, 30, 10, 40, 20, 0])
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    whole = _whole(data)
    refuse_sparse(whole, "shuffle", "shuffle the rows before storage.create_dataset, X[order]")
    if data.n_samples >= _MOST_ROWS:
        raise ValueError(
            f"{data.n_samples:,} rows are too many, at most {_MOST_ROWS - 1:,} can be shuffled: "
            f"store the data in parts, each with rows of all kinds, and shuffle these"
        )
    writing_to(store_at(url), overwrite=overwrite)  # refuses a place that is taken
    folder = _scratch_folder(url, scratch)
    arrays = {"X": data.X, "y": data.y}
    if data.sample_weight is not None:
        arrays["sample_weight"] = data.sample_weight
    sizes = data.X.chunks[0]
    try:
        folder.mkdir(parents=True)
        np.save(folder / _COUNTS, counts_of(sizes, seed))
        blocks = zip(*(array.to_delayed().ravel() for array in arrays.values()), strict=True)
        deal = delayed(_Deal(str(folder), seed, tuple(arrays)), traverse=False)
        name = f"shuffle-{uuid.uuid4().hex}"
        dealt = [
            deal(number, *of_each, dask_key_name=f"{name}-{number}")
            for number, of_each in enumerate(blocks)
        ]
        with stage("shuffle", len(dealt)):
            compute(*dealt)
        mixed = {name: _collected(folder, seed, name, array) for name, array in arrays.items()}
        return store_arrays(
            url,
            mixed["X"],
            mixed["y"],
            mixed.get("sample_weight"),
            feature_names=data.feature_names if given_names(data.feature_names) else None,
            target=data.target,
            classes=data.classes,
            source=whole.schema.source,
            seed=seed,
            dtype=None,
            chunk_nbytes=whole.layouts["X"].chunk_nbytes,
            block_nbytes=_row_nbytes(whole) * whole.schema.block_rows,
            expected_rows=None,
            overwrite=overwrite,
            more_files=_record_of(data, whole),
        )
    finally:
        LocalFiles(str(folder)).remove_all()


def _whole(data: Dataset | Split) -> StoredArrays:
    """Return the data set of a split; refuse a data set that has splits.

    Raises
    ------
    ValueError
        When `data` has named splits.
    """
    if not isinstance(data, Dataset):
        return data.data
    if data.splits:
        name = next(iter(data.splits))
        raise ValueError(
            f"{data.store.location} has the splits {', '.join(data.splits)}, which a random order "
            f"of all rows would mix: shuffle the rows of one, "
            f"storage.shuffle(data.splits[{name!r}], url, seed=...)"
        )
    return data


def _record_of(
    data: Dataset | Split, whole: StoredArrays
) -> Callable[[str], Mapping[str, bytes]] | None:
    """Return a function that makes the new data set's ingest record; None if `data` has none."""
    from storage.ingestion.record import IngestRecord  # imports pyarrow

    if whole.columns is not None:
        return None  # the recorded steps produce all columns, not only the chosen ones
    try:
        record = IngestRecord.of(whole)
    except NotADataset:
        return None
    if not isinstance(data, Dataset):
        record = IngestRecord(record.recipe, data.quality, data.rows)
    return lambda dataset_id: {INGEST: record.to_bytes(dataset_id)}


def _row_nbytes(data: StoredArrays) -> int:
    """Return the bytes of a row as planned for blocks, so that new blocks have as many rows."""
    others = sum(each.row_nbytes for name, each in data.layouts.items() if name != "X")
    return data.layouts["X"].row_nbytes_as_floats + others


def counts_of(sizes: tuple[int, ...], seed: int) -> Counts:
    """Return how many rows each block (row) sends to each new block (column).

    Both the rows and the columns of the matrix sum to `sizes`.
    """
    rng = np.random.default_rng([seed, _DEALT])
    room = np.array(sizes, dtype=np.int64)
    counts = np.empty((len(sizes), len(sizes)), dtype=np.int64)
    for row, size in zip(counts, sizes, strict=True):
        row[:] = rng.multivariate_hypergeometric(room, size, method="marginals")
        room -= row
    return counts


def deal_order(seed: int, block: int, n_rows: int) -> npt.NDArray[np.int64]:
    """Return the order in which the rows of a block are dealt out."""
    return np.random.default_rng([seed, _OUT, block]).permutation(n_rows)


def collect_order(seed: int, block: int, n_rows: int) -> npt.NDArray[np.int64]:
    """Return the order in which a new block takes the rows that were dealt to it."""
    return np.random.default_rng([seed, _IN, block]).permutation(n_rows)


def _scratch_folder(url: Location, scratch: str | os.PathLike[str] | None) -> Path:
    if scratch is not None:
        return Path(scratch).absolute() / f"{uuid.uuid4().hex}.shuffling"
    place = store_at(url)
    if not isinstance(place, LocalFiles):
        raise ValueError(
            f"{place.location} is no folder: name one as `scratch`, on a disk that all workers see"
        )
    return Path(place.sibling("shuffling").root)


@dataclass(frozen=True)
class _Deal:
    """Writes the rows of one block, grouped by their new block, with a checksum for each group."""

    folder: str
    seed: int
    names: tuple[str, ...]

    def __call__(self, block: int, *arrays: Rows) -> None:
        order = deal_order(self.seed, block, len(arrays[0]))
        ends = np.cumsum(_counts(self.folder)[block])
        for name, rows in zip(self.names, arrays, strict=True):
            dealt = np.split(rows[order], ends[:-1])
            parts: list[bytes | memoryview] = []
            for part in dealt:
                content = part.reshape(-1).view(np.uint8)
                checksum = int(google_crc32c.value(content))
                parts += [content.data, checksum.to_bytes(_CHECKSUM, "little")]
            LocalFiles(self.folder).write(f"{name}.{block}", parts)


@dataclass(frozen=True)
class _Collect:
    """Reads the rows that were dealt to one new block, and puts them into random order."""

    folder: str
    seed: int
    name: str
    dtype: np.dtype[np.generic]
    row_shape: tuple[int, ...]

    def __call__(self, block_id: tuple[int, ...]) -> Rows:
        block = block_id[0]
        counts = _counts(self.folder)
        rows = np.empty((int(counts[:, block].sum()), *self.row_shape), self.dtype)
        row_nbytes = self.dtype.itemsize * int(np.prod(self.row_shape, dtype=np.int64))
        ends = np.cumsum(counts[:, block]).tolist()
        before = counts[:, :block].sum(axis=1) * row_nbytes + block * _CHECKSUM
        for source, (start, stop) in enumerate(pairwise([0, *ends])):
            self._read(source, int(before[source]), rows[start:stop])
        return rows[collect_order(self.seed, block, len(rows))]

    def _read(self, source: int, before: int, out: Rows) -> None:
        path = f"{self.folder}/{self.name}.{source}"
        content = out.reshape(-1).view(np.uint8)
        trailer = np.empty(_CHECKSUM, np.uint8)
        # Without a buffer, which would read up to 8 KiB more for each of the many groups of rows.
        with open(path, "rb", buffering=0) as file:
            file.seek(before)
            n_read = sum(fill(file.fileno(), part) for part in (content, trailer))
        checksum = int.from_bytes(trailer.tobytes(), "little")
        if n_read < content.size + _CHECKSUM or google_crc32c.value(content) != checksum:
            raise DatasetCorrupt(f"{path}, written a moment ago, is damaged: shuffle again")


def _collected(folder: Path, seed: int, name: str, array: da.Array) -> da.Array:
    collect = _Collect(str(folder), seed, name, array.dtype, array.shape[1:])
    collected: da.Array = da.map_blocks(
        collect,
        name=f"shuffled-{name}-{uuid.uuid4().hex}",
        chunks=array.chunks,
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
    )
    return collected


def _counts(folder: str) -> Counts:
    # The matrix of all blocks by all blocks is large: tasks read it instead of being sent it.
    counts: Counts = np.load(f"{folder}/{_COUNTS}", mmap_mode="r")
    return counts
