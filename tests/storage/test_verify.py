"""What verify compares: the bytes of all files; if it decodes, the values of the chunks, too."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import storage
from storage import chunk_files
from storage.objects import Objects
from storage.zarr_stores import AtURL

SIZES = {"chunk_nbytes": 480, "block_nbytes": 2_000}
X = np.arange(600.0).reshape(200, 3)
SPARSE = scipy.sparse.csr_array(np.where(X % 4 == 0, X, 0))


@pytest.fixture(params=[X, SPARSE], ids=["dense", "sparse"])
def rows(request):
    return request.param


def damaged(verify, **options):
    with pytest.raises(storage.DatasetCorrupt) as caught:
        verify(**options)
    return caught.value.chunks


def test_chunks_that_were_written_wrong_are_found_by_decoding(rows, tmp_path, monkeypatch):
    encode = chunk_files.encode_chunk
    with monkeypatch.context() as faulty:
        faulty.setattr(chunk_files, "encode_chunk", lambda values: encode(values)[:-1])
        data = storage.create_dataset(tmp_path / "d", rows, X[:, 0], **SIZES)
    data.verify()  # the files are as they were written
    found = damaged(data.verify, decode=True)
    assert len(found) == data.manifest.n_chunks
    for chunk in found[::5]:
        with pytest.raises(storage.ChunkCorrupt):
            getattr(data, chunk.array)[slice(*chunk.rows)].compute()


def test_decoding_compares_the_number_of_nan(rows, tmp_path, monkeypatch):
    with monkeypatch.context() as faulty:
        faulty.setattr(chunk_files, "count_nan", lambda _: 2)
        data = storage.create_dataset(tmp_path / "d", rows, X[:, 0], **SIZES)
    assert data.verify().nan["X"] == 2 * data.layouts["X"].n_chunks
    found = damaged(data.verify, decode=True)
    assert len(found) == data.manifest.n_chunks
    assert {chunk.problem for chunk in found} == {"it holds 0 NaN, the manifest says 2"}


def test_intact_chunks_pass_both_ways(rows, tmp_path):
    data = storage.create_dataset(tmp_path / "d", rows, X[:, 0], **SIZES)
    plain, decoded = data.verify(), storage.verify(data.path, decode=True)
    assert (plain.chunks, plain.nbytes, plain.nan) == (decoded.chunks, decoded.nbytes, decoded.nan)


@pytest.mark.parametrize("decode", [False, True])
def test_damage_in_a_store_of_many_small_files(rows, decode, monkeypatch):
    url = f"memory://test-verify-{decode}-{type(rows).__name__}"
    data = storage.create_dataset(url, rows, X[:, 0], chunk_nbytes=24, block_nbytes=200)
    layout, files = data.layouts["X"], Objects(AtURL(url))
    assert layout.n_chunks > 150
    bad = [0, 3, 63, 64, layout.n_chunks - 1]
    for chunk in bad[::2]:
        files.delete(layout.key(chunk))
    for chunk in bad[1::2]:
        files.write(layout.key(chunk), [files.read(layout.key(0 + 1)).tobytes()])
    asked, read_each = [], Objects.read_each

    def noted(self, keys, *more):
        asked.append(len(keys))
        return read_each(self, keys, *more)

    monkeypatch.setattr(Objects, "read_each", noted)
    found = damaged(data.verify, decode=decode)
    assert [(chunk.array, chunk.chunk) for chunk in found] == [("X", chunk) for chunk in bad]
    assert max(asked) == (1 if decode else 64)
    for chunk in found:  # a traceback would keep the bytes of the file in memory
        assert chunk.__traceback__ is chunk.__context__ is None
