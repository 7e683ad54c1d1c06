"""Texts that are categories by their type, as in Parquet files, but look like numbers or times.

Where the type of a column is declared, texts are not read to find another kind. But if most of many
categories are numbers, each number would become a column of X, and few users want that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from storage.ingestion.column import Column
from storage.ingestion.infer import is_text, kind_of_texts
from storage.ingestion.recipe import Recipe
from storage.ingestion.rows import Rows
from storage.messages import first_texts
from storage.user_line import warn_user

__all__ = ["typed_texts", "warn_of_numbers"]

#: Most categories that look like numbers or times without a warning, such as postal codes.
_MOST = 100


def typed_texts(
    names: Sequence[str],
    declared: Mapping[str, Column],
    sample: Sequence[Rows],
    texts: Collection[str],
) -> set[str]:
    """Return the columns that are categories because their type is text, and for no other reason.

    Parameters are those of :func:`~storage.ingestion.infer.resolved_columns`. Columns of a type for
    categories, such as Arrow's dictionaries, are not among them.
    """
    return {
        name
        for name in names
        if name not in texts
        and _may_be_a_number(declared.get(name, Column()))
        and all(is_text(rows.table.column(name).type) for rows in sample)
    }


def _may_be_a_number(column: Column) -> bool:
    """Return whether neither a kind nor an option for categories is declared."""
    if column.kind is not None:
        return False
    try:
        column.check_fits("number")
    except ValueError:
        return False
    return True


def warn_of_numbers(recipe: Recipe, names: Collection[str]) -> None:
    """Warn if many categories of one of these columns look like numbers or times.

    Parameters
    ----------
    recipe : Recipe
        The steps of an ingest, with the categories that were found.
    names : collection of str
        Columns whose kind was not declared.
    """
    for step in recipe.steps:
        found = step.categories or ()
        if step.name not in names or len(found) <= _MOST:
            continue
        kind = kind_of_texts(pa.array(found, pa.large_string()))
        if kind in ("number", "datetime"):
            warn_user(
                f"column {step.name!r} has the type text, so it is a category, but most of its "
                f"{len(found):,} values look like a {kind} ({first_texts(found, 3, quoted=True)}): "
                f"declare columns={{{step.name!r}: storage.Column({kind!r})}}, or "
                f"storage.Column('category') if this is meant",
                UserWarning,
            )
