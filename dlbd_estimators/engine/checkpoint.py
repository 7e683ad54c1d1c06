"""Checkpoints as files of facts and arrays. They are data: reading one runs no code from it.

A file has these parts, in this order: a line that identifies the format, the lengths of the header
and of the arrays (two integers of 8 bytes, little-endian), the SHA-256 of all that follows, the
header (JSON: ``facts``, and dtype, shape and order of each array) and the bytes of the arrays.
Everything is checked before it is used. Reading takes no more memory than the file has bytes.

A folder keeps the last two checkpoints. A new one is written under a temporary name, flushed to the
disk, and renamed. So the previous one is always whole, whenever the process or the machine stops.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.exceptions import CheckpointDamaged

_MAGIC = b"dlbd-estimators checkpoint 1\n"
_LENGTHS = struct.Struct("<QQ")
_START = len(_MAGIC) + _LENGTHS.size + hashlib.sha256().digest_size
_NAME = re.compile(r"\d{8}\.checkpoint")
_UNFINISHED = ".writing"
#: Checkpoints that a folder keeps: if the last one is damaged, there is another.
_KEPT = 2
#: Kinds of dtypes that are saved: numbers and truth values, never objects.
_KINDS = "biuf"

Arrays = Sequence[NDArray[Any]]


def pack(facts: Any, arrays: Arrays) -> list[Any]:
    """Return the parts of a file, in order.

    Parameters
    ----------
    facts : object
        What JSON can hold, and NaN and infinity.
    arrays : sequence of ndarray
        Of numbers or truth values.
    """
    parts, described = [], []
    for array in arrays:
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        rows = np.ascontiguousarray(array.T if fortran else array)
        # The order is kept, because the bits of a product may depend on it.
        order = "F" if fortran else "C"
        described.append({"dtype": array.dtype.str, "shape": list(array.shape), "order": order})
        parts.append(rows.reshape(-1).view(np.uint8).data)
    header = json.dumps({"facts": facts, "arrays": described}).encode()
    digest = hashlib.sha256(header)
    for part in parts:
        digest.update(part)
    lengths = _LENGTHS.pack(len(header), sum(part.nbytes for part in parts))
    return [_MAGIC, lengths, digest.digest(), header, *parts]


def unpack(data: bytes) -> tuple[Any, list[NDArray[Any]]]:
    """Return the facts and the arrays of a file.

    Raises
    ------
    CheckpointDamaged
        These are not the bytes that :func:`pack` gave.
    """
    length = _header_and_array_lengths(data[:_START])
    if len(data) != _START + sum(length):
        raise CheckpointDamaged(
            f"it has {len(data)} bytes where {_START + sum(length)} were written"
        )
    whole = memoryview(data)
    if hashlib.sha256(whole[_START:]).digest() != data[_START - 32 : _START]:
        raise CheckpointDamaged("its checksum does not match its content")
    end = _START + length[0]
    try:
        header = json.loads(data[_START:end])
        return header["facts"], _arrays(whole[end:], header["arrays"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise CheckpointDamaged(f"its header cannot be read ({error})") from error


def _header_and_array_lengths(start: bytes) -> tuple[int, int]:
    """Return the bytes of the header and of all arrays, which the first bytes of a file give."""
    if not start.startswith(_MAGIC) or len(start) < _START:
        raise CheckpointDamaged("it does not begin as a checkpoint of this version does")
    header, arrays = _LENGTHS.unpack_from(start, len(_MAGIC))
    return header, arrays


def _arrays(data: memoryview, described: Any) -> list[NDArray[Any]]:
    arrays, place = [], 0
    for each in described:
        dtype, shape = np.dtype(str(each["dtype"])), [int(length) for length in each["shape"]]
        if dtype.kind not in _KINDS or min(shape, default=0) < 0 or each["order"] not in ("C", "F"):
            raise ValueError(f"no array is like {each}")
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes > len(data) - place:
            raise ValueError("its arrays are longer than the file")
        flat = np.frombuffer(data[place : place + nbytes], dtype)
        # In the order that it had in memory, and aligned.
        arrays.append(flat.reshape(shape, order=each["order"]).copy(order="K"))
        place += nbytes
    if place != len(data):
        raise ValueError("there are more bytes than its arrays have")
    return arrays


class CheckpointFolder:
    """The numbered checkpoints of one fit.

    Parameters
    ----------
    url : str
        A path, or a URL that fsspec knows, such as ``"s3://bucket/fit"``.

    Raises
    ------
    OSError
        The folder can neither be found nor made.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._place: _Folder = _ObjectStoreFolder(url) if "://" in url else _LocalFolder(url)

    def numbers(self) -> list[int]:
        """Return the numbers of the checkpoints that are there, the newest first."""
        names = (name for name in self._place.names() if _NAME.fullmatch(name))
        return sorted((int(name.partition(".")[0]) for name in names), reverse=True)

    def read(self, number: int) -> tuple[Any, list[NDArray[Any]]]:
        """Return facts and arrays.

        Raises
        ------
        CheckpointDamaged
            The file is not as it was written, or cannot be read.
        """
        try:
            return unpack(self._place.read(_name(number)))
        except OSError as error:
            raise CheckpointDamaged(f"it cannot be read ({error})") from error

    def write(self, number: int, facts: Any, arrays: Arrays) -> None:
        """Write a checkpoint, then delete all others but the previous one.

        Raises
        ------
        OSError
            It could not be written; the earlier ones are unchanged.
        """
        self._place.write(_name(number), pack(facts, arrays))
        kept = {_name(number - back) for back in range(_KEPT)}
        for name in self._place.names():
            if name not in kept and _NAME.fullmatch(name.removesuffix(_UNFINISHED)):
                with suppress(OSError):
                    self._place.delete(name)


