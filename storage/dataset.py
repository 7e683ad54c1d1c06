"""An opened data set: its arrays as Dask arrays, their names and their sizes."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import dask.array as da
import numpy as np

from storage.blocks import BlockReader, block_array
from storage.errors import DatasetCorrupt, MetadataCorrupt, StorageError
from storage.group import open_group
from storage.layout import ArrayLayout
from storage.location import local_path
from storage.manifest import Manifest
from storage.schema import Label, Schema
from storage.verify import VerifyReport, verify_arrays

__all__ = ["Dataset", "open_dataset", "verify"]

_NAMES_SHOWN = 6


class Dataset:
    """A stored data set; made by :func:`open_dataset` and :func:`create_dataset`.

    X has the shape (n_samples, n_features), y has (n_samples,) or (n_samples, n_outputs), and
    sample_weight has (n_samples,). All three are cut into the same blocks of rows. Each block is
    loaded by one task, which checks every chunk that it reads.

    Parameters
    ----------
    path : Path
        Folder of the data set.
    schema : Schema
        Names of the columns, and where the data came from.
    layouts : sequence of ArrayLayout
        The stored arrays.
    manifest : Manifest
        The list of their chunks.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import storage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     X, y = np.eye(3), np.arange(3.0)
    ...     data = storage.create_dataset(f"{folder}/rows.zarr", X, y, target="delay")
    ...     print(data.n_samples, data.feature_names, data.target, data.y.sum().compute())
    3 ('x0', 'x1', 'x2') delay 3.0
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        layouts: tuple[ArrayLayout, ...],
        manifest: Manifest,
    ) -> None:
        self.path = path
        self.schema = schema
        self.layouts = {layout.name: layout for layout in layouts}
        self.manifest = manifest

    @property
    def url(self) -> str:
        """The path as a ``file://`` URL."""
        return self.path.as_uri()

    @cached_property
    def X(self) -> da.Array:  # noqa: N802 - scikit-learn's name
        """Features; each Dask chunk is a block."""
        return self._array("X")

    @cached_property
    def y(self) -> da.Array:
        """Target, cut into the blocks of X."""
        return self._array("y")

    @cached_property
    def sample_weight(self) -> da.Array | None:
        """Weights, cut into the blocks of X; None if the data set has none."""
        return self._array("sample_weight") if "sample_weight" in self.layouts else None

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return self.schema.n_samples

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.schema.n_features

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of X."""
        return self.schema.feature_names

    @property
    def target(self) -> str | tuple[str, ...] | None:
        """Name of y, or of its columns."""
        return self.schema.target

    @property
    def classes(self) -> tuple[Label, ...] | None:
        """Label of each integer code of y: ``y == i`` means ``classes[i]``."""
        return self.schema.classes

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Dtype of X."""
        return np.dtype(self.layouts["X"].dtype)

    @property
    def nbytes(self) -> int:
        """Bytes that all arrays would take in memory."""
        return sum(layout.nbytes for layout in self.layouts.values())

    @property
    def nbytes_stored(self) -> int:
        """Bytes that all chunks take on disk."""
        return self.manifest.nbytes

    def verify(self) -> VerifyReport:
        """Read every chunk and compare it with the manifest.

        Returns
        -------
        VerifyReport
            How much was read.

        Raises
        ------
        DatasetCorrupt
            A chunk is missing, truncated, changed or another one's. The message names all of them.
        """
        try:
            return verify_arrays(self.path, self.layouts.values(), self.manifest)
        except DatasetCorrupt:
            # If another data set has taken this one's place, its chunks are not damaged.
            self._reader("X").check_identity()
            raise

    def __repr__(self) -> str:
        x = self.layouts["X"]
        blocks = self.X.numblocks[0]
        block_rows = min(self.schema.block_rows, self.n_samples)
        lines = [
            ("rows", f"{self.n_samples:,}"),
            ("features", f"{self.n_features:,} {x.dtype}: {self._names()}"),
            ("y", self._y()),
            ("sample_weight", self._dtype_of("sample_weight")),
            ("size", f"{_size(self.nbytes)} decoded, {_size(self.nbytes_stored)} stored"),
            ("blocks", f"{blocks:,} of {block_rows:,} rows, {_size(self._block_nbytes())}"),
            ("chunks", f"{x.n_chunks:,} of {x.chunk_rows:,} rows of X, {_size(x.chunk_nbytes)}"),
            ("NaN", self._nan()),
            ("source", self._source()),
        ]
        width = max(len(name) for name, _ in lines)
        body = "\n".join(f"  {name:<{width}}  {value}" for name, value in lines if value)
        return f"Dataset {self.path}\n{body}"

    def _array(self, name: str) -> da.Array:
        return block_array(self._reader(name), self.manifest.arrays[name])

    def _reader(self, name: str) -> BlockReader:
        schema = self.schema
        return BlockReader(str(self.path), schema.dataset_id, self.layouts[name], schema.block_rows)

    def _block_nbytes(self) -> int:
        rows = min(self.schema.block_rows, self.n_samples)
        return sum(rows * layout.row_nbytes for layout in self.layouts.values())

    def _names(self) -> str:
        shown = ", ".join(self.feature_names[:_NAMES_SHOWN])
        return f"{shown}, ..." if self.n_features > _NAMES_SHOWN else shown

    def _dtype_of(self, name: str) -> str:
        return self.layouts[name].dtype if name in self.layouts else ""

    def _y(self) -> str:
        layout = self.layouts["y"]
        target = ", ".join([self.target] if isinstance(self.target, str) else self.target or ())
        outputs = f" x {layout.row_shape[0]}" if layout.row_shape else ""
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"{target or '(unnamed)'} {layout.dtype}{outputs}{classes}"

    def _nan(self) -> str:
        counts = {name: self.manifest.n_nan(name) for name in self.layouts}
        found = ", ".join(f"{count:,} in {name}" for name, count in counts.items() if count)
        return found or "none"

    def _source(self) -> str:
        seed = self.schema.shuffle_seed
        shuffled = "" if seed is None else f"shuffled with seed {seed}"
        written = f"written {self.schema.created}"
        return "; ".join(part for part in (self.schema.source, shuffled, written) if part)


