"""Opening a data set: its metadata is read, and no chunk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from storage.dataset import Dataset
from storage.errors import MetadataCorrupt, StorageError
from storage.group import open_group
from storage.location import local_path
from storage.manifest import Manifest
from storage.naming import choose_columns
from storage.verify import VerifyReport

__all__ = ["open_dataset", "verify"]


def open_dataset(
    url: str | os.PathLike[str], *, columns: Sequence[str | int] | None = None
) -> Dataset:
    """Open a data set that :func:`create_dataset` wrote.

    Only metadata is read. Chunks are checked when their blocks are loaded, or all at once by
    :meth:`Dataset.verify`.

    Parameters
    ----------
    url : str or path-like
        A local path or a ``file://`` URL.
    columns : sequence of str or int, optional
        Names or numbers (from 0) of the columns that X is to have, in this order; None means all.
        A chunk holds all columns: fewer take less memory, and as long to read.

    Returns
    -------
    Dataset
        The arrays, as Dask arrays, and their names.

    Raises
    ------
    ValueError, TypeError
        When `columns` names one that is not there, or one twice.
    DatasetNotFound
        When nothing is there.
    NotADataset
        When something else is there.
    DatasetIncomplete
        When its writing did not end.
    UnsupportedVersion
        When a newer release wrote it.
    MetadataCorrupt
        When its metadata is damaged.
    UnsupportedURL
        For URLs of other schemes.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import storage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = storage.create_dataset(f"{folder}/rows.zarr", np.eye(3), np.arange(3.0))
    ...     data = storage.open_dataset(f"{folder}/rows.zarr", columns=["x2", 0])
    ...     data.X.shape, data.feature_names
    ((3, 2), ('x2', 'x0'))
    """
    path = local_path(url)
    while True:
        # An overwrite replaces the whole folder. If some files were read before it and some after
        # it, nothing is damaged: begin again.
        folder = _identity(path)
        try:
            dataset = _open(path, columns)
        except StorageError:
            if _identity(path) == folder:
                raise
        else:
            if _identity(path) == folder:
                return dataset


def verify(url: str | os.PathLike[str]) -> VerifyReport:
    """Read every chunk of a data set and compare it with the manifest.

    Parameters
    ----------
    url : str or path-like
        A local path or a ``file://`` URL.

    Returns
    -------
    VerifyReport
        How much was read.

    Raises
    ------
    DatasetCorrupt
        When a chunk is missing, truncated, changed or another one's; the message names all of
        them.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import storage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = storage.create_dataset(f"{folder}/rows.zarr", np.eye(3), np.arange(3.0))
    ...     storage.verify(f"{folder}/rows.zarr").chunks
    2
    """
    return open_dataset(url).verify()


def _open(path: Path, columns: Sequence[str | int] | None) -> Dataset:
    schema, layouts = open_group(path)
    manifest = Manifest.read(path)
    manifest.check(path, layouts)
    if manifest.dataset_id != schema.dataset_id:
        raise MetadataCorrupt(
            f"zarr.json and manifest.json of {path} are of two different writings: restore "
            f"them from one copy, or write the data set again"
        )
    chosen = choose_columns(columns, schema.feature_names)
    return Dataset(path, schema, layouts, manifest, chosen)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
