"""Read the JSON files of a data set. They may come from a stranger, and are never trusted.

Their size and their number of values are limited before they are parsed. A name that is repeated in
an object is an error, because readers of JSON differ in which of the values they use.
"""

from __future__ import annotations

import json
from typing import Any

from storage.entries import StoredFile
from storage.errors import MetadataCorrupt
from storage.store import Store, UnexpectedFile

__all__ = ["check_readable", "damaged", "parse_json", "read_json", "read_metadata", "shortened"]

# The values of a JSON file take up to about 13 times the memory of its text, and a list or an
# object takes about 100 bytes. Both limits together keep the memory below 200 MB.
_MAX_NBYTES = 16 * 2**20
_MAX_VALUES = 1_000_000
_SHOWN = 100


def damaged(store: Store, key: str, reason: object) -> MetadataCorrupt:
    """Return the error for a damaged file of metadata."""
    return MetadataCorrupt(
        f"{store.location}/{key} is damaged ({reason}): restore it from a copy, or write the data "
        f"set again"
    )


def shortened(value: object) -> str:
    """Return a value of a file for a message, of at most 100 characters."""
    try:
        text = ascii(value)
    except (RecursionError, ValueError):  # a deeply nested list, an integer of 5,000 digits
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def read_metadata(store: Store, key: str, limit: int = _MAX_NBYTES) -> bytes:
    """Return the content of a file that has at most `limit` bytes.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        When the file does not exist, or is a folder.
    MetadataCorrupt
        When it is longer than `limit`, or is not a regular file.
    """
    try:
        return store.read_bytes(key, limit)
    except UnexpectedFile as error:
        raise damaged(store, key, error) from error


def read_json(store: Store, key: str) -> tuple[dict[str, Any], StoredFile]:
    """Return the object in a JSON file, and the size and checksum of the file.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        When the file does not exist, or is a folder.
    MetadataCorrupt
        When the file is too large, or holds no JSON object.
    """
    content = read_metadata(store, key)
    try:
        return parse_json(content), StoredFile.of(content)
    except ValueError as error:
        raise damaged(store, key, error) from error


def parse_json(content: bytes) -> dict[str, Any]:
    """Return the object in a JSON text.

    Raises
    ------
    ValueError
        When the text is not UTF-8, has too many values, is nested too deeply or is no JSON object.
    """
    check_readable(content)
    try:
        value = json.loads(content.decode(), object_pairs_hook=_distinct)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it holds no JSON object")
    return value


def check_readable(content: bytes) -> None:
    """Check the limits of a JSON file. A writer checks them, too, before it writes any chunk.

    Raises
    ------
    ValueError
        When the file has too many bytes or too many values.
    """
    if len(content) > _MAX_NBYTES:
        raise ValueError(f"it has {len(content):,} bytes, at most {_MAX_NBYTES:,} are allowed")
    # Each value follows one of these characters. Those inside texts are counted, too.
    n_values = sum(map(content.count, (b",", b"[", b"{")))
    if n_values > _MAX_VALUES:
        raise ValueError(f"it has {n_values:,} values, at most {_MAX_VALUES:,} are allowed")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name is repeated in an object")
    return values
