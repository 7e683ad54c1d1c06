"""Predictions of lazy rows, written block by block as a Zarr group or as Parquet files.

``dlbd predict`` finds :func:`write_predictions` by an entry point, see ``pyproject.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray
from dask.array.core import map_blocks, store
from dask.delayed import delayed

from storage.computing import compute
from storage.errors import DatasetExists, UnsupportedURL
from storage.local_files import LocalFiles

__all__ = ["write_predictions"]

_PARQUET = (".parquet", ".pq")


def write_predictions(
    columns: Mapping[str, DaskArray], target: str, *, classes: Sequence[Any] | None = None
) -> None:
    """Write lazy columns of the same rows, with only a few blocks in memory at a time.

    Parameters
    ----------
    columns : dict of str to dask.array.Array of shape (n_rows,) or (n_rows, n_outputs)
        All arrays have the same blocks of rows, of known length.
    target : str
        A local path. If it ends in ``.parquet`` or ``.pq``, it becomes a folder with a Parquet
        file for each block; an array of several outputs becomes several columns. Otherwise it
        becomes a Zarr group with an array for each column.
    classes : sequence, optional
        All labels that a column of text can have, sorted. Zarr has no standard format for text.
        So the Zarr array holds the number of each label, and its attribute ``classes`` the labels.

    Raises
    ------
    DatasetExists
        When something is at `target` already.
    UnsupportedURL
        When `target` is not a local path.
    OSError
        When `target` cannot be written. What was written is removed.
    """
    if "://" in target:
        raise UnsupportedURL(f"predictions are written to local folders, and {target} is a URL")
    path = Path(target).absolute()
    if path.exists():
        raise DatasetExists(f"{path} is there already: delete it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    files = LocalFiles(str(path)).sibling("writing")
    new = Path(files.root)
    try:
        if path.suffix in _PARQUET:
            _write_parquet(columns, new)
        else:
            _write_zarr(columns, new, classes)
        new.rename(path)
    except BaseException:
        files.remove_all()
        raise


def _write_zarr(
    columns: Mapping[str, DaskArray], path: Path, classes: Sequence[Any] | None
) -> None:
    import zarr

    group = zarr.create_group(path, zarr_format=3)
    sources: list[DaskArray] = []
    targets: list[Any] = []
    for name, array in columns.items():
        attributes: dict[str, Any] = {}
        if array.dtype.kind in "OU":
            attributes = {"classes": [str(each) for each in classes or ()]}
            array = map_blocks(_Codes(tuple(classes or ())), array, dtype=np.int32, meta=_NO_CODES)
        # Equal blocks, each of them one chunk of the Zarr array: no two tasks write the same chunk.
        rows = max(1, *array.chunks[0])
        array = array.rechunk({0: rows, 1: -1} if array.ndim == 2 else {0: rows})
        sources.append(array)
        targets.append(
            group.create_array(
                name,
                shape=array.shape,
                chunks=(rows, *array.shape[1:]),
                dtype=array.dtype,
                attributes=attributes,
                dimension_names=("sample", "output")[: array.ndim],
            )
        )
    # In one computation, so that a block of rows is read once for all columns.
    compute(store(sources, targets, lock=False, compute=False))


_NO_CODES = np.zeros(0, np.int32)


@dataclass(frozen=True)
class _Codes:
    """Converts the labels of a block to their numbers: ``classes[number]`` is the label."""

    classes: tuple[Any, ...]

    def __call__(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        numbers = {label: number for number, label in enumerate(self.classes)}
        return np.array([numbers[label] for label in labels.tolist()], np.int32)


def _write_parquet(columns: Mapping[str, DaskArray], path: Path) -> None:
    path.mkdir()
    blocks = {name: array.to_delayed().ravel() for name, array in columns.items()}
    n_blocks = len(next(iter(blocks.values())))
    digits = len(str(n_blocks))  # so that the order of names is that of the rows
    tasks = [
        delayed(_write_part, pure=False)(
            path / f"part.{number:0{digits}}.parquet",
            {name: each[number] for name, each in blocks.items()},
        )
        for number in range(n_blocks)
    ]
    compute(*tasks)


def _write_part(path: Path, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    import pandas as pd

    flat: dict[str, npt.NDArray[Any]] = {}
    for name, values in columns.items():
        if values.ndim == 1:
            flat[name] = values
        else:
            flat.update({f"{name}_{k}": values[:, k] for k in range(values.shape[1])})
    pd.DataFrame(flat).to_parquet(path, index=False)
