"""Data sets larger than memory: written once, verified, opened as Dask arrays.

>>> import storage
>>> data = storage.create_dataset("flights.zarr", X, y, target="delay")  # doctest: +SKIP
>>> data = storage.open_dataset("flights.zarr")  # doctest: +SKIP
>>> data.X, data.y  # doctest: +SKIP
"""

from __future__ import annotations

from storage.create import create_dataset
from storage.dataset import Dataset
from storage.errors import (
    ChunkCorrupt,
    DatasetCorrupt,
    DatasetExists,
    DatasetIncomplete,
    DatasetNotFound,
    DatasetReplaced,
    MetadataCorrupt,
    NotADataset,
    StorageError,
    StoreUnreachable,
    UnsupportedURL,
    UnsupportedVersion,
)
from storage.opening import open_dataset, verify
from storage.shuffling import shuffle
from storage.verify import VerifyReport

__all__ = [
    "ChunkCorrupt",
    "Dataset",
    "DatasetCorrupt",
    "DatasetExists",
    "DatasetIncomplete",
    "DatasetNotFound",
    "DatasetReplaced",
    "MetadataCorrupt",
    "NotADataset",
    "StorageError",
    "StoreUnreachable",
    "UnsupportedURL",
    "UnsupportedVersion",
    "VerifyReport",
    "create_dataset",
    "open_dataset",
    "shuffle",
    "verify",
]
