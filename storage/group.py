"""The Zarr v3 group of a data set: written through zarr, read back and checked as JSON."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from storage.entries import StoredFile
from storage.errors import DatasetNotFound, MetadataCorrupt, NotADataset
from storage.layout import ARRAYS, HASHES, MAX_CHUNK_NBYTES, MAX_SIZE, ArrayLayout
from storage.manifest import MANIFEST
from storage.metadata import check_readable, damaged, read_json, shortened
from storage.schema import ATTRIBUTE, Schema
from storage.sparse_rows import MAX_COLUMNS, PADDING
from storage.store import Store
from storage.versions import is_of_versions

__all__ = [
    "FILES",
    "INGEST",
    "METADATA",
    "check_group",
    "create_group",
    "foreign_entries",
    "open_group",
]

METADATA = "zarr.json"
#: Record of the raw data and the ingest of a data set: see :mod:`storage.ingestion.record`.
INGEST = "ingest.json"
#: Files and folders of a data set besides the manifest, which comes last.
FILES = (*ARRAYS, METADATA, INGEST)

_CODECS = ["bytes", "blosc", "crc32c"]
_SPARSE_CODECS = ["vlen-bytes", "blosc", "crc32c"]
#: The name that zarr gives to elements that are bytes of any length.
_SPARSE_TYPE = "variable_length_bytes"
_WEIGHT_DTYPES = ("float32", "float64")
_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    *_WEIGHT_DTYPES,
)  # fmt: skip
_DTYPES_OF = {"sample_weight": _WEIGHT_DTYPES, HASHES: ("uint64",)}
_DIMENSIONS = {"X": (2,), "y": (1, 2), "sample_weight": (1,), HASHES: (2,)}
_SECOND_DIMENSION = {"X": "feature", "y": "output", HASHES: "word"}


def create_group(
    store: Store, schema: Schema, layouts: Sequence[ArrayLayout], *, durable: bool = False
) -> dict[str, StoredFile]:
    """Write the metadata of the group and of the arrays, but no chunk.

    Each file is written once, and its bytes depend on the arguments only, so a file that another
    writer of the same data set writes late changes nothing.

    Parameters
    ----------
    store : Store
        Files of the data set.
    schema : Schema
        Its schema.
    layouts : sequence of ArrayLayout
        Its arrays.
    durable : bool, default=False
        Wait until each file is safe on disk.

    Returns
    -------
    dict of str to StoredFile
        The manifest's entry of each file that was written.

    Raises
    ------
    ValueError
        When the names take more than a reader accepts.
    """
    contents = _metadata(schema, layouts)
    for layout in layouts:
        store.make_folder(layout.name)
    for key, content in contents.items():
        store.write(key, [content], durable=durable)
    return {key: StoredFile.of(content) for key, content in contents.items()}


def _metadata(schema: Schema, layouts: Sequence[ArrayLayout]) -> dict[str, bytes]:
    """Return the content of the files of metadata, as zarr writes them, by their names."""
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec
    from zarr.core.buffer import Buffer
    from zarr.storage import MemoryStore

    files: dict[str, Buffer] = {}
    group = zarr.create_group(
        MemoryStore(files), zarr_format=3, attributes={ATTRIBUTE: schema.to_attribute()}
    )
    for layout in layouts:
        itemsize = 4 if layout.sparse else np.dtype(layout.dtype).itemsize
        _create_array(
            group,
            layout,
            compressors=[
                BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=itemsize),
                # Without a checksum a flipped bit caused no error in 337 of 400 trials.
                Crc32cCodec(),
            ],
            chunk_key_encoding={"name": "default", "separator": "."},
            # Without names xarray does not open an array.
            dimension_names=["sample", _SECOND_DIMENSION.get(layout.name, "")][
                : len(layout.stored_shape)
            ],
        )
    arrays = {
        f"{layout.name}/{METADATA}": files[f"{layout.name}/{METADATA}"].to_bytes()
        for layout in layouts
    }
    return {METADATA: _listing(files[METADATA].to_bytes(), arrays), **arrays}


def _create_array(group: Any, layout: ArrayLayout, **options: Any) -> None:
    from zarr.codecs import BytesCodec, VLenBytesCodec
    from zarr.core.dtype import VariableLengthBytes
    from zarr.errors import UnstableSpecificationWarning

    grid = {"shape": layout.stored_shape, "chunks": layout.chunk_shape}
    if not layout.sparse:
        endian = "little" if np.dtype(layout.dtype).itemsize > 1 else None
        group.create_array(
            layout.name,
            **grid,
            dtype=layout.dtype,
            fill_value=layout.fill_value,
            serializer=BytesCodec(endian=endian),
            **options,
        )
        return
    # Zarr's core specification does not define texts of bytes, which zarr reports. Chunks are
    # read by our own code, and the name of the data type is checked.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        group.create_array(
            layout.name,
            **grid,
            dtype=VariableLengthBytes(),
            fill_value=PADDING,
            serializer=VLenBytesCodec(),
            attributes={
                "format": "CSR",
                "data_types": {"index": "int32", "value": layout.dtype},
                "n_features": layout.row_shape[0],
            },
            **options,
        )


def _listing(group: bytes, arrays: Mapping[str, bytes]) -> bytes:
    """Return the group's metadata with those of the arrays, as zarr's consolidated metadata.

    With it, zarr finds the arrays without listing the folder; a listing would make zarr warn about
    the manifest. zarr's own function is not used, because it warns that not every reader supports
    consolidated metadata. Readers that do not support it ignore it.
    """
    metadata = json.loads(group)
    metadata["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": {
            key.removesuffix(f"/{METADATA}"): json.loads(content) for key, content in arrays.items()
        },
    }
    content = json.dumps(metadata, indent=2).encode()
    try:
        check_readable(content)
    except ValueError as error:
        raise ValueError(
            f"the names of columns and classes do not fit into {METADATA}: {error}"
        ) from error
    return content


def open_group(
    store: Store,
) -> tuple[Schema, tuple[ArrayLayout, ...], dict[str, StoredFile]]:
    """Return the schema and the arrays' layouts of the data set in `store`, and the files read.

    The caller must compare size and checksum of these files with the manifest, and then call
    :func:`check_group`. The number of rows may be that of another version of the data set.

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
        metadata, file = read_json(store, METADATA)
    except (FileNotFoundError, IsADirectoryError):
        kind = store.kind()
        if kind is None:
            raise DatasetNotFound(
                f"there is no data set at {store.location}: nothing is there at all"
            ) from None
        raise NotADataset(
            f"{store.location} is a {kind} without {METADATA}, not a data set: storage.ingest "
            f"(dlbd ingest) makes one from tables such as CSV files, and storage.create_dataset "
            f"from arrays"
        ) from None
    attributes = metadata.get("attributes", {})
    if not isinstance(attributes, dict) or ATTRIBUTE not in attributes:
        raise NotADataset(
            f"{store.location} is a Zarr {metadata.get('node_type', 'node')}, but not a data set "
            f"of this package (it has no {ATTRIBUTE!r} attribute): open it with zarr.open, and "
            f"pass its arrays to fit as they are, or to storage.create_dataset"
        )
    schema = Schema.from_attribute(attributes[ATTRIBUTE], store.location)
    files = {METADATA: file}
    layouts = tuple(_read_layouts(store, files))
    return schema, layouts, files


