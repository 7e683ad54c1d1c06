"""Parquet files and folders of them, cut into runs of row groups, read by Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as pa_dataset

from storage.errors import InvalidData
from storage.ingestion.arrow_tables import with_plain_texts
from storage.ingestion.rows import Rows, check_names
from storage.messages import first_texts

__all__ = [
    "PARQUET",
    "ParquetPiece",
    "ParquetTypes",
    "parquet_pieces",
    "parquet_types",
    "runs_of_row_groups",
]

#: Spark stores times in 96 bits. Arrow would make nanoseconds of them, in which times before 1677
#: and after 2262 become other times.
PARQUET = pa_dataset.ParquetFileFormat(
    read_options=pa_dataset.ParquetReadOptions(coerce_int96_timestamp_unit="us"),
    # Only damage to pages with checksums is certain to be found.
    default_fragment_scan_options=pa_dataset.ParquetFragmentScanOptions(
        page_checksum_verification=True
    ),
)
#: The name that Hive and Spark give to the folder of the rows without a value.
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
#: Folders of tables in which some Parquet files hold rows that were deleted or replaced.
_LOGS = {"_delta_log": "Delta Lake", ".hoodie": "Hudi"}


@dataclass(frozen=True)
class ParquetPiece:
    """Some row groups of one file.

    Attributes
    ----------
    fragment : pyarrow.dataset.ParquetFileFragment
        The row groups.
    keys : dict of str to str or None
        Columns whose values the names of folders give, such as ``month=7``. The values are texts,
        as in CSV.
    """

    fragment: Any
    keys: Mapping[str, str | None]

    def __call__(self, columns: Sequence[str]) -> Rows:
        """Return the rows of these columns.

        Raises
        ------
        InvalidData
            When the file lacks a column, is damaged, or was changed while it was read.
        """
        schema, inside = self.schema_with(columns)
        try:
            table = self.fragment.to_table(schema=schema, columns=inside, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise _gone(self.fragment.path) from None
            if self.fragment.path in str(error):  # a store's answer
                raise
            groups = [str(group.id) for group in self.fragment.row_groups]
            reason = str(error).partition("\n")[0]
            raise InvalidData(
                f"row groups {', '.join(groups)} of {self.fragment.path} cannot be read as "
                f"Parquet: {reason}. The file is damaged, or was changed while it was read: make "
                f"it again"
            ) from error
        n_rows = table.num_rows
        arrays = {
            name: pa.repeat(pa.scalar(self.keys[name], pa.string()), n_rows)
            if name in self.keys
            else table.column(name)
            for name in columns
        }
        return Rows(with_plain_texts(pa.table(arrays)), self.fragment.path, "row", n_rows)

    @property
    def n_rows(self) -> int:
        """Number of rows that the metadata of the file lists."""
        return sum(group.num_rows for group in self.fragment.row_groups)

    def schema_with(self, columns: Sequence[str]) -> tuple[pa.Schema, list[str]]:
        """Return the schema of the file, and those of the columns that are in the file itself.

        Raises
        ------
        InvalidData
            When the file lacks a column.
        """
        try:
            schema = self.fragment.physical_schema
        except FileNotFoundError:
            raise _gone(self.fragment.path) from None
        inside = [name for name in columns if name not in self.keys]
        absent = [name for name in inside if name not in schema.names]
        if absent:
            raise InvalidData(
                f"{self.fragment.path} has no column {absent[0]!r}: it has "
                f"{first_texts(schema.names, 8)}. Leave the column out with features=, or ingest "
                f"the files apart"
            )
        return schema, inside


@dataclass(frozen=True)
class ParquetTypes:
    """The types of the columns of a file, and the values in the names of all folders.

    Attributes
    ----------
    piece : ParquetPiece
        Row groups of the file; none is read.
    folders : tuple of dict of str to str or None
        The values in the names of each folder.
    """

    piece: ParquetPiece
    folders: tuple[Mapping[str, str | None], ...]

    def __call__(self, columns: Sequence[str]) -> Rows:
        """Return a row for each folder; values that only the file holds are null.

        Raises
        ------
        InvalidData
            When the file lacks a column.
        """
        schema, inside = self.piece.schema_with(columns)
        n_rows = len(self.folders)
        arrays = {
            name: pa.nulls(n_rows, schema.field(name).type)
            if name in inside
            else pa.array([folder.get(name) for folder in self.folders], pa.string())
            for name in columns
        }
        table = with_plain_texts(pa.table(arrays))
        return Rows(table, self.piece.fragment.path, "row", n_rows)


def parquet_types(
    chosen: Sequence[ParquetPiece], pieces: Sequence[ParquetPiece]
) -> tuple[ParquetTypes, ...]:
    """Return the types of the chosen pieces, beside the values in the folders of all pieces."""
    folders = {tuple(piece.keys.items()): piece.keys for piece in pieces}
    return tuple(ParquetTypes(piece, tuple(folders.values())) for piece in chosen)


def parquet_pieces(
    filesystem: Any, paths: Sequence[str], nbytes: int
) -> tuple[list[ParquetPiece], tuple[str, ...]]:
    """Return pieces of about `nbytes` of all files, and the names of the columns.

    Files and folders whose names begin with ``_`` or ``.``, such as ``_SUCCESS``, hold no rows. A
    folder called ``month=7`` gives all its rows a column ``month``.

    Raises
    ------
    InvalidData
        When a file cannot be read as Parquet, two columns have the same name, or a folder is a
        table of Delta Lake or Hudi.
    """
    pieces: list[ParquetPiece] = []
    names: tuple[str, ...] = ()
    for path in paths:
        root = path if filesystem.isdir(path) else ""
        if root:
            _refuse_logged_table(filesystem, root)
        try:
            found = pa_dataset.dataset(path, format=PARQUET, filesystem=filesystem)
            for fragment in sorted(found.get_fragments(), key=lambda each: str(each.path)):
                keys = _keys(fragment.path, root)
                names = names or (*fragment.physical_schema.names, *keys)
                pieces += [
                    ParquetPiece(each, keys) for each in runs_of_row_groups(fragment, nbytes)
                ]
        except pa.ArrowInvalid as error:
            reason = str(error).partition("\n")[0]
            raise InvalidData(f"{path} cannot be read as Parquet: {reason}") from error
    return pieces, check_names(names, "the first file")


def _gone(path: str) -> FileNotFoundError:
    # Arrow's own error for a file in a store is its bare path.
    return FileNotFoundError(f"no file is at {path} any more: it was there when it was listed")


def _refuse_logged_table(filesystem: Any, path: str) -> None:
    for folder, product in _LOGS.items():
        if filesystem.exists(f"{path}/{folder}"):
            raise InvalidData(
                f"{path} is a table of {product}, in which some Parquet files hold rows that were "
                f"deleted or replaced: write the current rows to Parquet first, e.g. with Spark"
            )


def _keys(path: str, root: str) -> dict[str, str | None]:
    """Return the values in the names of the folders below `root` that lead to a file."""
    folders = path.removeprefix(root).split("/")[:-1]
    pairs = (folder.partition("=") for folder in folders if "=" in folder)
    return {
        unquote(name): None if value == _NO_VALUE else unquote(value) for name, _, value in pairs
    }


def runs_of_row_groups(fragment: Any, nbytes: int) -> list[Any]:
    """Return runs of row groups; a file without row groups is one run without rows."""
    runs: list[list[int]] = []
    size = 0
    for group in fragment.row_groups:
        if not runs or size + group.total_byte_size > nbytes:
            runs.append([])
            size = 0
        runs[-1].append(group.id)
        size += group.total_byte_size
    return [fragment.subset(row_group_ids=run) for run in runs] or [fragment]
