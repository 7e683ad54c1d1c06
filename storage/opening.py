"""Open a data set: read its metadata, but no chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from storage.dataset import Dataset
from storage.errors import MetadataCorrupt, StorageError
from storage.group import INGEST, open_group
from storage.location import store_at
from storage.manifest import Manifest
from storage.naming import choose_columns
from storage.store import Store
from storage.verify import VerifyReport

if TYPE_CHECKING:
    from storage.location import Location

__all__ = ["open_dataset", "verify"]


def open_dataset(url: Location, *, columns: Sequence[str | int] | None = None) -> Dataset:
    """Open a data set that :func:`create_dataset` wrote.

    Only metadata is read. Chunks are checked when their blocks are loaded, or all at once by
    :meth:`Dataset.verify`.

    Parameters
    ----------
    url : str, path-like or zarr.abc.store.Store
        A local path; a URL that begins with ``file://``, ``s3://``, ``gs://``, ``az://``,
        ``http://``, ``https://`` or ``memory://``; or a Zarr store. Credentials are taken from the
        environment.
    columns : sequence of str or int, optional
        Names or numbers (from 0) of the columns of X to keep, in this order; None means all. A
        chunk holds all columns, so fewer columns take less memory, but the same time to read.

    Returns
    -------
    Dataset
        The arrays, as Dask arrays, and their names.

    Raises
    ------
    ValueError, TypeError
        When `columns` has a column that does not exist, or one that is repeated.
    DatasetNotFound
        When nothing is there.
    NotADataset
        When something else is there.
    DatasetIncomplete
        When its writing was not finished.
    UnsupportedVersion
        When a newer release wrote it.
    MetadataCorrupt
        When its metadata is damaged.
    UnsupportedURL
        When the URL has another scheme.
    StoreUnreachable, PermissionError
        When a store on the network does not answer, or refuses access.

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
    store = store_at(url)
    while True:
        # On a disk an overwrite replaces the whole folder. If that happened while the files were
        # read, nothing is damaged: read them again.
        identity = store.identity()
        try:
            dataset = _open(store, columns)
        except StorageError:
            if store.identity() == identity:
                raise
        else:
            if store.identity() == identity:
                return dataset


def verify(url: Location) -> VerifyReport:
    """Read every chunk and all metadata of a data set, and compare them with the manifest.

    Parameters
    ----------
    url : str, path-like or zarr.abc.store.Store
        A local path; a URL that begins with ``file://``, ``s3://``, ``gs://``, ``az://``,
        ``http://``, ``https://`` or ``memory://``; or a Zarr store. Credentials are taken from the
        environment.

    Returns
    -------
    VerifyReport
        Numbers of chunks and bytes that were read.

    Raises
    ------
    DatasetCorrupt
        When a chunk is missing, truncated, changed or exchanged; the message names all of them.
    MetadataCorrupt
        When ``zarr.json``, ``ingest.json`` or the manifest is damaged.

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


def _open(store: Store, columns: Sequence[str | int] | None) -> Dataset:
    schema, layouts, files = open_group(store)
    manifest = Manifest.read(store, sum(layout.n_chunks for layout in layouts))
    if manifest.dataset_id != schema.dataset_id:
        raise MetadataCorrupt(
            f"zarr.json and manifest.json of {store.location} belong to two different data sets: "
            f"restore them from one copy, or write the data set again"
        )
    # Nothing that the files say is used before they were compared with the manifest.
    listed = set(manifest.files or ()) - {INGEST}
    for key in sorted(listed | files.keys()):
        manifest.check_file(store, key, files.get(key))
    manifest.check(store, layouts)
    chosen = choose_columns(columns, schema.feature_names)
    return Dataset(store, schema, layouts, manifest, chosen)
