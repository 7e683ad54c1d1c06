"""What a data set keeps of its ingest: the quality report, and the steps for raw rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from storage.arrays import StoredArrays

if TYPE_CHECKING:
    from storage.ingestion.encoding import Encoded
    from storage.ingestion.quality import QualityReport
    from storage.ingestion.split import Split

__all__ = ["IngestedArrays"]


class IngestedArrays(StoredArrays):
    """A base of :class:`~storage.Dataset`: its members that need the record of the ingest."""

    @cached_property
    def splits(self) -> Mapping[str, Split]:
        """The named splits of the rows by their names; empty if there are none.

        They are read from the metadata at the first use. X, y and the other arrays of the data set
        itself hold the rows of all splits.

        Returns
        -------
        dict of str to Split
            The splits that :func:`~storage.ingest` was given, in this order.

        Raises
        ------
        MetadataCorrupt
            When the stored splits are damaged.
        """
        from storage.ingestion.split import splits_of

        return splits_of(self)

    @property
    def n_in_no_split(self) -> int:
        """Number of raw rows that are in none of the named splits, and are not stored.

        It counts the rows of all versions up to the open one; 0 if there are no splits.
        """
        from storage.ingestion.split import n_outside_of

        return n_outside_of(self)

    @property
    def units(self) -> Mapping[str, str]:
        """The declared units of the columns of X and of the target, by their names.

        Returns
        -------
        dict of str to str
            Only columns with a unit. Standardised columns have none, nor has a data set that
            :func:`~storage.ingest` did not make.

        Raises
        ------
        MetadataCorrupt
            When the stored declarations are damaged.
        """
        from storage.ingestion.record import units_of

        return units_of(self)

    @property
    def quality(self) -> QualityReport:
        """The quality report of :func:`~storage.ingest`: the problems found, and what was done.

        Returns
        -------
        QualityReport
            Numbers of rows read and kept, broken rules with examples, statistics, class balance.

        Raises
        ------
        NotADataset
            When the data set was not made by :func:`~storage.ingest`.
        MetadataCorrupt
            When the stored report is damaged.
        """
        from storage.ingestion.record import IngestRecord

        return IngestRecord.of(self).quality

    def quality_of(self, version: int) -> QualityReport:
        """Return the quality report of the raw rows that a version has added.

        Parameters
        ----------
        version : int
            Number of the version, from 1: see :attr:`versions`.

        Returns
        -------
        QualityReport
            What was found in the rows of this version only; for version 1 the same as
            :attr:`quality`.

        Raises
        ------
        ValueError
            When there is no such version.
        NotADataset
            When the rows of the version were not made of raw rows.
        MetadataCorrupt
            When the stored report is damaged.

        Examples
        --------
        >>> import tempfile
        >>> import pandas as pd
        >>> import storage
        >>> frame = pd.DataFrame({"carrier": ["AA", "UA", "AA"], "delay": [3.0, 9.0, 1.0]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data = storage.ingest(frame, f"{folder}/rows.zarr", target="delay")
        ...     data = storage.append(data, frame[:2])
        ...     data.quality_of(2).n_rows
        2
        """
        from storage.ingestion.record import quality_of

        return quality_of(self, version)

    def encode(self, raw: Any) -> Encoded:
        """Encode new raw rows with the same steps as the rows that were ingested.

        The stored policies (except `duplicates`), categories, means and imputed values are used.

        Parameters
        ----------
        raw : pandas.DataFrame, polars.DataFrame, pyarrow.Table or dask.dataframe.DataFrame
            The raw columns by their names. Other columns are ignored. The target may be absent.

        Returns
        -------
        Encoded
            ``X``, ``y`` (None without a target), and the boolean mask ``kept``, which shows the
            raw rows that X and y hold. For a Dask DataFrame they are Dask arrays with chunks of
            unknown length, otherwise NumPy arrays.

        Raises
        ------
        InvalidData
            When a column is missing, or a value breaks a rule whose policy is an error: for
            example an unknown category. Lazy values raise it when they are computed.
        NotADataset
            When the data set was not made by :func:`~storage.ingest`.
        MetadataCorrupt
            When the stored steps are damaged.

        Examples
        --------
        >>> import tempfile
        >>> import pandas as pd
        >>> import storage
        >>> frame = pd.DataFrame({"carrier": ["AA", "UA", "AA"], "delay": [3.0, 9.0, 1.0]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data = storage.ingest(frame, f"{folder}/rows.zarr", target="delay")
        ...     data.encode(pd.DataFrame({"carrier": ["UA", "AA"]})).X
        array([[0., 1.],
               [1., 0.]])
        """
        from storage.ingestion.encoding import encode_raw
        from storage.ingestion.record import IngestRecord

        return encode_raw(IngestRecord.of(self).recipe, raw, self.columns)