def foreign_entries(store: Store, names: Sequence[str]) -> list[str] | None:
    """Return the `names` that do not belong to a data set; None if there is no data set at all.

    A half-written or damaged data set counts as a data set, so that it can be overwritten.
    """
    try:
        attributes = read_json(store, METADATA)[0].get("attributes", {})
    except (OSError, MetadataCorrupt):
        return None
    if not isinstance(attributes, dict) or ATTRIBUTE not in attributes:
        return None
    own = {MANIFEST, *FILES}
    return sorted(name for name in set(names) - own if not is_of_versions(name))


def _read_layouts(store: Store, files: dict[str, StoredFile]) -> Iterator[ArrayLayout]:
    """Yield the layouts of the arrays that exist; add their files to `files`."""
    for name in ARRAYS:
        key = f"{name}/{METADATA}"
        try:
            metadata, files[key] = read_json(store, key)
        except FileNotFoundError:
            continue
        except IsADirectoryError as error:
            raise damaged(store, key, "it is a folder") from error
        try:
            yield _layout(name, metadata)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise MetadataCorrupt(
                f"{store.location}/{key} does not describe an array as format version 1 writes it "
                f"({error}): restore it from a copy, or write the data set again"
            ) from error


def _layout(name: str, metadata: Mapping[str, Any]) -> ArrayLayout:
    shape = _sizes(metadata["shape"])
    chunk = _sizes(metadata["chunk_grid"]["configuration"]["chunk_shape"])
    dtype = metadata["data_type"]
    sparse = name == "X" and dtype == _SPARSE_TYPE
    if sparse:
        dtype, n_features = _sparse_rows(metadata["attributes"])
        shape, chunk = (*shape, n_features), (*chunk, n_features)
    if len(shape) not in _DIMENSIONS[name]:
        raise ValueError(f"an array of {len(shape)} dimensions")
    if len(chunk) != len(shape) or chunk[1:] != shape[1:]:
        raise ValueError(f"chunks of shape {chunk} in an array of shape {shape}")
    codecs = [codec["name"] for codec in metadata["codecs"]]
    endian = metadata["codecs"][0].get("configuration", {}).get("endian", "little")
    if codecs != (_SPARSE_CODECS if sparse else _CODECS) or endian != "little":
        raise ValueError(f"codecs {shortened(codecs)}, {shortened(endian)} endian")
    if metadata["chunk_key_encoding"]["configuration"]["separator"] != ".":
        raise ValueError("chunk keys are not separated by '.'")
    if dtype not in _DTYPES_OF.get(name, _DTYPES):
        raise ValueError(f"values of type {shortened(dtype)}")
    layout = ArrayLayout(name, dtype, shape[0], shape[1:], chunk[0], sparse=sparse)
    if layout.chunk_nbytes > MAX_CHUNK_NBYTES:
        raise ValueError(f"chunks of {layout.chunk_nbytes:,} bytes")
    return layout


