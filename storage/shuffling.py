"""Shuffle all rows of a data set in two passes over files, for any number of blocks.

The first pass deals the rows of each block out to the blocks of the new data set, in the numbers
that :mod:`storage.random_order` draws, and writes one scratch file for each block. The second pass
collects the rows for each new block from all files, and puts them into random order.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dask.array as da
from dask.delayed import delayed

from storage.computing import compute
from storage.create import store_arrays
from storage.dataset import Dataset
from storage.dealt_rows import CollectRows, DealRows, write_counts, write_entries
from storage.default_names import given_names
from storage.errors import NotADataset
from storage.group import INGEST
from storage.layout import HASHES
from storage.local_files import LocalFiles
from storage.location import store_at
from storage.progress import stage
from storage.random_order import MOST_ROWS, counts_of
from storage.resuming import SHUFFLING, leftovers, make_locked
from storage.sparse_rows import is_sparse
from storage.writing import writing_to

if TYPE_CHECKING:
    from storage.arrays import StoredArrays
    from storage.ingestion.split import Split
    from storage.location import Location

__all__ = ["shuffle"]


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

    Sparse rows stay sparse, and get the order of dense rows with the same blocks. Blocks keep their
    numbers of rows, so if the numbers of entries of rows differ widely, a new block may have more
    entries than any block of `data`. A task holds about four blocks of sparse rows.

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
        intermediate files are removed at the end; those of a process that was killed, by the next
        shuffle with the same `scratch` or `url`.
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
    BlockTooLarge
        When the memory for a block cannot be allocated.
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
    if data.n_samples >= MOST_ROWS:
        raise ValueError(
            f"{data.n_samples:,} rows are too many, at most {MOST_ROWS - 1:,} can be shuffled: "
            f"store the data in parts, each with rows of all kinds, and shuffle these"
        )
    writing_to(store_at(url), overwrite=overwrite)  # refuses a place that is taken
    arrays = {"X": data.X, "y": data.y}
    if data.sample_weight is not None:
        arrays["sample_weight"] = data.sample_weight
    record = _record_of(data, whole)
    hashes = None if record is None else _hashes_of(data)
    if hashes is not None:
        arrays[HASHES] = hashes
    with _scratch_folder(url, scratch) as folder:
        write_counts(folder, counts_of(data.X.chunks[0], seed))
        blocks = zip(*(array.to_delayed().ravel() for array in arrays.values()), strict=True)
        deal = delayed(DealRows(folder, seed, tuple(arrays)), traverse=False)
        name = f"shuffle-{uuid.uuid4().hex}"
        dealt = [
            deal(number, *of_each, dask_key_name=f"{name}-{number}")
            for number, of_each in enumerate(blocks)
        ]
        with stage("shuffle", len(dealt)):
            entries = compute(*dealt)
        if whole.schema.sparse:
            write_entries(folder, entries)
        mixed = {name: _collected(folder, seed, name, array) for name, array in arrays.items()}
        return store_arrays(
            url,
            mixed["X"],
            mixed["y"],
            mixed.get("sample_weight"),
            hashes=mixed.get(HASHES),
            feature_names=data.feature_names if given_names(data.feature_names) else None,
            target=data.target,
            classes=data.classes,
            source=whole.schema.source,
            seed=seed,
            dtype=None,
            overwrite=overwrite,
            more_files=record,
            grid_of=whole,
        )


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
    # These import pyarrow.
    from storage.ingestion.record import IngestRecord
    from storage.ingestion.record_file import copied_record

    if whole.columns is not None:
        return None  # the recorded steps produce all columns, not only the chosen ones
    try:
        if isinstance(data, Dataset):
            copy = copied_record(data)
        else:
            recipe = IngestRecord.of(whole).recipe
            copy = IngestRecord(recipe, data.quality, data.rows).to_bytes
    except NotADataset:
        return None
    return lambda dataset_id: {INGEST: copy(dataset_id)}


def _hashes_of(data: Dataset | Split) -> da.Array | None:
    """Return the hashes of the values that no two rows may share; None if `data` has none."""
    from storage.ingestion.stored_hashes import hash_array  # imports pyarrow

    return hash_array(data)


@contextlib.contextmanager
def _scratch_folder(url: Location, scratch: str | os.PathLike[str] | None) -> Iterator[str]:
    """Make a hidden folder for scratch files, and remove it at the end.

    It is locked as long as this process lives. If the process is killed, the folder stays behind,
    and the next shuffle to the same place removes it.
    """
    place = store_at(url)
    if scratch is not None:
        place = LocalFiles(str(Path(scratch).absolute() / "shuffle"))
    if not isinstance(place, LocalFiles):
        raise ValueError(
            f"{place.location} is no folder: name one as `scratch`, on a disk that all workers see"
        )
    target, files = Path(place.root), place.sibling(SHUFFLING)
    target.parent.mkdir(parents=True, exist_ok=True)
    for folder, descriptor in leftovers(target, endings=f"{SHUFFLING}|removing"):
        LocalFiles(str(folder)).remove_all()
        os.close(descriptor)
    lock = make_locked(Path(files.root))
    try:
        yield files.root
    finally:
        files.remove_all()
        if lock is not None:
            os.close(lock)


def _collected(folder: str, seed: int, name: str, array: da.Array) -> da.Array:
    sparse = is_sparse(array._meta)
    collect = CollectRows(folder, seed, name, array.dtype, array.shape[1:], sparse)
    collected: da.Array = da.map_blocks(
        collect,
        name=f"shuffled-{name}-{uuid.uuid4().hex}",
        chunks=array.chunks,
        dtype=array.dtype,
        meta=array._meta,
    )
    return collected
