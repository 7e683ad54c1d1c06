"""Open compressed files, by the suffix of their names."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa

from storage.errors import InvalidData

__all__ = ["COMPRESSED", "opened"]

_PIECE = 2**20
#: Suffixes; Arrow decompresses all but zip.
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".zip")


@contextmanager
def opened(filesystem: Any, path: str) -> Iterator[BinaryIO]:
    """Open a file from its start. Only a file that is not compressed supports ``seek``.

    Raises
    ------
    InvalidData
        When a compressed file is damaged, or holds several files.
    """
    name = path.lower()
    with filesystem.open(path, "rb") as file:
        if not name.endswith(COMPRESSED):
            yield file
            return
        suffix = name[name.rindex(".") :]
        try:
            with _decompressed(file, path, suffix) as content:
                yield content
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InvalidData(
                f"{path} cannot be read as a {suffix} file: {error}. It is damaged or not "
                f"complete, or is not what its name says"
            ) from error


@contextmanager
def _decompressed(file: Any, path: str, suffix: str) -> Iterator[Any]:
    if suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            members = archive.namelist()
            if len(members) != 1:
                raise InvalidData(f"{path} holds {len(members)} files: unpack it first")
            with archive.open(members[0]) as member:
                yield member
    else:
        codec = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}[suffix]
        with pa.CompressedInputStream(pa.PythonFile(file, "r"), codec) as stream:
            yield _Pushback(stream)


class _Pushback:
    """Adds ``readline`` to a stream of bytes that can only be read forward."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.held = b""

    def readline(self) -> bytes:
        while b"\n" not in self.held:
            piece = self.stream.read(_PIECE)
            if not piece:
                break
            self.held += piece
        end = self.held.find(b"\n") + 1 or len(self.held)
        line, self.held = self.held[:end], self.held[end:]
        return line

    def read(self, n: int = -1) -> bytes:
        if n < 0:
            data: bytes = self.held + self.stream.read()
            self.held = b""
            return data
        while len(self.held) < n:
            piece = self.stream.read(_PIECE)
            if not piece:
                break
            self.held += piece
        data, self.held = self.held[:n], self.held[n:]
        return data
