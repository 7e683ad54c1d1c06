"""Chunks that are decoded directly into their rows: the values and the errors of zarr."""

from __future__ import annotations

import re
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import Zstd
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from dlbd_estimators.blocks import zarr_chunks
from dlbd_estimators.blocks.dask_blocks import from_dask
from dlbd_estimators.blocks.zarr_chunks import read_chunks

ZSTD = ZstdCodec()
DIRECT = [
    ZSTD,
    ZstdCodec(level=3, checksum=True),
    BloscCodec(cname="lz4"),
    BloscCodec(cname="zstd"),
]
#: Options of ``zarr.create_array`` whose chunks zarr has to read.
BY_ZARR = {
    "gzip": {"compressors": [GzipCodec()]},
    "two codecs": {"compressors": [BloscCodec(), ZSTD]},
    "no codec": {"compressors": None},
    "shards": {"shards": (100, 3)},
    "format 2": {"zarr_format": 2},
    "other byte order": {"dtype": ">f4"},
    "chunks of columns": {"chunks": (50, 2)},
}


def stored(folder, values, **options):
    return zarr.create_array(folder / "a.zarr", data=values, overwrite=True, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("zarr")


@given(st.data())
def test_values_are_those_of_zarr(folder, data):
    draw = data.draw
    dtype = draw(st.sampled_from(["f4", "f8", "i1", "i8", "u2", "?", "f2"]))
    columns = draw(st.sampled_from([(), (1,), (3,)]))
    n_rows, length = draw(st.integers(1, 40)), draw(st.integers(1, 15))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    # Many equal values, or few: chunks that become much shorter, or longer.
    values = rng.integers(0, draw(st.sampled_from([2, 100])), (n_rows, *columns)).astype(dtype)
    codec = draw(st.sampled_from(DIRECT))
    array = stored(folder, values, chunks=(length, *columns), compressors=[codec], fill_value=77)
    first, last = draw(st.integers(0, n_rows)), draw(st.integers(0, n_rows))
    first = draw(st.sampled_from([first, first // length * length]))
    selection = (slice(first, last), *(slice(0, width) for width in columns))
    found = read_chunks(array, selection)
    assert (found is None) == (first >= last or first % length != 0)
    if found is not None:
        np.testing.assert_array_equal(found, values[selection], strict=True)
        assert found.flags.owndata
        assert found.flags.writeable


@pytest.mark.parametrize("options", BY_ZARR.values(), ids=BY_ZARR)
def test_other_formats_are_read_by_zarr(options, tmp_path):
    values = np.arange(300).reshape(100, 3).astype(options.get("dtype", "f4"))
    options = {"chunks": (50, 3)} | {k: v for k, v in options.items() if k != "dtype"}
    array = stored(tmp_path, values, **options)
    assert read_chunks(array, (slice(0, 50), slice(0, 3))) is None
    assert read_chunks(array, (slice(0, 100), slice(0, 3))) is None


@pytest.mark.parametrize(
    "selection",
    [
        (slice(0, 50), slice(1, 3)),
        (slice(0, 50, 2), slice(0, 3)),
        (slice(10, 50), slice(0, 3)),
        (slice(50, 50), slice(0, 3)),
        (slice(0, 50), 0),
        (0, slice(0, 3)),
        slice(0, 50),
        ([0, 1], slice(0, 3)),
    ],
    ids=str,
)
def test_other_selections_are_left_to_zarr(selection, tmp_path):
    array = stored(tmp_path, np.ones((100, 3), "f4"), chunks=(50, 3))
    assert read_chunks(array, (slice(0, 50), slice(0, 3))) is not None
    assert read_chunks(array, selection) is None


def opened(folder, how):
    """Open the array as a user would: by Dask from a path, or by zarr."""
    path = folder / "a.zarr"
    return da.from_zarr(str(path) if how == "path" else zarr.open_array(path, mode="r"))


@pytest.mark.parametrize("how", ["path", "array"])
def test_blocks_are_read_without_zarr(how, tmp_path, monkeypatch):
    values = np.arange(400, dtype="f4").reshape(100, 4)
    stored(tmp_path, values, chunks=(40, 4))
    blocks = from_dask(opened(tmp_path, how), da.ones(100, chunks=40), None)
    monkeypatch.setattr(zarr.Array, "__getitem__", None)
    found = [blocks.load(number).X for number in range(3)]
    np.testing.assert_array_equal(np.concatenate(found), values)


@pytest.mark.parametrize("how", ["path", "array"])
def test_missing_chunks_hold_the_fill_value(how, tmp_path):
    stored(tmp_path, np.ones((100, 4), "f4"), chunks=(50, 4), fill_value=7.0)
    (tmp_path / "a.zarr/c/1/0").unlink()
    blocks = from_dask(opened(tmp_path, how), da.ones(100, chunks=50), None)
    assert [np.unique(blocks.load(number).X).tolist() for number in (0, 1)] == [[1.0], [7.0]]


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def of_fewer_rows(file: Path) -> None:
    file.write_bytes(bytes(Zstd().encode(np.zeros(8, "f4"))))


@pytest.mark.parametrize("damage", [cut_short, empty, of_fewer_rows])
def test_damaged_chunks_are_errors_of_zarr(damage, tmp_path, rng):
    array = stored(tmp_path, rng.random((100, 4)), chunks=(50, 4))
    damage(tmp_path / "a.zarr/c/1/0")
    with pytest.raises((ValueError, RuntimeError)) as expected:
        array[50:100]
    blocks = from_dask(opened(tmp_path, "array"), da.ones(100, chunks=50), None)
    with pytest.raises(type(expected.value), match=re.escape(str(expected.value))):
        blocks.load(1)


def test_a_locked_array_is_read_under_its_lock(tmp_path):
    array = stored(tmp_path, np.ones((100, 4)), chunks=(50, 4))
    seen = []

    class Lock:
        def acquire(self):
            seen.append("acquired")

        def release(self):
            seen.append("released")

    lazy = da.from_array(array, chunks=(50, 4), lock=Lock(), name=False)
    from_dask(lazy, da.ones(100, chunks=50), None).load(0)
    assert seen == ["acquired", "released"]


def test_large_chunks_are_not_kept(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(zarr_chunks, "_KEPT_NBYTES", 100)
    asked = []
    monkeypatch.setattr(zarr_chunks, "scratch", lambda *given: asked.append(given))
    values = rng.random((100, 4))
    array = stored(tmp_path, values, chunks=(50, 4))
    found = read_chunks(array, (slice(0, 100), slice(0, 4)))
    np.testing.assert_array_equal(found, values)
    assert not asked


@pytest.mark.parametrize(
    ("header", "nbytes"),
    [
        ("28b52ffd 20 0a", 10),  # one byte for the size
        ("28b52ffd 60 0a01", 0x010A + 256),
        ("28b52ffd a0 0a000100", 0x0001000A),
        ("28b52ffd e0 0a00000000000001", 0x010000000000000A),
        ("28b52ffd 40 58 0a01", 0x010A + 256),  # after the size of the window
        ("28b52ffd 62 ffff 0a01", 0x010A + 256),  # after the number of a dictionary
        ("28b52ffd 00 58", -1),  # a stream, whose size was not known
        ("28b52ffd 60 0a", -1),  # too short
        ("28b52ffd", -1),
        ("02 01 21 04 0a000000 00000000 00000000", 10),  # Blosc
        ("ff 01 21 04 0a000000 00000000 00000000", -1),
        ("", -1),
    ],
)
def test_sizes_in_headers(header, nbytes):
    assert zarr_chunks._decoded_nbytes(bytes.fromhex(header)) == nbytes
