"""An opened data set: its arrays as Dask arrays, their names and their sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.ingested import IngestedArrays
from storage.new_rows import NewRows, rows_since
from storage.representation import as_text
from storage.summary import summary_frame
from storage.tables import dask_frame, first_rows, xarray_dataset
from storage.verify import VerifyReport, verify_dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["Dataset"]


class Dataset(IngestedArrays):
    """A stored data set; made by :func:`~storage.open_dataset` and :func:`~storage.create_dataset`.

    X has the shape (n_samples, n_features), y has (n_samples,) or (n_samples, n_outputs), and
    sample_weight has (n_samples,). All three are cut into the same blocks of rows. Each block is
    loaded by one task, which checks every chunk that it reads.

    If the columns of X were given names, the array ``X`` has them as its attribute
    ``feature_names``, and so do arrays of rows and columns selected from it. The estimators of
    ``dlbd_estimators`` store them as ``feature_names_in_``, like the names of a frame's columns.

    Parameters
    ----------
    store : Store
        Files of the data set.
    schema : Schema
        Names of the columns, and where the data came from.
    layouts : sequence of ArrayLayout
        The stored arrays.
    manifest : Manifest
        The list of their chunks.
    columns : tuple of int, optional
        Numbers of the stored columns to keep in X; None means all.
    history : History
        Its versions.

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

    def head(self, n: int = 5) -> pd.DataFrame:
        """Return the first rows as a pandas frame. Only the blocks that hold them are read.

        Parameters
        ----------
        n : int, default=5
            Number of rows.

        Returns
        -------
        pandas.DataFrame
            The same columns as :meth:`to_dask_dataframe`.

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

    def describe(self, percentiles: Sequence[float] = ()) -> pd.DataFrame:
        """Return count, mean, standard deviation, minimum, maximum and quantiles of each column.

        All blocks are read once. NaN are left out, sample weights are not used. The standard
        deviation divides by the count minus one, as in pandas. Integers above 2**53 are rounded.
        Values that sparse rows do not store count as zeros.

        Parameters
        ----------
        percentiles : sequence of float, default=()
            Quantiles from 0 to 1, as in pandas; dense rows only. They take several times as long.

        Returns
        -------
        pandas.DataFrame
            Rows count, mean, std, min, quantiles such as ``"25%"``, and max. The columns are those
            of :meth:`to_dask_dataframe`, without y if y holds codes of classes. Quantiles are not
            interpolated; ``attrs["rank_error"]`` bounds the error of their ranks, as a share of the
            rows: 0 up to 256 rows, then at most ``(1 + levels) / 256`` for ``8**levels`` blocks.
            ``attrs["units"]`` holds :attr:`units`.

        Raises
        ------
        ValueError, TypeError
            When two columns share a name, or percentiles are not from 0 to 1, or of sparse rows.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import storage
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     X, y = np.array([[1.0], [3.0], [np.nan]]), np.arange(3)
        ...     storage.create_dataset(f"{folder}/rows.zarr", X, y).describe()
                     x0    y
        count  2.000000  3.0
        mean   2.000000  1.0
        std    1.414214  1.0
        min    1.000000  0.0
        max    3.000000  2.0
        """
        frame = summary_frame(self, percentiles)
        frame.attrs["units"] = dict(self.units)
        return frame

    def to_dask_dataframe(self) -> Any:
        """Return all rows as a lazy Dask DataFrame with one partition for each block.

        Returns
        -------
        dask.dataframe.DataFrame
            First the columns of X by their names. Then y, named `target` (without a target
            ``"y"``, and ``"y0"``, ``"y1"``, ... for several outputs). If the data set names
            classes, y holds the labels as a pandas categorical. Then ``"sample_weight"``, if there
            are weights. The index numbers the rows from 0.

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
        return dask_frame(self)

    def to_xarray(self) -> Any:
        """Return the arrays as a lazy xarray Dataset.

        Returns
        -------
        xarray.Dataset
            Variables ``X`` (sample, feature), ``y`` (sample, or sample and output) and, if there
            are weights, ``sample_weight`` (sample). The names of features and of several outputs
            are coordinates, declared units are ``units`` (feature) and ``y.attrs["units"]``.

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
        return xarray_dataset(self, self.units)

    def since(self, version: int) -> NewRows:
        """Return the rows that were added after a version, lazily.

        Parameters
        ----------
        version : int
            Number of the version, from 1: see :attr:`versions`.

        Returns
        -------
        NewRows
            X, y and sample_weight of the rows; they have no rows if the version is the one that was
            opened.

        Raises
        ------
        ValueError
            When there is no such version, or it is newer than the one that was opened.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import storage
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data = storage.create_dataset(f"{folder}/rows.zarr", np.eye(3), np.arange(3))
        ...     data = storage.append(data, np.eye(3)[:2], np.array([7, 8]))
        ...     new = data.since(1)
        ...     new.n_samples, new.y.compute().tolist()
        (2, [7, 8])
        """
        return rows_since(self, version)

    def verify(self, *, decode: bool = False) -> VerifyReport:
        """Read all files, and compare their sizes and checksums with the manifest.

        Parameters
        ----------
        decode : bool, default=False
            Whether to decode and count values, too: see :func:`storage.verify`.

        Returns
        -------
        VerifyReport
            Numbers of chunks and bytes that were read.

        Raises
        ------
        DatasetCorrupt
            A chunk is missing, truncated, changed or exchanged. The message names all of them.
        MetadataCorrupt
            ``zarr.json`` of the group or of an array, or ``ingest.json``, is missing or changed.
        """
        return verify_dataset(self, decode=decode)

    def __repr__(self) -> str:
        return as_text(self)
