"""Sparse matrices in memory: the bits of the dense ones, or an error before memory is asked for."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import sklearn.preprocessing
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from dlbd_estimators import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPRegressor,
    Ridge,
    preprocessing,
)
from dlbd_estimators.base.sparse_input import features_in_memory
from dlbd_estimators.exceptions import DenseTooLarge, NonFiniteValues

N, P = 120, 7
FORMATS = ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"]
NETWORK = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
MODELS = [
    LinearRegression(),
    LinearRegression(positive=True),
    Ridge(),
    Ridge(solver="lbfgs"),
    Lasso(alpha=0.01),
    ElasticNet(alpha=0.01),
    LogisticRegression(),
    LogisticRegression(l1_ratio=0.5),
    LogisticRegression(solver="gradient_descent", tol=1e-4),
    MLPClassifier(**NETWORK),
    MLPClassifier(**NETWORK, early_stopping=True),
    MLPClassifier(**NETWORK, solver="lbfgs"),
    MLPRegressor(**NETWORK),
]
METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]

# Perceptrons of three epochs, and steps that gain nothing, are not waited for.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def values(model):
    """All that a fit has found, as arrays, by name."""
    found = {}
    for name in ("coef_", "intercept_", "coefs_", "intercepts_", "loss_curve_", "n_passes_"):
        if hasattr(model, name):
            each = getattr(model, name)
            listed = each if isinstance(each, list) else [each]
            found.update({(name, i): np.asarray(one) for i, one in enumerate(listed)})
    return found


def same(a, b):
    a, b = values(a), values(b)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=str(name), strict=True)


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(N, P)) * (rng.random((N, P)) < 0.3)
    return X, X[:, 0] - X[:, 1] + rng.normal(size=N), 0.1 + rng.random(N)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_the_bits_are_those_of_dense_rows(model, rows):
    X, y, weight = rows
    y = (y > 0) * 1 if is_classifier(model) else y
    dense = clone(model).fit(X, y, weight)
    for container in (sparse.csr_array, sparse.csc_matrix):
        mine = clone(model).fit(container(X), y, weight)
        same(mine, dense)
        assert mine.n_features_in_ == P
        assert mine.score(container(X), y, weight) == dense.score(X, y, weight)
        for method in METHODS:
            if hasattr(dense, method):
                expected = getattr(dense, method)(X)
                found = getattr(mine, method)(container(X))
                np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("model", [MLPClassifier(**NETWORK), MLPRegressor(**NETWORK)], ids=repr)
def test_partial_fit(model, rows):
    X, y, _ = rows
    y = (y > 0) * 1 if is_classifier(model) else y
    first = {"classes": [0, 1]} if is_classifier(model) else {}
    mine, dense = clone(model), clone(model)
    for part in (slice(0, 50), slice(50, N)):
        mine.partial_fit(sparse.csr_array(X[part]), y[part], **first)
        dense.partial_fit(X[part], y[part], **first)
    same(mine, dense)


@given(st.data())
def test_rows_are_those_of_toarray(data):
    """Any format, dtype and order of entries, entries that stand twice among them."""
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    n = data.draw(st.integers(0, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dtype = data.draw(st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_]))
    entries = rng.integers(0, 3, n).astype(dtype)
    at = tuple(rng.integers(0, size, n) for size in shape)
    X = sparse.coo_array((entries, at), shape=shape).asformat(data.draw(st.sampled_from(FORMATS)))
    if data.draw(st.booleans()):
        X = getattr(sparse, f"{X.format}_matrix")(X)
    expected = X.toarray()
    if dtype != np.float32:
        expected = expected.astype(np.float64)
    found = features_in_memory(LinearRegression(), X, reset=True)
    np.testing.assert_array_equal(found, expected, strict=True)
    assert found.flags.c_contiguous


@pytest.mark.parametrize("home", [preprocessing, sklearn.preprocessing])
@pytest.mark.parametrize("model", [LogisticRegression(), MLPClassifier(**NETWORK)], ids=repr)
def test_an_encoder_with_defaults_before_a_model_with_defaults(home, model, rng):
    X = pd.DataFrame({"a": rng.choice(["x", "y", "z"], N), "b": rng.choice(["u", "v"], N)})
    y = (X["a"] == "x") ^ (rng.random(N) < 0.2)
    mine = make_pipeline(home.OneHotEncoder(), clone(model)).fit(X, y)
    dense = make_pipeline(home.OneHotEncoder(sparse_output=False), clone(model)).fit(X, y)
    same(mine[-1], dense[-1])
    assert mine.score(X, y) == dense.score(X, y)
    np.testing.assert_array_equal(mine.predict_proba(X), dense.predict_proba(X))
    scores = [cross_val_score(each, X, y, cv=3) for each in (mine, dense)]
    np.testing.assert_array_equal(*scores)


def test_float32_stays_float32(rows):
    X, y, _ = (each.astype(np.float32) for each in rows)
    same(Ridge().fit(sparse.csr_array(X), y), Ridge().fit(X, y))
    assert Ridge().fit(sparse.csr_array(X), y).predict(sparse.csr_array(X)).dtype == np.float32


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_what_would_be_too_large_is_refused_before_it_is_made_dense(model, rng, monkeypatch):
    n_rows, n_features = 3000, 2000
    X = sparse.random_array((n_rows, n_features), density=1e-4, format="csr", rng=rng)
    y = rng.integers(0, 2, n_rows)
    small = clone(model).fit(np.eye(n_rows, 2), y)

    def toarray(*_, **__):
        raise AssertionError("made dense")

    monkeypatch.setattr(sparse.csr_array, "toarray", toarray)
    with dask.config.set({"dlbd-estimators.memory": "80MiB"}):
        with pytest.raises(DenseTooLarge, match=r"\(3000, 2000\).* 46 MiB, .* 80 MiB .* 50%"):
            clone(model).fit(X, y)
        small.n_features_in_ = n_features
        for method in METHODS:
            if hasattr(small, method):
                with pytest.raises(MemoryError, match="46 MiB"):
                    getattr(small, method)(X)
        with pytest.raises(DenseTooLarge):
            small.score(X, y)
        if hasattr(model, "partial_fit") and not getattr(model, "early_stopping", False):
            classes = {"classes": small.classes_} if is_classifier(model) else {}
            with pytest.raises(DenseTooLarge):
                clone(model).partial_fit(X, y, **classes)
    room = dask.config.set({"dlbd-estimators.memory": "100MiB"})
    with room, pytest.raises(AssertionError, match="made dense"):
        clone(model).fit(X, y)


@pytest.mark.parametrize(
    ("model", "method", "n_blocks"),
    [
        (LogisticRegression(), "decision_function", 1),
        (MLPClassifier(**NETWORK), "predict_proba", 2),
    ],
    ids=repr,
)
def test_what_the_refusal_proposes_is_taken(model, method, n_blocks, rng):
    X = sparse.random_array((3000, 2000), density=1e-2, format="coo", rng=rng)
    model = clone(model).fit(X.toarray()[:40], np.arange(40) % 2)
    tight = dask.config.set({"dlbd-estimators.memory": "80MiB"})
    with tight, pytest.raises(DenseTooLarge) as refused:
        getattr(model, method)(X)
    proposal = str(refused.value).split("block by block: ")[1].removesuffix(".")
    lazy = eval(proposal, {"dask": dask, "X": X})
    assert isinstance(lazy, da.Array)
    assert lazy.numblocks == (n_blocks, 1)
    expected = getattr(model, method)(X)
    np.testing.assert_allclose(getattr(model, method)(lazy).compute(), expected, atol=1e-12)
    y = da.from_array(np.arange(3000) % 2, chunks=lazy.chunks[0])
    assert clone(model).set_params(max_iter=1).fit(lazy, y).n_features_in_ == 2000


def test_few_rows_are_taken_where_memory_is_full(rows):
    X, y, _ = rows
    with dask.config.set({"dlbd-estimators.memory": 1}):
        Ridge().fit(sparse.csr_array(X), y).predict(sparse.csr_array(X[:5]))


@pytest.mark.parametrize("model", [Ridge(), LogisticRegression(), MLPClassifier()], ids=repr)
def test_what_is_wrong_is_named_as_in_dense_rows(model, rows):
    X, y, _ = rows
    y = (y > 0) * 1
    assert get_tags(model).input_tags.sparse
    bad = X.copy()
    bad[17, 3] = np.nan
    with pytest.raises(NonFiniteValues, match=r"X contains NaN at row 17 of .*, column 3"):
        clone(model).fit(sparse.csr_array(bad), y)
    fitted = clone(model).fit(X, y)
    with pytest.raises(ValueError, match="X contains NaN"):
        fitted.predict(sparse.csc_array(bad))
    with pytest.raises(ValueError, match="X has 6 features, but"):
        fitted.predict(sparse.csr_array(X[:, :6]))
    with pytest.raises(ValueError, match="Complex data not supported"):
        clone(model).fit(sparse.csr_array(X + 1j), y)
    with pytest.raises((TypeError, ValueError), match=r"[Ss]parse"):
        clone(model).fit(X, sparse.csr_array(y[:, None]))


@pytest.mark.parametrize("model", [MLPClassifier(**NETWORK), MLPRegressor(**NETWORK)], ids=repr)
def test_perceptrons_refuse_dask_arrays_of_sparse_blocks(model, rows):
    X, y, _ = rows
    lazy = da.from_array(sparse.csr_matrix(X), chunks=(40, -1), asarray=False)
    targets = da.from_array((y > 0) * 1, chunks=40)
    with pytest.raises(TypeError, match=r"X is sparse, which is not supported here.*toarray"):
        clone(model).fit(lazy, targets)
    with pytest.raises(TypeError, match=r"X is sparse, which is not supported here.*toarray"):
        clone(model).fit(X, targets.compute()).predict(lazy)
