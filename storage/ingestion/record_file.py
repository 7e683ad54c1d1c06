"""The file ``ingest.json``, whose first line is the checksum of all others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import google_crc32c

from storage.entries import StoredFile
from storage.errors import InvalidData, MetadataCorrupt, NotADataset
from storage.group import INGEST
from storage.metadata import check_readable, damaged, parse_json, read_metadata

if TYPE_CHECKING:
    from storage.arrays import StoredArrays

__all__ = ["SVMLIGHT", "copied_record", "read_record", "record_content"]

#: The entry of the record of an ingest of svmlight files.
SVMLIGHT = "svmlight"
#: The entry of the first line.
_CHECKSUM = "crc32c"

_Record = TypeVar("_Record")


def record_content(plain: Mapping[str, Any]) -> bytes:
    """Return the content of the file.

    Raises
    ------
    InvalidData
        When a reader would refuse so much.
    """
    body = json.dumps(plain, indent=1, ensure_ascii=False).encode()[1:]
    content = _checksum_line(body) + body
    try:
        check_readable(content)
    except ValueError as error:
        raise InvalidData(
            f"the categories of all columns and the joined tables do not fit into {INGEST} "
            f"({error}): leave out columns with features=, declare them as another kind, or "
            f"choose fewer columns of a joined table"
        ) from error
    return content


def read_record(data: StoredArrays, parse: Callable[[Mapping[str, Any]], _Record]) -> _Record:
    """Read the record of an open data set; `parse` makes an object of its values.

    Raises
    ------
    NotADataset
        When another function than :func:`~storage.ingest` made the data set.
    MetadataCorrupt
        When the record is damaged, or `parse` raises an error.
    DatasetReplaced
        When another data set has taken the place of this one since it was opened.
    """
    try:
        return _read(data, parse)
    except MetadataCorrupt:
        # If another data set has taken this one's place, the record is not damaged.
        data.reader("X").check_identity()
        raise


def copied_record(data: StoredArrays) -> Callable[[str], bytes]:
    """Return a function that gives the content of the file for a data set of the same columns.

    It takes the identity of the other data set. Errors are those of :func:`read_record`.
    """
    plain = read_record(data, dict)
    del plain[_CHECKSUM]
    return lambda dataset_id: record_content({**plain, "dataset_id": dataset_id})


def _read(data: StoredArrays, parse: Callable[[Mapping[str, Any]], _Record]) -> _Record:
    store, manifest = data.store, data.manifest
    try:
        content = read_metadata(store, INGEST)
    except IsADirectoryError as error:
        raise damaged(store, INGEST, "it is a folder") from error
    except FileNotFoundError:
        manifest.check_file(store, INGEST, None)
        raise NotADataset(
            f"{store.location} has no {INGEST}: storage.ingest did not make it, so its raw "
            f"columns are not known"
        ) from None
    manifest.check_file(store, INGEST, StoredFile.of(content))
    try:
        end = content.index(b"\n") + 1
        if content[:end] != _checksum_line(content[end:]):
            raise ValueError("its checksum is wrong")
        plain = parse_json(content)
        if plain["dataset_id"] != data.schema.dataset_id:
            raise ValueError("it belongs to another data set")
        return parse(plain)
    except NotADataset:
        raise
    except (
        ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise damaged(store, INGEST, error) from error


def _checksum_line(body: bytes) -> bytes:
    return f'{{"{_CHECKSUM}": "{google_crc32c.value(body):08x}",\n'.encode()
