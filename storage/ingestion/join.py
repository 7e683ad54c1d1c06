"""The declaration of a join: a table whose columns are added to the raw rows by a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = ["Join", "Unmatched"]

Unmatched = Literal["error", "drop", "keep"]


@dataclass(frozen=True)
class Join:
    """Declare a table whose columns :func:`~storage.ingest` adds to the raw rows by a key.

    Each raw row gets the columns of the row of the table that has the same key, as in
    ``pandas.merge(rows, table, validate="many_to_one")``. The order of the raw rows does not
    change. A key must not occur twice in the table.

    The table must fit into memory; the raw rows may be of any size. The table is stored with the
    data set, so that new rows (``like=``, :func:`~storage.append`, ``dataset.encode``) are joined
    with the same table.

    Keys are compared by type: the text ``"007"`` is not the number 7, and a text key and a number
    key are an error. Values of CSV files are texts, and so are those of folders such as
    ``month=7``. A missing key matches nothing. (In pandas, a missing key matches a missing key.)

    Parameters
    ----------
    table : str, path-like, sequence of these, pandas.DataFrame, polars.DataFrame or pyarrow.Table
        The table, or CSV, Parquet, Arrow or NumPy files, which are loaded into memory.
    on : str or sequence of str, optional
        The columns of the key, if the raw rows and the table have the same names for them.
    left_on, right_on : str or sequence of str, optional
        The columns of the key in the raw rows and in the table, if the names differ. A column of
        the raw rows may also come from a join before this one.
    columns : sequence of str, optional
        The columns of the table to add; None means all but the key.
    unmatched : {"error", "drop", "keep"}, default="error"
        Policy for rows whose key the table does not have. ``"error"`` stores nothing and names the
        first such rows, ``"drop"`` leaves out the rows, as ``how="inner"`` in pandas. ``"keep"``
        makes the added columns missing, as ``how="left"``; to these values the policy `missing`
        of the column applies. The quality report counts unmatched rows.
    name : str, optional
        What messages and the quality report call the table; None means the name of the file, or
        the kind of the table.

    Raises
    ------
    ValueError, TypeError
        When the key is not named, or named in two ways, or when an option is unknown.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> import storage
    >>> flights = pd.DataFrame({"tailnum": ["N1", "N2", "N1"], "delay": [3.0, 9.0, 1.0]})
    >>> planes = pd.DataFrame({"tailnum": ["N1", "N2"], "seats": [55, 140]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = storage.ingest(
    ...         flights, f"{folder}/flights.zarr", target="delay", features=["seats"],
    ...         joins=[storage.Join(planes, on="tailnum")],
    ...     )
    ...     data.X.compute().ravel().tolist()
    [55.0, 140.0, 55.0]
    """

    table: Any
    on: str | Sequence[str] | None = None
    left_on: str | Sequence[str] | None = None
    right_on: str | Sequence[str] | None = None
    columns: Sequence[str] | None = None
    unmatched: Unmatched = "error"
    name: str | None = None

    def __post_init__(self) -> None:
        self._check_key()
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"name must be a str, got {self.name!r}")
        if self.unmatched not in get_args(Unmatched):
            allowed = ", ".join(map(repr, get_args(Unmatched)))
            raise ValueError(f"unmatched must be one of {allowed}, got {self.unmatched!r}")
        if self.columns is not None:
            if isinstance(self.columns, str):
                raise TypeError(f"columns must be a sequence of names, got {self.columns!r}")
            object.__setattr__(self, "columns", _names("columns", self.columns))
            in_key = [name for name in self.columns or () if name in self.right_key]
            if in_key:
                raise ValueError(
                    f"columns names {in_key[0]!r}, which is part of the key: the raw rows have it"
                )

    def _check_key(self) -> None:
        both = self.left_on is not None and self.right_on is not None
        neither = self.left_on is None and self.right_on is None
        if not (both if self.on is None else neither):
            raise ValueError("name the key by on=, or by left_on= and right_on=")
        for name in ("on", "left_on", "right_on"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _names(name, getattr(self, name)))
        if len(self.left_key) != len(self.right_key):
            raise ValueError(
                f"left_on and right_on must name equally many columns, got {self.left_key} and "
                f"{self.right_key}"
            )

    @property
    def left_key(self) -> tuple[str, ...]:
        """Names of the columns of the key in the raw rows."""
        return tuple(self.on or self.left_on or ())

    @property
    def right_key(self) -> tuple[str, ...]:
        """Names of the columns of the key in the table."""
        return tuple(self.on or self.right_on or ())


def _names(option: str, given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{option} must be one or more names of columns, got {given!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"{option} names a column twice: {names}")
    return names
