"""Data sets of ``pyarrow.dataset``: files of any format that Arrow reads, and tables in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pa_dataset

from storage.errors import InvalidData
from storage.ingestion.arrow_tables import with_plain_texts
from storage.ingestion.parquet_files import PARQUET, runs_of_row_groups
from storage.ingestion.rows import Rows

__all__ = ["FragmentPiece", "fragment_pieces"]


@dataclass(frozen=True)
class FragmentPiece:
    """A file of a data set, or some row groups of a Parquet file.

    Attributes
    ----------
    fragment : pyarrow.dataset.Fragment
        The rows.
    schema : pyarrow.Schema
        The columns of the data set, those of its folders included.
    where : str
        The file.
    """

    fragment: Any
    schema: pa.Schema
    where: str

    def __call__(self, columns: Sequence[str]) -> Rows:
        """Return the rows of these columns.

        Raises
        ------
        InvalidData
            When the file is damaged, or its types are not those of the data set.
        """
        try:
            table = self.fragment.to_table(
                schema=self.schema, columns=[*columns], use_threads=False
            )
        except pa.ArrowException as error:
            reason = str(error).partition("\n")[0]
            raise InvalidData(f"{self.where} cannot be read by Arrow: {reason}") from error
        return Rows(with_plain_texts(table), self.where, "row", table.num_rows)


def fragment_pieces(source: Any, nbytes: int) -> list[FragmentPiece]:
    """Return a piece for each file, and for Parquet files runs of row groups of about `nbytes`.

    Raises
    ------
    ValueError
        When rows of the data set were filtered.
    """
    try:
        fragments = [*source.get_fragments()]
    except ValueError as error:
        raise ValueError(
            "the pyarrow Dataset has a filter, and its files cannot be read apart with it: give "
            "the data set without the filter and select rows with rows=, or give "
            "dataset.filter(...).to_table() if it fits into memory"
        ) from error
    pieces = []
    for fragment in fragments:
        where = getattr(fragment, "path", None) or "the Dataset"
        parts = [fragment]
        if isinstance(fragment, pa_dataset.ParquetFileFragment):
            parts = runs_of_row_groups(
                PARQUET.make_fragment(
                    fragment.path, fragment.filesystem, fragment.partition_expression
                ),
                nbytes,
            )
        pieces += [FragmentPiece(part, source.schema, where) for part in parts]
    return pieces
