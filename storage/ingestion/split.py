"""A named split of an open data set: its rows, lazily."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import dask.array as da

from storage.errors import NotADataset
from storage.group import INGEST
from storage.ingestion.record import IngestRecord, appended_record
from storage.ingestion.split_record import SplitCounts, SplitRecord
from storage.metadata import damaged
from storage.new_rows import NewRows, version_before
from storage.rows_of_array import rows_in
from storage.schema import Label
from storage.versions import QUALITY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from storage.arrays import StoredArrays
    from storage.ingestion.quality import QualityReport
    from storage.ingestion.selection import RowSelection

__all__ = ["Split", "n_outside_of", "splits_of"]


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """The rows of a data set that are in one of its named splits; made by :attr:`Dataset.splits`.

    It has the arrays of a data set with some of its rows. The rows of a split lie together in each
    version, so only the blocks that hold them are read.

    Parameters
    ----------
    data : Dataset
        The data set.
    name : str
        Name of the split.
    rows : HashSplit or TimeSplit
        What selects its rows.
    quality : QualityReport
        What :func:`~storage.ingest` found in its raw rows; those of later versions do not count.
    learned : bool
        Whether categories, imputed values, and means and standard deviations of standardised
        columns come from its rows.
    ranges : tuple of tuple of int
        For each version up to the open one its number, the first row, and the row after the last.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> import storage
    >>> frame = pd.DataFrame({"day": ["2013-01-01", "2013-02-01", "2013-01-02"],
    ...                       "miles": [7.0, 8.0, 9.0], "delay": [3.0, 9.0, 1.0]})
    >>> splits = {"train": storage.TimeSplit("day", stop="2013-02-01"),
    ...           "test": storage.TimeSplit("day", start="2013-02-01")}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = storage.ingest(frame, f"{folder}/rows.zarr", target="delay",
    ...                           features=["miles"], splits=splits)
    ...     train = data.splits["train"]
    ...     train.n_samples, train.X.compute().tolist(), train.y.compute().tolist()
    (2, [[7.0], [9.0]], [3.0, 1.0])
    """

    data: StoredArrays
    name: str
    rows: RowSelection
    quality: QualityReport
    learned: bool
    ranges: tuple[tuple[int, int, int], ...]

    @cached_property
    def X(self) -> da.Array:  # noqa: N802 - scikit-learn's name
        """The features, one Dask chunk for each block that holds some of the rows."""
        return self._after(0, self.data.X)

    @cached_property
    def y(self) -> da.Array:
        """Target, cut into the blocks of X."""
        return self._after(0, self.data.y)

    @cached_property
    def labels(self) -> da.Array | None:
        """The label of each row, ``classes[y]``; None if the data set names no classes."""
        return None if self.data.labels is None else self._after(0, self.data.labels)

    @cached_property
    def sample_weight(self) -> da.Array | None:
        """Weights, cut into the blocks of X; None if the data set has none."""
        weights = self.data.sample_weight
        return None if weights is None else self._after(0, weights)

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return sum(stop - start for _, start, stop in self.ranges)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.data.n_features

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of X."""
        return self.data.feature_names

    @property
    def target(self) -> str | tuple[str, ...] | None:
        """Name of y."""
        return self.data.target

    @property
    def classes(self) -> tuple[Label, ...] | None:
        """Label of each integer code of y: ``y == i`` means ``classes[i]``."""
        return self.data.classes

    def since(self, version: int) -> NewRows:
        """Return the rows of the split that were added after a version, lazily.

        Parameters
        ----------
        version : int
            Number of the version, from 1: see :attr:`Dataset.versions`.

        Returns
        -------
        NewRows
            X, y and labels of the rows.

        Raises
        ------
        ValueError
            When there is no such version, or it is newer than the one that was opened.
        """
        number = version_before(self.data, version)
        weights, labels = (
            None if array is None else self._after(number, array)
            for array in (self.data.sample_weight, self.data.labels)
        )
        X, y = (self._after(number, array) for array in (self.data.X, self.data.y))
        return NewRows(X, y, weights, labels)

    def _after(self, version: int, array: da.Array) -> da.Array:
        ranges = [(start, stop) for number, start, stop in self.ranges if number > version]
        return rows_in(array, ranges)

    @property
    def summary(self) -> str:
        """The number of its rows and how they are selected, in words."""
        learned = ", from which the steps were learned" if self.learned else ""
        return f"{self.n_samples:,} {self.rows}{learned}"

    def __repr__(self) -> str:
        return f"Split {self.name!r}: {self.summary}"


def splits_of(data: StoredArrays) -> dict[str, Split]:
    """Return the named splits of an open data set by their names; none if it has none.

    Raises
    ------
    MetadataCorrupt, DatasetReplaced
        As for :meth:`IngestRecord.of`, and when the stored numbers of rows are wrong.
    """
    record = _record_of(data)
    if record is None:
        return {}
    ranges: dict[str, list[tuple[int, int, int]]] = {name: [] for name in record.splits.names}
    for version in data.versions[: data.version]:
        start = version.n_samples - version.n_added
        counts = _counts_of(data, record, version.number)
        if counts is None:
            continue
        if (*counts.n_samples,) != record.splits.names or sum(
            counts.n_samples.values()
        ) != version.n_added:
            key = INGEST if version.number == 1 else f"{QUALITY} of version {version.number}"
            raise damaged(data.store, key, "its splits do not have the rows of the version")
        for name, n_rows in counts.n_samples.items():
            ranges[name].append((version.number, start, start + n_rows))
            start += n_rows
    return {
        name: Split(
            data,
            name,
            selection,
            record.quality[name],
            name in record.splits.learn_from,
            tuple(ranges[name]),
        )
        for name, selection in record.splits.selections.items()
    }


def n_outside_of(data: StoredArrays) -> int:
    """Return the number of raw rows of all versions up to the open one that were in no split."""
    record = _record_of(data)
    if record is None:
        return 0
    found = (_counts_of(data, record, each.number) for each in data.versions[: data.version])
    return sum(counts.n_outside for counts in found if counts is not None)


def _record_of(data: StoredArrays) -> SplitRecord | None:
    try:
        return IngestRecord.of(data).splits
    except NotADataset:  # made of arrays or svmlight files
        return None


def _counts_of(data: StoredArrays, record: SplitRecord, version: int) -> SplitCounts | None:
    """Return the rows that a version has added; None if an older release has appended them."""
    if version == 1:
        return record.counts
    return appended_record(data, version, _counts)


def _counts(plain: Mapping[str, Any]) -> SplitCounts | None:
    return None if plain.get("splits") is None else SplitCounts.from_json(plain["splits"])
