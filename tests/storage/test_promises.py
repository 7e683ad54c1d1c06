"""A Dask array's blocks are what it says, or their place is named."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import storage

X = np.arange(80.0).reshape(20, 4)
Y = np.arange(20.0)
A = da.from_array(X, chunks=(5, 4))
B = da.from_array(Y, chunks=5)


def changed(array, change, **options):
    """`array`, whose third block of rows is another than it says."""

    def apply(block, block_id):
        return change(block) if block_id[0] == 2 else block

    meta = options.pop("meta", array._meta)
    return da.map_blocks(lambda block, block_id=None: apply(block, block_id), array, meta=meta)


@pytest.fixture(params=["blocks as given", "recut", "columns too"])
def sizes(request):
    return {"blocks as given": (200, 200), "recut": (64, 192), "columns too": (64, 192)}[
        request.param
    ], (A.rechunk((5, 2)) if request.param == "columns too" else A)


CASES = {
    "one column": (lambda block: block[:, :1], ValueError, r"rows 10 to 14, columns .* of X came"),
    "more columns": (lambda block: np.hstack([block] * 2), ValueError, "columns where .* promised"),
    "fewer rows": (lambda block: block[:-1], ValueError, "4 rows of"),
    "more rows": (lambda block: np.vstack([block] * 2), ValueError, "10 rows of"),
    "no rows": (lambda block: block[:0], ValueError, "0 rows of"),
    "another dimension": (lambda block: block[:, 0], ValueError, "5 rows where"),
    "masked": (lambda block: np.ma.masked_less(block, 42), ValueError, "row 10 of X has no value"),
    "complex": (lambda block: block * 1j, TypeError, "dtype complex128 where .* float64"),
    "text": (lambda block: block.astype(str), TypeError, "dtype <U"),
    "objects": (lambda block: block.astype(object), TypeError, "dtype object"),
    "a list": (lambda block: block.tolist(), TypeError, "came as list"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_block_that_is_not_as_promised_is_named(tmp_path, sizes, case):
    change, error, message = CASES[case]
    (chunk, block), array = sizes
    with pytest.raises(error, match=message):
        storage.create_dataset(
            tmp_path / "d", changed(array, change), Y, chunk_nbytes=chunk, block_nbytes=block
        )
    assert not (tmp_path / "d").exists()


def test_a_wider_dtype_than_promised_is_no_silent_rounding(tmp_path):
    narrow = changed(
        A.astype("f4"), lambda block: block.astype("f8") / 3, meta=np.empty((0, 0), "f4")
    )
    with pytest.raises(TypeError, match="dtype float64 where the Dask array promised float32"):
        storage.create_dataset(tmp_path / "d", narrow, Y)
    # A narrower one loses nothing.
    wide = changed(A, lambda block: block.astype("f4"))
    np.testing.assert_array_equal(storage.create_dataset(tmp_path / "d", wide, Y).X.compute(), X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda block: block[:-1], "4 rows where the Dask array promised 5 rows"),
        (lambda block: block[:, None], "5 rows of 1 columns where"),
        (lambda block: np.ma.masked_equal(block, 13), "row 13 of y has no value"),
    ],
)
def test_the_same_of_y(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        storage.create_dataset(tmp_path / "d", A, changed(B, change))


def test_lengths_that_change_from_one_computation_to_the_next(tmp_path):
    counted = []

    def load(block):
        counted.append(len(block))
        return block if len(counted) <= 4 else block[:-1]

    array = B.map_blocks(load, meta=B._meta)
    unknown = da.Array(array.dask, array.name, chunks=((np.nan,) * 4,), meta=B._meta)
    counted.clear()
    with pytest.raises(ValueError, match="its length changes from"):
        storage.create_dataset(tmp_path / "d", X, unknown)


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf, -np.inf])
@pytest.mark.parametrize("lazy", [False, True])
def test_weights_that_are_none(tmp_path, bad, lazy):
    weights = np.ones(20)
    weights[[13, 15]] = bad
    given = da.from_array(weights, chunks=7) if lazy else weights
    with pytest.raises(ValueError, match=rf"sample_weight of row 13 is {bad}"):
        storage.create_dataset(tmp_path / "d", X, Y, given, chunk_nbytes=64, block_nbytes=128)
    assert not (tmp_path / "d").exists()
    data = storage.create_dataset(tmp_path / "d", X, Y, np.zeros(20))
    assert data.sample_weight.sum().compute() == 0