def open_dataset(url: str | os.PathLike[str]) -> Dataset:
    """Open a data set that :func:`create_dataset` wrote.

    Only metadata is read. Chunks are checked when their blocks are loaded, or all at once by
    :meth:`Dataset.verify`.

    Parameters
    ----------
    url : str or path-like
        A local path or a ``file://`` URL.

    Returns
    -------
    Dataset
        The arrays, as Dask arrays, and their names.

    Raises
    ------
    DatasetNotFound
        When nothing is there.
    NotADataset
        When something else is there.
    DatasetIncomplete
        When its writing did not end.
    UnsupportedVersion
        When a newer release wrote it.
    MetadataCorrupt
        When its metadata is damaged.
    UnsupportedURL
        For URLs of other schemes.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import storage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = storage.create_dataset(f"{folder}/rows.zarr", np.eye(3), np.arange(3.0))
    ...     storage.open_dataset(f"{folder}/rows.zarr").X.shape
    (3, 3)
    """
    path = local_path(url)
    while True:
        # An overwrite replaces the whole folder. If some files were read before it and some after
        # it, nothing is damaged: begin again.
        folder = _identity(path)
        try:
            dataset = _open(path)
        except StorageError:
            if _identity(path) == folder:
                raise
        else:
            if _identity(path) == folder:
                return dataset


def verify(url: str | os.PathLike[str]) -> VerifyReport:
    """Read every chunk of a data set and compare it with the manifest.

    Parameters
    ----------
    url : str or path-like
        A local path or a ``file://`` URL.

    Returns
    -------
    VerifyReport
        How much was read.

    Raises
    ------
    DatasetCorrupt
        When a chunk is missing, truncated, changed or another one's; the message names all of
        them.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import storage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = storage.create_dataset(f"{folder}/rows.zarr", np.eye(3), np.arange(3.0))
    ...     storage.verify(f"{folder}/rows.zarr").chunks
    2
    """
    return open_dataset(url).verify()


def _open(path: Path) -> Dataset:
    schema, layouts = open_group(path)
    manifest = Manifest.read(path)
    manifest.check(path, layouts)
    if manifest.dataset_id != schema.dataset_id:
        raise MetadataCorrupt(
            f"zarr.json and manifest.json of {path} are of two different writings: restore "
            f"them from one copy, or write the data set again"
        )
    return Dataset(path, schema, layouts, manifest)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _size(nbytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} TiB"
