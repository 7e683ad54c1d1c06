"""Create a data set: check all inputs, write the files, then commit them in one step."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from dask.array.core import Array as DaskArray

from storage.credentials import without_credentials
from storage.dataset import Dataset
from storage.entries import ChunkEntries, StoredFile
from storage.group import create_group
from storage.inputs import Array, Inputs, column_names, stored_dtype, weight_dtype
from storage.layout import BLOCK_NBYTES, CHUNK_NBYTES, ArrayLayout, plan_rows, side_chunk_rows
from storage.location import store_at
from storage.manifest import Manifest, check_number_of_chunks
from storage.naming import check_classes, check_features, check_target_names
from storage.opening import open_dataset
from storage.resuming import finished_blocks
from storage.schema import Label, Schema
from storage.sparse_density import (
    check_number_of_columns,
    is_sparse_array,
    sparse_row_nbytes,
)
from storage.work import Work
from storage.writer import BlockWriter, Finished, write_arrays
from storage.writing import writing_to

if TYPE_CHECKING:
    from storage.arrays import StoredArrays
    from storage.location import Location

__all__ = ["check_sizes", "create_dataset", "store_arrays"]


def create_dataset(
    url: Location,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    feature_names: Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    classes: Sequence[Label] | None = None,
    source: str | None = None,
    seed: int | None = None,
    dtype: npt.DTypeLike | None = None,
    chunk_nbytes: int = CHUNK_NBYTES,
    block_nbytes: int = BLOCK_NBYTES,
    expected_rows: int | None = None,
    overwrite: bool = False,
) -> Dataset:
    """Store X, y and sample_weight as a data set of aligned blocks.

    The result is a plain Zarr v3 group, which zarr alone can open, and a manifest of all chunks.
    Dask input is computed on the active cluster, or on threads; each task holds about one block.
    When this function returns, the data set is complete; when it raises an error, nothing has
    changed at `url`.

    Parameters
    ----------
    url : str, path-like or zarr.abc.store.Store
        Where to write the data set. A local path or a ``file://`` URL must be on a disk that all
        workers see. An ``s3://``, ``gs://`` or ``az://`` URL names a place in an object store. A
        Zarr store is used as it is. Credentials are taken from the environment. The content of
        ``memory://name`` lasts as long as the process.
    X : array-like of shape (n_samples, n_features)
        NumPy array, Dask array of any chunking (chunks of unknown length are counted first,
        which computes X twice), DataFrame, pyarrow Table, array of zarr, h5py or xarray, SciPy's
        sparse matrix of any format, or Dask array of sparse blocks. Sparse rows are stored as such:
        entries of the same row and column are added, and stored zeros are kept.
        An array of floats, integers or booleans is stored with its own dtype, a frame with the
        smallest dtype that holds all its columns. NaN is kept. If a nullable column of a frame
        has missing values, or is lazy and may have some, integers become float64 and missing
        values become NaN.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Floats, integers or booleans. Encode text as integer codes and name `classes`. If X and y
        are columns of one Dask frame, pass ``frame[columns]`` and ``frame[column]``, not arrays
        made from these: if the frame was shuffled, the two arrays could have different row orders.
    sample_weight : array-like of shape (n_samples,), optional
        Weights, finite and not below 0; stored as float32 or float64.
    feature_names : sequence of str, optional
        Names of the columns of X; None means those of a DataFrame or Table, or x0, x1, ...
    target : str or sequence of str, optional
        Name of y, or a name for each column of y.
    classes : sequence, optional
        The label of each integer code of y: ``y == i`` means ``classes[i]``.
    source : str, optional
        Where the data came from, in words.
    seed : int, optional
        The seed that the rows were shuffled with. It is only recorded: nothing is shuffled here.
    dtype : {"float32", "float64"}, optional
        Dtype to store X with; None means the dtype of X.
    chunk_nbytes : int, default=4 MiB
        Largest size of a chunk of X, before compression, in bytes.
    block_nbytes : int, default=32 MiB
        Largest size of a block, before compression, in bytes. A block holds the rows of all arrays
        that one task reads. X counts with the dtype that estimators compute with: float32 if it is
        float32, otherwise float64. A block has at least one chunk. The size of sparse rows is
        that of the densest part of X; of a Dask array, up to 16 blocks are computed to find it.
    expected_rows : int, optional
        Rows that the data set will have after later calls of :func:`~storage.append`. Chunks and
        blocks get the sizes for so many rows, and keep them. None means the rows that are given.
    overwrite : bool, default=False
        Whether to replace a data set that is already there. It can be read until the new one is
        complete and safe on disk. Anything that is not a data set is never replaced. A complete
        data set in an object store is not replaced either: that takes more than one step.

    Returns
    -------
    Dataset
        The data set, opened.

    Raises
    ------
    DatasetExists
        When something is at `url` already.
    ValueError, TypeError
        When shapes, lengths, names or dtypes do not fit. It is raised before anything is written,
        unless only the values show the problem.
    UnsupportedURL
        When the URL has another scheme, or is that of a web server, which is read-only.
    OSError
        For example when the disk is full. What was written is removed.

    Examples
    --------
    >>> import tempfile
    >>> import dask.array as da
    >>> import storage
    >>> X = da.random.default_rng(0).normal(size=(1_000, 2), chunks=(100, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = storage.create_dataset(f"{folder}/rows.zarr", X, X[:, 0] > 0, target="positive")
    ...     data.X.shape, data.y.dtype
    ((1000, 2), dtype('bool'))
    """
    return store_arrays(
        url,
        X,
        y,
        sample_weight,
        feature_names=feature_names,
        target=target,
        classes=classes,
        source=source,
        seed=seed,
        dtype=dtype,
        chunk_nbytes=chunk_nbytes,
        block_nbytes=block_nbytes,
        expected_rows=expected_rows,
        overwrite=overwrite,
    )


def store_arrays(
    url: Location,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    hashes: DaskArray | None = None,
    feature_names: Sequence[str] | None,
    target: str | Sequence[str] | None,
    classes: Sequence[Label] | None,
    source: str | None,
    seed: int | None,
    dtype: npt.DTypeLike | None,
    chunk_nbytes: int = CHUNK_NBYTES,
    block_nbytes: int = BLOCK_NBYTES,
    expected_rows: int | None = None,
    overwrite: bool,
    more_files: Callable[[str], Mapping[str, bytes]] | None = None,
    signature: str = "",
    resume: bool = False,
    entries_per_row: float | None = None,
    blocks_at_once: int | None = None,
    grid_of: StoredArrays | None = None,
    write: Callable[[Mapping[str, BlockWriter], Finished], Mapping[str, ChunkEntries]]
    | None = None,
) -> Dataset:
    """Store arrays as :func:`create_dataset` does, and write `more_files` beside them.

    `more_files` takes the identity of the new data set, and returns the content of each file by
    its name; it is called after the arrays were written. `hashes` are those of values that no two
    rows may share, of shape (n_samples, n_words). `signature` identifies the source of the
    arrays and how it is read; with `resume`, the complete blocks of a killed writing of the same
    source and parameters are kept. `entries_per_row` is that of the densest part of a sparse X, if
    it is known; otherwise parts of X are computed to find it. `blocks_at_once` is the `at_once` of
    :func:`~storage.writer.write_arrays`. If `write` is given, it writes the arrays in place of that
    function, and X and y only tell their shapes and dtypes. With `grid_of`, a data set with the
    same arrays, chunks and blocks have as many rows as those of that data set.
    """
    place = store_at(url)
    check_sizes(chunk_nbytes, block_nbytes, expected_rows)
    inputs = Inputs.of(X, y, sample_weight, hashes)
    arrays = inputs.arrays
    dtypes = _dtypes(arrays, dtype)
    check_number_of_columns(arrays["X"])
    n_features = int(arrays["X"].shape[1])
    names = check_features(
        feature_names if feature_names is not None else column_names(X), n_features
    )
    target = check_target_names(target, arrays["y"].shape[1:])
    labels = check_classes(classes, dtypes["y"], arrays["y"].ndim)
    writing = writing_to(place, overwrite=overwrite, resume=resume)
    arrays = inputs.with_known_rows()
    n_samples = _common_length(arrays)
    n_planned = max(n_samples, expected_rows or 0)
    sparse = is_sparse_array(arrays["X"])
    layouts = _layouts(arrays, dtypes)
    if grid_of is None:
        layouts, block_rows = _planned(
            arrays["X"], layouts, chunk_nbytes, block_nbytes, n_planned, entries_per_row
        )
    else:
        layouts = [
            layout.with_chunk_rows(grid_of.layouts[layout.name].chunk_rows) for layout in layouts
        ]
        block_rows = grid_of.schema.block_rows
    check_number_of_chunks(layouts)
    schema = Schema(
        dataset_id=uuid.uuid4().hex,
        n_samples=n_samples,
        n_features=n_features,
        block_rows=block_rows,
        feature_names=names,
        target=target,
        classes=labels,
        source=None if source is None else without_credentials(source),
        shuffle_seed=None if seed is None else int(seed),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sparse=sparse,
        hashed=hashes is not None,
    )
    try:
        work = writing.begin(Work.of(signature, schema, layouts))
        schema = replace(schema, dataset_id=work.dataset_id, created=work.created)
        files = create_group(writing.store, schema, layouts, durable=writing.durable)
        finished: Finished = {}
        if writing.continued:
            finished = finished_blocks(writing.store, layouts, block_rows)
        writers = {
            layout.name: BlockWriter(
                writing.store,
                layout,
                block_rows,
                durable=writing.durable,
                n_codes=len(labels) if labels is not None and layout.name == "y" else None,
            )
            for layout in layouts
        }
        write = write or partial(write_arrays, arrays, at_once=blocks_at_once)
        entries = write(writers, finished)
        more = {} if more_files is None else more_files(schema.dataset_id)
        for key, content in more.items():
            writing.store.write(key, [content], durable=writing.durable)
            files[key] = StoredFile.of(content)
        writing.commit(Manifest(schema.dataset_id, entries, files).to_bytes(layouts))
    except BaseException as error:
        if writing.discard():
            error.add_note(
                f"Nothing was stored at {place.location}; what had been written for it was "
                f"removed, and a data set that was there before is unchanged."
            )
        else:
            error.add_note(
                f"There are files at {place.location}: of another writer, of a data set that is "
                f"complete, or of this writing, if they could not be removed."
            )
        raise
    return open_dataset(url)


def check_sizes(chunk_nbytes: int, block_nbytes: int, expected_rows: int | None) -> None:
    """Raise ValueError unless ``0 < chunk_nbytes <= block_nbytes`` and some rows are expected."""
    if expected_rows is not None and expected_rows < 1:
        raise ValueError(f"expected_rows must be 1 or more, got {expected_rows}")
    if not 0 < chunk_nbytes <= block_nbytes:
        raise ValueError(
            f"a block is one or more whole chunks, but {chunk_nbytes=} and {block_nbytes=}"
        )


def _dtypes(arrays: Mapping[str, Array], dtype: npt.DTypeLike | None) -> dict[str, str]:
    dtypes = {name: stored_dtype(name, array) for name, array in arrays.items()}
    dtypes["X"] = stored_dtype("X", arrays["X"], dtype)
    if "sample_weight" in arrays:
        dtypes["sample_weight"] = weight_dtype(arrays["sample_weight"])
    return dtypes


def _common_length(arrays: Mapping[str, Array]) -> int:
    lengths = {name: int(array.shape[0]) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length:,}" for name, length in lengths.items())
        raise ValueError(f"all arrays need the same number of rows, but {shown}")
    n_samples = lengths["X"]
    if n_samples == 0:
        raise ValueError("X has no rows: there is nothing to store")
    return n_samples


def _layouts(arrays: Mapping[str, Array], dtypes: Mapping[str, str]) -> list[ArrayLayout]:
    """Return layouts with chunks of one row."""
    return [
        ArrayLayout(
            name,
            dtypes[name],
            int(array.shape[0]),
            tuple(map(int, array.shape[1:])),
            1,
            sparse=is_sparse_array(array),
        )
        for name, array in arrays.items()
    ]


def _planned(
    X: Array,
    layouts: Sequence[ArrayLayout],
    chunk_nbytes: int,
    block_nbytes: int,
    n_planned: int,
    entries_per_row: float | None,
) -> tuple[list[ArrayLayout], int]:
    """Choose the rows of a chunk for each array, and the rows of a block for all arrays."""
    x, *others = layouts
    x_nbytes, x_nbytes_as_floats = x.row_nbytes, x.row_nbytes_as_floats
    if x.sparse:
        x_nbytes, x_nbytes_as_floats = sparse_row_nbytes(X, x.dtype, entries_per_row)
    chunk_rows, block_rows = plan_rows(
        n_planned,
        x_nbytes,
        # Estimators convert blocks of small integers to floats, which are up to eight times larger.
        sum(row.row_nbytes for row in others) + x_nbytes_as_floats,
        chunk_nbytes=chunk_nbytes,
        block_nbytes=block_nbytes,
    )
    of_others = [
        row.with_chunk_rows(side_chunk_rows(chunk_rows, block_rows, row.row_nbytes, chunk_nbytes))
        for row in others
    ]
    return [x.with_chunk_rows(chunk_rows), *of_others], block_rows
