"""The least work of a pass: processes that decode chunks and multiply, and do nothing else.

Each process takes every n-th chunk. It maps the chunk's file (which is in the page cache), checks
the checksum if the format has one, decodes the bytes by numcodecs into one buffer, which is used
again for all chunks of all passes, and adds the Gram matrix ``X.T @ X`` of the buffer, tile by tile
of about 1 MiB, in float32 by one BLAS thread. NumPy forms a product of a matrix with its own
transpose by BLAS's ``ssyrk``, which computes half of the matrix.

There is no y, no weight, no centre, no scheduler, no copy, and no new memory. Other ways are
slower: reading the files into a reused buffer takes 1.1 times the processor time of mapping them,
and SciPy's ``ssyrk``, which adds to a matrix, takes 1.1 times that of NumPy's product and a sum.
"""

from __future__ import annotations

import mmap
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
import zarr
from numcodecs import Blosc, Zstd, blosc
from threadpoolctl import threadpool_limits
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

TILE_NBYTES = 2**20
_CHECKSUM_NBYTES = 4

_Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Chunk:
    """A chunk of a Zarr array of float32 rows.

    Attributes
    ----------
    file : str
        Path of the file.
    shape : tuple of int
        Shape of the decoded chunk, padding included.
    n_rows : int
        Number of rows without padding.
    codec : str
        ``"zstd"`` or ``"blosc"``.
    has_checksum : bool
        Whether the file ends with a crc32c checksum.
    """

    file: str
    shape: tuple[int, int]
    n_rows: int
    codec: str
    has_checksum: bool


@dataclass(frozen=True)
class BarePass:
    """One pass of bare work.

    Attributes
    ----------
    seconds : float
        Wall time.
    processor : float
        Processor time of all processes, in seconds.
    gram : ndarray of shape (n_features, n_features)
        ``X.T @ X``.
    """

    seconds: float
    processor: float
    gram: _Rows


@contextmanager
def bare_processes(n_processes: int) -> Iterator[Pool]:
    """Start processes for :func:`bare_pass`; stop them at the end.

    Parameters
    ----------
    n_processes : int
        Number of processes.
    """
    pool = multiprocessing.get_context("spawn").Pool(n_processes, _use_one_thread)
    try:
        yield pool
    finally:
        # Not `terminate`: numcodecs has a lock, which only a process that ends by itself removes.
        pool.close()
        pool.join()


def bare_pass(pool: Pool, array: zarr.Array[Any], n_processes: int) -> BarePass:
    """Decode all chunks of an array once, and form its Gram matrix.

    Parameters
    ----------
    pool : Pool
        The processes.
    array : zarr.Array
        Rows of float32 on the local disk, in chunks that span all columns.
    n_processes : int
        Number of processes of the pool.
    """
    chunks = chunks_of(array)
    shares = [chunks[first::n_processes] for first in range(min(n_processes, len(chunks)))]
    began = time.perf_counter()
    results = pool.map(_decode_and_multiply, shares, chunksize=1)
    seconds = time.perf_counter() - began
    return BarePass(
        seconds,
        sum(processor for _, processor in results),
        np.sum([gram for gram, _ in results], axis=0),
    )


def chunks_of(array: zarr.Array[Any]) -> list[Chunk]:
    """Return the chunks of an array of float32 on the local disk, in the order of their rows.

    Raises
    ------
    ValueError
        If bare work cannot decode the chunks: of another dtype, with chunks of columns, or with
        other codecs than zstd or blosc, and crc32c.
    """
    n_rows, n_features = array.shape
    length = array.chunks[0]
    compressor, *checksum = array.compressors
    names = {ZstdCodec: "zstd", BloscCodec: "blosc"}
    if (
        array.dtype != np.dtype("<f4")
        or array.chunks[1] != n_features
        or array.filters
        or type(compressor) not in names
        or any(not isinstance(codec, Crc32cCodec) for codec in checksum)
    ):
        raise ValueError(
            f"{array.store_path} has dtype {array.dtype}, chunks of shape {array.chunks} and the "
            f"codecs {array.filters + array.compressors}: expected float32, chunks of all columns, "
            "zstd or blosc, and crc32c at most"
        )
    folder = Path(str(array.store_path).removeprefix("file://"))
    return [
        Chunk(
            str(folder / array.metadata.encode_chunk_key((number, 0))),
            (length, n_features),
            min(length, n_rows - number * length),
            names[type(compressor)],
            bool(checksum),
        )
        for number in range(-(-n_rows // length))
    ]


def _use_one_thread() -> None:
    threadpool_limits(1)
    blosc.use_threads = False


def _decode_and_multiply(chunks: Sequence[Chunk]) -> tuple[_Rows, float]:
    """Return the Gram matrix of all rows of some chunks, and the processor seconds it took."""
    began = time.process_time()
    n_features = chunks[0].shape[1]
    tile_rows = TILE_NBYTES // (4 * n_features)
    total = np.zeros((n_features, n_features), dtype=np.float32)
    product = np.empty_like(total)
    for chunk in chunks:
        rows = _decoded(chunk)[: chunk.n_rows]
        for start in range(0, len(rows), tile_rows):
            tile = rows[start : start + tile_rows]
            np.matmul(tile.T, tile, out=product)
            np.add(total, product, out=total)
    return total, time.process_time() - began


def _decoded(chunk: Chunk) -> _Rows:
    """Decode a chunk into the buffer for chunks of its shape."""
    with Path(chunk.file).open("rb", buffering=0) as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    stored = np.frombuffer(mapped, dtype=np.uint8)
    if chunk.has_checksum:
        stored, checksum = stored[:-_CHECKSUM_NBYTES], stored[-_CHECKSUM_NBYTES:]
        if google_crc32c.value(stored) != int.from_bytes(checksum.tobytes(), "little"):
            raise OSError(f"{chunk.file} does not have the checksum at its end")
    buffer = _buffer(chunk.shape)
    _codec(chunk.codec).decode(stored, out=buffer)
    return buffer


@cache
def _buffer(shape: tuple[int, int]) -> _Rows:
    return np.empty(shape, dtype=np.float32)


@cache
def _codec(name: str) -> Any:
    return {"zstd": Zstd, "blosc": Blosc}[name]()