def _name(number: int) -> str:
    return f"{number:08}.checkpoint"


class _Folder(ABC):
    """A folder of checkpoint files, on a disk or in an object store."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """Yield the names of the files."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's bytes, after a check that its first bytes and its size agree."""

    @abstractmethod
    def write(self, name: str, parts: Iterable[Any]) -> None:
        """Write a file completely, or leave none."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file."""


class _LocalFolder(_Folder):
    """A folder of this machine."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).absolute()
        self._path.mkdir(parents=True, exist_ok=True)

    def names(self) -> Iterator[str]:
        yield from os.listdir(self._path)

    def read(self, name: str) -> bytes:
        # Opening a pipe, for instance, would block.
        fd = os.open(self._path / name, os.O_RDONLY | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            start = file.read(_START) if S_ISREG(status.st_mode) else b""
            if _START + sum(_header_and_array_lengths(start)) != status.st_size:
                raise CheckpointDamaged("it is shorter or longer than what was written")
            return start + file.read()

    def write(self, name: str, parts: Iterable[Any]) -> None:
        new = self._path / f"{name}{_UNFINISHED}"
        try:
            with new.open("wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self._path / name)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
        folder = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(folder)  # of the new name
        finally:
            os.close(folder)

    def delete(self, name: str) -> None:
        (self._path / name).unlink()


class _ObjectStoreFolder(_Folder):
    """A folder of an object store, which writes a file completely or not at all."""

    def __init__(self, url: str) -> None:
        # Imported late: most users have no object store.
        files = import_module("fsspec.core")
        self._files, self._path = files.url_to_fs(url)
        self._files.makedirs(self._path, exist_ok=True)

    def names(self) -> Iterator[str]:
        self._files.invalidate_cache(self._path)
        for path in self._files.ls(self._path, detail=False):
            yield path.rpartition("/")[2]

    def read(self, name: str) -> bytes:
        start = self._files.cat_file(self._of(name), start=0, end=_START)
        if _START + sum(_header_and_array_lengths(start)) != self._files.size(self._of(name)):
            raise CheckpointDamaged("it is shorter or longer than what was written")
        return bytes(self._files.cat_file(self._of(name)))

    def write(self, name: str, parts: Iterable[Any]) -> None:
        self._files.pipe_file(self._of(name), b"".join(parts))

    def delete(self, name: str) -> None:
        self._files.rm_file(self._of(name))

    def _of(self, name: str) -> str:
        return f"{self._path}/{name}"
