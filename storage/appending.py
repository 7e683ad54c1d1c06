"""Append rows to a data set, as a new version that is committed in one step.

Two writers never write the same file: each has its own folder until the commit, which only one of
them can make. Version files, spare files and keys are described in :mod:`storage.versions`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.array.core import Array as DaskArray

from storage.completion import (
    abandoned,
    complete,
    grown_metadata,
    is_complete,
    keep_last_chunks,
    write_metadata,
)
from storage.credentials import without_credentials
from storage.default_names import given_names
from storage.entries import StoredFile
from storage.errors import AppendConflict
from storage.inputs import Array, Inputs, column_names
from storage.layout import ArrayLayout
from storage.local_files import LocalFiles
from storage.manifest import check_number_of_chunks
from storage.opening import open_stored
from storage.sparse_density import is_sparse_array
from storage.user_line import warn_user
from storage.versions import (
    QUALITY,
    VERSIONS,
    Appended,
    Version,
    layouts_at,
    new_folder,
    version_key,
)
from storage.writer import BlockWriter, LastChunk, write_arrays

if TYPE_CHECKING:
    from storage.dataset import Dataset
    from storage.objects import Objects

    Appendable = LocalFiles | Objects

__all__ = ["append_arrays", "appendable", "check_arrays", "newest"]


def append_arrays(
    data: Dataset,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    hashes: DaskArray | None = None,
    source: str | None = None,
    quality: bytes | None = None,
    blocks_at_once: int | None = None,
    after: int | None = None,
    check: Callable[[], None] | None = None,
) -> Dataset:
    """Append arrays of the same columns and kinds; return the new version, opened.

    `hashes` are those of values that no two rows may share. `quality` is the content of the quality
    report of the rows, if they were ingested, and `blocks_at_once` is the `at_once` of
    :func:`~storage.writer.write_arrays`. With `after`, the rows are only appended to the version of
    this number: it is the one that they were compared with. `check` is called after all rows were
    written; if it raises an error, nothing is appended.
    """
    store = appendable(data)
    inputs = Inputs.of(X, y, sample_weight, hashes)
    current = newest(data)
    if after is not None and current.version != after:
        raise _conflict(store, after + 1)
    check_arrays(current, inputs.arrays, column_names(X))
    arrays = inputs.with_known_rows()
    n_added = _common_rows(arrays)
    old, history = tuple(current.layouts.values()), current.history
    if history.appended and not is_complete(store, history.appended[-1]):
        # Its writer was killed after the commit, or has not finished yet.
        complete(store, old, history.first.n_samples, history.appended)
    new = _NewVersion.after(current, store, n_added, source)
    check_number_of_chunks(new.layouts)
    try:
        manifest = new.write(arrays, quality, blocks_at_once)
        if check is not None:
            check()
    except BaseException as error:
        with contextlib.suppress(OSError):
            store.delete(new.folder)
        if isinstance(error, OSError):
            current.reader("X").check_identity()
            if _has_version(store, new.version.number):
                raise _conflict(store, new.version.number) from error
        error.add_note(
            f"Nothing was appended to {store.location}, which is unchanged. Rows in messages are "
            f"numbered as in the whole data set: the appended ones begin with {current.n_samples}."
        )
        raise
    new.commit(manifest)
    _finish(store, old, history.first.n_samples, (*history.appended, manifest))
    return open_stored(store)


@dataclass(frozen=True)
class _NewVersion:
    """A version that is about to be written."""

    store: Appendable
    current: Dataset
    version: Version
    folder: str
    layouts: tuple[ArrayLayout, ...]

    @classmethod
    def after(
        cls, current: Dataset, store: Appendable, n_added: int, source: str | None
    ) -> _NewVersion:
        """Return the version that follows the newest one."""
        version = Version(
            current.version + 1,
            current.n_samples + n_added,
            n_added,
            datetime.now(UTC).isoformat(timespec="seconds"),
            None if source is None else without_credentials(source),
        )
        folder = new_folder(version.number)
        growing = Appended(current.schema.dataset_id, version, folder, {}, {})
        history, old = current.history, tuple(current.layouts.values())
        layouts = layouts_at(old, history.first.n_samples, (*history.appended, growing))
        return cls(store, current, version, folder, layouts)

    def write(
        self, arrays: Mapping[str, Array], quality: bytes | None, blocks_at_once: int | None
    ) -> Appended:
        """Write all files but the manifest, and return the manifest."""
        store, folder = self.store, self.folder
        store.make_folder(folder)
        store.make_folder(VERSIONS)
        entries = write_arrays(arrays, _writers(self.current, self.layouts), at_once=blocks_at_once)
        if self.current.version == 1:
            keep_last_chunks(store, tuple(self.current.layouts.values()))
        names = [layout.name for layout in self.layouts]
        metadata = grown_metadata(store, names, self.version.n_samples)
        write_metadata(store, folder, metadata)
        files = {key: StoredFile.of(content) for key, content in metadata.items()}
        if quality is not None:
            store.write(f"{folder}/{QUALITY}", [quality], durable=True)
            files[f"{folder}/{QUALITY}"] = StoredFile.of(quality)
        for name in (folder, VERSIONS, ""):
            store.sync_folder(name)
        return Appended(self.current.schema.dataset_id, self.version, folder, files, entries)

    def commit(self, manifest: Appended) -> None:
        """Write the manifest, unless another writer has committed a version of this number.

        Raises
        ------
        AppendConflict
            When another writer has.
        """
        number = self.version.number
        try:
            committed = self.store.create(version_key(number), manifest.to_bytes(self.layouts))
        except BaseException as error:
            # A server may have written the manifest, but its answer was lost: keep the chunks.
            error.add_note(
                f"It is not known whether the rows were appended to {self.store.location}: they "
                f"were if it has a version {number} of {self.version.n_samples} rows. Open it to "
                f"see"
            )
            raise
        if not committed:
            self.store.delete(self.folder)
            raise _conflict(self.store, number)


def _conflict(store: Appendable, number: int) -> AppendConflict:
    """Return the error for an append that came second, after the version of this number."""
    return AppendConflict(
        f"another append to {store.location} was committed first, as version {number}: nothing of "
        f"this one was kept; append again, which puts the rows after those of the other"
    )


def newest(data: Dataset) -> Dataset:
    """Return the newest version of a data set, opened.

    Raises
    ------
    DatasetReplaced
        When another data set has taken the place of this one since it was opened.
    """
    current = open_stored(data.store)
    if current.schema.dataset_id != data.schema.dataset_id:
        data.reader("X").check_identity()
    return current


def appendable(data: Dataset) -> Appendable:
    """Return the files of the data set, to which rows can be appended.

    Raises
    ------
    ValueError
        When it was opened with some of its columns.
    UnsupportedURL
        When its store is read-only.
    """
    if data.columns is not None:
        raise ValueError(
            f"{data.store.location} was opened with some of its columns: open it with all of them "
            f"to append rows"
        )
    store: Any = data.store
    store.check_writable()
    found: Appendable = store
    return found


def _finish(
    store: Appendable, old: Sequence[ArrayLayout], n_first: int, appended: Sequence[Appended]
) -> None:
    """Complete a committed version. If that fails, the rows are appended all the same.

    An error would make a caller append them once more, so it becomes a warning.
    """
    try:
        store.sync_folder(VERSIONS)
        complete(store, old, n_first, appended)
        for folder in abandoned(store.names(), appended):
            store.delete(folder)
    except Exception as error:  # noqa: BLE001 - whatever it is, the rows are stored
        warn_user(
            f"the rows were appended to {store.location} as version "
            f"{appended[-1].version.number}, but zarr alone still shows the version before, until "
            f"the next append ({type(error).__name__}: {error})",
            RuntimeWarning,
        )


def _writers(current: Dataset, layouts: Sequence[ArrayLayout]) -> dict[str, BlockWriter]:
    writers = {}
    for layout in layouts:
        old = current.layouts[layout.name]
        last = None
        if old.n_rows % old.chunk_rows:
            entries = current.manifest.arrays[layout.name]
            last = LastChunk(old, int(entries.nbytes[-1]), int(entries.checksums[-1]))
        writers[layout.name] = BlockWriter(
            current.store,
            layout,
            current.schema.block_rows,
            durable=True,
            n_codes=None if layout.name != "y" or not current.classes else len(current.classes),
            first_row=old.n_rows,
            last_chunk=last,
            spare=True,
        )
    return writers


def check_arrays(
    current: Dataset, arrays: Mapping[str, Array], names: Sequence[str] | None
) -> None:
    """Check that the new arrays have the names, shapes and dtypes of the stored ones."""
    place = current.store.location
    for name in sorted(arrays.keys() ^ current.layouts.keys()):
        has = "has" if name in current.layouts else "has no"
        raise ValueError(f"{place} {has} {name}, and the rows that are given must be like its own")
    named = given_names(current.feature_names)
    if names is not None and named and tuple(names) != current.feature_names:
        wrong = next(
            (pair for pair in zip(names, current.feature_names, strict=False) if len({*pair}) > 1),
            (f"{len(names)} columns", f"{current.n_features} columns"),
        )
        raise ValueError(
            f"X has {wrong[0]!r} where {place} has {wrong[1]!r}: select its columns, "
            f"X[list(data.feature_names)]"
        )
    for name, array in arrays.items():
        layout = current.layouts[name]
        shape = tuple(map(int, array.shape[1:]))
        if shape != layout.row_shape:
            if name == "X" and len(shape) == 1:
                found, expected = shape[0], layout.row_shape[0]
                raise ValueError(f"X has {found:,} columns, and that of {place} has {expected:,}")
            raise ValueError(
                f"{name} has rows of shape {shape}, those of {place} have {layout.row_shape}"
            )
        if is_sparse_array(array) != layout.sparse:
            needed = "a sparse matrix, e.g. scipy.sparse.csr_array(X)"
            raise TypeError(
                f"the rows of {name} in {place} are {'sparse' if layout.sparse else 'dense'}, "
                f"unlike those that are given: give {needed if layout.sparse else 'dense rows'}"
            )
        if not _converts(array.dtype, np.dtype(layout.dtype), coded=_is_coded(current, name)):
            raise TypeError(
                f"{name} has dtype {array.dtype}, and {place} stores "
                f"{layout.dtype}, which cannot hold all its values: convert it with "
                f"astype({layout.dtype!r})"
            )


def _is_coded(current: Dataset, name: str) -> bool:
    return name == "y" and current.classes is not None


def _converts(dtype: np.dtype[Any], stored: np.dtype[Any], *, coded: bool) -> bool:
    """Return whether the writer converts without loss, or reports each value that it would lose.

    It checks that codes are below the number of classes, and that no float overflows.
    """
    if np.can_cast(dtype, stored, "safe"):
        return True
    return (stored.kind == "f" and dtype.kind in "fiu") or (coded and dtype.kind in "iu")


def _common_rows(arrays: Mapping[str, Array]) -> int:
    lengths = {name: int(array.shape[0]) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or not min(lengths.values()):
        shown = ", ".join(f"{name} has {length:,}" for name, length in lengths.items())
        raise ValueError(f"all appended arrays need the same number of rows, but {shown}")
    return lengths["X"]


def _has_version(store: Appendable, number: int) -> bool:
    try:
        store.read_start(version_key(number), 1)
    except OSError:
        return False
    return True
