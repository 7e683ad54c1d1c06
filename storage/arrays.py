"""The arrays of an opened data set as Dask arrays, and the values of its metadata."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import dask.array as da
import numpy as np

from storage.blocks import BlockReader, block_array
from storage.default_names import given_names
from storage.errors import UnsupportedURL
from storage.feature_array import FeatureArray
from storage.labels import labels_of
from storage.layout import HASHES, ArrayLayout
from storage.local_files import LocalFiles
from storage.manifest import Manifest
from storage.schema import Label, Schema
from storage.store import Store
from storage.versions import History, Version

__all__ = ["StoredArrays"]


class StoredArrays:
    """The base of :class:`~storage.Dataset`, which describes the parameters."""

    def __init__(
        self,
        store: Store,
        schema: Schema,
        layouts: tuple[ArrayLayout, ...],
        manifest: Manifest,
        columns: tuple[int, ...] | None,
        history: History,
    ) -> None:
        self.store = store
        self.schema = schema
        self.layouts = {layout.name: layout for layout in layouts}
        self.manifest = manifest
        self.columns = columns
        self.history = history

    @property
    def url(self) -> str:
        """The URL that opens the data set; on a disk, its path as a ``file://`` URL."""
        return self.store.url

    @property
    def path(self) -> Path:
        """Folder of the data set, if it is on a disk; otherwise UnsupportedURL is raised."""
        if not isinstance(self.store, LocalFiles):
            raise UnsupportedURL(f"{self.store.location} is no folder and has no path: use .url")
        return Path(self.store.root)

    @cached_property
    def X(self) -> da.Array:  # noqa: N802 - scikit-learn's name
        """The features; each Dask chunk is a block. The blocks of a sparse X are CSR arrays."""
        names = self.feature_names if given_names(self.schema.feature_names) else None
        return FeatureArray.of(self._array("X"), names, self.max_block_nnz)

    @property
    def max_block_nnz(self) -> int | None:
        """Stored values of the largest block of a sparse X, zeros included.

        It is None if X is dense, if `columns` were chosen, or if an older release wrote the data
        set.
        """
        nnz = self.manifest.arrays["X"].nnz
        if nnz is None or self.columns is not None:
            return None
        chunks_per_block = self.schema.block_rows // self.layouts["X"].chunk_rows
        return int(np.add.reduceat(nnz, range(0, len(nnz), chunks_per_block)).max())

    @cached_property
    def y(self) -> da.Array:
        """Target, cut into the blocks of X."""
        return self._array("y")

    @cached_property
    def labels(self) -> da.Array | None:
        """The label of each row, ``classes[y]``; None if the data set names no classes."""
        return None if self.classes is None else labels_of(self.y, self.classes)

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
        return len(self.feature_names)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of X."""
        names = self.schema.feature_names
        return names if self.columns is None else tuple(names[each] for each in self.columns)

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
    def version(self) -> int:
        """Number of the version that was opened."""
        return self.history.number

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions that existed when the data set was opened, the newest last."""
        return self.history.versions

    @property
    def nbytes(self) -> int:
        """Bytes that all arrays would take in memory; a sparse X counts with its stored bytes."""
        others = sum(
            each.nbytes for name, each in self.layouts.items() if name not in ("X", HASHES)
        )
        if self.schema.sparse:
            return int(self.manifest.arrays["X"].nbytes.sum(dtype=np.int64)) + others
        return self.n_samples * self.n_features * self.dtype.itemsize + others

    @property
    def nbytes_stored(self) -> int:
        """Bytes that all chunks take on disk."""
        return self.manifest.nbytes

    def _array(self, name: str) -> da.Array:
        return block_array(self.reader(name), self.manifest.arrays[name])

    def reader(self, name: str) -> BlockReader:
        """Return a reader of the blocks of one array.

        Parameters
        ----------
        name : {"X", "y", "sample_weight", "hashes"}
            The array.

        Returns
        -------
        BlockReader
            A callable that loads a block. Its pickle is small.
        """
        schema = self.schema
        columns = self.columns if name == "X" else None
        return BlockReader(
            self.store,
            schema.dataset_id,
            self.layouts[name],
            schema.block_rows,
            columns,
            self.version,
        )
