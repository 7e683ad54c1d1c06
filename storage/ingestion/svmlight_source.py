"""X and y of svmlight files as Dask arrays of sparse blocks: a pass that counts, then the rows."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray
from dask.delayed import delayed

from storage.computing import compute
from storage.errors import InvalidData
from storage.ingestion.pieces import array_of, in_one_layer
from storage.ingestion.source_files import (
    ListedFiles,
    described,
    found_paths,
    is_table,
    members,
    paths_of,
)
from storage.ingestion.svmlight_files import SVMLightBlock, is_svmlight, svmlight_blocks
from storage.ingestion.svmlight_format import SVMLightFormat, as_labels
from storage.ingestion.svmlight_lines import LineRules
from storage.progress import stage

__all__ = ["SVMLightSource", "is_svmlight_source", "open_svmlight"]

#: Most distinct labels that are taken for classes, if these are not declared.
_MAX_CLASSES = 10_000


@dataclass(frozen=True)
class SVMLightSource:
    """The rows of svmlight files.

    Attributes
    ----------
    X : dask.array.Array of shape (n_samples, n_features)
        Blocks are CSR arrays of float64.
    y : dask.array.Array of shape (n_samples,)
        Labels as float64, or codes of the classes.
    form : SVMLightFormat
        How the files are written, with nothing left to be found.
    entries_per_row : float
        Entries of a row in the densest partition.
    description : str
        The files in words.
    files : ListedFiles
        The files, as they were when they were listed.
    """

    X: DaskArray
    y: DaskArray
    form: SVMLightFormat
    entries_per_row: float
    description: str
    files: ListedFiles


class _Counts(NamedTuple):
    """What the first pass counts in a block: rows, entries, column numbers, and labels."""

    n_rows: int
    n_entries: int
    lowest: int | None
    highest: int | None
    labels: npt.NDArray[np.float64]


def is_svmlight_source(source: Any) -> bool:
    """Return whether a source is svmlight files, by their names.

    Raises
    ------
    InvalidData
        When only some of the files are.
    """
    paths = paths_of(source) or []
    if all(map(is_table, paths)):
        return False
    filesystem, found = found_paths(paths)
    # As for tables, the first file in a folder shows the kind of the others.
    names = [name for path in found for name in members(filesystem, path)[:1]]
    kinds = set(map(is_svmlight, names))
    if len(kinds) > 1:
        raise InvalidData(
            f"{described(paths)} has svmlight files and files of another kind: ingest each kind "
            f"separately"
        )
    return kinds == {True}


def open_svmlight(source: Any, form: SVMLightFormat, nbytes: int) -> SVMLightSource:
    """Count the rows, columns and labels of files, and return their rows lazily.

    Parameters
    ----------
    source : str, path-like or sequence of these
        Paths, globs or URLs.
    form : SVMLightFormat
        How the files are written.
    nbytes : int
        Approximate size of the part of a file that one task reads, in bytes.

    Raises
    ------
    FileNotFoundError
        When a file does not exist.
    InvalidData
        When a line cannot be read, or the files hold no rows.
    TypeError
        When the source is not files.
    """
    paths = paths_of(source)
    if paths is None:
        raise TypeError(f"svmlight is for files, and the source is a {type(source).__name__}")
    filesystem, found = found_paths(paths)
    files = ListedFiles.at(filesystem, found)
    blocks = svmlight_blocks(filesystem, [*files.facts], nbytes)
    description = described(paths)
    count = partial(_count, _rules(form), form.classes == "auto")
    name = f"count-svmlight-{uuid.uuid4().hex}"
    tasks = [
        delayed(count, traverse=False)(block, dask_key_name=f"{name}-{number}")
        for number, block in enumerate(blocks)
    ]
    with stage("count", len(tasks)):
        counts: Sequence[_Counts] = compute(*tasks)
    form = _completed(form, counts, description)
    X, y = _arrays(blocks, [each.n_rows for each in counts], form)
    density = max(each.n_entries / each.n_rows for each in counts if each.n_rows)
    return SVMLightSource(X, y, form, density, description, files)


def _rules(form: SVMLightFormat) -> LineRules:
    """Return what lines must look like, as far as the format is declared."""
    return LineRules(
        n_features=form.n_features,
        zero_based=None if form.zero_based == "auto" else form.zero_based,
        classes=None if form.classes in (None, "auto") else tuple(form.classes),  # type: ignore[arg-type]
        refuses_queries=form.qid == "error",
    )


def _count(rules: LineRules, with_labels: bool, block: SVMLightBlock) -> _Counts:
    rows = block.rows(rules)
    columns = rows.columns
    lowest, highest = (int(columns.min()), int(columns.max())) if columns.size else (None, None)
    labels = np.unique(rows.labels) if with_labels else np.empty(0)
    return _Counts(len(rows.labels), columns.size, lowest, highest, labels[: _MAX_CLASSES + 1])


def _completed(form: SVMLightFormat, counts: Sequence[_Counts], description: str) -> SVMLightFormat:
    """Return the format with what the first pass has found."""
    if not any(each.n_rows for each in counts):
        raise InvalidData(f"{description} holds no rows")
    zero_based = form.zero_based
    if zero_based == "auto":
        zero_based = any(each.lowest == 0 for each in counts)
    n_features = form.n_features
    if n_features is None:
        highest = max((each.highest for each in counts if each.highest is not None), default=None)
        if highest is None:
            raise InvalidData(
                f"the rows of {description} have no entries, so the number of columns is not "
                f"known: declare it, svmlight=storage.SVMLightFormat(n_features=...)"
            )
        n_features = highest + int(zero_based)
    classes = form.classes
    if classes == "auto":
        labels = np.unique(np.concatenate([each.labels for each in counts]))
        if len(labels) > _MAX_CLASSES:
            raise InvalidData(
                f"{description} has more than {_MAX_CLASSES:,} different labels, too many for "
                f"classes: leave out classes if labels are numbers, or declare all classes"
            )
        classes = as_labels(labels)
    return SVMLightFormat(n_features, zero_based, classes, form.qid)


def _arrays(
    blocks: Sequence[SVMLightBlock], n_rows: Sequence[int], form: SVMLightFormat
) -> tuple[DaskArray, DaskArray]:
    from scipy.sparse import csr_array

    read = delayed(partial(_read, _rules(form), form), traverse=False)
    name = f"read-svmlight-{uuid.uuid4().hex}"
    filled = [(block, rows) for block, rows in zip(blocks, n_rows, strict=True) if rows]
    pieces = in_one_layer(
        [read(block, dask_key_name=f"{name}-{number}") for number, (block, _) in enumerate(filled)]
    )
    lengths = [rows for _, rows in filled]
    assert form.n_features is not None
    y = array_of(pieces, 1, lengths, (), _target_dtype(form))
    X = array_of(pieces, 0, lengths, (form.n_features,), np.dtype(np.float64))
    return DaskArray(X.dask, X.name, X.chunks, meta=csr_array((0, 0))), y


def _target_dtype(form: SVMLightFormat) -> np.dtype[Any]:
    """Return the dtype of y, as :class:`~storage.ingestion.recipe.Recipe` chooses it."""
    classes = form.classes
    return np.dtype(np.float64) if classes is None else np.min_scalar_type(len(classes) - 1)


def _read(
    rules: LineRules, form: SVMLightFormat, block: SVMLightBlock
) -> tuple[Any, npt.NDArray[Any]]:
    from scipy.sparse import csr_array

    rows = block.rows(rules)
    columns = rows.columns - rules.first
    X = csr_array((rows.values, columns, rows.ends), shape=(len(rows.labels), form.n_features))
    if form.classes is None:
        return X, rows.labels
    codes = np.searchsorted(np.array(form.classes, dtype=np.float64), rows.labels)
    return X, codes.astype(_target_dtype(form))
