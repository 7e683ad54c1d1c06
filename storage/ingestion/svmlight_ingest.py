"""From svmlight files to a data set of sparse rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np

from storage.create import store_arrays
from storage.dataset import Dataset
from storage.errors import NotADataset
from storage.group import INGEST
from storage.ingestion.pieces import blocks_at_once
from storage.ingestion.record_file import SVMLIGHT, read_record, record_content
from storage.ingestion.source_files import telling_changes
from storage.ingestion.svmlight_format import SVMLightFormat
from storage.ingestion.svmlight_source import SVMLightSource, open_svmlight

if TYPE_CHECKING:
    from storage.arrays import StoredArrays
    from storage.location import Location

__all__ = ["format_of", "ingest_svmlight", "refuse_for_svmlight"]


def ingest_svmlight(
    source: Any,
    url: Location,
    form: SVMLightFormat,
    partition_nbytes: int,
    **options: Any,
) -> Dataset:
    """Store the rows of svmlight files as a data set with a sparse X.

    Parameters
    ----------
    source : str, path-like or sequence of these
        Paths, globs or URLs.
    url : str, path-like or zarr.abc.store.Store
        Where to write.
    form : SVMLightFormat
        How the files are written.
    partition_nbytes : int
        Approximate size of the part of a file that one task reads, in bytes.
    **options : dict
        Further arguments of :func:`~storage.create.store_arrays`.
    """
    found = open_svmlight(source, form, partition_nbytes)
    base = "0" if found.form.zero_based else "1"
    with telling_changes(found.files):
        return store_arrays(
            url,
            found.X,
            found.y,
            feature_names=None,
            classes=found.form.classes,
            source=f"{found.description}, columns numbered from {base}",
            seed=None,
            more_files=partial(_more_files, found),
            signature=_signature(found),
            entries_per_row=found.entries_per_row,
            blocks_at_once=blocks_at_once(),
            **options,
        )


def refuse_for_svmlight(**declarations: Any) -> None:
    """Raise ValueError if a declaration is given that only tables have, or a data set of tables."""
    given = [name for name, value in declarations.items() if value is not None]
    if "like" in given:
        raise ValueError(
            f"{declarations['like'].store.location}, given with like=, was not made of svmlight "
            f"files, and the source is: declare n_features and classes with svmlight="
        )
    if given:
        raise ValueError(
            f"{given[0]} cannot be given for svmlight files, which have no named columns: leave it "
            f"out. svmlight=storage.SVMLightFormat(...) declares how they are written"
        )


def format_of(data: StoredArrays) -> SVMLightFormat | None:
    """Return how the files of a data set were written; None if it was not made of such files.

    Raises
    ------
    MetadataCorrupt
        When the record of the ingest is damaged.
    """
    try:
        return read_record(data, _parsed)
    except NotADataset:
        return None


def _parsed(plain: Mapping[str, Any]) -> SVMLightFormat | None:
    return SVMLightFormat(**plain[SVMLIGHT]) if SVMLIGHT in plain else None


def _more_files(source: SVMLightSource, dataset_id: str) -> Mapping[str, bytes]:
    source.files.check()
    return {INGEST: _record(source.form, dataset_id)}


def _record(form: SVMLightFormat, dataset_id: str) -> bytes:
    return record_content({"dataset_id": dataset_id, SVMLIGHT: asdict(form)})


def _signature(source: SVMLightSource) -> str:
    """Return a hash of the files, how they are read, and the versions that parse and compress."""
    # The import of scikit-learn would take longer than an ingest of a small table.
    versions = (np.__version__, version("scikit-learn"), numcodecs.__version__)
    return sha256(
        "\n".join((source.files.identity, repr(source.form), *versions)).encode()
    ).hexdigest()
