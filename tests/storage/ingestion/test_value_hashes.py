"""The hashes that are stored are those that the format describes, also in later releases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage.ingestion.checked_rows import CheckedRows
from storage.ingestion.value_hashes import (
    MISSING,
    compared_names,
    is_missing,
    number_of_words,
    word_ranges,
)

_64 = 2**64 - 1


def siphash(key: bytes, message: bytes) -> int:
    """SipHash-2-4, as its authors describe it."""
    k0, k1 = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D,
         k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]  # fmt: skip

    def rotated(value, by):
        return (value << by | value >> (64 - by)) & _64

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & _64
            v[1] = rotated(v[1], 13) ^ v[0]
            v[0] = rotated(v[0], 32)
            v[2] = (v[2] + v[3]) & _64
            v[3] = rotated(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & _64
            v[3] = rotated(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & _64
            v[1] = rotated(v[1], 17) ^ v[2]
            v[2] = rotated(v[2], 32)

    whole = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) % 256])
    for at in range(0, len(whole), 8):
        word = int.from_bytes(whole[at : at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def mixed(word: int) -> int:
    """The last step of SplitMix64."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _64
    word = (word ^ word >> 27) * 0x94D049BB133111EB & _64
    return word ^ word >> 31


def words_of(value, kind):
    """The words of a value by the description in docs/storage-format.md."""
    n_words = 2 if kind in ("key", "category") else 1
    if pd.isna(value):
        return [2**63] * n_words
    if n_words == 2:
        keys = (b"duplicates of a ", b"value of columns")
        return [mixed(siphash(key, value.encode())) for key in keys]
    if kind == "datetime":
        return [int(np.datetime64(value, "us").astype(np.int64)) & _64]
    return [int(np.float64(value + 0.0).view(np.uint64))]


VALUES = {
    "key": st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
    "category": st.sampled_from(["a", "b", "\N{SNOWMAN}"]),
    "number": st.sampled_from([0.0, -0.0]) | st.floats(allow_infinity=False, allow_nan=False),
    "datetime": st.datetimes(),
    "boolean": st.booleans(),
}


@given(st.data(), st.sampled_from(sorted(VALUES)))
def test_the_hashes_are_those_of_the_format(data, kind):
    values = data.draw(st.lists(st.none() | VALUES[kind], min_size=1, max_size=10))
    type_ = {"number": pa.float64(), "datetime": pa.timestamp("us"), "boolean": pa.bool_()}
    table = pa.table({"c": pa.array(values, type_.get(kind, pa.string()))})
    columns = {"c": storage.Column(kind, duplicates="drop")}
    checked = CheckedRows.of(columns, (), table, "here")
    missing = is_missing(checked.columns["c"].values)
    values = [None if gap else value for gap, value in zip(missing, values, strict=True)]
    clean = checked.clean()
    assert clean.hashes.dtype == np.uint64
    assert clean.hashes.tolist() == [words_of(value, kind) for value in values]
    assert checked.clean(hashed=False).hashes is None


def test_the_words_of_a_row_are_ordered_by_the_names_of_their_columns():
    columns = {
        "z": storage.Column("key", duplicates="drop"),
        "b": storage.Column("number"),
        "a": storage.Column("number", duplicates="error"),
        "c": storage.Column("category", duplicates="drop"),
    }
    assert compared_names(columns) == ("a", "c", "z")
    assert word_ranges(columns) == {"a": slice(0, 1), "c": slice(1, 3), "z": slice(3, 5)}
    assert number_of_words(columns) == 5
    assert number_of_words({"b": columns["b"]}) == 0


def test_zeros_of_both_signs_have_the_same_words():
    columns = {"c": storage.Column("number", duplicates="drop")}
    clean = CheckedRows.of(columns, (), pa.table({"c": [0.0, -0.0]}), "here").clean()
    assert clean.hashes.tolist() == [[0], [0]]


def test_no_value_has_the_words_of_a_missing_one():
    assert np.isnat(np.array([MISSING]).view("M8[us]")[0])
    number = np.array([MISSING]).view(np.float64)[0]
    assert number == 0
    assert np.signbit(number)
