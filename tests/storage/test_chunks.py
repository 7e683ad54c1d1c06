"""A chunk's file is what zarr's codecs make, and no change of it goes unnoticed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage import chunk_files, chunks, local_files
from storage.layout import ArrayLayout
from storage.local_files import LocalFiles
from tests.storage.strategies import values

ROWS, COLUMNS = 40, 3
NOISE = np.random.default_rng(0).random((100, COLUMNS))
STEPS = np.repeat(np.arange(100.0), COLUMNS).reshape(100, COLUMNS)


@pytest.fixture(scope="module", params=["stored as it is", "compressed"])
def intact(request, tmp_path_factory):
    """Three chunks of X, the last of them padded; y in two."""
    X = NOISE if request.param == "stored as it is" else STEPS
    folder = tmp_path_factory.mktemp("intact")
    data = storage.create_dataset(
        folder / "d", X, X[:, 0], chunk_nbytes=ROWS * 8 * COLUMNS, block_nbytes=ROWS * 8 * 8
    )
    assert data.layouts["X"].n_chunks == 3
    return data, X


def file_of(data, array, chunk):
    return data.path / data.layouts[array].key(chunk)


def stored_as_is(data, chunk=0):
    return bool(file_of(data, "X", chunk).read_bytes()[2] & 2)


def test_only_what_shrinks_is_compressed(intact):
    data, X = intact
    assert stored_as_is(data) == (X is NOISE)


class Damaged:
    """A chunk's file with other bytes, for as long as the block runs."""

    def __init__(self, path, change):
        self.path, self.good = path, path.read_bytes()
        self.bad = change(self.good)

    def __enter__(self):
        self.path.unlink() if self.bad is None else self.path.write_bytes(self.bad)

    def __exit__(self, *_):
        self.path.write_bytes(self.good)


def refused(data, array, chunk):
    first, stop = data.layouts[array].rows_of(chunk)
    where = rf"chunk {chunk} of array '{array}' \(rows {first} to {stop - 1}, {array}/c\.{chunk}"
    with pytest.raises(storage.ChunkCorrupt, match=where):
        getattr(data, array).compute(scheduler="synchronous")
    for decode in (False, True):
        with pytest.raises(storage.DatasetCorrupt, match=where) as caught:
            data.verify(decode=decode)
        (found,) = caught.value.chunks
        assert (found.array, found.chunk, found.rows) == (array, chunk, (first, stop))
    with pytest.raises(storage.ChunkCorrupt, match=where):
        raise found


@given(data=st.data(), array=st.sampled_from(["X", "y"]), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_found(intact, data, array, bit):
    dataset, _ = intact
    chunk = data.draw(st.integers(0, dataset.layouts[array].n_chunks - 1))
    path = file_of(dataset, array, chunk)
    # Header, body and trailer alike.
    position = data.draw(
        st.one_of(st.integers(0, 15), st.integers(0, path.stat().st_size - 1), st.integers(-4, -1))
    )

    def flip(good):
        bad = bytearray(good)
        bad[position] ^= 1 << bit
        return bytes(bad)

    with Damaged(path, flip):
        refused(dataset, array, chunk)
    dataset.verify()


@given(data=st.data())
def test_truncation_at_any_length_is_found(intact, data):
    dataset, _ = intact
    chunk = data.draw(st.integers(0, 2))
    path = file_of(dataset, "X", chunk)
    length = data.draw(st.integers(0, path.stat().st_size - 1))
    with Damaged(path, lambda good: good[:length]):
        refused(dataset, "X", chunk)


def zeros_with_a_right_checksum(good):
    body = bytes(len(good) - 4)
    return body + google_crc32c.value(body).to_bytes(4, "little")


def a_lying_header_with_a_right_checksum(good):
    body = good[:4] + (8).to_bytes(4, "little") + good[8:-4]
    return body + google_crc32c.value(body).to_bytes(4, "little")


@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        lambda good: good + b"\0",
        lambda good: good * 2,
        zeros_with_a_right_checksum,
        a_lying_header_with_a_right_checksum,
    ],
    ids=["deleted", "one byte more", "twice", "zeros", "header"],
)
@pytest.mark.parametrize("chunk", [0, 2])
def test_other_damage_is_found(intact, change, chunk):
    dataset, _ = intact
    with Damaged(file_of(dataset, "X", chunk), change):
        refused(dataset, "X", chunk)


