"""Fits on Dask arrays of sparse blocks: scikit-learn's answers on the same sparse matrix."""

from __future__ import annotations

import re
import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
from dask.delayed import delayed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import linear_model
from sklearn.base import clone

import storage
from dlbd_estimators import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from dlbd_estimators.exceptions import BadBlock, BlockTooLarge, NonFiniteValues
from dlbd_estimators.model_selection import train_test_split
from dlbd_estimators.preprocessing import StandardScaler

N, P = 300, 12
TIGHT = {"tol": 1e-12, "max_iter": 100_000}
PAIRS = [
    (LinearRegression(), linear_model.LinearRegression(tol=1e-14)),
    (Ridge(), linear_model.Ridge(solver="sparse_cg", **TIGHT)),
    (Ridge(solver="lbfgs"), linear_model.Ridge(solver="sparse_cg", **TIGHT)),
    (Lasso(alpha=0.01), linear_model.Lasso(alpha=0.01, **TIGHT)),
    (ElasticNet(alpha=0.01), linear_model.ElasticNet(alpha=0.01, **TIGHT)),
    *(
        (
            LogisticRegression(solver=solver),
            linear_model.LogisticRegression(solver="newton-cg", **TIGHT),
        )
        for solver in ("auto", "lbfgs", "newton_cg")
    ),
]


