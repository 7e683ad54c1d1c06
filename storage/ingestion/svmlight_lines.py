"""What a line of an svmlight file must look like, and what is wrong with one that does not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.sparse_rows import MAX_COLUMNS

__all__ = ["LineRules"]

_SHOWN = 40
_COMMENT = b"#"


@dataclass(frozen=True)
class LineRules:
    """The rules for all lines of a source.

    Attributes
    ----------
    n_features : int or None
        Number of columns of X; None means any that can be stored.
    zero_based : bool or None
        Whether columns are numbered from 0, or from 1; None means that both are allowed.
    classes : tuple of float or None
        The labels that are allowed, sorted; None means any number.
    refuses_queries : bool
        Whether a query number is an error.
    """

    n_features: int | None
    zero_based: bool | None
    classes: tuple[float, ...] | None
    refuses_queries: bool

    @property
    def first(self) -> int:
        """The lowest column number that is allowed."""
        return int(self.zero_based is False)

    @property
    def last(self) -> int:
        """The highest column number that is allowed."""
        n_features = MAX_COLUMNS if self.n_features is None else self.n_features
        return n_features - int(self.zero_based is True)

    def check(self, labels: npt.NDArray[np.float64], columns: npt.NDArray[np.int64]) -> None:
        """Raise ValueError if labels or column numbers break a rule."""
        if columns.size and int(columns.min()) < self.first:
            raise ValueError("a column number is too small")
        if columns.size and int(columns.max()) > self.last:
            raise ValueError("a column number is too large")
        if not np.isfinite(labels).all():
            raise ValueError("a label is not finite")
        if self.classes is not None and not np.isin(labels, np.array(self.classes)).all():
            raise ValueError("a label is none of the classes")

    def problem_of(self, line: bytes) -> str | None:
        """Return what is wrong with a line, as the end of a sentence; None if it is right."""
        fields = line.partition(_COMMENT)[0].split()
        if not fields:
            return None
        problem, entries = self._problem_of_label(fields[0]), fields[1:]
        if problem is None and entries and entries[0].startswith(b"qid:"):
            problem, entries = self._problem_of_query(entries[0]), entries[1:]
        before = -1
        for entry in entries:
            if problem is not None:
                break
            problem = self._problem_of_entry(entry, before)
            before = before if problem is not None else int(entry.partition(b":")[0])
        return problem

    def _problem_of_query(self, field: bytes) -> str | None:
        if not self.refuses_queries:
            return None
        return (
            f"has the query number {_text(field)}, which a data set cannot hold: read the file "
            f"without query numbers, with svmlight=storage.SVMLightFormat(qid='ignore')"
        )

    def _problem_of_entry(self, entry: bytes, before: int) -> str | None:
        number, colon, value = entry.partition(b":")
        if not colon:
            return f"has {_text(entry)}, which is not COLUMN:VALUE"
        try:
            column = int(number)
        except ValueError:
            return f"has {_text(entry)}, whose column number is not an integer"
        problem = self._problem_of_column(column, before)
        if problem is None and _number(value) is None:
            problem = f"has {_text(entry)}, whose value is not a number"
        return problem

    def _problem_of_label(self, label: bytes) -> str | None:
        value = _number(label)
        if value is None and b":" in label:
            return f"begins with {_text(label)}, not with a label"
        if value is None and b"," in label:
            return (
                f"has several labels, {_text(label)}: a row has one. Make a data set for each "
                f"label, or one row for each label of a row"
            )
        if value is None or not math.isfinite(value):
            return f"begins with {_text(label)}, which is not a finite number"
        if self.classes is not None and value not in self.classes:
            shown = ", ".join(map(str, self.classes[:8]))
            more = ", ..." if len(self.classes) > 8 else ""
            return f"has the label {_text(label)}, which is none of the classes {shown}{more}"
        return None

    def _problem_of_column(self, column: int, before: int) -> str | None:
        if column < self.first:
            hint = ": declare zero_based=True if columns are numbered from 0" if not column else ""
            return f"has the column number {column}, and the lowest one is {self.first}{hint}"
        if column > self.last and self.n_features is None:
            return (
                f"has the column number {column}: X can have at most {MAX_COLUMNS:,} columns; hash "
                f"them to fewer"
            )
        if column > self.last:
            return (
                f"has the column number {column}, and with n_features={self.n_features} the "
                f"highest one is {self.last}"
            )
        if column <= before:
            return f"has the column number {column} after {before}: they must increase in a row"
        return None


def _number(text: bytes) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(field: bytes) -> str:
    text = field.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
