"""Infer the kind of a column from a sample of its values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import InvalidData
from storage.ingestion.cells import NULL_TEXTS, as_texts, read_cells
from storage.ingestion.column import Column, Kind
from storage.ingestion.rows import Rows

__all__ = ["SAMPLE_ROWS", "is_text", "kind_of_texts", "resolved_columns"]

#: Rows read of each partition of the sample.
SAMPLE_ROWS = 10_000

#: Largest share of values (of all or of the distinct ones) that are no numbers or times in a column
#: of numbers or times.
_EXCEPTIONS = 0.1

_READ_FROM_TEXTS: tuple[Kind, ...] = ("number", "datetime")


def resolved_columns(
    names: Sequence[str],
    declared: Mapping[str, Column],
    sample: Sequence[Rows],
    texts: Collection[str],
) -> dict[str, Column]:
    """Return all columns with their kinds: declared, or inferred from the sample.

    Parameters
    ----------
    names : sequence of str
        The columns.
    declared : dict of str to Column
        The declarations of some of them.
    sample : sequence of Rows
        Rows of some partitions.
    texts : collection of str
        The columns whose texts are read to infer their kinds, as in CSV. Texts of other columns
        are categories, and types of numbers and times show the kinds of any column.

    Raises
    ------
    InvalidData
        When the sample does not show the kind, or the options of a column do not fit its kind.
    """
    columns = {}
    for name in names:
        column = declared.get(name, Column())
        if column.kind is None:
            kind = _kind_in_all(name, sample, texts=name in texts)
            try:
                column.check_fits(kind)
            except ValueError as error:
                raise InvalidData(f"column {name!r} looks like a {kind}: {error}") from error
            column = replace(column, kind=kind)
        columns[name] = column
    return columns


def _kind_in_all(name: str, sample: Sequence[Rows], *, texts: bool) -> Kind:
    found: dict[Kind, str] = {}
    for rows in sample:
        array = rows.table.column(name).slice(0, SAMPLE_ROWS).combine_chunks()
        try:
            kind = kind_of_texts(array) if texts and is_text(array.type) else _kind_of_type(array)
        except InvalidData as error:
            raise InvalidData(f"column {name!r} of {rows.file}: {error}") from error
        if kind is not None:
            found.setdefault(kind, rows.file)
    if not found:
        raise InvalidData(
            f"the kind of column {name!r} is not known, as the sample has no value: declare it, "
            f"columns={{{name!r}: storage.Column('number')}}, or leave it out with features="
        )
    if len(found) > 1:
        kinds = ", ".join(f"a {kind} in {file}" for kind, file in found.items())
        raise InvalidData(
            f"column {name!r} looks like {kinds}: declare its kind, e.g. "
            f"columns={{{name!r}: storage.Column({next(iter(found))!r})}}"
        )
    return next(iter(found))


def _kind_of_type(array: pa.Array) -> Kind | None:
    type_ = array.type
    if pa.types.is_null(type_):
        return None
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "number"
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return "datetime"
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
        if pa.types.is_integer(type_) or pa.types.is_boolean(type_):
            return "category"
    if not is_text(type_):
        raise InvalidData(
            f"values of type {type_} are neither numbers, truth values, texts nor times: leave the "
            f"column out with features=, declare a kind, or make numbers or texts of it first"
        )
    return "category"


def is_text(type_: pa.DataType) -> bool:
    """Return whether values of a type are plain texts."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def kind_of_texts(array: pa.Array) -> Kind | None:
    """Return the kind that most of these texts show; None if there is no text."""
    texts = pc.drop_null(as_texts(array))
    if not len(texts):
        return None
    # A frame that was made of texts has these where CSV has empty cells.
    texts = texts.filter(pc.invert(pc.is_in(texts, pa.array(NULL_TEXTS, texts.type))))
    if not len(texts):
        return "category"
    if pc.all(pc.is_in(pc.utf8_lower(texts), pa.array(["true", "false"], texts.type))).as_py():
        return "boolean"
    # Integers that float64 would round, and a few other values, count as numbers here; the first
    # pass refuses them, and names their lines. As a category, each number would become a column.
    distinct = texts.value_counts()
    values = pa.chunked_array([distinct.field("values")])
    counts = distinct.field("counts").to_numpy()
    for kind in _READ_FROM_TEXTS:
        missing = read_cells(values, kind).missing
        if min(np.mean(missing), counts[missing].sum() / counts.sum()) <= _EXCEPTIONS:
            return kind
    return "category"
