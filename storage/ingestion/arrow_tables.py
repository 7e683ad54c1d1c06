"""Tables of Arrow whose texts all have a type that every function of Arrow accepts."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["with_plain_texts"]


def with_plain_texts(table: pa.Table) -> pa.Table:
    """Return a table whose string views are plain texts, also as values of dictionaries.

    polars writes string views to Arrow files. Many functions of Arrow do not accept this type.
    """
    for number, field in enumerate(table.schema):
        column = table.column(number)
        if pa.types.is_string_view(field.type):
            table = table.set_column(number, field.name, pc.cast(column, pa.large_string()))
        elif pa.types.is_dictionary(field.type) and pa.types.is_string_view(field.type.value_type):
            chunks = [
                pa.DictionaryArray.from_arrays(
                    chunk.indices, pc.cast(chunk.dictionary, pa.large_string())
                )
                for chunk in column.chunks
            ]
            type_ = pa.dictionary(field.type.index_type, pa.large_string())
            table = table.set_column(number, field.name, pa.chunked_array(chunks, type_))
    return table
