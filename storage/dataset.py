"""An opened data set: its arrays as Dask arrays, their names and their sizes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from storage.blocks import BlockReader, block_array
from storage.errors import DatasetCorrupt
from storage.labels import labels_of
from storage.layout import ArrayLayout
from storage.manifest import Manifest
from storage.named_columns import NamedColumns
from storage.naming import given_names
from storage.representation import told
from storage.schema import Label, Schema
from storage.summary import summary_frame
from storage.tables import dask_frame, first_rows, xarray_dataset
from storage.verify import VerifyReport, verify_arrays

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset"]


class Dataset:
    """A stored data set; made by :func:`~storage.open_dataset` and :func:`~storage.create_dataset`.

    X has the shape (n_samples, n_features), y has (n_samples,) or (n_samples, n_outputs), and
    sample_weight has (n_samples,). All three are cut into the same blocks of rows. Each block is
    loaded by one task, which checks every chunk that it reads.

    Where the columns of X were given names, the array ``X`` tells them by an attribute
    ``feature_names``, and so do rows and columns taken from it. The estimators of
    ``dlbd_estimators`` keep them as ``feature_names_in_``, as those of a frame.

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
    columns : tuple of int, optional
        Numbers of the columns that X has, of those that are stored; None means all.

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
        columns: tuple[int, ...] | None = None,
    ) -> None:
        self.path = path
        self.schema = schema
        self.layouts = {layout.name: layout for layout in layouts}
        self.manifest = manifest
        self.columns = columns

    @property
    def url(self) -> str:
        """The path as a ``file://`` URL."""
        return self.path.as_uri()

    @cached_property
    def X(self) -> da.Array:  # noqa: N802 - scikit-learn's name
        """Features; each Dask chunk is a block."""
        array = self._array("X")
        named = given_names(self.schema.feature_names)
        return NamedColumns.of(array, self.feature_names) if named else array

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
    def nbytes(self) -> int:
        """Bytes that all arrays would take in memory."""
        others = sum(each.nbytes for name, each in self.layouts.items() if name != "X")
        return self.n_samples * self.n_features * self.dtype.itemsize + others

    @property
    def nbytes_stored(self) -> int:
        """Bytes that all chunks take on disk."""
        return self.manifest.nbytes

    def head(self, n: int = 5) -> pd.DataFrame:
        """The first rows as a pandas frame; no more blocks are read than hold them.

        Parameters
        ----------
        n : int, default=5
            Number of rows.

        Returns
        -------
        pandas.DataFrame
            Columns as those of :meth:`to_dask_dataframe`.

        Raises
        ------
        ValueError
            When `n` is below 0, or two columns have the same name.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import storage
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     X, y = np.eye(3, dtype=int), np.arange(3)
        ...     storage.create_dataset(f"{folder}/rows.zarr", X, y, target="delay").head(2)
           x0  x1  x2  delay
        0   1   0   0      0
        1   0   1   0      1
        """
        return first_rows(self, n)

    def describe(self) -> pd.DataFrame:
        """Count, mean, standard deviation, minimum and maximum of each column, by one pass.

        All blocks are read once, where Dask computes; each gives sums of its own, which are joined
        in the order of the blocks. NaN are left out. The standard deviation is that of a sample
        (divided by the count less one), as pandas has it. Weights of rows are not used. Integers
        are taken as float64: beyond 2**53 they are rounded.

        Returns
        -------
        pandas.DataFrame
            Rows count, mean, std, min and max; columns as those of :meth:`to_dask_dataframe`,
            less y where it holds codes of classes.

        Raises
        ------
        ValueError
            When two columns have the same name.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import storage
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     X, y = np.array([[1.0], [3.0], [np.nan]]), np.arange(3)
        ...     storage.create_dataset(f"{folder}/rows.zarr", X, y).describe()
                x0    y
        count  2.0  3.0
        mean   2.0  1.0
        std    1.414214  1.0
        min    1.0  0.0
        max    3.0  2.0
        """
        return summary_frame(self)

    def to_dask_dataframe(self) -> Any:
        """All rows as a Dask DataFrame: one partition a block, nothing read before it is needed.

        Returns
        -------
        dask.dataframe.DataFrame
            The columns of X by their names; y as `target` (or ``"y"``; ``"y0"``, ``"y1"``, ... for
            several outputs), of labels as pandas' categories where the data set names classes;
            ``"sample_weight"`` where there are weights. The index counts the rows from 0.

        Raises
        ------
        ValueError
            When two columns have the same name.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import storage
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     X, y = np.eye(3, dtype=int), np.arange(3)
        ...     data = storage.create_dataset(f"{folder}/rows.zarr", X, y, target="delay")
        ...     int(data.to_dask_dataframe()["delay"].sum().compute())
        3
        """
        return dask_frame(self, {name: self._reader(name) for name in self.layouts})

    def to_xarray(self) -> Any:
        """The arrays as an xarray Dataset, which stays lazy.

        Returns
        -------
        xarray.Dataset
            Variables ``X`` (sample, feature), ``y`` (sample, or sample and output) and, where there
            are weights, ``sample_weight`` (sample); the names of the features are a coordinate,
            so are those of several outputs.

        Raises
        ------
        ImportError
            When xarray is not installed.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import storage
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     X, y = np.eye(3), np.arange(3)
        ...     data = storage.create_dataset(f"{folder}/rows.zarr", X, y)
        ...     float(data.to_xarray()["X"].sel(feature="x1").sum().compute())
        1.0
        """
        return xarray_dataset(self)

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
        return told(self)

    def _array(self, name: str) -> da.Array:
        return block_array(self._reader(name), self.manifest.arrays[name])

    def _reader(self, name: str) -> BlockReader:
        schema = self.schema
        columns = self.columns if name == "X" else None
        return BlockReader(
            str(self.path), schema.dataset_id, self.layouts[name], schema.block_rows, columns
        )
