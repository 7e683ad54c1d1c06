"""Repair a data set from the raw rows or the arrays that it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.dataset import Dataset
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.like_stored import RowsLikeStored
from storage.opening import open_dataset
from storage.repairing import repair_chunks

if TYPE_CHECKING:
    from storage.location import Location

__all__ = ["repair"]


def repair(
    data: Dataset | Location,
    source: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    csv: CSVFormat | None = None,
) -> tuple[str, ...]:
    """Write the damaged or missing chunks of a data set again, from the rows that it was made of.

    All chunks are read and compared with the manifest. Only the rows of damaged ones are encoded
    and written. A file is replaced only by one with the size and checksum that the manifest lists,
    so wrong rows change nothing. Damaged metadata cannot be repaired.

    Parameters
    ----------
    data : Dataset, str, path-like or zarr.abc.store.Store
        The data set, or where it is; the newest version, unless an older one is open.
    source : str, path-like, sequence of these, frame, table, Dataset or array-like
        If :func:`~storage.ingest` made the data set: the raw rows of all versions in their order,
        as for :func:`~storage.ingest`. Otherwise X of shape (n_samples, n_features).
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        The target of X; None for raw rows, which hold it.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of X. Required if the data set has weights, and refused otherwise.
    csv : CSVFormat, optional
        How CSV files of raw rows are written; None means comma (tab in ``.tsv``), UTF-8, and a
        header.

    Returns
    -------
    tuple of str
        Names of the files that were damaged, and that are right now.

    Raises
    ------
    InvalidData
        When the rows are not those of the data set, or raw rows cannot be read.
    MetadataCorrupt
        When metadata is damaged.
    ValueError, TypeError
        When names, shapes, lengths or dtypes are not those of the data set.
    UnsupportedURL
        When the store is read-only.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import storage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     X, y = np.eye(3), np.arange(3)
    ...     data = storage.create_dataset(f"{folder}/rows.zarr", X, y)
    ...     (data.path / "y" / "c.0").unlink()
    ...     repaired = storage.repair(data, X, y)
    ...     repaired, data.y.compute().tolist()
    (('y/c.0',), [0, 1, 2])
    """
    known = data if isinstance(data, Dataset) else open_dataset(data)
    rows = RowsLikeStored.of(known, source, y, sample_weight, csv)
    return repair_chunks(known, rows.X, rows.y, rows.sample_weight)
