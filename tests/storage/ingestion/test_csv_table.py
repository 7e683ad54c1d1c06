"""Numbers of CSV files that are read as numbers at once: the same cells as of texts."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import storage
from storage.ingestion import csv_table
from storage.ingestion.cells import NULL_TEXTS, read_cells
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.csv_table import parsed_text
from storage.ingestion.line_blocks import count_lines

PLAIN = st.floats(allow_nan=False, width=32).map(str) | st.integers(-999, 999).map(str)
STRANGE = st.sampled_from([
    *NULL_TEXTS, "inf", "-Infinity", "1e400", "-1e400", "1e-400", "0x10", "1_000", "1,000", "+1",
    "1.", ".5", ".", "-", "1e", "1e5", "1E-5", "1d5", "nan(7)", "-nan(a b)", "+nan", "NAN", "true",
    "\u00a01", "\t2", "1 2", "9007199254740991", "9007199254740993", "-9007199254740993",
    "9007199254740992.0", "1e16", "12345678901234567890", "٣", "one", "0" * 400 + "1",
])  # fmt: skip
SOUP = st.text("0123456789.eE+-_ xinfaN\t\u00a0", max_size=8)
CELL = st.tuples(
    st.sampled_from(["", " ", "  "]), PLAIN | STRANGE | SOUP, st.sampled_from(["", " ", "\t"])
).map("".join)
NULLS = st.sampled_from([CSVFormat().null_values, (), ("", "inf"), ("1", "-")])


def parsed(cells, form, numbers):
    """The cells as the column a, beside a column of plain numbers."""
    text = "".join(f'"{cell}",{row}\n' for row, cell in enumerate(cells)).encode()
    return parsed_text(text, ["a", "b"], ["b", "a"], numbers, form).table


@given(st.lists(CELL, min_size=1, max_size=4), NULLS)
@example(["1.5", " 2 "], CSVFormat().null_values)
@example(["9007199254740993"], ())
@example(["nan"], ())
def test_numbers_are_the_cells_of_their_texts(cells, null_values):
    form = CSVFormat(null_values=null_values)
    fast, slow = (parsed(cells, form, numbers) for numbers in (["a", "b"], []))
    assert slow.column("a").type == pa.string()
    expected, found = (read_cells(table.column("a"), "number") for table in (slow, fast))
    np.testing.assert_array_equal(found.values, expected.values)
    there = ~np.isnan(found.values)
    np.testing.assert_array_equal(np.signbit(found.values[there]),
                                  np.signbit(expected.values[there]))  # fmt: skip
    np.testing.assert_array_equal(found.unparsable, expected.unparsable)


DIGITS = st.text("0123456789", min_size=1, max_size=25)


@given(
    st.lists(
        st.floats(-1e15, 1e15).map(repr)
        | st.builds("{}.{}e{}".format, DIGITS, DIGITS, st.integers(-320, -20)),
        min_size=1,
        max_size=20,
    )
)
@example(["0.1000000000000000055511151231257827", "2.2250738585072011e-308", "5e-324"])
def test_a_number_is_the_nearest_float(cells):
    column = parsed(cells, CSVFormat(), ["a", "b"]).column("a")
    assert column.type == pa.float64()
    assert column.to_pylist() == [*map(float, cells)]


@pytest.mark.parametrize(
    ("cells", "types"),
    [
        (["1", " -2.5e3 ", "", "nan"], ("double", "double")),
        (["1", "9007199254740991"], ("double", "double")),
        (["1", "9007199254740992"], ("double", "string")),
        (["1", "inf"], ("double", "string")),
        (["1", "1_000"], ("string", "string")),
    ],
)
def test_texts_are_read_only_where_numbers_differ(cells, types):
    table = parsed(cells, CSVFormat(), ["a", "b"])
    assert tuple(map(str, table.schema.types)) == types
    assert parsed(cells, CSVFormat(), ["a"]).schema.field("b").type == pa.string()


def test_malformed_lines_count_once_if_a_block_is_read_again():
    text = b"1,2\n3\nx,4\n5,6,7\n"
    table, malformed = parsed_text(text, ["a", "b"], ["a", "b"], ["a", "b"], CSVFormat())
    assert table.to_pydict() == {"a": ["1", "x"], "b": ["2", "4"]}
    assert malformed == [(1, "3"), (3, "5,6,7")]


LINE = st.sampled_from([
    "1,2,3", "4,5", "6", "7,8,9,0", "", "\r", '"x,y",2,3', '"q""u",1,1.5', "1,,3\r", "1,inf,3",
    " 1, 2,z", f"long,{'0' * 50}1,2",
])  # fmt: skip
BROKEN = '"two\nlines",1,2'


@given(st.lists(LINE, min_size=1, max_size=12), st.integers(1, 40), st.booleans(), st.booleans())
@example(["1,2,3", "4,5", "6,7,8", "9"], 1, True, False)
@example([BROKEN, "1,2", BROKEN], 1, False, True)
def test_pieces_change_no_cell_and_no_number_of_a_malformed_line(lines, size, ends, multiline):
    text = ("\n".join(lines) + "\n" * ends).encode()
    assume(not text.isspace())
    names, form = ["a", "b", "c"], CSVFormat(multiline=multiline)

    def read(nbytes):
        with (
            mock.patch.object(csv_table, "_PIECE_NBYTES", nbytes),
            mock.patch.object(csv_table, "_PIECE_LINES", 1),
        ):
            return parsed_text(text, names, names, ["b"], form)

    whole, pieces = read(10**6), read(size)
    assert pieces.malformed == whole.malformed
    for name, kind in (("a", "category"), ("b", "number"), ("c", "category")):
        expected, found = (read_cells(each.table.column(name), kind) for each in (whole, pieces))
        np.testing.assert_array_equal(found.values, expected.values)
        np.testing.assert_array_equal(found.unparsable, expected.unparsable)
        assert found.texts == expected.texts


def test_long_texts_are_read_in_pieces():
    text = b"1.5,x\n" * 10_000
    with mock.patch.object(csv_table, "_PIECE_NBYTES", 6_000):
        column = parsed_text(text, ["a", "b"], ["a"], ["a"], CSVFormat()).table.column("a")
    assert column.num_chunks == 10
    assert column.type == pa.float64()


@pytest.mark.parametrize("rows", [None, storage.HashSplit("key", 0, 0.6)])
def test_messages_show_numbers_as_they_are_written(tmp_path, rows):
    n = 60
    text = [f"{number}.50,k{number},{number % 2}" for number in range(n)]
    text[40] = "1e3,k40,0"
    text[41] = ",k41,0"
    (tmp_path / "a.csv").write_text("\n".join(["x,key,y", *text]))
    data = storage.ingest(
        tmp_path / "a.csv", tmp_path / "d", target="y", features=["x"], rows=rows,
        columns={"x": storage.Column(maximum=30, out_of_range="missing")}, partition_nbytes=200,
    )  # fmt: skip
    keys = pd.DataFrame({"key": [f"k{number}" for number in range(n)]})
    selected = np.ones(n, bool) if rows is None else rows.mask(pa.chunked_array([keys["key"]]))[0]
    numbers = [number for number in np.flatnonzero(selected).tolist() if number >= 30]
    shown = [text[number].partition(",")[0] or None for number in numbers]
    found = data.quality.columns["x"]
    assert found.broken["out_of_range"] == sum(each is not None for each in shown)
    examples = found.examples["missing"]
    assert [(each.number, each.value) for each in examples] == [
        (number + 2, value) for number, value in zip(numbers, shown, strict=True)
    ][: len(examples)]
    assert len(examples) == 5


@given(st.binary(max_size=9) | st.sampled_from([b"a\n" * 2**18, b"\n" * (2**18 - 1) + b"a"]))
def test_lines_are_counted(data):
    assert count_lines(data) == data.count(b"\n") + (data != b"" and data[-1:] != b"\n")