def _sparse_rows(attributes: Mapping[str, Any]) -> tuple[str, int]:
    """Return the dtype of the values and the number of features of an array of sparse rows."""
    types, n_features = attributes["data_types"], attributes["n_features"]
    if attributes["format"] != "CSR" or types["index"] != "int32":
        raise ValueError(f"sparse rows of {shortened(attributes)}")
    if type(n_features) is not int or not 1 <= n_features <= MAX_COLUMNS:
        raise ValueError(f"{shortened(n_features)} features")
    return types["value"], n_features


def _sizes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or not 1 <= len(values) <= 2:
        raise ValueError(f"{shortened(values)} is not the shape of an array")
    for value in values:
        if type(value) is not int or not 1 <= value < MAX_SIZE:
            raise ValueError(f"a size of {shortened(value)}")
    return tuple(values)


def check_group(store: Store, schema: Schema, layouts: Sequence[ArrayLayout]) -> None:
    """Check that the schema and the layouts of a data set fit together.

    Raises
    ------
    MetadataCorrupt
        When they do not.
    """
    by_name = {layout.name: layout for layout in layouts}
    problem = None
    if not {"X", "y"} <= by_name.keys():
        problem = "X or y is missing"
    elif by_name["X"].row_shape != (schema.n_features,):
        problem = f"X has rows of shape {by_name['X'].row_shape}, {schema.n_features=}"
    elif (by_name["X"].sparse, HASHES in by_name) != (schema.sparse, schema.hashed):
        problem = "X is sparse, or hashes are stored, in one file, and not in another"
    elif any(layout.n_rows != schema.n_samples for layout in layouts):
        problem = f"the arrays' lengths are not {schema.n_samples=}"
    elif any(schema.block_rows % layout.chunk_rows for layout in layouts):
        problem = "a block is not a whole number of chunks"
    elif isinstance(schema.target, tuple) and by_name["y"].row_shape != (len(schema.target),):
        problem = f"{len(schema.target)} names of targets"
    elif schema.block_rows >= MAX_SIZE:
        problem = f"blocks of {schema.block_rows} rows"
    elif schema.classes is not None and (
        by_name["y"].row_shape or np.dtype(by_name["y"].dtype).kind == "f"
    ):
        problem = "classes name the codes of a y that holds no codes"
    if problem:
        raise MetadataCorrupt(
            f"the metadata of {store.location} contradicts itself ({problem}): restore it from a "
            f"copy, or write the data set again"
        )
