"""Files in the svmlight format, cut into blocks of whole lines, read by scikit-learn's parser."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from storage.errors import InvalidData
from storage.ingestion.compression import opened
from storage.ingestion.line_blocks import LineBlock, byte_ranges
from storage.ingestion.source_files import bare_name
from storage.ingestion.svmlight_lines import LineRules

__all__ = ["SVMLightBlock", "SVMLightRows", "is_svmlight", "svmlight_blocks"]

_SUFFIXES = (".svm", ".svmlight", ".libsvm")
_COMMENT, _QUERY = b"#", b"qid:"


class SVMLightRows(NamedTuple):
    """The rows of a block, with column numbers as the file has them.

    Attributes
    ----------
    labels : ndarray of float64 of shape (n_rows,)
        The label of each row.
    values : ndarray of float64 of shape (n_entries,)
        The values of all entries.
    columns : ndarray of int64 of shape (n_entries,)
        Their column numbers.
    ends : ndarray of int64 of shape (n_rows + 1,)
        Position of the first entry of each row, and the number of entries.
    """

    labels: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    columns: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


class SVMLightBlock(LineBlock):
    """Whole lines of one file."""

    def rows(self, rules: LineRules) -> SVMLightRows:
        """Parse the lines.

        Parameters
        ----------
        rules : LineRules
            What a line must look like.

        Raises
        ------
        InvalidData
            When a line breaks the rules. The message names the file and the line.
        """
        from sklearn.datasets import load_svmlight_file

        with opened(self.filesystem, self.path) as file:
            data = bytes(self.lines(file))
        try:
            if rules.refuses_queries and _has_query(data):
                raise ValueError("a line has a query number")
            X, labels = load_svmlight_file(
                # The number of columns is checked here: scikit-learn's message names no line.
                io.BytesIO(data), n_features=2**31, zero_based=True, dtype=np.float64
            )  # fmt: skip
            rows = SVMLightRows(
                labels, X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)
            )
            rules.check(rows.labels, rows.columns)
        except (ValueError, OverflowError) as error:
            wrong = self._wrong_line(data, rules)
            if wrong is None:
                raise InvalidData(f"{self.path} cannot be read as svmlight: {error}") from error
        else:
            return rows
        raise wrong

    def _wrong_line(self, data: bytes, rules: LineRules) -> InvalidData | None:
        """Return an error that names the first line that breaks a rule; None if none does."""
        for number, line in enumerate(data.split(b"\n")):
            problem = rules.problem_of(line)
            if problem is not None:
                line_number = self.lines_before() + number + 1
                return InvalidData(f"line {line_number:,} of {self.path} {problem}")
        return None


def svmlight_blocks(filesystem: Any, paths: Sequence[str], nbytes: int) -> list[SVMLightBlock]:
    """Cut all files into blocks of about `nbytes`; a compressed file is one block."""
    return [
        SVMLightBlock(filesystem, path, start, stop)
        for path in paths
        for start, stop in byte_ranges(filesystem, path, nbytes)
    ]


def is_svmlight(path: str) -> bool:
    """Return whether a file is in the svmlight format by its name."""
    return bare_name(path).endswith(_SUFFIXES)


def _has_query(data: bytes) -> bool:
    return _QUERY in data and any(_QUERY in line for line in _without_comments(data))


def _without_comments(data: bytes) -> Iterator[bytes]:
    return (line.partition(_COMMENT)[0] for line in data.split(b"\n"))
