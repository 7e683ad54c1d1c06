"""Append rows to a data set: raw rows by its stored steps, or arrays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from storage.appending import append_arrays
from storage.dataset import Dataset
from storage.errors import InvalidData
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.kept_files import keeping_files
from storage.ingestion.like_stored import RowsLikeStored
from storage.ingestion.source_files import telling_changes
from storage.metadata import check_readable
from storage.opening import open_dataset

if TYPE_CHECKING:
    from storage.location import Location

__all__ = ["append"]


def append(
    data: Dataset | Location,
    source: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    csv: CSVFormat | None = None,
) -> Dataset:
    """Append rows to a data set, which becomes its next version in one step.

    Raw rows go through the stored steps of the ingest, as with ``ingest(like=...)``: the same
    columns, rules, categories and imputed values, and the same selection of rows. With named
    splits, each row goes to its split. Arrays must have the columns and kinds of the stored ones.
    The new rows come after those of the newest version. Stored chunks are not written again, except
    the last one of each array if it is not full; each task holds about one block.

    Columns with a policy for duplicates are compared with the rows of all versions before, by the
    hashes that the data set stores, and then among the new rows. A row whose value is stored
    already is left out and counted in the report, or refused. Rows that policies have left out are
    not stored, and not compared.

    Data sets that are open keep their rows, and old versions can still be opened. When an error is
    raised, or the process is killed, the newest version is the one before. If two processes append
    at the same time, one of them raises AppendConflict and appends nothing.

    Parameters
    ----------
    data : Dataset, str, path-like or zarr.abc.store.Store
        The data set, or where it is.
    source : str, path-like, sequence of these, frame, table, Dataset or array-like
        If :func:`~storage.ingest` made the data set: raw rows, as for :func:`~storage.ingest`.
        Otherwise X of shape (n_added, n_features), as for :func:`~storage.create_dataset`.
    y : array-like of shape (n_added,) or (n_added, n_outputs), optional
        The target of X, with the same codes if the data set names classes. None for raw rows, which
        hold it.
    sample_weight : array-like of shape (n_added,), optional
        Weights of X. Required if the data set has weights, and refused otherwise.
    csv : CSVFormat, optional
        How CSV files of raw rows are written; None means comma (tab in ``.tsv``), UTF-8, and a
        header.

    Returns
    -------
    Dataset
        The new version, opened. ``since(version)`` gives the rows that were added after a version,
        and ``quality_of(version)`` the quality report of the raw rows of a version.

    Raises
    ------
    AppendConflict
        When another append was committed first.
    InvalidData
        When raw rows cannot be read, or break a rule whose policy is an error, or no row is left.
    ValueError, TypeError
        When names, shapes, lengths or dtypes are not those of the data set.
    DatasetNotFound, NotADataset, DatasetIncomplete
        When there is no data set to append to.
    ChunkCorrupt
        When the last chunk of the data set is damaged, or hashes that the rows are compared with.
    DatasetReplaced
        When `data` was overwritten since it was opened.
    UnsupportedURL
        When the store is read-only.

    Warns
    -----
    RuntimeWarning
        When the rows are stored, but an error kept zarr's own metadata at the version before.
    UserWarning
        When the new rows are only compared among themselves, because an earlier release has
        ingested the data set and stored no hashes.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import storage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = storage.create_dataset(f"{folder}/rows.zarr", np.eye(3), np.arange(3))
    ...     newer = storage.append(data, np.eye(3)[:2], np.array([7, 8]))
    ...     newer.version, newer.y.compute().tolist(), newer.since(1).y.compute().tolist()
    (2, [0, 1, 2, 7, 8], [7, 8])
    """
    known = data if isinstance(data, Dataset) else open_dataset(data)
    with keeping_files(known.store) as files:
        rows = RowsLikeStored.of(known, source, y, sample_weight, csv, files)
        with telling_changes(rows.files):
            return append_arrays(
                known,
                rows.X,
                rows.y,
                rows.sample_weight,
                hashes=rows.hashes,
                source=rows.source,
                quality=_content(rows),
                blocks_at_once=rows.blocks_at_once,
                after=rows.after,
                check=None if rows.files is None else rows.files.check,
            )


def _content(rows: RowsLikeStored) -> bytes | None:
    """Return what is stored about raw rows; None for arrays."""
    if rows.report is None:
        return None
    plain = {"quality": rows.report.to_json()}
    if rows.splits is not None:
        plain["splits"] = rows.splits.to_json()
    content = json.dumps(plain, indent=1, ensure_ascii=False).encode()
    try:
        check_readable(content)
    except ValueError as error:
        raise InvalidData(f"the quality report is too long ({error}): leave out columns") from error
    return content
