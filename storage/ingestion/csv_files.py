"""CSV files, cut into blocks of whole lines."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from storage.errors import InvalidData
from storage.ingestion.compression import opened
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.csv_table import parsed_text
from storage.ingestion.line_blocks import LineBlock, Text, byte_ranges, count_lines
from storage.ingestion.rows import Rows, check_names, nth_unskipped
from storage.messages import first_texts

__all__ = ["CSVBlock", "csv_blocks", "read_header"]

_UTF8_MARK = b"\xef\xbb\xbf"
#: Encodings in which a byte 10 may be part of a character.
_WIDE = ("utf-16", "utf-32", "utf-7")
#: What begins files that are no text, or not one that can be cut into lines.
_OTHER_FILES = {
    b"\xff\xfe": "UTF-16: convert it to UTF-8 first, e.g. with iconv",
    b"\xfe\xff": "UTF-16: convert it to UTF-8 first, e.g. with iconv",
    b"PK\x03\x04": "a zip archive, as workbooks of Excel are: export it as CSV, or give it a name "
    "that ends in .zip if it holds one CSV file",
    b"\x1f\x8b": "compressed by gzip: give it a name that ends in .gz",
    b"BZh9": "compressed by bzip2: give it a name that ends in .bz2",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: give it a name that ends in .zst",
    b"PAR1": "a Parquet file: give it a name that ends in .parquet",
}


@dataclass(frozen=True)
class CSVBlock(LineBlock):
    """Whole lines of one file.

    Attributes
    ----------
    form : CSVFormat
        How the file is written.
    numbers : frozenset of str
        The columns that are read as float64 where this gives exactly the values of the texts.
        All others are read as texts.
    """

    form: CSVFormat
    numbers: frozenset[str] = frozenset()

    def __call__(self, columns: Sequence[str]) -> Rows:
        """Return the rows of these columns.

        Raises
        ------
        InvalidData
            When the file lacks a column, or its bytes cannot be decoded.
        """
        with opened(self.filesystem, self.path) as file:
            names, begin, n_header = _header(file, self.path, self.form)
            data = self.lines(file, begin)
        if not names:  # an empty file
            return Rows(pa.table({each: pa.nulls(0) for each in columns}), self.path, "line", 0)
        absent = [name for name in columns if name not in names]
        if absent:
            raise InvalidData(
                f"{self.path} has no column {absent[0]!r}: its header is "
                f"{first_texts(names, 8)}. Leave the column out with features=, or ingest the "
                f"files apart"
            )
        return self._parsed(_text(data, self), names, columns, 0 if self.start else n_header)

    def beginning(self, nbytes: int) -> CSVBlock:
        """Return a block of the first bytes only, unless the file must be read as a whole."""
        if self.stop is None:
            return self
        return replace(self, stop=min(self.stop, self.start + nbytes))

    def lines_before(self) -> int:
        """Count the lines of the file before those of the block: the header, too."""
        if self.start:
            return super().lines_before()
        with opened(self.filesystem, self.path) as file:
            return _header(file, self.path, self.form)[2]

    def _parsed(
        self, data: Text, names: Sequence[str], columns: Sequence[str], n_header: int
    ) -> Rows:
        skipped: list[tuple[int, str]] = []
        self._refuse_nul(data)
        n_lines = count_lines(data)
        if not data or data.isspace():
            table = pa.table({each: pa.array([], pa.string()) for each in columns})
        else:
            table, skipped = parsed_text(data, names, columns, self.numbers, self.form)
        # Arrow skips empty lines, and does not count them.
        passed_over = n_lines > table.num_rows + len(skipped) and not self.form.multiline
        empty = _empty_lines(data) if passed_over else ()
        if passed_over and n_lines > table.num_rows + len(skipped) + len(empty):
            self._refuse_long_fields(data)
        malformed = tuple((nth_unskipped(empty, number), text) for number, text in skipped)
        return Rows(
            table,
            self.path,
            "line",
            n_lines + n_header,
            1 + n_header,
            malformed,
            empty,
            numbers=self.numbers,
            as_texts=replace(self, numbers=frozenset()),
        )

    def _refuse_nul(self, data: Text) -> None:
        position = data.find(b"\0")
        if position >= 0:
            line = self.lines_before() + data.count(b"\n", 0, position) + 1
            raise _byte_0(self.path, line)

    def _refuse_long_fields(self, data: Text) -> None:
        """Refuse a quoted field that goes on after the end of its line.

        Where a block ends inside such a field, its rows would be wrong.
        """
        quote = self.form.quotechar.encode()
        for number, line in enumerate(data.split(b"\n")):
            if line.count(quote) % 2:
                raise InvalidData(
                    f"a quoted field that begins in line {self.lines_before() + number + 1:,} of "
                    f"{self.path} does not end in that line: add the closing "
                    f"{self.form.quotechar}, or, if fields hold line breaks, declare "
                    f"csv=storage.CSVFormat(multiline=True)"
                )


def _empty_lines(data: Text) -> tuple[int, ...]:
    """Return the numbers, from 0, of empty lines."""
    lines: Sequence[Text] = data.removesuffix(b"\n").split(b"\n")
    return tuple(number for number, line in enumerate(lines) if not line.strip(b"\r"))


def csv_blocks(
    filesystem: Any, paths: Sequence[str], form: CSVFormat, nbytes: int
) -> list[CSVBlock]:
    """Cut all files into blocks of about `nbytes`; a compressed file is one block."""
    return [
        CSVBlock(filesystem, path, start, stop, form)
        for path in paths
        for start, stop in (
            [(0, None)] if form.multiline else byte_ranges(filesystem, path, nbytes)
        )
    ]


def read_header(block: CSVBlock) -> tuple[str, ...]:
    """Return the names of the columns of a file; none for an empty file."""
    with opened(block.filesystem, block.path) as file:
        return _header(file, block.path, block.form)[0]


def _header(file: Any, path: str, form: CSVFormat) -> tuple[tuple[str, ...], int, int]:
    """Return the names of the columns, and the bytes and lines before the first line of values.

    Empty lines before the header are passed over, as those between values are.
    """
    if codecs.lookup(form.encoding).name.startswith(_WIDE):
        raise InvalidData(
            f"{path} is declared as {form.encoding}, in which a file cannot be cut into lines "
            f"before it is decoded: convert it to UTF-8 first, e.g. with iconv"
        )
    if form.names is not None:
        return tuple(form.names), 0, 0
    first, begin, n_lines = b"", 0, 0
    while not first:
        line = file.readline()
        if not line:
            return (), begin, n_lines
        first = line.removeprefix(_UTF8_MARK).rstrip(b"\r\n")
        begin, n_lines = begin + len(line), n_lines + 1
    for mark, what in _OTHER_FILES.items():
        if first.startswith(mark):
            raise InvalidData(f"{path} is not a CSV file, but {what}")
    if b"\0" in first:
        raise _byte_0(path, n_lines)
    try:
        text = first.decode(form.encoding)
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, n_lines, form, error) from error
    if "\r" in text:
        raise InvalidData(
            f"lines of {path} end with a carriage return only, as on old computers: replace each "
            f"by a line feed, e.g. tr '\\r' '\\n' < old.csv > new.csv"
        )
    names = next(csv.reader([text], delimiter=form.delimiter, quotechar=form.quotechar))
    stripped = check_names([name.strip() for name in names], f"the header of {path}")
    return stripped, begin, n_lines


def _text(data: Text, block: CSVBlock) -> Text:
    """Return the bytes, decoded and encoded as UTF-8."""
    utf8 = codecs.lookup(block.form.encoding).name in ("utf-8", "ascii")
    if utf8 and data.isascii():
        return data
    try:
        text = data.decode(block.form.encoding)
    except UnicodeDecodeError as error:
        before = block.lines_before() + int(data[: error.start].count(b"\n"))
        raise _wrong_encoding(block.path, before + 1, block.form, error) from error
    return data if utf8 else text.encode()


def _byte_0(path: str, line: int) -> InvalidData:
    return InvalidData(
        f"line {line:,} of {path} has a byte 0, which no text has: the file is damaged, or UTF-16 "
        f"without a mark. Convert it to UTF-8 first, e.g. with iconv"
    )


def _wrong_encoding(
    path: str, line: int, form: CSVFormat, error: UnicodeDecodeError
) -> InvalidData:
    byte = error.object[error.start]
    return InvalidData(
        f"line {line:,} of {path} is not {form.encoding}: it holds the byte 0x{byte:02x}. Declare "
        f"the encoding, e.g. csv=storage.CSVFormat(encoding='latin-1')"
    )
