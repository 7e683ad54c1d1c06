"""The Zarr v3 group of a data set: written through zarr, read back and checked as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from storage.errors import DatasetNotFound, MetadataCorrupt, NotADataset
from storage.layout import ARRAYS, ArrayLayout
from storage.manifest import MANIFEST
from storage.schema import ATTRIBUTE, Schema
from storage.store import Store

__all__ = ["FILES", "INGEST", "METADATA", "create_group", "foreign_entries", "open_group"]

METADATA = "zarr.json"
#: Record of the raw data and the ingest of a data set: see :mod:`storage.ingestion.record`.
INGEST = "ingest.json"
#: Files and folders of a data set besides the manifest, which comes last.
FILES = (*ARRAYS, METADATA, INGEST)

_CODECS = ["bytes", "blosc", "crc32c"]
_SECOND_DIMENSION = {"X": "feature", "y": "output"}


def create_group(store: Store, schema: Schema, layouts: Sequence[ArrayLayout]) -> None:
    """Write the metadata of the group and of the arrays, but no chunk."""
    import zarr
    from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec

    group = zarr.create_group(
        store.for_zarr(), zarr_format=3, attributes={ATTRIBUTE: schema.to_attribute()}
    )
    for layout in layouts:
        itemsize = np.dtype(layout.dtype).itemsize
        group.create_array(
            layout.name,
            shape=layout.shape,
            chunks=layout.chunk_shape,
            dtype=layout.dtype,
            serializer=BytesCodec(endian="little" if itemsize > 1 else None),
            compressors=[
                BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=itemsize),
                # Without a checksum a flipped bit caused no error in 337 of 400 trials.
                Crc32cCodec(),
            ],
            chunk_key_encoding={"name": "default", "separator": "."},
            fill_value=layout.fill_value,
            # Without names xarray does not open an array.
            dimension_names=["sample", _SECOND_DIMENSION.get(layout.name, "")][: len(layout.shape)],
        )
    _list_arrays(store, [layout.name for layout in layouts])


def _list_arrays(store: Store, names: Sequence[str]) -> None:
    """Copy the arrays' metadata into the group's metadata, as zarr's consolidated metadata.

    With it, zarr finds the arrays without listing the folder; a listing would make zarr warn about
    the manifest. zarr's own function is not used, because it warns that not every reader supports
    consolidated metadata. Readers that do not support it ignore it.
    """
    metadata = _read_json(store, METADATA)
    arrays = {name: _read_json(store, f"{name}/{METADATA}") for name in names}
    metadata["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": arrays,
    }
    store.write(METADATA, [json.dumps(metadata, indent=2).encode()])


def open_group(store: Store) -> tuple[Schema, tuple[ArrayLayout, ...]]:
    """Return the schema and the arrays' layouts of the data set in `store`.

    Raises
    ------
    DatasetNotFound
        When nothing is there.
    NotADataset
        When something else is there.
    MetadataCorrupt
        When the metadata is damaged.
    UnsupportedVersion
        When a newer release wrote the data set.
    """
    try:
        metadata = _read_json(store, METADATA)
    except (FileNotFoundError, IsADirectoryError):
        kind = store.kind()
        if kind is None:
            raise DatasetNotFound(
                f"there is no data set at {store.location}: nothing is there at all"
            ) from None
        raise NotADataset(
            f"{store.location} is a {kind} without {METADATA}, not a data set: "
            f"storage.create_dataset makes one from NumPy or Dask arrays"
        ) from None
    attributes = metadata.get("attributes", {})
    if not isinstance(attributes, dict) or ATTRIBUTE not in attributes:
        raise NotADataset(
            f"{store.location} is a Zarr {metadata.get('node_type', 'node')}, but not a data set "
            f"of this package (it has no {ATTRIBUTE!r} attribute): read its arrays with "
            f"dask.array.from_zarr and give them to storage.create_dataset"
        )
    schema = Schema.from_attribute(attributes[ATTRIBUTE], store.location)
    found = (_read_layout(store, name) for name in ARRAYS)
    layouts = tuple(layout for layout in found if layout is not None)
    _check(store, schema, layouts)
    return schema, layouts


def foreign_entries(store: Store, names: Sequence[str]) -> list[str] | None:
    """Return the `names` that do not belong to a data set; None if there is no data set at all.

    A half-written or damaged data set counts as a data set, so that it can be overwritten.
    """
    try:
        attributes = _read_json(store, METADATA).get("attributes", {})
    except (OSError, MetadataCorrupt):
        return None
    if not isinstance(attributes, dict) or ATTRIBUTE not in attributes:
        return None
    return sorted(set(names) - {MANIFEST, *FILES})


def _read_json(store: Store, key: str) -> dict[str, Any]:
    try:
        metadata = json.loads(store.read_bytes(key))
    except ValueError as error:
        raise MetadataCorrupt(
            f"{store.location}/{key} is damaged ({error}): restore it from a copy, or write the "
            f"data set again"
        ) from error
    if not isinstance(metadata, dict):
        raise MetadataCorrupt(f"{store.location}/{key} is damaged: it holds no JSON object")
    return metadata


def _read_layout(store: Store, name: str) -> ArrayLayout | None:
    key = f"{name}/{METADATA}"
    try:
        metadata = _read_json(store, key)
    except FileNotFoundError:
        return None
    try:
        shape = [int(size) for size in metadata["shape"]]
        chunk = [int(size) for size in metadata["chunk_grid"]["configuration"]["chunk_shape"]]
        if len(chunk) != len(shape) or chunk[1:] != shape[1:] or min(chunk + shape) < 1:
            raise ValueError(f"chunks of shape {chunk} in an array of shape {shape}")
        codecs = [codec["name"] for codec in metadata["codecs"]]
        endian = metadata["codecs"][0].get("configuration", {}).get("endian", "little")
        if codecs != _CODECS or endian != "little":
            raise ValueError(f"codecs {codecs}, {endian} endian")
        if metadata["chunk_key_encoding"]["configuration"]["separator"] != ".":
            raise ValueError("chunk keys are not separated by '.'")
        dtype = np.dtype(metadata["data_type"])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise MetadataCorrupt(
            f"{store.location}/{key} does not describe an array as format version 1 writes it "
            f"({error}): restore it from a copy, or write the data set again"
        ) from error
    return ArrayLayout(name, dtype.name, shape[0], tuple(shape[1:]), chunk[0])


def _check(store: Store, schema: Schema, layouts: Sequence[ArrayLayout]) -> None:
    by_name = {layout.name: layout for layout in layouts}
    problem = None
    if not {"X", "y"} <= by_name.keys():
        problem = "X or y is missing"
    elif by_name["X"].row_shape != (schema.n_features,):
        problem = f"X has rows of shape {by_name['X'].row_shape}, {schema.n_features=}"
    elif any(layout.n_rows != schema.n_samples for layout in layouts):
        problem = f"the arrays' lengths are not {schema.n_samples=}"
    elif any(schema.block_rows % layout.chunk_rows for layout in layouts):
        problem = "a block is not a whole number of chunks"
    if problem:
        raise MetadataCorrupt(
            f"the metadata of {store.location} contradicts itself ({problem}): restore it from a "
            f"copy, or write the data set again"
        )
