"""Open a data set: read its metadata, but no chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from storage.dataset import Dataset
from storage.errors import MetadataCorrupt, StorageError
from storage.group import INGEST, check_group, open_group
from storage.location import store_at
from storage.manifest import Manifest
from storage.naming import choose_columns
from storage.store import Store
from storage.verify import VerifyReport
from storage.versions import History, Version, layouts_at, manifest_at, read_versions, rows_of

if TYPE_CHECKING:
    from storage.location import Location

__all__ = ["open_dataset", "open_stored", "verify"]


def open_dataset(
    url: Location, *, columns: Sequence[str | int] | None = None, version: int | None = None
) -> Dataset:
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
    version : int, optional
        Number of the version to open, from 1: see :attr:`Dataset.versions`. None means the newest.

    Returns
    -------
    Dataset
        The arrays, as Dask arrays, and their names.

    Raises
    ------
    ValueError, TypeError
        When `columns` has a column that does not exist, or one that is repeated, or when there is
        no such `version`.
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
    return open_stored(store_at(url), columns, version)


def open_stored(
    store: Store, columns: Sequence[str | int] | None = None, version: int | None = None
) -> Dataset:
    """Open the data set in a store, as :func:`open_dataset` does."""
    while True:
        # On a disk an overwrite replaces the whole folder. If that happened while the files were
        # read, nothing is damaged: read them again.
        identity = store.identity()
        try:
            dataset = _open(store, columns, version)
        except StorageError:
            if store.identity() == identity:
                raise
        else:
            if store.identity() == identity:
                return dataset


def verify(url: Location, *, decode: bool = False) -> VerifyReport:
    """Read all files of a data set, and compare their sizes and checksums with the manifest.

    Parameters
    ----------
    url : str, path-like or zarr.abc.store.Store
        A local path; a URL that begins with ``file://``, ``s3://``, ``gs://``, ``az://``,
        ``http://``, ``https://`` or ``memory://``; or a Zarr store. Credentials are taken from the
        environment.
    decode : bool, default=False
        Whether to decode the chunks, too, and to compare the numbers of NaN and of the entries of
        sparse rows with the manifest. It takes several times as long if chunks are compressed. It
        finds what was wrong already when the checksum was computed, such as a mistake of the
        writer or of its memory.

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
    return open_dataset(url).verify(decode=decode)


def _open(store: Store, columns: Sequence[str | int] | None, version: int | None = None) -> Dataset:
    schema, layouts, files = open_group(store)
    appended = read_versions(store, schema.dataset_id)
    if not appended:
        check_group(store, schema, layouts)
    base = Manifest.read(store, sum(layout.n_chunks for layout in layouts))
    if base.dataset_id != schema.dataset_id:
        raise MetadataCorrupt(
            f"zarr.json and manifest.json of {store.location} belong to two different data sets: "
            f"restore them from one copy, or write the data set again"
        )
    first = Version(1, rows_of(base), rows_of(base), schema.created, schema.source)
    history = History(first, appended, 1 + len(appended))
    if version is not None:
        history = replace(history, number=history.checked(version))
    manifest = base
    if appended:
        layouts = layouts_at(layouts, rows_of(base), appended[: history.number - 1])
        schema = replace(schema, n_samples=history.versions[history.number - 1].n_samples)
        check_group(store, schema, layouts)
        manifest = manifest_at(store, base, layouts, appended, history.number)
    # Nothing that the files say is used before they were compared with the manifest.
    listed = set(manifest.files or ()) - {INGEST}
    for key in sorted(listed | files.keys()):
        manifest.check_file(store, key, files.get(key))
    manifest.check(store, layouts)
    chosen = choose_columns(columns, schema.feature_names)
    return Dataset(store, schema, layouts, manifest, chosen, history)
