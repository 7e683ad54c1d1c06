"""Predictions of lazy rows, written block by block as a Zarr group or as Parquet files.

``dlbd predict`` finds :func:`write_predictions` by an entry point, see ``pyproject.toml``.
"""

from __future__ import annotations

import contextlib
import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray
from dask.array.core import map_blocks
from dask.delayed import delayed

from storage.computing import compute
from storage.errors import DatasetExists
from storage.local_files import LocalFiles
from storage.location import store_at
from storage.progress import stage
from storage.store import Store

__all__ = ["write_predictions"]

_PARQUET = (".parquet", ".pq")
#: The name that Spark gives to the mark of a complete folder.
_COMPLETE = "_SUCCESS"


def write_predictions(
    columns: Mapping[str, DaskArray], target: str, *, classes: Sequence[Any] | None = None
) -> None:
    """Write lazy columns of the same rows, with only a few blocks in memory at a time.

    Parameters
    ----------
    columns : dict of str to dask.array.Array of shape (n_rows,) or (n_rows, n_outputs)
        All arrays have the same blocks of rows, of known length.
    target : str
        A local path, or the URL of an object store. If it ends in ``.parquet`` or ``.pq``, it
        becomes a folder with a Parquet file for each block; an array of several outputs becomes
        several columns. Otherwise it becomes a Zarr group with an array for each column. On a disk,
        the folder gets its name when it is complete. In an object store, a complete one has a file
        ``_SUCCESS``.
    classes : sequence, optional
        All labels that a column of text can have, sorted. Zarr has no standard format for text.
        So the Zarr array holds the number of each label, and its attribute ``classes`` the labels.

    Raises
    ------
    DatasetExists
        When something is at `target` already.
    UnsupportedURL
        When `target` is the URL of a web server, which is read-only, or no store opens it.
    OSError
        When `target` cannot be written. What was written is removed.
    """
    place = store_at(target)
    if not isinstance(place, LocalFiles):
        _write_objects(columns, place, target, classes)
        return
    path = Path(place.root)
    if path.exists():
        raise DatasetExists(f"{path} is there already: delete it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    files = place.sibling("writing")
    Path(files.root).mkdir()
    try:
        _write(columns, files, target, classes)
        Path(files.root).rename(path)
    except BaseException:
        files.remove_all()
        raise


def _write_objects(
    columns: Mapping[str, DaskArray], place: Store, target: str, classes: Sequence[Any] | None
) -> None:
    from storage.objects import Objects  # imports zarr

    assert isinstance(place, Objects)
    place.check_writable()
    if place.names():
        raise DatasetExists(f"{place.location} is there already: delete it, or choose another name")
    try:
        _write(columns, place, target, classes)
        place.write(_COMPLETE, [b""])
    except BaseException:
        with contextlib.suppress(OSError):
            for name in place.names():
                place.delete(name)
        raise


def _write(
    columns: Mapping[str, DaskArray], place: Store, target: str, classes: Sequence[Any] | None
) -> None:
    if target.endswith(_PARQUET):
        _write_parquet(columns, place)
    else:
        _write_zarr(columns, place, classes)


def _write_zarr(
    columns: Mapping[str, DaskArray], place: Store, classes: Sequence[Any] | None
) -> None:
    import zarr

    group = zarr.create_group(place.for_zarr(), zarr_format=3)
    written: list[DaskArray] = []
    for name, array in columns.items():
        attributes: dict[str, Any] = {}
        if array.dtype.kind in "OU":
            attributes = {"classes": [str(each) for each in classes or ()]}
            array = map_blocks(_Codes(tuple(classes or ())), array, dtype=np.int32, meta=_NO_CODES)
        # Equal blocks, each of them one chunk of the Zarr array: no two tasks write the same chunk.
        rows = max(1, *array.chunks[0])
        array = array.rechunk({0: rows, 1: -1} if array.ndim == 2 else {0: rows})
        group.create_array(
            name,
            shape=array.shape,
            chunks=(rows, *array.shape[1:]),
            dtype=array.dtype,
            attributes=attributes,
            dimension_names=("sample", "output")[: array.ndim],
        )
        written.append(
            map_blocks(
                _BlockOfZarr(place, name, rows),
                array,
                name=f"write-{name}-{uuid.uuid4().hex}",
                chunks=((1,) * array.numblocks[0], *((1,) for _ in array.shape[1:])),
                meta=np.empty((0,) * array.ndim, bool),
            )
        )
    with stage("write", sum(array.npartitions for array in written)):
        # In one computation, so that a block of rows is read once for all columns.
        compute(*written)


@dataclass(frozen=True)
class _BlockOfZarr:
    """Writes a block of rows to an array, which each task opens: no client is sent to workers."""

    place: Store
    name: str
    rows: int

    def __call__(self, values: Any, block_id: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        import zarr

        start = block_id[0] * self.rows
        array = zarr.open_array(self.place.for_zarr(), path=self.name, mode="r+")
        array[start : start + len(values)] = values
        return np.ones((1,) * values.ndim, bool)


_NO_CODES = np.zeros(0, np.int32)


@dataclass(frozen=True)
class _Codes:
    """Converts the labels of a block to their numbers: ``classes[number]`` is the label."""

    classes: tuple[Any, ...]

    def __call__(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        numbers = {label: number for number, label in enumerate(self.classes)}
        return np.array([numbers[label] for label in labels.tolist()], np.int32)


def _write_parquet(columns: Mapping[str, DaskArray], place: Store) -> None:
    blocks = {name: array.to_delayed().ravel() for name, array in columns.items()}
    n_blocks = len(next(iter(blocks.values())))
    digits = len(str(n_blocks))  # so that the order of names is that of the rows
    tasks = [
        delayed(partial(_write_part, place, f"part.{number:0{digits}}.parquet"), pure=False)(
            {name: each[number] for name, each in blocks.items()}
        )
        for number in range(n_blocks)
    ]
    with stage("write", n_blocks):
        compute(*tasks)


def _write_part(place: Store, name: str, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    import pandas as pd

    flat: dict[str, npt.NDArray[Any]] = {}
    for column, values in columns.items():
        if values.ndim == 1:
            flat[column] = values
        else:
            flat.update({f"{column}_{k}": values[:, k] for k in range(values.shape[1])})
    content = io.BytesIO()
    pd.DataFrame(flat).to_parquet(content, index=False)
    place.write(name, [content.getvalue()])
