"""A raw source that one pass reads, counts and writes, because all steps are known before."""

from __future__ import annotations

from collections.abc import Mapping

import dask.array
import numpy as np
from dask.array.core import Array as DaskArray

from storage.entries import ChunkEntries
from storage.ingestion.column import Column
from storage.ingestion.duplicates import Duplicates
from storage.ingestion.encoded_source import reader_of
from storage.ingestion.lookup import Lookup, columns_to_read
from storage.ingestion.one_pass import write_in_one_pass
from storage.ingestion.quality import QualityReport
from storage.ingestion.recipe import Recipe
from storage.ingestion.refusal import refuse_broken
from storage.ingestion.selection import RowSelection
from storage.ingestion.source import Source
from storage.ingestion.splits import Splits
from storage.ingestion.tally import Tally
from storage.writer import BlockWriter, Finished

__all__ = ["UncountedSource"]


class UncountedSource:
    """The rows of a source whose steps and places are known, so that one pass suffices.

    Parameters
    ----------
    source : Source
        The raw rows.
    plan : dict of str to Column
        The rules of each column.
    recipe : Recipe
        The steps.
    like : bool
        Whether the steps are those of a stored data set.

    Attributes
    ----------
    X, y, hashes : dask.array.Array
        Arrays of the shapes and dtypes that are stored, but not of the values. `hashes` is None if
        no column forbids duplicates.
    files : ListedFiles or None
        The files that are read.
    blocks_at_once, splits : None
        As of :class:`~storage.ingestion.encoded_source.EncodedSource`.
    """

    blocks_at_once = None
    splits = None

    def __init__(
        self, source: Source, plan: Mapping[str, Column], recipe: Recipe, *, like: bool
    ) -> None:
        self.recipe, self.description = recipe, source.description
        self._source, self._plan, self._like = source, plan, like
        self.files = source.files
        self._tally: Tally | None = None
        shape = (sum(source.lengths or ()), len(recipe.feature_names))
        self.X: DaskArray = dask.array.empty(shape, dtype=np.float64, chunks=-1)
        self.y: DaskArray = dask.array.empty(shape[:1], dtype=recipe.target_dtype, chunks=-1)
        words = (shape[0], recipe.n_words)
        self.hashes: DaskArray | None = (
            dask.array.empty(words, dtype=np.uint64, chunks=-1) if recipe.n_words else None
        )

    @classmethod
    def of(
        cls,
        source: Source,
        plan: Mapping[str, Column],
        given: Recipe | None,
        rows: RowSelection | Splits | None,
        joins: tuple[Lookup, ...],
    ) -> UncountedSource | None:
        """Return the rows of a source; None if they must be counted before they are written.

        That is so if something is estimated from the rows, if a policy or a selection may leave
        out some, or if the source does not tell how many there are. The parameters are those of
        :func:`encode_source`.
        """
        recipe = given or Recipe.known(plan, joins)
        if recipe is None or recipe.may_drop or rows is not None or not sum(source.lengths or ()):
            return None
        return cls(source, plan, recipe, like=given is not None)

    def write(
        self, writers: Mapping[str, BlockWriter], finished: Finished
    ) -> Mapping[str, ChunkEntries]:
        """Count, encode and write all rows, as :func:`~storage.create.store_arrays` asks.

        Raises
        ------
        InvalidData
            When raw data cannot be read, or break a rule whose policy is an error.
        """
        joins = self.recipe.joins
        read = reader_of(self._source, self._plan, None, joins)
        lazy = Duplicates.of(read, self._plan, joins).marked(
            read(columns_to_read([*self._plan], joins))
        )
        lengths = self._source.lengths or ()
        entries, self._tally = write_in_one_pass(
            self.recipe, self._plan, lazy, lengths, writers, finished
        )
        refuse_broken(self._tally, self._plan, joins, None, declared_here=not self._like)
        return entries

    @property
    def report(self) -> QualityReport:
        """What was found in the raw rows; known after they were written."""
        assert self._tally is not None
        return QualityReport.of(
            self.description,
            self.recipe.target.name,
            self._plan,
            self.recipe.joins,
            self._tally,
        )