def test_verify_names_every_bad_chunk(intact):
    dataset, _ = intact
    with (
        Damaged(file_of(dataset, "X", 0), lambda _: None),
        Damaged(file_of(dataset, "X", 2), lambda good: good[:-1]),
        Damaged(file_of(dataset, "y", 1), lambda _: b""),
        pytest.raises(storage.DatasetCorrupt) as caught,
    ):
        dataset.verify()
    assert [(c.array, c.chunk) for c in caught.value.chunks] == [("X", 0), ("X", 2), ("y", 1)]
    for bad in caught.value.chunks:
        assert bad.where in str(caught.value)


def test_intact_data_reads_exactly(intact):
    dataset, X = intact
    np.testing.assert_array_equal(dataset.X.compute(), X)


def test_chosen_columns_and_padded_chunks_read_exactly(intact):
    dataset, X = intact
    layout, out = dataset.layouts["X"], np.empty((100, 2))
    files = [file_of(dataset, "X", chunk).read_bytes() for chunk in range(3)]
    entries = [(len(file), int(google_crc32c.value(file[:-4]))) for file in files]
    chunks.read_chunks(dataset.store, layout, range(3), entries, out, columns=(2, 0))
    np.testing.assert_array_equal(out, X[:, [2, 0]])


def test_a_chunk_that_is_not_compressed_is_read_into_its_rows(intact, monkeypatch):
    dataset, X = intact
    keys, read_into = [], LocalFiles.read_into

    def noted(self, key, parts):
        keys.append(key)
        return read_into(self, key, parts)

    monkeypatch.setattr(LocalFiles, "read_into", noted)
    np.testing.assert_array_equal(dataset.X.compute(scheduler="synchronous"), X)
    layout = dataset.layouts["X"]
    assert keys == [layout.key(chunk) for chunk in range(3) if stored_as_is(dataset, chunk)]


@given(array=values((50, 2), ("float32", "float64", "int16", "bool")), rows=st.integers(1, 60))
def test_one_chunk_round_trip(array, rows):
    layout = ArrayLayout("X", array.dtype.name, 50, (2,), rows)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "X").mkdir()
        files = LocalFiles(folder)
        for chunk in range(layout.n_chunks):
            first, stop = layout.rows_of(chunk)
            wrote = chunk_files.write_chunk(files, layout, chunk, array[first:stop])
            out = layout.empty_rows(stop - first)
            chunks.read_chunks(files, layout, [chunk], [(wrote.nbytes, wrote.checksum)], out)
            assert out.tobytes() == array[first:stop].tobytes()
            assert wrote.rows == stop - first
            if array.dtype.kind == "f":
                assert wrote.n_nan == np.isnan(array[first:stop]).sum()


def test_other_read_errors_are_no_corruption(intact, monkeypatch):
    dataset, _ = intact

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(local_files.os, "open", refuse)
    out = np.empty((ROWS, COLUMNS))
    with pytest.raises(PermissionError):
        chunks.read_chunks(dataset.store, dataset.layouts["X"], [0], [(0, 0)], out)


def test_a_disk_that_cannot_read_is_named_as_such(intact, monkeypatch):
    dataset, _ = intact

    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(local_files.os, "readv", broken)
    with pytest.raises(storage.ChunkCorrupt, match="cannot read the file"):
        dataset.y.compute()


def test_short_reads_are_completed(intact, monkeypatch):
    dataset, X = intact
    readv = local_files.os.readv
    monkeypatch.setattr(local_files.os, "readv", lambda fd, views: readv(fd, [views[0][:100]]))
    np.testing.assert_array_equal(dataset.X.compute(), X)
