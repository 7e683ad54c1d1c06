"""Files of Arrow's IPC format (Feather 2), cut into runs of record batches.

There are two formats. A *file* ends with the places of its batches, so any of them can be read. A
*stream* has no such list, and dictionaries of categories may stand between its batches. So a stream
is read once to find the places of its messages. A piece of it then is its schema, the dictionaries
that stand before the piece, and the bytes of its batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from storage.errors import InvalidData
from storage.ingestion.arrow_tables import with_plain_texts
from storage.ingestion.rows import Rows, check_names
from storage.messages import first_texts

__all__ = ["ArrowFilePiece", "ArrowStreamPiece", "arrow_pieces", "arrow_types"]

_FILE_MAGIC = b"ARROW1"
_FEATHER_1_MAGIC = b"FEA1"

#: First byte of a message, and the byte after its last.
_Range = tuple[int, int]


@dataclass(frozen=True)
class ArrowFilePiece:
    """Some record batches of a file.

    Attributes
    ----------
    filesystem : fsspec.AbstractFileSystem
        Where the file is.
    path : str
        The file.
    start, stop : int
        The first batch, and the batch after the last. Without a batch, the piece shows the types.
    """

    filesystem: Any
    path: str
    start: int
    stop: int

    def __call__(self, columns: Sequence[str]) -> Rows:
        """Return the rows of these columns.

        Raises
        ------
        InvalidData
            When the file lacks a column, is damaged, or was changed while it was read.
        """
        with _opened(self.filesystem, self.path) as file:
            schema = pa.ipc.open_file(file).schema
            reader = pa.ipc.open_file(file, options=_only(schema, columns, self.path))
            batches = map(reader.get_batch, range(self.start, self.stop))
            return _rows(batches, reader.schema, columns, self.path)

    def types(self) -> ArrowFilePiece:
        """Return a piece without rows."""
        return ArrowFilePiece(self.filesystem, self.path, 0, 0)


@dataclass(frozen=True)
class ArrowStreamPiece:
    """Some record batches of a stream.

    Attributes
    ----------
    filesystem : fsspec.AbstractFileSystem
        Where the file is.
    path : str
        The file.
    before : tuple of (int, int)
        The bytes of the schema and of the dictionaries before the batches.
    batches : tuple of (int, int)
        The bytes of the batches, and of dictionaries that stand between them.
    """

    filesystem: Any
    path: str
    before: tuple[_Range, ...]
    batches: tuple[_Range, ...]

    def __call__(self, columns: Sequence[str]) -> Rows:
        """Return the rows of these columns.

        Raises
        ------
        InvalidData
            When the file lacks a column, is damaged, or was changed while it was read.
        """
        with _opened(self.filesystem, self.path) as file:
            content = b"".join(_bytes(file, *place) for place in (*self.before, *self.batches))
            schema = pa.ipc.open_stream(content).schema
            options = _only(schema, columns, self.path)
            reader = pa.ipc.open_stream(content, options=options)
            return _rows(reader, reader.schema, columns, self.path)

    def types(self) -> ArrowStreamPiece:
        """Return a piece without rows."""
        return ArrowStreamPiece(self.filesystem, self.path, self.before[:1], ())


def arrow_pieces(
    filesystem: Any, paths: Sequence[str], nbytes: int
) -> tuple[list[ArrowFilePiece | ArrowStreamPiece], tuple[str, ...]]:
    """Return pieces of about `nbytes` of all files, and the names of the columns.

    A piece has one record batch or more, however large the batch is.

    Raises
    ------
    InvalidData
        When a file cannot be read as Arrow's, or two columns have the same name.
    """
    pieces: list[ArrowFilePiece | ArrowStreamPiece] = []
    names: tuple[str, ...] = ()
    for path in paths:
        with _opened(filesystem, path) as file:
            begin = file.read(len(_FILE_MAGIC))
            file.seek(0)
            if begin.startswith(_FEATHER_1_MAGIC):
                raise InvalidData(
                    f"{path} has version 1 of the format Feather, which is no file of Arrow: read "
                    f"it with pandas.read_feather, and write it again"
                )
            if begin == _FILE_MAGIC:
                reader = pa.ipc.open_file(file)
                pieces += _of_file(filesystem, path, reader.num_record_batches, nbytes)
            else:
                reader = pa.ipc.open_stream(file)
                file.seek(0)
                pieces += _of_stream(filesystem, path, file, nbytes)
            names = names or check_names(reader.schema.names, path)
    return pieces, names


def arrow_types(
    pieces: Sequence[ArrowFilePiece | ArrowStreamPiece],
) -> tuple[ArrowFilePiece | ArrowStreamPiece, ...]:
    """Return the types of the columns of some pieces, as pieces without rows."""
    return tuple(piece.types() for piece in pieces)


def _of_file(filesystem: Any, path: str, n_batches: int, nbytes: int) -> Iterator[ArrowFilePiece]:
    size = filesystem.info(path)["size"]
    step = max(1, nbytes * n_batches // max(1, size))
    for start in range(0, max(n_batches, 1), step):
        yield ArrowFilePiece(filesystem, path, start, min(start + step, n_batches))


def _of_stream(filesystem: Any, path: str, file: Any, nbytes: int) -> Iterator[ArrowStreamPiece]:
    before: list[_Range] = []
    piece: list[_Range] = []
    dictionaries: list[_Range] = []
    begin = 0
    for message in pa.ipc.MessageReader.open_stream(file):
        place = (begin, file.tell())
        begin = place[1]
        if message.type == "record batch" or piece:
            if piece and place[1] - piece[0][0] > nbytes and message.type == "record batch":
                yield ArrowStreamPiece(filesystem, path, tuple(before), tuple(piece))
                before += dictionaries
                piece, dictionaries = [], []
            piece.append(place)
            if message.type != "record batch":
                dictionaries.append(place)
        else:
            before.append(place)
    yield ArrowStreamPiece(filesystem, path, tuple(before), tuple(piece))


def _bytes(file: Any, start: int, stop: int) -> bytes:
    file.seek(start)
    content: bytes = file.read(stop - start)
    return content


def _only(schema: pa.Schema, columns: Sequence[str], path: str) -> Any:
    """Return the options that read only these columns."""
    absent = [name for name in columns if name not in schema.names]
    if absent:
        raise InvalidData(
            f"{path} has no column {absent[0]!r}: it has {first_texts(schema.names, 8)}. Leave "
            f"the column out with features=, or ingest the files apart"
        )
    return pa.ipc.IpcReadOptions(
        included_fields=[schema.names.index(name) for name in columns], use_threads=False
    )


def _rows(batches: Any, schema: pa.Schema, columns: Sequence[str], path: str) -> Rows:
    checked = []
    for batch in batches:
        # Arrow trusts the lengths and offsets in a file. A wrong one would end the process.
        batch.validate(full=True)
        checked.append(batch)
    table = with_plain_texts(pa.Table.from_batches(checked, schema).select([*columns]))
    return Rows(table, path, "row", table.num_rows)


@contextmanager
def _opened(filesystem: Any, path: str) -> Iterator[Any]:
    """Open a file, and name it in the errors of Arrow."""
    with filesystem.open(path, "rb") as file, pa.PythonFile(file, "r") as native:
        try:
            yield native
        except InvalidData:
            raise
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            reason = str(error).partition("\n")[0]
            raise InvalidData(
                f"{path} cannot be read as Arrow's: {reason}. The file is damaged, or was changed "
                f"while it was read: make it again"
            ) from error
