"""Attributes of X: kept by selecting rows and columns, lost by computing other values."""

from __future__ import annotations

import pickle

import dask
import dask.array as da
import numpy as np
import pytest

import storage
from storage.feature_array import FeatureArray

NAMES = ("a", "b", "c")
VALUES = np.arange(36.0).reshape(12, 3)


@pytest.fixture(name="X")
def named():
    return FeatureArray.of(da.from_array(VALUES, chunks=(5, 3)), NAMES)


KEPT = {
    "rows": (lambda X: X[2:7], NAMES),
    "rows by number": (lambda X: X[[5, 1]], NAMES),
    "rows by a mask": (lambda X: X[X[:, 0] > 6], NAMES),
    "all": (lambda X: X[:, :], NAMES),
    "ellipsis": (lambda X: X[:3, ...], NAMES),
    "columns": (lambda X: X[:, [2, 0]], ("c", "a")),
    "turned": (lambda X: X[:, ::-1], ("c", "b", "a")),
    "columns by a mask": (lambda X: X[2:, np.array([True, False, True])], ("a", "c")),
    "persisted": (lambda X: X.persist(), NAMES),
    "persisted with others": (lambda X: dask.persist(X, X + 1)[0], NAMES),
    "pickled": (lambda X: pickle.loads(pickle.dumps(X)), NAMES),
}
LOST = {
    "computed": lambda X: X + 1,
    "one column": lambda X: X[:, 1],
    "one row": lambda X: X[1],
    "another axis": lambda X: X[None, :, 0],
    "joined": lambda X: da.concatenate([X, X], axis=1),
    "turned over": lambda X: X.T,
}


@pytest.mark.parametrize("case", KEPT)
def test_kept(X, case):
    change, names = KEPT[case]
    found = change(X)
    assert found.feature_names == names
    plain = change(da.from_array(VALUES, chunks=(5, 3)))
    np.testing.assert_array_equal(found.compute(), plain.compute())
    assert found.chunks[1] == (len(names),)


@pytest.mark.parametrize("case", LOST)
def test_lost(X, case):
    assert not hasattr(LOST[case](X), "feature_names")


def test_sizes_of_blocks_are_kept_where_the_blocks_are_the_same():
    X = FeatureArray.of(da.from_array(VALUES, chunks=(5, 3)), NAMES, 7)
    for same in (X, X[:, :], X.persist(), dask.persist(X, X + 1)[0], pickle.loads(pickle.dumps(X))):
        assert same.max_block_nnz == 7
    for other in (X[2:7], X[:, [2, 0]]):
        assert other.max_block_nnz is None
    unnamed = FeatureArray.of(da.from_array(VALUES, chunks=(5, 3)), max_block_nnz=7)
    assert not hasattr(unnamed[2:7], "max_block_nnz")
    assert not hasattr(X.rechunk((4, 3)), "max_block_nnz")


def test_a_data_set_whose_columns_were_given_names_tells_them(tmp_path):
    named = storage.create_dataset(tmp_path / "d", VALUES, VALUES[:, 0], feature_names=NAMES)
    assert named.X.feature_names == NAMES
    assert not hasattr(named.y, "feature_names")
    # x0, x1, ... are what scikit-learn, too, calls columns without names.
    plain = storage.create_dataset(tmp_path / "e", VALUES, VALUES[:, 0])
    assert plain.feature_names == ("x0", "x1", "x2")
    assert not hasattr(plain.X, "feature_names")
