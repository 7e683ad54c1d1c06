"""The steps from raw columns to X and y, with what the first pass over the data estimated.

They are stored with the data set, so that new raw rows go through exactly the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.ingestion.cells import Mask
from storage.ingestion.checked_rows import CheckedRows, CleanRows
from storage.ingestion.column import Column
from storage.ingestion.feature_columns import FeatureColumns, feature_rows
from storage.ingestion.lookup import MAX_NBYTES, Lookup, columns_to_read
from storage.ingestion.step import Step
from storage.ingestion.tally import ColumnTally, Tally
from storage.ingestion.value_hashes import Hashes, number_of_words

__all__ = ["EncodedRows", "Recipe"]

Array = npt.NDArray[Any]


class EncodedRows(NamedTuple):
    """X, y (None without a target), a mask of the raw rows that were kept, and their hashes."""

    X: npt.NDArray[np.float64]
    y: Array | None
    kept: Mask
    hashes: Hashes | None


@dataclass(frozen=True)
class Recipe:
    """All steps of a data set.

    Attributes
    ----------
    features : tuple of Step
        The steps of X, in the order of its columns.
    target : Step
        The step of y.
    joins : tuple of Lookup
        The tables whose columns are added to the raw rows before all other steps.
    keys : tuple of Step
        The columns that only identify rows: they are checked, and not stored. Raw rows that are
        encoded need not have them.
    """

    features: tuple[Step, ...]
    target: Step
    joins: tuple[Lookup, ...] = ()
    keys: tuple[Step, ...] = ()

    @classmethod
    def fitted(
        cls, plan: Mapping[str, Column], tally: Tally, joins: tuple[Lookup, ...] = ()
    ) -> Recipe:
        """Return the steps of columns whose values were counted; the target is the last column.

        Raises
        ------
        InvalidData
            When a column has too many categories, or no value to impute from.
        """
        *steps, target = (
            Step.fitted(name, column, tally.columns[name], tally.numbers.summary_of(name))
            for name, column in plan.items()
        )
        features = tuple(step for step in steps if step.column.kind != "key")
        keys = tuple(step for step in steps if step.column.kind == "key")
        return cls(features, target, joins, keys)

    @classmethod
    def known(cls, plan: Mapping[str, Column], joins: tuple[Lookup, ...] = ()) -> Recipe | None:
        """Return the steps as :meth:`fitted` does, or None if they depend on the values."""
        if any(Step.depends_on_values(column) for column in plan.values()):
            return None
        nothing = ColumnTally()
        columns = dict.fromkeys(plan, nothing)
        return cls.fitted(plan, Tally(0, 0, {}, 0, (), 0, (), columns), joins)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all columns, the target last."""
        return (*self.keys, *self.features, self.target)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of X."""
        return tuple(name for step in self.features for name in step.feature_names)

    @property
    def raw_names(self) -> tuple[str, ...]:
        """Names of the columns that raw rows need, besides the keys and the target."""
        return columns_to_read([step.name for step in self.features], self.joins)

    @property
    def may_drop(self) -> bool:
        """Whether a policy can leave out rows."""
        return any(lookup.unmatched == "drop" for lookup in self.joins) or any(
            step.column.may_drop or step.column.duplicates == "drop" for step in self.steps
        )

    @property
    def n_words(self) -> int:
        """Number of words that the hashes of a row have; 0 if no column forbids duplicates."""
        return number_of_words({step.name: step.column for step in self.steps})

    @property
    def target_dtype(self) -> np.dtype[Any]:
        """Dtype of y."""
        classes = self.target.classes
        return np.dtype(np.float64) if classes is None else np.min_scalar_type(len(classes) - 1)

    def encode(
        self,
        table: pa.Table,
        where: str,
        duplicates: Mapping[str, Mask] = MappingProxyType({}),
        *,
        hashed: bool = False,
    ) -> EncodedRows:
        """Return X and y of raw rows; y is None if the table has no target column.

        Parameters
        ----------
        table : pyarrow.Table
            The raw rows. Keys are checked if the table has them.
        where : str
            Where the rows come from, for messages.
        duplicates : dict of str to ndarray of bool of shape (n_rows,)
            By column, the rows whose value an earlier row has.
        hashed : bool, default=False
            Whether the rows get the hashes of the columns that forbid duplicates.

        Raises
        ------
        InvalidData
            When a value breaks a rule whose policy is an error. The message names the row.
        """
        absent = {step.name for step in (*self.keys, self.target)} - {*table.column_names}
        for lookup in self.joins:
            absent -= {*lookup.added.column_names}
        steps = [step for step in self.steps if step.name not in absent]
        rules = {step.name: step.rules for step in steps}
        rows = CheckedRows.of(rules, self.joins, table, where, duplicates)
        for lookup, mask in zip(self.joins, rows.unmatched, strict=True):
            lookup.refuse_unmatched(rows.table, mask & rows.kept, where)
        for step in steps:
            values = rows.table.column(step.name)
            step.refuse_broken(rows.columns[step.name], values, rows.kept, where)
        clean = rows.clean(hashed=hashed)
        return EncodedRows(*self.encode_clean(clean), rows.kept, clean.hashes)

    def encode_clean(self, rows: CleanRows) -> tuple[npt.NDArray[np.float64], Array | None]:
        """Return X and y of rows that were checked; y is None if they have no target column."""
        X = feature_rows(self.feature_columns(rows), 0, rows.n_rows)
        return X, self.target_values(rows) if self.target.name in rows.columns else None

    def feature_columns(self, rows: CleanRows) -> list[FeatureColumns]:
        """Return the columns of X of rows that were checked."""
        return [
            step.feature_columns(step.imputed(rows.columns[step.name])) for step in self.features
        ]

    def target_values(self, rows: CleanRows) -> Array:
        """Return y of rows that were checked."""
        return self.target.imputed(rows.columns[self.target.name]).astype(self.target_dtype)

    def kept(self, table: pa.Table, where: str, duplicates: Mapping[str, Mask]) -> pa.Table:
        """Return the raw rows that no policy leaves out."""
        rules = {step.name: step.rules for step in self.steps}
        rows = CheckedRows.of(rules, self.joins, table, where, duplicates)
        return table.filter(pa.array(rows.kept))

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain values, for JSON."""
        return {
            "features": [step.to_json() for step in self.features],
            "target": self.target.to_json(),
            "joins": [lookup.to_json() for lookup in self.joins],
            "keys": [step.to_json() for step in self.keys],
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Recipe:
        """Return the recipe with these plain values."""
        features = tuple(Step.from_json(step) for step in plain["features"])
        target = Step.from_json(plain["target"])
        keys = tuple(Step.from_json(step) for step in plain.get("keys", ()))
        names = [*(step.name for step in (*keys, *features)), target.name]
        kinds = {step.column.kind for step in (*features, target)}
        if "key" in kinds or any(step.column.kind != "key" for step in keys):
            raise ValueError("its keys are not apart from its features and its target")
        if not features or len({*names}) < len(names):
            raise ValueError("its columns are not distinct")
        joins: tuple[Lookup, ...] = ()
        for table in plain.get("joins", ()):
            room = MAX_NBYTES - sum(lookup.nbytes for lookup in joins)
            joins = (*joins, Lookup.from_json(table, room))
        added = [name for lookup in joins for name in lookup.added.column_names]
        if len({*added}) < len(added) or target.name in added:
            raise ValueError("joined tables add columns twice, or the target")
        return cls(features, target, joins, keys)
