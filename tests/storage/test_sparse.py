"""Sparse rows are stored, read and checked like dense ones."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from dask.delayed import delayed
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import storage
from storage.layout import ArrayLayout
from storage.local_files import LocalFiles
from storage.resuming import finished_blocks

DTYPES = ("float64", "float32", "int64", "int8", "uint16", "bool")
FORMATS = ("csr", "csc", "coo", "lil")


def rows_like(n_rows, n_features, dtype="float64", seed=0, share=0.3):
    """Sparse rows that also have stored zeros and rows without entries."""
    rng = np.random.default_rng(seed)
    present = (rng.random((n_rows, n_features)) < share) & (rng.random((n_rows, 1)) < 0.8)
    rows, columns = np.nonzero(present)
    values = rng.integers(-3, 4, len(rows)).astype(dtype)
    return sparse.csr_array((values, (rows, columns)), shape=(n_rows, n_features))


def same(found, expected):
    """Compare entries, stored zeros included, and dtype bit for bit."""
    assert isinstance(found, sparse.csr_array)
    expected = expected.tocsr().copy()
    expected.sum_duplicates()
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.data.tobytes() == expected.data.tobytes()


def rows_by_zarr(path, n_features, dtype):
    """Read X as the page on the format describes, by zarr alone."""
    stored = zarr.open_group(path, mode="r")["X"][:]
    entry = np.dtype([("index", "<i4"), ("value", np.dtype(dtype).newbyteorder("<"))])
    entries = np.frombuffer(b"".join(stored), entry)
    ends = np.cumsum([0, *map(len, stored)]) // entry.itemsize
    shape = (len(stored), n_features)
    return sparse.csr_array((entries["value"].astype(dtype), entries["index"], ends), shape=shape)


def sizes_are_known(data):
    """Compare the listed numbers of stored values with those of the blocks."""
    ends = np.cumsum([0, *data.X.chunks[0]])
    stored = np.diff(data.X.compute().indptr[ends])
    assert data.X.max_block_nnz == stored.max()
    assert data.manifest.nnz == stored.sum()


@st.composite
def stored(draw):
    n_rows, n_features = draw(st.integers(1, 40)), draw(st.integers(1, 12))
    X = rows_like(n_rows, n_features, draw(st.sampled_from(DTYPES)), draw(st.integers(0, 9)))
    given_as = X.asformat(draw(st.sampled_from(FORMATS)))
    if draw(st.booleans()):
        chunks = (draw(st.integers(1, n_rows)), draw(st.integers(1, n_features)))
        given_as = da.from_array(X, chunks=chunks, asarray=False)
    return X, given_as


@given(both=stored(), chunk=st.integers(1, 300), blocks=st.integers(1, 4), added=st.integers(0, 9))
def test_round_trip_of_any_rows_with_any_chunking(both, chunk, blocks, added):
    X, given_as = both
    y = np.arange(X.shape[0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d"
        storage.create_dataset(path, given_as, y, chunk_nbytes=chunk, block_nbytes=chunk * blocks)
        data = storage.open_dataset(path)
        same(data.X.compute(), X)
        assert data.X.chunks[0] == data.y.chunks[0]
        assert data.X.dtype == X.dtype
        same(rows_by_zarr(path, *X.shape[1:], X.dtype), X)
        data.verify()
        sizes_are_known(data)
        more = X[: min(added, X.shape[0])]
        if more.shape[0]:
            newer = storage.append(data, more, y[: more.shape[0]])
            same(newer.X.compute(), sparse.vstack([X, more]))
            same(newer.since(1).X.compute(), more)
            sizes_are_known(newer)
            sizes_are_known(storage.open_dataset(path, version=1))
            same(storage.open_dataset(path, version=1).X.compute(), X)
            same(rows_by_zarr(path, *X.shape[1:], X.dtype), sparse.vstack([X, more]))
            newer.verify()


def test_each_block_is_read_alone_and_columns_are_chosen(tmp_path):
    X = rows_like(60, 5)
    y = np.arange(60)
    data = storage.create_dataset(tmp_path / "d", X, y, chunk_nbytes=200, block_nbytes=600)
    assert data.X.numblocks[0] > 3
    start = data.X.chunks[0][0]
    same(data.X.blocks[1].compute(), X[start : start + data.X.chunks[0][1]])
    chosen = storage.open_dataset(tmp_path / "d", columns=["x3", 1])
    same(chosen.X.compute(), X[:, [3, 1]])
    assert data.head(3).iloc[:, :5].to_numpy().tolist() == X[:3].toarray().tolist()


def test_unknown_lengths_are_counted(tmp_path):
    X = rows_like(30, 4)
    lazy = da.from_array(X, chunks=(7, 4), asarray=False)
    y = da.arange(30, chunks=7)
    kept = y % 3 != 0
    unknown = da.concatenate([lazy.blocks[i][kept.blocks[i].compute()] for i in range(5)])
    unknown._chunks = ((np.nan,) * 5, (4,))
    data = storage.create_dataset(
        tmp_path / "d", unknown, y[kept], block_nbytes=300, chunk_nbytes=100
    )
    same(data.X.compute(), X[np.arange(30) % 3 != 0])


def test_duplicates_are_added_and_unsorted_columns_sorted(tmp_path):
    values, columns, ends = [1.0, 2.0, 4.0, 0.0], [2, 0, 2, 1], [0, 3, 4]
    X = sparse.csr_array((values, columns, ends), shape=(2, 3))
    data = storage.create_dataset(tmp_path / "d", X, [0, 1])
    found = data.X.compute()
    assert found.toarray().tolist() == [[2.0, 0.0, 5.0], [0.0, 0.0, 0.0]]
    assert found.nnz == 3  # the stored zero is kept
    assert X.data.tolist() == values  # the input is unchanged


def test_rows_without_entries(tmp_path):
    X = sparse.csr_array((5, 3))
    data = storage.create_dataset(tmp_path / "d", X, np.zeros(5), chunk_nbytes=8, block_nbytes=8)
    same(data.X.compute(), X)
    assert data.verify().chunks > 2


def test_nan_is_kept_and_counted(tmp_path):
    X = sparse.csr_array(np.array([[np.nan, 0.0], [np.inf, 1.0]]))
    data = storage.create_dataset(tmp_path / "d", X, [0, 1])
    same(data.X.compute(), X)
    assert data.verify().nan["X"] == 1


def test_many_columns_keep_their_default_names_without_a_list(tmp_path):
    X = sparse.csr_array(([1.0, 2.0], ([0, 1], [0, 2**20 - 1])), shape=(2, 2**20))
    data = storage.create_dataset(tmp_path / "d", X, [0, 1])
    same(data.X.compute(), X)
    assert data.feature_names[-1] == f"x{2**20 - 1}"
    attributes = json.loads((tmp_path / "d" / "zarr.json").read_text())["attributes"]["dlbd"]
    assert attributes["feature_names"] is None
    assert attributes["version"] == 2  # older releases then ask for an upgrade


def test_names_are_kept(tmp_path):
    data = storage.create_dataset(
        tmp_path / "d", rows_like(4, 2), np.zeros(4), feature_names=["a", "b"]
    )
    assert storage.open_dataset(data.path).X.feature_names == ("a", "b")


def lazy_blocks(*blocks, meta):
    parts = [
        da.from_delayed(delayed(block), (3, 4), meta=meta, dtype=meta.dtype) for block in blocks
    ]
    return da.concatenate(parts)


CSR = sparse.csr_array((0, 0))


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (
            lazy_blocks(rows_like(3, 4), rows_like(3, 5), meta=CSR),
            ValueError,
            r"rows 3 to 5, columns 0 to 3 of X came with 3 rows of 5 columns",
        ),
        (
            lazy_blocks(rows_like(3, 4), np.ones((3, 4)), meta=CSR),
            TypeError,
            r"rows 3 to 5.*came as ndarray, not as a sparse matrix.*meta",
        ),
        (
            lazy_blocks(rows_like(3, 4), meta=np.empty((0, 0))),
            TypeError,
            r"rows 0 to 2.*came as csr_array, not as a NumPy array.*meta",
        ),
        (
            sparse.csr_array((1, 2**24 + 1)),
            ValueError,
            r"16,777,217 columns, at most 16,777,216",
        ),
        (
            [rows_like(3, 4), rows_like(3, 4)],
            TypeError,
            r"X is a list of sparse matrices: stack.*vstack",
        ),
        (rows_like(3, 4).astype(complex), TypeError, r"X has dtype complex128"),
    ],
)
def test_bad_input_is_refused(tmp_path, X, error, message):
    n_rows = X.shape[0] if hasattr(X, "shape") else 6
    with pytest.raises(error, match=message), dask.config.set(scheduler="sync"):
        storage.create_dataset(tmp_path / "d", X, np.zeros(n_rows))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("column", [7, -1])
def test_a_matrix_that_contradicts_itself_is_refused(tmp_path, column):
    X = sparse.csr_array(([1.0, 2.0], [0, 3], [0, 1, 1, 2]), shape=(3, 4))
    X.indices[1] = column
    wrong = rf"X came as a .* not valid: its row 2 has the column number {column}, .* 4 columns"
    with pytest.raises(ValueError, match=wrong):
        storage.create_dataset(tmp_path / "d", X, np.zeros(3))
    X.indptr[1] = 3
    with pytest.raises(ValueError, match=r"X came as a sparse matrix that is not valid: ind"):
        storage.create_dataset(tmp_path / "d", X, np.zeros(3))


def test_sparse_targets_and_weights_are_refused(tmp_path):
    y = sparse.csr_array(np.ones((3, 1)))
    for sparse_y in (y, da.from_array(y, asarray=False)):
        with pytest.raises(TypeError, match=r"^y is sparse, but only X can be: y\.toarray\(\)"):
            storage.create_dataset(tmp_path / "d", rows_like(3, 4), sparse_y)
    with pytest.raises(TypeError, match=r"^sample_weight is sparse, but only X can be"):
        storage.create_dataset(tmp_path / "d", rows_like(3, 4), np.ones(3), y)


def test_integers_that_a_float_would_round_are_refused_by_row_and_column(tmp_path):
    X = sparse.csr_array(([1, 2**53 + 1], ([0, 2], [1, 3])), shape=(4, 5))
    with pytest.raises(ValueError, match=r"row 2, column 3 of X is 9007199254740993"):
        storage.create_dataset(tmp_path / "d", X, np.zeros(4), dtype="float64")


@pytest.mark.parametrize("stored_rows", [rows_like(6, 3), rows_like(6, 3).toarray()])
def test_an_append_needs_rows_of_the_same_kind(tmp_path, stored_rows):
    data = storage.create_dataset(tmp_path / "d", stored_rows, np.zeros(6))
    other = rows_like(2, 3)
    other = other.toarray() if sparse.issparse(stored_rows) else other
    with pytest.raises(TypeError, match="unlike those that are given: give"):
        storage.append(data, other, np.zeros(2))
    assert storage.open_dataset(data.path).version == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda data: data.describe([0.5]),
        lambda data: data.to_dask_dataframe(),
        lambda data: data.to_xarray(),
    ],
)
def test_what_needs_dense_rows_says_so(tmp_path, use):
    data = storage.create_dataset(tmp_path / "d", rows_like(6, 3), np.zeros(6))
    with pytest.raises(TypeError, match=r"needs dense rows, and X of .* is sparse"):
        use(data)


@given(both=stored(), rows=st.integers(1, 20), special=st.sampled_from([0.0, np.nan, np.inf]))
def test_the_statistics_of_columns_are_those_of_dense_rows(both, rows, special):
    X, _ = both
    if X.dtype.kind == "f" and X.nnz:
        X = X.copy()
        X.data[:: max(1, X.nnz // 3)] = special
    y = np.arange(X.shape[0])
    sizes = {"chunk_nbytes": 16 * rows, "block_nbytes": 40 * rows}
    with tempfile.TemporaryDirectory() as folder:
        found = storage.create_dataset(Path(folder) / "s", X, y, **sizes).describe()
        expected = storage.create_dataset(Path(folder) / "d", X.toarray(), y).describe()
    assert list(found.columns) == list(expected.columns)
    exact = ["count", "min", "max"]
    np.testing.assert_array_equal(found.loc[exact], expected.loc[exact])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


CHANGES = {
    "missing": lambda path, _: path.unlink(),
    "cut": lambda path, _: path.write_bytes(path.read_bytes()[:-5]),
    "flipped": lambda path, _: path.write_bytes(
        bytes([byte ^ (i == 30) for i, byte in enumerate(path.read_bytes())])
    ),
    "swapped": lambda path, other: path.write_bytes(other.read_bytes()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_chunk_is_found(tmp_path, change):
    X = rows_like(40, 6)
    data = storage.create_dataset(
        tmp_path / "d", X, np.zeros(40), chunk_nbytes=200, block_nbytes=400
    )
    CHANGES[change](data.path / "X" / "c.2", data.path / "X" / "c.1")
    with pytest.raises(storage.ChunkCorrupt, match=r"chunk 2 of array 'X'") as info:
        data.X.compute()
    assert info.value.chunk == 2
    for decode in (False, True):
        with pytest.raises(storage.DatasetCorrupt, match=r"1 of \d+ chunks"):
            storage.verify(data.path, decode=decode)


def test_zarr_alone_does_not_take_a_missing_chunk_for_zeros(tmp_path):
    X = rows_like(40, 6)
    data = storage.create_dataset(tmp_path / "d", X, np.zeros(40), chunk_nbytes=200)
    (data.path / "X" / "c.2").unlink()
    with pytest.raises(ValueError, match="multiple of element size"):
        rows_by_zarr(data.path, 6, "float64")


def test_chunks_that_a_killed_writing_left_are_recognised(tmp_path):
    X = rows_like(40, 6)
    data = storage.create_dataset(
        tmp_path / "d", X, np.zeros(40), chunk_nbytes=200, block_nbytes=400
    )
    layout, block_rows = data.layouts["X"], data.schema.block_rows
    (data.path / "X" / "c.2").unlink()
    finished = finished_blocks(LocalFiles(str(data.path)), [layout], block_rows)["X"]
    missing = 2 * layout.chunk_rows // block_rows
    n_blocks = data.X.numblocks[0]
    assert sorted(finished) == [block for block in range(n_blocks) if block != missing]
    per_block = block_rows // layout.chunk_rows
    assert [entry for block in finished.values() for entry in block] == [
        entry
        for number, entry in enumerate(data.manifest.arrays["X"])
        if number // per_block != missing
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x["attributes"].update(format="COO"), "sparse rows of"),
        (lambda x: x["attributes"].update(n_features=0), "0 features"),
        (lambda x: x["attributes"]["data_types"].update(value="<f8"), "values of type"),
        (lambda x: x.update(codecs=x["codecs"][1:]), "codecs"),
        (lambda x: x.pop("attributes"), "attributes"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path, change, message):
    data = storage.create_dataset(tmp_path / "d", rows_like(4, 2), np.zeros(4))
    path = data.path / "X" / "zarr.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))
    with pytest.raises(storage.MetadataCorrupt, match=message):
        storage.open_dataset(data.path)


def test_sizes_of_chunks_follow_the_densest_rows(tmp_path):
    X = sparse.vstack([rows_like(320, 20, share=0.01), rows_like(20, 20, share=0.9)]).tocsr()
    for given_as in (X, da.from_array(X, chunks=(20, 20), asarray=False)):
        data = storage.create_dataset(
            tmp_path / "d", given_as, np.zeros(340), chunk_nbytes=3000, overwrite=True
        )
        layout = data.layouts["X"]
        assert isinstance(layout, ArrayLayout)
        dense = 12 * X[320:].nnz / 20
        assert layout.chunk_rows * dense <= 1.3 * 3000
