"""The table of a block of CSV text, read by Arrow.

Columns of numbers are read as numbers at once. This is faster than to make a text of each cell
first. Where it would give other values than :func:`~storage.ingestion.cells.read_cells` gives for
the texts, the texts are read: a cell that is no number, an infinite number, or an integer that
float64 may have rounded.

Arrow finds the cells of all rows first, and then goes through them column by column. So it reads a
long text in pieces, which fit in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from storage.ingestion.cells import LARGEST_EXACT
from storage.ingestion.csv_format import CSVFormat
from storage.ingestion.line_blocks import Text

__all__ = ["ParsedText", "parsed_text"]

#: Bytes of a piece, and the least number of lines that it has if all are as long as the first one.
_PIECE_NBYTES, _PIECE_LINES = 2**20, 16


class ParsedText(NamedTuple):
    """The rows of a text.

    Parameters
    ----------
    table : pyarrow.Table
        The columns, as texts or float64.
    malformed : list of (int, str)
        Numbers (from 0) and texts of the lines with too many or too few fields, which the table
        lacks. Empty lines do not count.
    """

    table: pa.Table
    malformed: list[tuple[int, str]]


def parsed_text(
    data: Text,
    names: Sequence[str],
    columns: Sequence[str],
    numbers: Collection[str],
    form: CSVFormat,
) -> ParsedText:
    """Read columns of a text.

    Parameters
    ----------
    data : bytes
        Whole lines in UTF-8, one or more.
    names : sequence of str
        Names of all columns of the text.
    columns : sequence of str
        The columns to read.
    numbers : collection of str
        The columns that are read as float64, if that gives exactly the values of the texts.
    form : CSVFormat
        How the text is written.
    """
    floats = [name for name in columns if name in numbers]
    try:
        parsed = _read(data, names, columns, floats, form)
    except pa.ArrowInvalid:  # a cell that is no number, or a line that is longer than a piece
        return _read(data, names, columns, (), form, in_pieces=False)
    exact = [name for name in floats if _is_exact(parsed.table.column(name))]
    return parsed if exact == floats else _read(data, names, columns, exact, form)


def _is_exact(column: pa.ChunkedArray) -> bool:
    """Return whether float64 holds all values, even if all of them are integers."""
    for chunk in column.chunks:
        values = chunk.to_numpy(zero_copy_only=False)
        # fmin and fmax leave out NaN. Arrow's min_max takes ten times as long.
        if not (
            np.fmin.reduce(values, initial=0.0) > -LARGEST_EXACT
            and np.fmax.reduce(values, initial=0.0) < LARGEST_EXACT
        ):
            return False
    return True


def _piece_nbytes(data: Text) -> int:
    """Return the bytes of a piece, which is no shorter than a line, unless lines differ greatly."""
    first_line = data.find(b"\n") + 1 or len(data)
    return max(_PIECE_NBYTES, _PIECE_LINES * first_line)


def _read(
    data: Text,
    names: Sequence[str],
    columns: Sequence[str],
    floats: Sequence[str],
    form: CSVFormat,
    *,
    in_pieces: bool = True,
) -> ParsedText:
    malformed: list[tuple[int, str]] = []

    def put_aside(row: Any) -> Literal["skip"]:
        malformed.append((row.number - 1, row.text))
        return "skip"

    table = pa_csv.read_csv(
        pa.py_buffer(data),
        # One thread: each worker's thread has a block of its own.
        pa_csv.ReadOptions(
            use_threads=False,
            block_size=_piece_nbytes(data) if in_pieces else len(data) + 1,
            column_names=[*names],
        ),
        pa_csv.ParseOptions(
            delimiter=form.delimiter,
            quote_char=form.quotechar,
            newlines_in_values=form.multiline,
            # In a file of one column an empty line is a missing value.
            ignore_empty_lines=len(names) > 1,
            invalid_row_handler=put_aside,
        ),
        pa_csv.ConvertOptions(
            check_utf8=False,  # it has been decoded already
            column_types={
                **dict.fromkeys(names, pa.string()),
                **dict.fromkeys(floats, pa.float64()),
            },
            include_columns=[*columns],
            null_values=[*form.null_values],
            strings_can_be_null=True,
        ),
    )
    return ParsedText(table, malformed)
