"""The same rows as everything that `fit` takes, and what perceptrons are trained on."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import zarr

import dlbd_estimators

KINDS = [
    "numpy", "fortran", "list", "pandas", "dask", "ragged", "misaligned", "columns", "empty",
    "unknown", "filtered", "frame", "zarr", "mixed",
]  # fmt: skip
LAZY = [kind for kind in KINDS if kind not in ("numpy", "fortran", "list", "pandas")]


def names(n_features):
    return [f"feature {i}" for i in range(n_features)]


def as_kind(kind, X, y, weight=None):  # noqa: C901 - one case a kind
    """(X, y, sample_weight) as one of KINDS."""
    n, p = X.shape

    def cut(array, rows):
        return da.from_array(array, chunks={0: rows, **({1: -1} if array.ndim == 2 else {})})

    def all_cut(rows_X, rows_y, rows_weight):
        lazy = None if weight is None else cut(weight, rows_weight)
        return cut(X, rows_X), cut(y, rows_y), lazy

    match kind:
        case "numpy":
            return X, y, weight
        case "fortran":
            return np.asfortranarray(X), y, weight
        case "list":
            return X.tolist(), y.tolist(), None if weight is None else weight.tolist()
        case "pandas":
            frame = pd.DataFrame(X, columns=names(p))
            target = pd.Series(y) if y.ndim == 1 else pd.DataFrame(y)
            return frame, target, None if weight is None else pd.Series(weight)
        case "dask":
            return all_cut(100, 100, 100)
        case "ragged":
            rows = (1, n // 2, n - n // 2 - 1)
            return all_cut(rows, rows, rows)
        case "misaligned":
            return all_cut(100, 71, 33)
        case "columns":
            _, target, lazy = all_cut(100, 100, 100)
            return da.from_array(X, chunks=(100, 2)), target, lazy
        case "empty":
            rows = (0, 100, 0, n - 101, 1, 0)
            return all_cut(rows, rows, rows)
        case "unknown" | "filtered":
            lazy = all_cut(100, 100, 100)
            if kind == "filtered":  # some chunks end up empty
                front = np.full((250, p), 7.0, dtype=X.dtype)
                lazy = (
                    cut(np.vstack([front, X]), 100),
                    cut(np.concatenate([np.repeat(y[:1], 250, axis=0), y]), 100),
                    None if weight is None else cut(np.concatenate([np.ones(250), weight]), 100),
                )
                keep = da.arange(n + 250, chunks=100) >= 250
            else:
                keep = da.ones(n, dtype=bool, chunks=100)
            return tuple(None if array is None else array[keep] for array in lazy)
        case "frame":
            frame = dd.from_pandas(pd.DataFrame(X, columns=names(p)), npartitions=5)
            target = pd.Series(y) if y.ndim == 1 else pd.DataFrame(y)
            lazy = None if weight is None else dd.from_pandas(pd.Series(weight), npartitions=5)
            return frame, dd.from_pandas(target, npartitions=5), lazy
        case "zarr":
            stored = zarr.create_array({}, shape=X.shape, chunks=(64, p), dtype=X.dtype)
            stored[:] = X
            if y.dtype.kind not in "OU":
                target = zarr.create_array(
                    {}, shape=y.shape, chunks=(50, *y.shape[1:]), dtype=y.dtype
                )
                target[:] = y
                y = target
            return stored, y, weight
        case "mixed":
            return cut(X, 100), y, None if weight is None else pd.Series(weight)
    raise AssertionError(kind)


CLASSES = ["binary", "classes", "labels"]
NUMBERS = ["number", "numbers", "counts"]


def task(kind, n=300, p=5, seed=0):
    """(X, y) that a perceptron can learn: y is one of CLASSES or of NUMBERS."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    score = np.tanh(X @ rng.normal(size=(p, 3))) + 0.3 * rng.normal(size=(n, 3))
    match kind:
        case "binary":
            return X, (score[:, 0] > 0).astype(int)
        case "classes":
            return X, score.argmax(axis=1)
        case "labels":
            return X, (score > 0).astype(int)
        case "number":
            return X, score[:, 0]
        case "numbers":
            return X, score
        case "counts":
            return X, rng.poisson(np.exp(score[:, 0])).astype(float)
    raise AssertionError(kind)


def perceptron(kind, library=dlbd_estimators, **options):
    """An unfitted perceptron for these targets: ours, or `sklearn.neural_network`'s."""
    options = {"hidden_layer_sizes": (8,), "random_state": 0, **options}
    if kind in CLASSES:
        return library.MLPClassifier(**options)
    loss = "poisson" if kind == "counts" else "squared_error"
    return library.MLPRegressor(loss, **options)


def in_chunks(rows, *arrays):
    """Each array as a lazy one, cut after so many rows."""
    return tuple(
        None if array is None else da.from_array(array, chunks={0: rows}) for array in arrays
    )


def flat(model):
    """All parameters of a perceptron in one vector."""
    return np.concatenate([np.ravel(part) for part in (*model.coefs_, *model.intercepts_)])


@contextmanager
def refused(kind, error, match, **options):
    """A fitted perceptron that refuses what is done to it, and stays as it was."""
    X, y = task(kind)
    model = perceptron(kind, **{"max_iter": 2, **options}).fit(X, y)
    attributes, predicted = set(vars(model)), model.predict(X)
    case = SimpleNamespace(model=model, message="", error=None)
    with pytest.raises(error, match=match) as info:
        yield case
    case.message, case.error = str(info.value), info.value
    assert set(vars(model)) == attributes
    np.testing.assert_array_equal(model.predict(X), predicted)
