"""The quality of a join: the rows that have no match in the joined table."""

from __future__ import annotations

from dataclasses import dataclass

from storage.ingestion.tally import Example

__all__ = ["JoinQuality"]


@dataclass(frozen=True)
class JoinQuality:
    """Rows without a match in a joined table; part of a :class:`QualityReport`.

    Parameters
    ----------
    table : str
        The joined table.
    key : tuple of str
        The columns of the key in the raw rows.
    n_rows : int
        Number of rows of the table.
    policy : str
        What is done with unmatched rows: ``"error"``, ``"drop"`` or ``"keep"``.
    unmatched : int
        Number of raw rows whose key is missing, or is not in the table.
    examples : tuple of Example
        The keys of the first such rows.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> import storage
    >>> rows = pd.DataFrame({"plane": ["N1", "N2", "N3"], "delay": [3.0, 9.0, 1.0]})
    >>> planes = pd.DataFrame({"plane": ["N1", "N2"], "seats": [55, 140]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = storage.ingest(
    ...         rows, f"{folder}/rows.zarr", target="delay", features=["seats"],
    ...         joins=[storage.Join(planes, on="plane", unmatched="drop")],
    ...     )
    ...     print(data.quality.joins[0])
    a pandas DataFrame by plane (2 rows): 1 unmatched: drop; 'N3' in row 2 of the DataFrame
    """

    table: str
    key: tuple[str, ...]
    n_rows: int
    policy: str
    unmatched: int
    examples: tuple[Example, ...]

    def __str__(self) -> str:
        text = f"{self.table} by {', '.join(self.key)} ({self.n_rows:,} rows)"
        if not self.unmatched:
            return f"{text}: all matched"
        return f"{text}: {self.unmatched:,} unmatched: {self.policy}; {self.examples[0]}"
