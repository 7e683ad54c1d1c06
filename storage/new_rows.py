"""The rows that were added after a version, for models that learn in batches."""

from __future__ import annotations

from dataclasses import dataclass

import dask.array as da

from storage.arrays import StoredArrays

__all__ = ["NewRows", "rows_since", "version_before"]


@dataclass(frozen=True)
class NewRows:
    """Rows that were added after a version of a data set; made by :meth:`Dataset.since`.

    Parameters
    ----------
    X : dask.array.Array of shape (n_samples, n_features)
        Features.
    y : dask.array.Array of shape (n_samples,) or (n_samples, n_outputs)
        Target.
    sample_weight : dask.array.Array of shape (n_samples,), optional
        Weights; None if the data set has none.
    labels : dask.array.Array of shape (n_samples,), optional
        The label of each row; None if the data set names no classes.

    Examples
    --------
    >>> import dask.array as da
    >>> import storage
    >>> storage.NewRows(da.ones((2, 3)), da.ones(2)).n_samples
    2
    """

    X: da.Array
    y: da.Array
    sample_weight: da.Array | None = None
    labels: da.Array | None = None

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])


def rows_since(data: StoredArrays, version: int) -> NewRows:
    """Return the rows of an open data set after those of `version`.

    Raises
    ------
    ValueError
        When there is no such version, or it is newer than the one that was opened.
    """
    first = data.versions[version_before(data, version) - 1].n_samples
    weights, labels = (
        None if array is None else array[first:] for array in (data.sample_weight, data.labels)
    )
    return NewRows(data.X[first:], data.y[first:], weights, labels)


def version_before(data: StoredArrays, version: int) -> int:
    """Return the number of a version that is not newer than the one that was opened.

    Raises
    ------
    ValueError
        When there is no such version, or it is newer.
    """
    number = data.history.checked(version)
    if number > data.version:
        raise ValueError(
            f"version {number} is newer than version {data.version}, which was opened: open the "
            f"newest one with storage.open_dataset"
        )
    return number
