"""Data sets larger than memory: written once, verified, opened as Dask arrays.

>>> import storage
>>> data = storage.create_dataset("flights.zarr", X, y, target="delay")  # doctest: +SKIP
>>> data = storage.open_dataset("flights.zarr")  # doctest: +SKIP
>>> data.X, data.y  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.create import create_dataset
from storage.dataset import Dataset
from storage.errors import (
    AppendConflict,
    BlockTooLarge,
    ChunkCorrupt,
    DatasetCorrupt,
    DatasetExists,
    DatasetIncomplete,
    DatasetNotFound,
    DatasetReplaced,
    InvalidData,
    MetadataCorrupt,
    NotADataset,
    StorageError,
    StoreUnreachable,
    UnencryptedCluster,
    UnsupportedURL,
    UnsupportedVersion,
)
from storage.new_rows import NewRows
from storage.opening import open_dataset, verify
from storage.progress import Progress, listening
from storage.shuffling import shuffle
from storage.verify import VerifyReport
from storage.versions import Version

if TYPE_CHECKING:
    from storage.ingestion.append import append
    from storage.ingestion.column import Column
    from storage.ingestion.column_quality import ColumnQuality
    from storage.ingestion.csv_format import CSVFormat
    from storage.ingestion.encoding import Encoded
    from storage.ingestion.ingest import ingest
    from storage.ingestion.join import Join
    from storage.ingestion.join_quality import JoinQuality
    from storage.ingestion.quality import QualityReport
    from storage.ingestion.repair import repair
    from storage.ingestion.selection import HashSplit, TimeSplit
    from storage.ingestion.svmlight_format import SVMLightFormat

__all__ = [
    "AppendConflict",
    "BlockTooLarge",
    "CSVFormat",
    "ChunkCorrupt",
    "Column",
    "ColumnQuality",
    "Dataset",
    "DatasetCorrupt",
    "DatasetExists",
    "DatasetIncomplete",
    "DatasetNotFound",
    "DatasetReplaced",
    "Encoded",
    "HashSplit",
    "InvalidData",
    "Join",
    "JoinQuality",
    "MetadataCorrupt",
    "NewRows",
    "NotADataset",
    "Progress",
    "QualityReport",
    "SVMLightFormat",
    "Split",
    "StorageError",
    "StoreUnreachable",
    "TimeSplit",
    "UnencryptedCluster",
    "UnsupportedURL",
    "UnsupportedVersion",
    "VerifyReport",
    "Version",
    "append",
    "create_dataset",
    "ingest",
    "listening",
    "open_dataset",
    "repair",
    "shuffle",
    "verify",
]

# Imported on first use: they need pyarrow and pandas, but a worker that reads blocks does not.
_INGESTION = {
    "CSVFormat": "csv_format",
    "Column": "column",
    "ColumnQuality": "column_quality",
    "Encoded": "encoding",
    "HashSplit": "selection",
    "Join": "join",
    "JoinQuality": "join_quality",
    "QualityReport": "quality",
    "SVMLightFormat": "svmlight_format",
    "Split": "split",
    "TimeSplit": "selection",
    "append": "append",
    "ingest": "ingest",
    "repair": "repair",
}


def __getattr__(name: str) -> Any:
    if name not in _INGESTION:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"storage.ingestion.{_INGESTION[name]}"), name)
    return value
