"""How CSV files are written, as a caller declares it."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from storage.ingestion.rows import check_names

__all__ = ["CSVFormat"]


@dataclass(frozen=True)
class CSVFormat:
    """How CSV files are written, where it is not as :func:`~storage.ingest` expects.

    Parameters
    ----------
    delimiter : str, default=","
        What stands between two fields.
    quotechar : str, default='"'
        What stands around a field that holds delimiters; doubled inside of it.
    encoding : str, default="utf-8"
        How text is encoded, by Python's names. A byte order mark of UTF-8 is skipped.
    names : sequence of str, optional
        Names of the columns; None means the first line of each file.
    null_values : sequence of str, default=("", "NA", "N/A", "NaN", "nan", "NULL", "null")
        Fields that mean a missing value.
    multiline : bool, default=False
        Whether a quoted field may hold ends of lines. A file is then one partition, whatever its
        size.
    on_bad_lines : {"error", "skip"}, default="error"
        What happens to a line with too many or too few fields. The report counts those skipped.

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
            if len(getattr(self, name)) != 1:
                raise ValueError(f"{name} must be one character, got {getattr(self, name)!r}")
        codecs.lookup(self.encoding)
        if self.on_bad_lines not in ("error", "skip"):
            raise ValueError(f"on_bad_lines must be 'error' or 'skip', got {self.on_bad_lines!r}")
        if self.names is not None:
            object.__setattr__(self, "names", check_names(tuple(self.names), "names"))
