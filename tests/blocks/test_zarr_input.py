"""Zarr arrays of any format: read without loss, in whole chunks, in this machine's byte order."""

from __future__ import annotations

import dask.array as da
import numcodecs
import numpy as np
import pytest
import zarr
from zarr import codecs

from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.blocks.sources import as_dask_collection, is_lazy

ROWS = 90
NUMBERS = np.random.default_rng(0).normal(size=(ROWS, 3)).round(2)
TARGETS = NUMBERS @ [1.0, 2.0, 3.0] + NUMBERS[:, 0] ** 2

V2, V3 = {"zarr_format": 2}, {"zarr_format": 3}
#: How arrays are stored. Chunks of (20, 2) cut the columns, and the last chunk is not full.
STORED = {
    "v2": V2,
    "v2, Fortran order": {**V2, "order": "F"},
    "v2, zlib and shuffle": {
        **V2,
        "compressors": numcodecs.Zlib(),
        "filters": [numcodecs.Shuffle(8)],
    },
    "v2, differences": {**V2, "filters": [numcodecs.Delta("f8")]},
    "v2, scaled to integers": {
        **V2,
        "filters": [numcodecs.FixedScaleOffset(offset=0, scale=100, dtype="f8", astype="i4")],
    },
    "v2, not compressed": {**V2, "compressors": None},
    "v2, big-endian": {**V2, "dtype": ">f8"},
    "v2, big-endian float32": {**V2, "dtype": ">f4"},
    "v2, big-endian int16": {**V2, "dtype": ">i2"},
    "v3": V3,
    "v3, shards": {**V3, "chunks": (5, 3), "shards": (20, 3)},
    "v3, shards of columns": {**V3, "chunks": (5, 1), "shards": (20, 3)},
    "v3, big-endian": {**V3, "serializer": codecs.BytesCodec(endian="big")},
    "v3, gzip": {**V3, "compressors": codecs.GzipCodec()},
    "v3, blosc": {**V3, "compressors": codecs.BloscCodec(shuffle="bitshuffle")},
    "v3, zstd and checksum": {**V3, "compressors": [codecs.ZstdCodec(), codecs.Crc32cCodec()]},
    "v3, transposed": {**V3, "filters": [codecs.TransposeCodec(order=(1, 0))]},
    "v3, not compressed": {**V3, "compressors": None},
    "v3, float32": {**V3, "dtype": "f4"},
    "v3, float16": {**V3, "dtype": "f2"},
    "v3, uint8": {**V3, "dtype": "u1"},
    "v3, bool": {**V3, "dtype": "?"},
}


def stored(values, *, dtype="f8", chunks=(20, 2), **options):
    array = zarr.create_array(
        zarr.storage.MemoryStore(),
        shape=values.shape,
        dtype=dtype,
        chunks=chunks[: values.ndim],
        **options,
    )
    array[:] = values.astype(dtype)
    return array


@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
def test_any_format_is_read_without_loss(options):
    kind = np.dtype(options.get("dtype", "f8")).kind
    X = stored(abs(NUMBERS) * 10 if kind == "u" else NUMBERS, **options)
    lazy = as_dask_collection("X", X)
    values = lazy.compute(scheduler="sync")
    np.testing.assert_array_equal(values, X[:])
    assert lazy.dtype == values.dtype
    assert lazy.dtype.isnative
    assert lazy.dtype == X.dtype.newbyteorder("=")
    y = stored(TARGETS, dtype=X.dtype.newbyteorder("=") if kind == "f" else "f8")
    model = Ridge().fit(X, y)
    expected = Ridge().fit(values, y[:])
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
    predicted = model.predict(X)
    assert predicted.dtype == expected.predict(values).dtype
    np.testing.assert_allclose(
        predicted.compute(scheduler="sync"), expected.predict(values), rtol=1e-5
    )


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", ["<U3", ">U3", ">i2", str])
@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
def test_labels_of_any_format(dtype, zarr_format):
    labels = (TARGETS > 0).astype("i2")
    labels = labels if dtype == ">i2" else np.where(labels, "yes", "no")
    y = zarr.create_array(
        zarr.storage.MemoryStore(), shape=(ROWS,), chunks=(7,), dtype=dtype, zarr_format=zarr_format
    )
    y[:] = labels
    model = LogisticRegression().fit(stored(NUMBERS), y)
    assert model.classes_.tolist() == sorted(set(labels.tolist()))
    assert model.classes_.dtype.isnative
    expected = LogisticRegression().fit(NUMBERS, labels)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-6)


class BlocksOfAnotherLibrary:
    """A Dask collection with the interface of an array that is no ``dask.array.Array``."""

    def __init__(self, array):
        self._array = array
        self.chunks, self.dtype, self.shape = array.chunks, array.dtype, array.shape

    def __dask_graph__(self):
        return self._array.__dask_graph__()

    def __dask_keys__(self):
        return self._array.__dask_keys__()

    def __array__(self, *_args, **_options):
        raise AssertionError("it was loaded")


def test_an_array_of_another_library_stays_lazy():
    X = da.from_array(NUMBERS, chunks=(30, 3))
    other = BlocksOfAnotherLibrary(X)
    assert is_lazy(other)
    model = Ridge().fit(other, BlocksOfAnotherLibrary(X[:, 0]))
    np.testing.assert_array_equal(model.coef_, Ridge().fit(X, X[:, 0]).coef_)
    assert isinstance(model.predict(other), da.Array)
