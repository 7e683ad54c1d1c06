"""Rows of sparse matrices: recognise them, and convert them to the bytes of a chunk and back.

A sparse X is stored row by row: an element of the Zarr array is the bytes of one row, which are its
entries, each a column number and a value. In a chunk, the codec ``vlen-bytes`` puts the number of
rows first, and the length of a row before its bytes. Rows have the same numbers in all arrays of
the data set, so chunks, blocks and versions are those of dense rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs.vlen import VLenBytes

__all__ = [
    "MAX_COLUMNS",
    "PADDING",
    "as_csr",
    "decode_rows",
    "encode_rows",
    "encoded_nbytes",
    "entry_dtype",
    "is_sparse",
    "rows_of_entries",
    "stacked",
]

#: Most columns: each has a name, which takes about 64 bytes when a data set is open.
MAX_COLUMNS = 2**24
_MAX_INT32 = 2**31 - 1
#: Zarr's fill value, which pads the last chunk. No row has this length, so a reader that takes a
#: missing chunk for rows fails, and does not read rows of zeros.
PADDING = b"\x00"

_LENGTH = 4
_CODEC = VLenBytes()


def is_sparse(values: Any) -> bool:
    """Return whether `values` is a sparse matrix or array of SciPy."""
    # By its name, because importing scipy.sparse takes longer than opening a data set.
    return any(base.__module__.startswith("scipy.sparse") for base in type(values).__mro__)


def as_csr(values: Any, where: str) -> Any:
    """Return a sparse matrix of any format as a CSR array of sorted rows without duplicates.

    Entries of the same row and column are added, as SciPy does. Stored zeros are kept. The input is
    not changed.

    Raises
    ------
    ValueError
        When the matrix contradicts itself, for example by a column number that is too large.
    """
    from scipy.sparse import csr_array

    rows = csr_array(values)
    try:
        rows.check_format(full_check=True)
    except ValueError as error:
        problem = _problem_of(rows, error)
        raise ValueError(f"{where} came as a sparse matrix that is not valid: {problem}") from error
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return rows


def _problem_of(rows: Any, error: ValueError) -> str:
    """Return why a CSR array is invalid: its first wrong column number, else SciPy's reason."""
    n_columns = rows.shape[1]
    wrong = np.flatnonzero((rows.indices < 0) | (rows.indices >= n_columns))
    if not wrong.size or np.any(np.diff(rows.indptr) < 0):
        return str(error)
    row = int(np.searchsorted(rows.indptr, wrong[0], side="right")) - 1
    return (
        f"its row {row} has the column number {rows.indices[wrong[0]]}, and it has {n_columns} "
        f"columns, numbered from 0"
    )


def entry_dtype(dtype: str) -> np.dtype[np.void]:
    """Return the dtype of an entry, whose value has the dtype `dtype`: 4 bytes and the value."""
    return np.dtype([("index", "<i4"), ("value", np.dtype(dtype).newbyteorder("<"))])


def encoded_nbytes(n_entries: float, n_rows: int, dtype: str) -> int:
    """Return the bytes of `n_rows` rows with `n_entries` entries in all, before compression."""
    return int(n_entries * entry_dtype(dtype).itemsize) + _LENGTH * n_rows


def encode_rows(rows: Any, dtype: str, chunk_rows: int) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Return the bytes of a chunk, padded to `chunk_rows` rows.

    Parameters
    ----------
    rows : csr_array of shape (n_rows, n_features)
        Canonical rows, as :func:`as_csr` returns them.
    dtype : str
        Dtype of the stored values.
    chunk_rows : int
        Rows of a whole chunk.

    Returns
    -------
    ndarray of uint32 or uint8
        The bytes. Their item size helps the compressor.
    """
    n_rows = rows.shape[0]
    entries = np.empty(rows.nnz, dtype=entry_dtype(dtype))
    entries["index"], entries["value"] = rows.indices, rows.data
    n_padding = chunk_rows - n_rows
    itemsize = entries.dtype.itemsize
    size = _LENGTH + encoded_nbytes(rows.nnz, n_rows, dtype)
    content = np.empty(size + (_LENGTH + len(PADDING)) * n_padding, dtype=np.uint8)
    starts = _LENGTH + _LENGTH * np.arange(n_rows) + itemsize * rows.indptr[:-1].astype(np.int64)
    lengths = (itemsize * np.diff(rows.indptr)).astype("<u4")
    places = starts[:, None] + np.arange(_LENGTH)
    of_entries = np.ones(size, dtype=np.bool_)
    of_entries[:_LENGTH] = False
    of_entries[places] = False
    content[:_LENGTH] = _bytes_of(np.array([chunk_rows], "<u4"))
    content[places] = _bytes_of(lengths).reshape(-1, _LENGTH)
    content[:size][of_entries] = _bytes_of(entries)
    padding = np.array([len(PADDING)], "<u4").tobytes() + PADDING
    content[size:] = np.frombuffer(padding * n_padding, dtype=np.uint8)
    return content if len(content) % _LENGTH else content.view("<u4")


def decode_rows(content: npt.NDArray[np.uint8], dtype: str, shape: tuple[int, int]) -> Any:
    """Return the rows of a chunk as a CSR array.

    Parameters
    ----------
    content : ndarray of uint8
        The decompressed bytes of the chunk.
    dtype : str
        Dtype of the stored values.
    shape : tuple of (int, int)
        Rows of the chunk without padding, and number of features.

    Raises
    ------
    ValueError
        When the bytes are not those of such rows.
    """
    n_rows, n_features = shape
    # Rows without entries are not found by a decoder that is given no bytes at all.
    decoded: Sequence[bytes] = _CODEC.decode(content)
    kept = list(decoded[:n_rows])
    if len(kept) != n_rows:
        raise ValueError(f"it holds {len(kept)} rows, not {n_rows}")
    lengths = np.fromiter(map(len, kept), np.int64, n_rows)
    itemsize = entry_dtype(dtype).itemsize
    if np.any(lengths % itemsize):
        raise ValueError("the bytes of a row are no whole number of entries")
    entries = np.frombuffer(b"".join(kept), dtype=entry_dtype(dtype))
    indices = entries["index"].astype(np.int32)
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < n_features:
        raise ValueError(f"a column number is outside 0 to {n_features - 1}")
    values = entries["value"].astype(np.dtype(dtype))
    return rows_of_entries(values, indices, lengths // itemsize, n_features)


def rows_of_entries(
    values: npt.NDArray[np.generic],
    indices: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.integer[Any]],
    n_features: int,
) -> Any:
    """Return a CSR array from its entries, and the number of entries of each row."""
    from scipy.sparse import csr_array

    indptr = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    if indptr[-1] <= _MAX_INT32:
        indptr = indptr.astype(np.int32)
    return csr_array((values, indices, indptr), shape=(len(lengths), n_features))


def stacked(parts: Sequence[Any]) -> Any:
    """Return rows below each other, as one CSR array."""
    from scipy.sparse import vstack

    return parts[0] if len(parts) == 1 else vstack(parts, format="csr")


def _bytes_of(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(values.tobytes(), dtype=np.uint8)
