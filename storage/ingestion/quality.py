"""The quality report of an ingest: rows read and kept, and the values that broke rules."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from storage.ingestion.column import Column
from storage.ingestion.column_quality import ColumnQuality
from storage.ingestion.join_quality import JoinQuality
from storage.ingestion.lookup import Lookup
from storage.ingestion.tally import Example, Tally
from storage.local_files import LocalFiles
from storage.plain_values import from_plain

__all__ = ["QualityReport"]

_SHOWN = 30
_MAX_LINES = 20
#: What each policy does with a value, for the page.
_MEANINGS = {
    "keep": "stays missing (NaN), which models refuse unless an imputer fills it in",
    "impute": "replaced by the mean, the most frequent value or fill_value",
    "missing": "made missing",
    "clip": "replaced by the limit",
    "ignore": "0 in every column of the categories",
    "drop": "the row is left out",
}


@dataclass(frozen=True)
class QualityReport:
    """What :func:`~storage.ingest` found in raw data; ``dataset.quality`` returns it.

    Parameters
    ----------
    source : str
        The source of the rows.
    target : str
        Name of the target.
    n_rows : int
        Number of raw rows.
    n_kept : int
        Number of stored rows. The others were left out by policies, or had too many or too few
        fields.
    n_malformed : int
        Number of lines with too many or too few fields.
    malformed : tuple of Example
        The first of these lines.
    columns : dict of str to ColumnQuality
        Quality of each raw column, the target last.
    joins : tuple of JoinQuality
        The joined tables.
    stored_rows : {"compared", "not compared"}, optional
        Of rows that were appended by :func:`~storage.append`: whether the columns that forbid
        duplicates were compared with the rows of all versions before. None if there is no such
        column, and for the rows of an ingest.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> import storage
    >>> frame = pd.DataFrame({"a": [1.0, None, 3.0], "b": [0.0, 1.0, 2.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = storage.ingest(
    ...         frame, f"{folder}/rows.zarr", target="b",
    ...         columns={"a": storage.Column(missing="drop")},
    ...     )
    ...     print(data.quality)
    Quality of a pandas DataFrame: 2 of 3 rows kept
      a (number): 1 to 3, median 1, mean 2, std 1.41421
          1 missing: drop; nothing in row 1 of the DataFrame
      b (number, target): 0 to 2, median 0, mean 1, std 1.41421
    """

    source: str
    target: str
    n_rows: int
    n_kept: int
    n_malformed: int
    malformed: tuple[Example, ...]
    columns: Mapping[str, ColumnQuality]
    joins: tuple[JoinQuality, ...] = ()
    stored_rows: Literal["compared", "not compared"] | None = None

    @classmethod
    def of(
        cls,
        source: str,
        target: str,
        columns: Mapping[str, Column],
        joins: Sequence[Lookup],
        tally: Tally,
    ) -> QualityReport:
        """Return the report of counted rows.

        Parameters
        ----------
        source, target : str
            The source of the rows, and the name of the target.
        columns : dict of str to Column
            Declaration of each column.
        joins : sequence of Lookup
            The joined tables.
        tally : Tally
            Counts of all rows.

        Returns
        -------
        QualityReport
            The counts and the policies.
        """
        return cls(
            source, target, tally.n_rows, tally.n_kept, tally.malformed, tally.malformed_examples,
            {name: ColumnQuality.of(name, column, tally)
             for name, column in columns.items()},
            tuple(
                JoinQuality(join.name, join.left_on, join.keys.num_rows, join.unmatched,
                            counts.unmatched, counts.examples)
                for join, counts in zip(joins, tally.joins, strict=True)
            ),
        )  # fmt: skip

    @property
    def class_balance(self) -> dict[str, float] | None:
        """Share of each class among the rows kept; None where the target is a number."""
        counts = self.columns[self.target].categories
        if counts is None:
            return None
        return {name: count / max(self.n_kept, 1) for name, count in counts.items()}

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as one HTML page, which needs no network and no other file.

        Parameters
        ----------
        path : str or path-like
            Where to write.

        Returns
        -------
        pathlib.Path
            Where the page is.

        Raises
        ------
        OSError
            When it cannot be written. A page that was there before is unchanged.
        """
        from jinja2 import Environment, PackageLoader, StrictUndefined

        templates = Environment(
            loader=PackageLoader("storage.ingestion", "."),
            autoescape=True,
            undefined=StrictUndefined,
        )
        page = templates.get_template("quality.html").render(
            report=self, shown=_SHOWN, policies=self._explained_policies()
        )
        place = Path(path).absolute()
        if place.is_dir():
            raise IsADirectoryError(f"{place} is a folder: name the file of the page")
        LocalFiles(str(place.parent)).write(place.name, [page.encode()])
        return Path(path)

    def _explained_policies(self) -> str:
        """Return what the policies that were applied to values of this report do."""
        used = {column.policies[rule] for column in self.columns.values() for rule in column.broken}
        told = [f"{name}: {meaning}" for name, meaning in _MEANINGS.items() if name in used]
        return f"{'; '.join(told)}." if told else ""

    def __repr__(self) -> str:
        lines = [f"Quality of {self.source}: {self.n_kept:,} of {self.n_rows:,} rows kept"]
        if self.n_malformed:
            lines.append(f"  lines with too many or too few fields: {self.n_malformed:,} skipped; "
                         f"{self.malformed[0]}")  # fmt: skip
        lines += [f"  joined with {join}" for join in self.joins]
        # Columns that broke rules are shown first, if not all columns fit.
        ranked = sorted(self.columns.values(), key=lambda each: not each.broken)
        shown = [each.name for each in ranked[:_MAX_LINES]]
        for name, column in self.columns.items():
            if name in shown:
                lines += _lines(column, is_target=name == self.target)
                lines += self._of_comparison(column)
        if len(self.columns) > _MAX_LINES:
            lines.append(f"  and {len(self.columns) - _MAX_LINES:,} more columns")
        return "\n".join(lines)

    def _of_comparison(self, column: ColumnQuality) -> list[str]:
        """Return a line about the rows that a column without duplicates was compared with."""
        if not column.is_compared:
            return []
        if self.stored_rows == "not compared":
            return ["      the stored rows were not compared: their values are not known"]
        if "duplicates" in column.broken:
            return []
        others = "" if self.stored_rows is None else " and the stored ones"
        return [f"      no duplicates among these rows{others}"]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON.

        Returns
        -------
        dict
            The fields by name.
        """
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> QualityReport:
        """Return the report with these plain values.

        Parameters
        ----------
        plain : dict
            The result of :meth:`to_json`.

        Returns
        -------
        QualityReport
            The report.

        Raises
        ------
        TypeError, ValueError, LookupError
            When a field is missing or wrong.
        """
        report = from_plain(cls, plain)
        # A report that cannot be shown is damaged: for example one without a policy for a rule.
        for column in report.columns.values():
            _lines(column, is_target=False), column.distribution
        repr(report), report.class_balance
        return report


def _lines(column: ColumnQuality, *, is_target: bool) -> list[str]:
    kind = f"{column.kind_and_unit}, target" if is_target else column.kind_and_unit
    lines = [f"  {column.name} ({kind}): {column.range}".rstrip()]
    for rule, count in column.broken.items():
        words = rule.replace("_", " ")
        lines.append(
            f"      {count:,} {words}: {column.policies[rule]}; {column.examples[rule][0]}"
        )
    return lines
