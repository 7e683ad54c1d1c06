"""Which raw columns an ingest uses, and the rules of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from storage.errors import InvalidData
from storage.ingestion.column import Column
from storage.ingestion.infer import resolved_columns
from storage.ingestion.joined_tables import JoinedTable
from storage.ingestion.lookup import columns_to_read
from storage.ingestion.recipe import Recipe
from storage.ingestion.source import Source
from storage.ingestion.typed_texts import typed_texts
from storage.messages import first_texts, short_text

__all__ = ["Plan", "check_names", "columns_of_recipe", "planned_columns"]


class Plan(NamedTuple):
    """The rules of an ingest.

    Parameters
    ----------
    columns : dict of str to Column
        The rules of each column that is used, the target last.
    typed_texts : frozenset of str
        The columns that are categories only because their type is text.
    """

    columns: dict[str, Column]
    typed_texts: frozenset[str]


def planned_columns(
    source: Source,
    target: str,
    features: Sequence[str] | None,
    columns: Mapping[str, Column],
    tables: Sequence[JoinedTable] = (),
) -> Plan:
    """Return the rules of each column that is used.

    Parameters
    ----------
    source : Source
        The raw rows. A sample of them is read if the kind of a column is not declared.
    target : str
        The column that becomes y.
    features : sequence of str or None
        The columns that become X; None means all but the target.
    columns : dict of str to Column
        The declared rules. Other columns get the default rules of their kind.
    tables : sequence of JoinedTable
        The tables whose columns are added to those of the source.

    Raises
    ------
    InvalidData
        When the source lacks a column, or a sample does not show the kind of a column.
    ValueError, TypeError
        When the arguments contradict one another.
    """
    added = [name for table in tables for name in table.rows.table.column_names]
    if target in added:
        raise ValueError(
            f"the target {target!r} is a column of a joined table, and new rows have no target to "
            f"join: ingest the table with the target, and join the other one"
        )
    declared = _declared_columns(source, target, features, columns, added)
    own = [name for name in declared if name not in added]
    sample = source.loaded(own, of_sample=True)
    found = resolved_columns(own, declared, sample, texts=source.texts)
    typed = typed_texts(own, declared, sample, texts=source.texts)
    for table in tables:
        names = [name for name in table.rows.table.column_names if name in declared]
        found |= resolved_columns(names, declared, [table.rows], texts=table.texts)
        typed |= typed_texts(names, declared, [table.rows], texts=table.texts)
    planned = {name: found[name] for name in declared}
    planned[target] = _as_target(planned[target])
    return Plan(planned, frozenset(typed))


def columns_of_recipe(source: Source, recipe: Recipe) -> dict[str, Column]:
    """Return the rules by which another data set was ingested, the target last.

    The categories of that data set are declared: any other value breaks the rule ``unknown``.

    Raises
    ------
    InvalidData
        When the source lacks a column.
    """
    names = columns_to_read([step.name for step in recipe.steps], recipe.joins)
    target = recipe.target.name
    if target in names and target not in source.names:
        raise InvalidData(
            f"{source.description} has no column {short_text(target)!r}, the target, which rows "
            f"of a data set need. Rows that are to be predicted are encoded, and not stored: "
            f"data.encode(frame)"
        )
    check_names(source, names)
    return {step.name: replace(step.column, categories=step.categories) for step in recipe.steps}


def _declared_columns(
    source: Source,
    target: str,
    features: Sequence[str] | None,
    columns: Mapping[str, Column],
    added: Sequence[str],
) -> dict[str, Column]:
    if isinstance(features, str):
        raise TypeError(f"features must be a sequence of names, got {features!r}")
    for name, column in columns.items():
        if type(column) is not Column:
            raise TypeError(f"columns[{name!r}] must be a storage.Column, got {column!r}")
    names = [*source.names, *added]
    keys = _keys(columns, None if features is None else [*features, target])
    chosen = [
        *(features if features is not None else (n for n in names if n != target and n not in keys))
    ]
    check_names(source, [target, *chosen, *columns], added)
    not_stored = [name for name in (*chosen, target) if name in keys]
    if not_stored:
        raise ValueError(
            f"column {not_stored[0]!r} is declared as a key, which is not stored: it can be "
            f"neither a feature nor the target. Declare it as another kind, or leave it out of them"
        )
    if target in chosen or len(set(chosen)) < len(chosen):
        raise ValueError("features must be distinct names, and must not include the target")
    if not chosen:
        raise ValueError("there are no features: a data set needs one or more")
    if "" in chosen and features is None:
        raise InvalidData(
            f"column {names.index('') + 1} of {source.description} has no name, such as the index "
            f"that pandas writes: give it a name, or list the columns to use with features="
        )
    unused = [name for name in columns if name not in (*keys, *chosen, target)]
    if unused:
        raise ValueError(
            f"columns declares {unused[0]!r}, which is neither feature nor target: leave it out, "
            f"or declare it as storage.Column('key') if it only identifies rows"
        )
    return keys | {name: columns.get(name, Column()) for name in (*chosen, target)}


def _keys(columns: Mapping[str, Column], used: Sequence[str] | None) -> dict[str, Column]:
    """Return the columns that only identify rows; None for `used` means that all are used."""
    return {
        name: replace(column, kind="key")
        for name, column in columns.items()
        if column.kind == "key"
        or (column.kind is None and column.duplicates != "allow" and used and name not in used)
    }


def check_names(source: Source, names: Sequence[str], added: Sequence[str] = ()) -> None:
    """Refuse the name of a column that neither the source has nor a joined table has added.

    Raises
    ------
    InvalidData
        When the source lacks a column.
    TypeError
        When a name is no str.
    """
    known = [*source.names, *added]
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"the name of a column must be a str, got {name!r}: the columns of "
                f"{source.description} are called {first_texts(known, 8, quoted=True)} here"
            )
        if name not in known:
            raise InvalidData(
                f"{source.description} has no column {short_text(name)!r}: its columns are "
                f"{first_texts(known, 8)}{_delimiter_hint(known)}"
            )


def _delimiter_hint(names: Sequence[str]) -> str:
    """Return what to do if the only name looks like several with another delimiter."""
    found = [each for each in ";\t|" if len(names) == 1 and each in names[0]]
    return (
        f". Declare the delimiter, csv=storage.CSVFormat(delimiter={found[0]!r})" if found else ""
    )


def _as_target(column: Column) -> Column:
    if column.kind == "datetime":
        raise ValueError("a datetime cannot be the target: declare it as a number or a category")
    if column.missing == "impute" or column.unknown == "ignore":
        raise ValueError(
            "the target cannot be imputed or ignored: drop such rows with missing='drop' or "
            "unknown='drop'"
        )
    if column.reference is not None:
        raise ValueError("reference leaves out a column of X, and the target is not in X")
    if column.scale is not None:
        raise ValueError(
            "scale standardises a column of X, and predictions of a standardised target would be "
            "in other units: leave it out for the target"
        )
    # A row without a target cannot be trained on, so "keep" is not an option.
    return replace(column, missing="error") if column.missing == "keep" else column
