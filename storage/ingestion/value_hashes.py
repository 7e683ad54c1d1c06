"""Hashes of the values of columns that forbid duplicates, as they are compared and stored.

The words of a number, a truth value or a time are its 64 bits. Those of a text are two 64-bit
hashes. A data set stores the words of each row, so that rows which are appended are compared with
the rows that it has. So these functions are a part of the storage format: they must not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from storage.ingestion.cells import Mask
from storage.ingestion.column import Column
from storage.ingestion.rules import Checked

__all__ = [
    "MISSING",
    "Hashes",
    "compared_names",
    "hashes_of",
    "hashes_of_rows",
    "is_missing",
    "number_of_words",
    "word_ranges",
]

Hashes = npt.NDArray[np.uint64]

#: Keys of two SipHash functions: 64 bits of each. Two of 10**10 texts have the same 128 bits with a
#: probability below 10**-18.
_HASH_KEYS = ("duplicates of a ", "value of columns")

#: Each word of a missing value. These are the bits of -0.0 and of NaT, which no value has.
MISSING = np.uint64(2**63)


def compared_names(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Return the names of the columns that forbid duplicates, in the order of their words."""
    return tuple(sorted(name for name, each in columns.items() if each.duplicates != "allow"))


def word_ranges(columns: Mapping[str, Column]) -> dict[str, slice]:
    """Return the words of each compared column among the words of a row."""
    ranges, start = {}, 0
    for name in compared_names(columns):
        stop = start + (len(_HASH_KEYS) if columns[name].kind in ("key", "category") else 1)
        ranges[name] = slice(start, stop)
        start = stop
    return ranges


def number_of_words(columns: Mapping[str, Column]) -> int:
    """Return the number of words of a row; 0 if no column forbids duplicates."""
    return max((each.stop for each in word_ranges(columns).values()), default=0)


def is_missing(values: npt.NDArray[Any]) -> Mask:
    """Return where a checked value is missing."""
    if values.dtype.kind == "i":
        return values < 0
    missing: Mask = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
    return missing


def hashes_of(column: Checked, rows: npt.NDArray[np.intp]) -> Hashes:
    """Return the words of the values in some rows, none of which is missing.

    Parameters
    ----------
    column : Checked
        The values.
    rows : ndarray of int of shape (n_chosen,)
        The rows.

    Returns
    -------
    ndarray of uint64 of shape (n_words, n_chosen)
        The words.
    """
    values = column.values[rows]
    if values.dtype.kind != "i":
        # -0.0 + 0.0 is 0.0, which has other bits than -0.0.
        values = values if values.dtype.kind == "M" else values + 0.0
        return np.ascontiguousarray(values).view(np.uint64)[None]
    import pandas as pd

    texts = np.array(column.texts, dtype=object)
    words = [
        pd.util.hash_array(texts, encoding="utf8", hash_key=key, categorize=False)
        for key in _HASH_KEYS
    ]
    return np.stack(words).reshape(len(_HASH_KEYS), -1)[:, values]


def hashes_of_rows(
    columns: Mapping[str, Checked], names: Sequence[str], rows: npt.NDArray[np.intp]
) -> Hashes:
    """Return the words of the compared columns in some rows.

    Parameters
    ----------
    columns : dict of str to Checked
        The checked values.
    names : sequence of str
        The compared columns, in the order of their words.
    rows : ndarray of int of shape (n_chosen,)
        The rows.

    Returns
    -------
    ndarray of uint64 of shape (n_chosen, n_words)
        The words; :data:`MISSING` where a value is missing.
    """
    parts = []
    for name in names:
        missing = is_missing(columns[name].values[rows])
        words = hashes_of(columns[name], rows[~missing]).T
        if missing.any():
            found, words = words, np.full((len(rows), words.shape[1]), MISSING)
            words[~missing] = found
        parts.append(words)
    return np.concatenate(parts, axis=1)