def rows_of(n_rows=N, n_features=P, seed=0, share=0.2):
    """Sparse rows, numbers and labels of two classes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)) * (rng.random((n_rows, n_features)) < share)
    y = X @ rng.normal(size=n_features) + 0.3 + 0.5 * rng.normal(size=n_rows)
    return sparse.csr_array(X), y, (y > 0.2).astype(int)


def in_blocks(X, y, chunks):
    return da.from_array(X, chunks=(chunks, -1), asarray=False), da.from_array(y, chunks=chunks)


@pytest.mark.parametrize("share", [0.2, 0.03])  # dense tiles, and products of few entries
@pytest.mark.parametrize(("mine", "theirs"), PAIRS, ids=repr)
def test_coefficients_are_those_of_scikit_learn(mine, theirs, share):
    X, y, labels = rows_of(share=share)
    y = labels if isinstance(mine, LogisticRegression) else y
    rows, targets = in_blocks(X, y, (100, 0, 7, 193))
    mine = clone(mine).fit(rows, targets)
    theirs.fit(X, y)
    np.testing.assert_allclose(mine.coef_, theirs.coef_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(mine.intercept_, theirs.intercept_, rtol=1e-6, atol=1e-6)
    assert mine.score(rows, targets) == pytest.approx(theirs.score(X, y), abs=1e-6)
    np.testing.assert_allclose(mine.predict(rows).compute(), theirs.predict(X), atol=1e-5)


@settings(max_examples=8)
@given(data=st.data(), model=st.sampled_from([Ridge(), LogisticRegression(solver="lbfgs")]))
def test_any_blocks_give_the_fit_on_the_whole(data, model):
    X, _, y = rows_of(60, 5, seed=data.draw(st.integers(0, 9)))
    cuts = sorted(data.draw(st.sets(st.integers(1, 59), max_size=4)))
    chunks = tuple(int(rows) for rows in np.diff([0, *cuts, 60]))
    mine = clone(model).fit(*in_blocks(X, y, chunks))
    whole = clone(model).fit(X.toarray(), y)
    np.testing.assert_allclose(mine.coef_, whole.coef_, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_other_formats_and_integers(container):
    X, y, _ = rows_of()
    X.data = np.round(3 * X.data).astype(np.int64)
    blocks = [delayed(container)(X[:150]), delayed(container)(X[150:])]
    meta = container((0, 0), dtype=np.int64)
    parts = [da.from_delayed(block, (150, P), meta=meta) for block in blocks]
    mine = Ridge().fit(da.concatenate(parts), y)
    np.testing.assert_allclose(mine.coef_, Ridge().fit(X.toarray(), y).coef_, atol=1e-10)


@pytest.mark.parametrize("model", [Ridge(), LogisticRegression(solver="newton")], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_blocks_without_entries_of_any_dtype(model, dtype):
    X, _, y = rows_of(share=0.04)
    values = (4 * X).toarray().round().astype(dtype)
    values[100:150] = 0
    X = sparse.csr_array(values)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    mine = clone(model).fit(*in_blocks(X, y, (100, 50, 150)))
    whole = clone(model).fit(X.toarray().astype(float), y)
    np.testing.assert_allclose(mine.coef_, whole.coef_, rtol=1e-6, atol=1e-6)
    empty = sparse.csr_array(X.shape, dtype=dtype)
    nothing = clone(model).fit(*in_blocks(empty, y, 100))
    assert nothing.coef_.tolist() == np.zeros_like(mine.coef_).tolist()


@pytest.mark.parametrize("share", [0.2, 0.03])
@pytest.mark.parametrize(
    "model",
    [Ridge(), LogisticRegression(solver="lbfgs"), LogisticRegression(solver="newton")],
    ids=repr,
)
@pytest.mark.cluster
def test_a_cluster_gives_the_bits_of_threads(model, share, client):
    X, _, y = rows_of(share=share)
    rows, targets = in_blocks(X, y, 40)
    on_cluster = clone(model).fit(rows, targets)
    predicted = on_cluster.predict(rows).compute()
    with client.as_current(), dask.config.set(scheduler="threads"):
        on_threads = clone(model).fit(rows, targets)
    np.testing.assert_array_equal(on_cluster.coef_, on_threads.coef_, strict=True)
    np.testing.assert_array_equal(predicted, on_threads.predict(rows).compute())


def test_a_stored_data_set(tmp_path):
    X, _, y = rows_of()
    data = storage.create_dataset(tmp_path / "d", X, y, chunk_nbytes=500, block_nbytes=2000)
    assert data.X.numblocks[0] > 3
    model = LogisticRegression().fit(data.X, data.y)
    whole = LogisticRegression().fit(X.toarray(), y)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-6, atol=1e-7)
    assert model.score(data.X, data.y) == whole.score(X.toarray(), y)


@pytest.mark.parametrize("where", ["threads", pytest.param("cluster", marks=pytest.mark.cluster)])
def test_a_stored_block_too_large_is_refused_before_it_is_read(where, tmp_path, request):
    X, _, y = rows_of()
    data = storage.create_dataset(tmp_path / "d", X, y, chunk_nbytes=500, block_nbytes=8000)
    rows, memory = data.X, "20 kB"
    if where == "cluster":
        request.getfixturevalue("client")
        rows.max_block_nnz, memory = 10**10, None
    (data.path / "X" / "c.0").unlink()  # reading it would be another error
    with dask.config.set({"dlbd-estimators.memory": memory}):
        for model in (LogisticRegression(), Ridge()):
            with pytest.raises(BlockTooLarge, match=r"^A block of X takes .* block_nbytes=\d+\)"):
                model.fit(rows, data.y)
            with pytest.raises(storage.ChunkCorrupt, match="chunk 0 of array 'X'"):
                model.fit(rows[:200], data.y[:200])  # the sizes of selected rows are not known


def test_the_advice_for_a_block_too_large_is_right(tmp_path):
    X, _, y = rows_of(share=0.5)
    sizes = {"chunk_nbytes": 500, "block_nbytes": 20_000}
    with dask.config.set({"dlbd-estimators.memory": "64 kB", "num_workers": 2}):
        data = storage.create_dataset(tmp_path / "d", X, y, **sizes)
        with pytest.raises(BlockTooLarge) as error:
            Ridge().fit(data.X, data.y)
        sizes["block_nbytes"] = int(re.search(r"block_nbytes=(\d+)\)", str(error.value))[1])
        data = storage.create_dataset(tmp_path / "e", X, y, **sizes)
        Ridge().fit(data.X, data.y)


def test_the_solver_is_chosen_by_the_cost_of_sparse_rows():
    rng = np.random.default_rng(0)
    X = sparse.random_array((1500, 900), density=0.01, format="csr", rng=rng)
    labels = (X @ rng.normal(size=900) > 0).astype(int)
    theirs = linear_model.LogisticRegression(solver="newton-cg", **TIGHT).fit(X, labels)
    mine = LogisticRegression().fit(*in_blocks(X, labels, 500))
    assert mine.solver_ == "lbfgs"  # as dense rows, they are fitted by Newton's method
    np.testing.assert_allclose(mine.coef_, theirs.coef_, rtol=1e-6, atol=1e-6)


def test_splits_keep_sparse_rows():
    X, _, y = rows_of()
    train, test, y_train, y_test = train_test_split(*in_blocks(X, y, 40), random_state=0)
    rows = dask.compute(train, test, y_train, y_test)
    assert all(sparse.issparse(part) for part in rows[:2])
    assert rows[0].shape[0] + rows[1].shape[0] == N
    score = LogisticRegression().fit(train, y_train).score(test, y_test)
    assert score == LogisticRegression().fit(rows[0].toarray(), rows[2]).score(rows[1], rows[3])


def wide_rows(block_id=None):
    """2,000 rows of 50,000 columns: 0.5 MB if sparse, 800 MB if dense."""
    rng = np.random.default_rng(block_id[0])
    columns = rng.integers(0, 50_000, 40_000, dtype=np.int32)
    ends = np.arange(0, 40_001, 20, dtype=np.int32)
    return sparse.csr_array((np.ones(40_000), columns, ends), shape=(2000, 50_000))


@pytest.mark.parametrize("n_blocks", [3, 9])
def test_memory_does_not_depend_on_the_number_of_blocks(n_blocks):
    X = da.map_blocks(
        wide_rows,
        chunks=((2000,) * n_blocks, (50_000,)),
        dtype=float,
        meta=sparse.csr_array((0, 0)),
    )
    y = da.arange(2000 * n_blocks, chunks=2000) % 2
    with dask.config.set({"dlbd-estimators.cache-share": 0}):
        tracemalloc.start()
        try:
            model = LogisticRegression(solver="lbfgs", max_iter=2)
            with pytest.warns(UserWarning, match="converge"):
                model.fit(X, y)
            assert model.predict(X).compute().shape == y.shape
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # About 0.4 MB for a vector of parameters, and 0.5 MB for a block.
    assert peak < 60e6


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_values_that_are_not_finite_are_named(value, kind):
    X, y, _ = rows_of()
    X = X.tolil()
    X[120, 5] = value
    rows, targets = in_blocks(X.tocsr(), y, 100)
    with pytest.raises(NonFiniteValues, match=rf"X contains {kind} at row 20 of block 1.*column 5"):
        Ridge().fit(rows, targets)
    model = Ridge().fit(*in_blocks(*rows_of()[:2], 100))
    with pytest.raises(ValueError, match="NaN or infinity at row 20 of the block, column 5"):
        model.predict(rows).compute()


def undeclared(block):
    return sparse.csr_array(block)


def wrong_columns(block):
    return block[:, :-1]


def invalid(block, column):
    block = block.copy()
    block.indices[block.indptr[7]] = column
    return block


def test_bad_blocks_are_refused():
    X, y, _ = rows_of()
    rows, targets = in_blocks(X, y, 100)
    dense = da.from_array(X.toarray(), chunks=(100, -1))
    with pytest.raises(TypeError, match=r"X is sparse in block 0.*meta is sparse, too"):
        Ridge().fit(dense.map_blocks(undeclared, dtype=float, meta=np.empty((0, 0))), targets)
    with pytest.raises(BadBlock, match=r"X has 11 columns in block 0.*12 columns were promised"):
        Ridge().fit(rows.map_blocks(wrong_columns, meta=rows._meta), targets)
    for column in (99, -1):
        wrong = rf"not valid in block 0 .*: its row 7 has the column number {column}, .* 12 columns"
        with pytest.raises(BadBlock, match=wrong):
            Ridge().fit(rows.map_blocks(invalid, column, meta=rows._meta), targets)
    for sparse_y in (rows, X):
        with pytest.raises(TypeError, match=r"^y is sparse, but must be dense: y\.toarray\(\)"):
            Ridge().fit(rows, sparse_y)
    with pytest.raises(TypeError, match=r"X is sparse, which is not supported here.*toarray"):
        StandardScaler().fit(rows)
