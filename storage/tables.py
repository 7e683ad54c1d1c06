"""A data set as tables: its first rows, a Dask DataFrame, an xarray Dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from dask.array.core import Array as DaskArray

from storage.arrays import StoredArrays
from storage.blocks import BlockReader, ExpectedChunks
from storage.computing import compute
from storage.schema import Label

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "arrays_of",
    "column_labels",
    "dask_frame",
    "first_rows",
    "refuse_sparse",
    "xarray_dataset",
]


def arrays_of(data: StoredArrays) -> dict[str, DaskArray]:
    """Return the Dask arrays of a data set by their names."""
    arrays = {"X": data.X, "y": data.y}
    return arrays if data.sample_weight is None else arrays | {"sample_weight": data.sample_weight}


def column_labels(data: StoredArrays) -> dict[str, list[str]]:
    """Return the names of the table columns for each array.

    Raises
    ------
    ValueError
        When two columns have the same name.
    """
    labels = {"X": list(data.feature_names), "y": _target_labels(data)}
    if data.sample_weight is not None:
        labels["sample_weight"] = ["sample_weight"]
    counts = Counter(label for each in labels.values() for label in each)
    twice = [label for label, count in counts.items() if count > 1]
    if twice:
        raise ValueError(
            f"{data.store.location} has two columns called {twice[0]!r} (features, target and "
            f"weights together), which one table cannot hold: use the arrays X, y and "
            f"sample_weight, or open it without that feature, open_dataset(url, columns=...)"
        )
    return labels


def _target_labels(data: StoredArrays) -> list[str]:
    shape = data.layouts["y"].row_shape
    if not shape:
        return [data.target if isinstance(data.target, str) else "y"]
    if isinstance(data.target, tuple):
        return list(data.target)
    return [f"{data.target or 'y'}{number}" for number in range(shape[0])]


def refuse_sparse(data: StoredArrays, what: str, advice: str) -> None:
    """Raise TypeError if the rows of X are sparse.

    Parameters
    ----------
    data : StoredArrays
        The data set.
    what : str
        The method or function that cannot handle sparse rows.
    advice : str
        What to do instead.
    """
    if data.schema.sparse:
        raise TypeError(
            f"{what} needs dense rows, and X of {data.store.location} is sparse: {advice}"
        )


def first_rows(data: StoredArrays, n: int) -> pd.DataFrame:
    """Return the first `n` rows as a frame."""
    if n < 0:
        raise ValueError(f"n must be 0 or more, got {n}")
    labels = column_labels(data)
    arrays = arrays_of(data)
    found = dict(zip(arrays, compute(*(array[:n] for array in arrays.values())), strict=True))
    if data.schema.sparse:
        found["X"] = found["X"].toarray()
    return _frame(found, labels, data.classes, 0)


def dask_frame(data: StoredArrays) -> Any:
    """Return a Dask DataFrame with one partition for each block."""
    import dask.dataframe as dd

    refuse_sparse(data, "to_dask_dataframe", "use the arrays X and y")
    labels = column_labels(data)
    arrays = arrays_of(data)
    readers = {name: data.reader(name) for name in arrays}
    expected = [ExpectedChunks(each, data.manifest.arrays[name]) for name, each in readers.items()]
    blocks = range(data.X.numblocks[0])
    starts = [block * data.schema.block_rows for block in blocks]
    meta = _frame({name: array._meta for name, array in arrays.items()}, labels, data.classes, 0)
    return dd.from_map(
        FrameReader(readers, labels, data.classes),
        starts,
        [tuple(each[(block, 0)] for each in expected) for block in blocks],
        meta=meta,
        divisions=(*starts, data.n_samples - 1),
        label=f"read-{data.schema.dataset_id}",
        enforce_metadata=False,
    )


@dataclass(frozen=True)
class FrameReader:
    """Makes the frame of one block. It reads only the arrays that have requested columns.

    Dask's optimiser finds the parameter ``columns``, and passes only the columns that it needs.

    Attributes
    ----------
    readers : dict of str to BlockReader
        Reader of each array.
    labels : dict of str to list of str
        Names of the columns of each array.
    classes : tuple or None
        Labels of the codes of y.
    """

    readers: dict[str, BlockReader]
    labels: dict[str, list[str]]
    classes: tuple[Label, ...] | None

    def __call__(
        self, start: int, blocks: tuple[tuple[int, bytes], ...], columns: list[str] | None = None
    ) -> pd.DataFrame:
        """Return the frame of the block that begins with row `start`; None means all columns."""
        wanted = [label for each in self.labels.values() for label in each]
        if columns is not None:
            wanted = columns
        arrays = {
            name: reader(block)
            for (name, reader), block in zip(self.readers.items(), blocks, strict=True)
            if not set(self.labels[name]).isdisjoint(wanted)
        }
        frame = _frame(arrays, self.labels, self.classes, start)
        return frame if list(frame.columns) == wanted else frame[wanted]


def _frame(
    arrays: dict[str, npt.NDArray[np.generic]],
    labels: dict[str, list[str]],
    classes: tuple[Label, ...] | None,
    start: int,
) -> pd.DataFrame:
    import pandas as pd

    n_rows = len(next(iter(arrays.values())))
    index = pd.RangeIndex(start, start + n_rows)
    parts = []
    for name, values in arrays.items():
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        if name == "y" and classes is not None:
            codes = pd.Categorical.from_codes(native.astype(np.intp), categories=list(classes))
            parts.append(pd.DataFrame({labels[name][0]: codes}, index=index))
        else:
            table = native.reshape(n_rows, len(labels[name]))
            parts.append(pd.DataFrame(table, columns=labels[name], index=index))
    return parts[0] if len(parts) == 1 else pd.concat(parts, axis=1)


def xarray_dataset(data: StoredArrays, units: Mapping[str, str]) -> Any:
    """Return the arrays as an xarray Dataset, with the units of columns by their names."""
    refuse_sparse(data, "to_xarray", "use the arrays X and y")
    try:
        import xarray
    except ImportError as error:
        raise ImportError(
            "to_xarray needs the package xarray, which is not installed: pip install xarray"
        ) from error

    dimensions = {"X": ("sample", "feature"), "sample_weight": ("sample",)}
    dimensions["y"] = ("sample", "output")[: data.y.ndim]
    coordinates = {"feature": list(data.feature_names)}
    if data.y.ndim == 2:
        coordinates["output"] = _target_labels(data)
    variables = {name: (dimensions[name], array) for name, array in arrays_of(data).items()}
    dataset = xarray.Dataset(variables, coords=coordinates)
    if isinstance(data.target, str):
        dataset["y"].attrs["long_name"] = data.target
        if data.target in units:
            dataset["y"].attrs["units"] = units[data.target]
    of_features = [units.get(name, "") for name in data.feature_names]
    if any(of_features):
        dataset = dataset.assign_coords(units=("feature", of_features))
    if data.classes is not None:
        dataset["y"].attrs["classes"] = list(data.classes)
    return dataset
