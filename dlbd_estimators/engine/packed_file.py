"""The format of checkpoints and saved models: a file of facts and arrays.

Reading a file runs no code from it.

A file has these parts, in this order: a line that identifies the format, the lengths of the header
and of the arrays (two integers of 8 bytes, little-endian), the SHA-256 of all that follows, the
header (JSON: ``facts``, and dtype, shape and order of each array) and the bytes of the arrays.
Everything is checked before it is used. Reading takes no more memory than the file has bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.exceptions import CheckpointDamaged, ModelDamaged

_LENGTHS = struct.Struct("<QQ")
#: Kinds of dtypes that are saved: Booleans and numbers, never objects.
_KINDS = "biuf"

Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Kind:
    """A kind of file: checkpoint or model.

    Parameters
    ----------
    line : bytes
        First line of the file, with the version of the format.
    name : str
        Name of the kind in error messages.
    error : type
        Exception that is raised if a file differs from what was written.
    """

    line: bytes
    name: str
    error: type[ValueError]

    @property
    def start(self) -> int:
        """Number of bytes before the header."""
        return len(self.line) + _LENGTHS.size + hashlib.sha256().digest_size


CHECKPOINT = Kind(b"dlbd-estimators checkpoint 1\n", "checkpoint", CheckpointDamaged)
MODEL = Kind(b"dlbd-estimators model 1\n", "model", ModelDamaged)


def pack(facts: Any, arrays: Arrays, kind: Kind = CHECKPOINT) -> list[Any]:
    """Return the parts of a file, in order.

    Parameters
    ----------
    facts : object
        A value that JSON can represent, also with NaN and infinity.
    arrays : sequence of ndarray
        Arrays of numbers or Booleans.
    kind : Kind
        Kind of the file.
    """
    parts, specs = [], []
    for array in arrays:
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        rows = np.ascontiguousarray(array.T if fortran else array)
        # The order is kept, because the bits of a product may depend on it.
        order = "F" if fortran else "C"
        specs.append({"dtype": array.dtype.str, "shape": list(array.shape), "order": order})
        parts.append(rows.reshape(-1).view(np.uint8).data)
    header = json.dumps({"facts": facts, "arrays": specs}).encode()
    digest = hashlib.sha256(header)
    for part in parts:
        digest.update(part)
    lengths = _LENGTHS.pack(len(header), sum(part.nbytes for part in parts))
    return [kind.line, lengths, digest.digest(), header, *parts]


def unpack(data: bytes, kind: Kind = CHECKPOINT) -> tuple[Any, list[NDArray[Any]]]:
    """Return the facts and the arrays of a file.

    Raises
    ------
    CheckpointDamaged, ModelDamaged
        The bytes differ from those that :func:`pack` returned.
    """
    start, length = kind.start, header_and_array_lengths(data, kind)
    if len(data) != start + sum(length):
        raise kind.error(f"it has {len(data)} bytes, but {start + sum(length)} were written")
    view = memoryview(data)
    if hashlib.sha256(view[start:]).digest() != data[start - 32 : start]:
        raise kind.error("its checksum does not match its content")
    end = start + length[0]
    try:
        header = json.loads(data[start:end])
        return header["facts"], _arrays(view[end:], header["arrays"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise kind.error(f"its header cannot be read ({error})") from error


def header_and_array_lengths(data: bytes, kind: Kind) -> tuple[int, int]:
    """Return the lengths of the header and of all arrays, from the first bytes of a file."""
    if not data.startswith(kind.line) or len(data) < kind.start:
        raise kind.error(f"it does not begin as a {kind.name} of this version does")
    header, arrays = _LENGTHS.unpack_from(data, len(kind.line))
    return header, arrays


def _arrays(data: memoryview, specs: Any) -> list[NDArray[Any]]:
    arrays, offset = [], 0
    for spec in specs:
        dtype, shape = np.dtype(str(spec["dtype"])), [int(length) for length in spec["shape"]]
        if dtype.kind not in _KINDS or min(shape, default=0) < 0 or spec["order"] not in ("C", "F"):
            raise ValueError(f"{spec} does not describe an array")
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes > len(data) - offset:
            raise ValueError("its arrays are longer than the file")
        flat = np.frombuffer(data[offset : offset + nbytes], dtype)
        # A copy, because the bytes of the file need not be aligned. It keeps the order in memory.
        arrays.append(flat.reshape(shape, order=spec["order"]).copy(order="K"))
        offset += nbytes
    if offset != len(data):
        raise ValueError("the file is longer than its arrays")
    return arrays
