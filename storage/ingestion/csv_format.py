"""The declaration of how CSV files are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from storage.ingestion.rows import check_names

__all__ = ["CSVFormat"]


@dataclass(frozen=True)
class CSVFormat:
    """How CSV files are written, if they differ from what :func:`~storage.ingest` expects.

    Parameters
    ----------
    delimiter : str, default=","
        Character between two fields.
    quotechar : str, default='"'
        Character around a field that holds delimiters; doubled inside the field.
    encoding : str, default="utf-8"
        Encoding of the text, by Python's names. A byte order mark of UTF-8 is skipped.
    names : sequence of str, optional
        Names of the columns; None means the first line of each file.
    null_values : sequence of str, default=("", "NA", "N/A", "NaN", "nan", "NULL", "null")
        Fields that mean a missing value.
    multiline : bool, default=False
        Whether a quoted field may hold line breaks. A file is then one partition, whatever its
        size.
    on_bad_lines : {"error", "skip"}, default="error"
        What to do with a line with too many or too few fields. The report counts skipped lines.

    Raises
    ------
    ValueError, LookupError
        When an option is unknown.

    Examples
    --------
    >>> import storage
    >>> storage.CSVFormat(delimiter=";", encoding="latin-1").delimiter
    ';'
    """

    delimiter: str = ","
    quotechar: str = '"'
    encoding: str = "utf-8"
    names: Sequence[str] | None = None
    null_values: Sequence[str] = ("", "NA", "N/A", "NaN", "nan", "NULL", "null")
    multiline: bool = False
    on_bad_lines: Literal["error", "skip"] = "error"

    def __post_init__(self) -> None:
        for name in ("delimiter", "quotechar"):
            text = getattr(self, name)
            if len(text) != 1 or not text.isascii() or text in "\r\n\0":
                raise ValueError(f"{name} must be one ASCII character within a line, got {text!r}")
        if self.delimiter == self.quotechar:
            raise ValueError(
                f"delimiter and quotechar are both {self.quotechar!r}, and must differ"
            )
        "".encode(self.encoding)  # refuses what is no encoding of texts
        if self.on_bad_lines not in ("error", "skip"):
            raise ValueError(f"on_bad_lines must be 'error' or 'skip', got {self.on_bad_lines!r}")
        if self.names is not None:
            object.__setattr__(self, "names", check_names(tuple(self.names), "names"))
