"""Bad input gets a clear error, and gets it before work is done that it makes useless."""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from dlbd_estimators import LinearRegression, LogisticRegression, Ridge
from dlbd_estimators.exceptions import BadBlock, Diverged, LengthMismatch, NonFiniteValues
from tests.blocks.test_dask_blocks import uncomputable, unknown
from tests.inputs import as_kind

N, P = 500, 3
MODELS = [
    LinearRegression(),
    Ridge(),
    Ridge(solver="lbfgs"),
    LogisticRegression(solver="newton"),
    LogisticRegression(solver="lbfgs"),
    LogisticRegression(solver="gradient_descent", max_iter=5000),
]
EITHER = [Ridge(), LogisticRegression()]
KINDS = ["numpy", "pandas", "dask", "ragged", "unknown", "frame", "zarr"]

pytestmark = pytest.mark.parametrize("model", EITHER, ids=repr)


@pytest.fixture
def arrays(rng):
    X = rng.normal(size=(N, P))
    return X, (X[:, 0] + rng.logistic(size=N) > 0).astype(float)


def fit(model, *data):
    return clone(model).fit(*data)


@pytest.mark.parametrize("solver", ["auto", "newton", "lbfgs", "gradient_descent"])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"),
                                             (-np.inf, "infinity")])  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_a_feature_that_is_not_finite_is_named(model, kind, value, word, solver, arrays):
    X, y = arrays
    X[345, 2] = value
    at = {
        "dask": "row 45 of block 3 (rows 300 to 400)",
        "unknown": "row 45 of block 3",
        "ragged": "row 94 of block 2 (rows 251 to 500)",
        "frame": "row 45 of block 3",
    }.get(kind)
    with pytest.raises(NonFiniteValues, match=f"Input X contains {word} at row") as error:
        fit(clone(model).set_params(solver=solver), *as_kind(kind, X, y)[:2])
    assert "column 2" in str(error.value)
    assert at is None or at in str(error.value)
    assert ("('feature 2')" in str(error.value)) == (kind in ("pandas", "frame"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_a_target_that_is_not_finite_is_named(model, kind, value, arrays):
    X, y = arrays
    y[345] = value
    with pytest.raises(NonFiniteValues, match=r"Input y contains (NaN|infinity) at row") as error:
        fit(model, *as_kind(kind, X, y)[:2])
    if kind == "dask":
        assert "row 45 of block 3 (rows 300 to 400)" in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_that_is_not_finite_or_negative_is_named(model, kind, value, arrays):
    X, y = arrays
    weight = np.ones(N)
    weight[345] = value
    with pytest.raises(NonFiniteValues, match=r"sample_weight must be finite .* at row"):
        fit(model, *as_kind(kind, X, y, weight))
    with pytest.raises(NonFiniteValues, match="sample_weight must be finite"):
        fit(model, *as_kind(kind, X, y)[:2], value)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_zero_for_all_rows(model, kind, arrays):
    X, y = arrays
    for weight in (np.zeros(N), 0.0):
        inputs = as_kind(kind, X, y, weight) if np.ndim(weight) else (*as_kind(kind, X, y)[:2], 0.0)
        with pytest.raises(ValueError, match="sample_weight must not be zero for all rows"):
            fit(model, *inputs)


def test_different_lengths_are_refused_before_anything_is_computed(model):
    X = uncomputable(500, 3, chunks=(100, 3))
    y, weight = uncomputable(500, chunks=100), uncomputable(500, chunks=100)
    for data in (
        (X, y[:-1]),
        (X, y[:400]),
        (X, np.zeros(499)),
        (X, pd.Series(np.zeros(501))),
        (X, y, weight[:-1]),
        (X, y, np.ones(501)),
    ):
        with pytest.raises(LengthMismatch, match=r"500 rows but \w+ has \d+"):
            fit(model, *data)


def test_different_lengths_in_memory(model, arrays):
    X, y = arrays
    for data in ((X, y[:-1]), (X, y, np.ones(N + 1)), (pd.DataFrame(X), pd.Series(y[1:]))):
        with pytest.raises(LengthMismatch, match="inconsistent numbers of samples: X has 500 rows"):
            fit(model, *data)


def test_different_lengths_of_unknown_chunks(model, arrays):
    X, y = (da.from_array(array, chunks={0: 100}) for array in arrays)
    with pytest.raises(LengthMismatch, match=r"X has 500 rows but y has 499"):
        fit(model, unknown(X), unknown(da.concatenate([y[1:100], y[100:]])))


@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_zero_rows(model, kind):
    X, y = np.empty((0, 3)), np.empty(0)
    if kind == "dask":
        X, y = da.from_array(X, chunks=(1, 3)), da.from_array(y, chunks=1)
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        fit(model, X, y)


def test_zero_rows_in_chunks_of_unknown_length(model, arrays):
    X, y = (da.from_array(array, chunks={0: 100}) for array in arrays)
    none = X[:, 0] > 1e9
    with pytest.raises(ValueError, match="0 samples"):
        fit(model, X[none], y[none])


@pytest.mark.parametrize("lazy", [False, True])
def test_zero_columns(model, lazy):
    X, y = np.empty((10, 0)), np.arange(10) % 2
    if lazy:
        X, y = da.from_array(X, chunks=(5, 0)), da.from_array(y, chunks=5)
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        fit(model, X, y)


@pytest.mark.parametrize("lazy", [False, True])
def test_wrong_dimensions(model, lazy, arrays):
    X, y = arrays
    wrap = (lambda array: da.from_array(array, chunks={0: 100})) if lazy else np.asarray
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        fit(model, wrap(X[:, 0]), wrap(y))
    with pytest.raises(ValueError, match="3"):
        fit(model, wrap(X[:, :, None]), wrap(y))
    with pytest.raises(ValueError, match="weight"):
        fit(model, wrap(X), wrap(y), wrap(X))
    with pytest.raises(ValueError, match=r"y|dim"):
        fit(model, wrap(X), wrap(np.zeros((N, 2, 2))))


def test_a_series_is_no_table(model, arrays):
    X, y = arrays
    series = dd.from_pandas(pd.Series(X[:, 0]), npartitions=2)
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        fit(model, series, y)


def test_dtypes_that_are_no_numbers(model, arrays):
    X, y = arrays
    words = np.full((N, 2), "word", dtype=object)
    with pytest.raises((TypeError, ValueError), match="convert string"):
        fit(model, words, y)
    with pytest.raises(TypeError, match="X has dtype object, but must be numeric"):
        fit(model, da.from_array(words, chunks=100), y)
    for bad in (X + 1j, da.from_array(X + 1j, chunks=100)):
        with pytest.raises(ValueError, match="Complex data not supported"):
            fit(model, bad, y)
    frame = pd.DataFrame({"height": X[:, 0], "colour": ["red"] * N})
    with pytest.raises(TypeError, match="Column 'colour' of X has dtype"):
        fit(model, dd.from_pandas(frame, npartitions=3), y)
    for weight in (np.full(N, 1j), da.full(N, 1j)):
        data = (X, y) if isinstance(weight, np.ndarray) else as_kind("dask", X, y)[:2]
        with pytest.raises(ValueError, match="Complex data not supported"):
            fit(model, *data, weight)


def test_pandas_own_number_dtypes_are_numbers(model, arrays):
    X, y = arrays
    frame = pd.DataFrame({"a": X[:, 0], "b": (X[:, 1] > 0), "c": (10 * X[:, 2]).astype(int)})
    own = frame.astype({"a": "Float64", "b": "boolean", "c": "Int64"})
    target = pd.Series(y.astype(int), dtype="Int64")
    mine = fit(model, dd.from_pandas(own, npartitions=3), dd.from_pandas(target, npartitions=3))
    np.testing.assert_allclose(mine.coef_, fit(model, frame.astype(float), y).coef_, rtol=1e-9)
    own.loc[7, "a"] = pd.NA
    with pytest.raises(NonFiniteValues, match=r"NaN at row 7 of block 0.*, column 0 \('a'\)"):
        fit(model, dd.from_pandas(own, npartitions=3), dd.from_pandas(target, npartitions=3))


def test_targets_that_are_missing_or_no_targets(model, arrays):
    X, y = arrays
    for data in (X, da.from_array(X, chunks=100)):
        with pytest.raises(ValueError, match=r"y cannot be None|requires y to be passed"):
            fit(model, data, None)
    with pytest.raises(TypeError, match="y and sample_weight are lazy but X is in memory"):
        fit(model, X, da.from_array(y, chunks=100))
    with pytest.raises(TypeError, match="y and sample_weight are lazy but X is in memory"):
        fit(model, X, y, da.ones(N, chunks=100))


def test_a_step_of_scikit_learn_that_has_loaded_lazy_rows_is_named(model, arrays):
    X, y = (da.from_array(each, chunks=100) for each in arrays)
    pipeline = make_pipeline(FunctionTransformer(np.asarray), model)
    with pytest.raises(TypeError, match=r"a step before this model .*dlbd_estimators\.preproc"):
        fit(pipeline, X, y)


@pytest.mark.parametrize("kind", KINDS)
def test_predict_with_another_number_of_features(model, kind, arrays):
    X, y = arrays
    inputs = as_kind(kind, X, y)[:2]
    fitted = fit(model, *inputs)
    other, _, _ = as_kind(kind, X[:, :2], y)
    for method in ("predict", "decision_function", "predict_proba"):
        if hasattr(fitted, method):
            with pytest.raises(ValueError, match=r"feature"):
                getattr(fitted, method)(other)
    with pytest.raises(ValueError, match="feature"):
        fitted.score(other, inputs[1])


def test_predict_with_other_names(model, arrays):
    X, y = arrays
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    fitted = fit(model, frame, y)
    for bad in (frame[["b", "a", "c"]], frame.rename(columns={"a": "z"})):
        with pytest.raises(ValueError, match="feature names"):
            fitted.predict(bad)
        with pytest.raises(ValueError, match="feature names"):
            fitted.predict(dd.from_pandas(bad, npartitions=2))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predict_on_values_that_are_not_finite(model, value, arrays):
    X, y = arrays
    fitted = fit(model, X, y)
    X[345, 1] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        fitted.predict(X)
    lazy = fitted.predict(da.from_array(X, chunks=(100, P)))
    with pytest.raises(ValueError, match="Input X contains NaN or infinity at row 45 of the block"):
        lazy.compute()
    with pytest.raises(NonFiniteValues, match="row 45 of block 3"):
        fitted.score(da.from_array(X, chunks=(100, P)), da.from_array(y, chunks=100))


def test_before_fit(model, arrays):
    X, y = arrays
    for data in (X, da.from_array(X, chunks=100)):
        with pytest.raises(NotFittedError):
            clone(model).predict(data)
        with pytest.raises(NotFittedError):
            clone(model).score(data, y)


@pytest.mark.parametrize("lazy", [False, True])
def test_unknown_solvers_and_those_that_cannot(model, lazy, arrays):
    X, y = arrays
    data = as_kind("dask", X, y)[:2] if lazy else (X, y)
    with pytest.raises(ValueError, match=r"must be a str among \{'auto', .*Got 'simplex'"):
        fit(clone(model).set_params(solver="simplex"), *data)
    if isinstance(model, LogisticRegression):
        with pytest.raises(
            ValueError, match=r"solver='gram' needs .*quadratic.*'lbfgs', 'nesterov', 'newton'"
        ):
            fit(clone(model).set_params(solver="gram"), *data)


WRONG = [
    ("tol", -1.0), ("tol", np.nan), ("tol", "small"), ("tol", np.inf), ("tol", True),
    ("max_iter", -1), ("max_iter", 2.5), ("max_iter", "many"), ("solver", None), ("solver", 3),
    ("fit_intercept", "yes"), ("fit_intercept", None),
    ("C", 0.0), ("C", -1.0), ("C", np.nan), ("C", "1"), ("C", None), ("C", True),
    ("class_weight", "balance"), ("class_weight", [1, 2]), ("class_weight", {0.0: -1.0}),
    ("class_weight", {0.0: np.nan}), ("class_weight", {"other": 2.0}),
    ("alpha", -1.0), ("alpha", np.nan), ("alpha", np.inf), ("alpha", [1.0, 2.0]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_parameters_out_of_range(model, name, value, arrays):
    if name not in model.get_params():
        return
    with pytest.raises(ValueError, match=name if name != "alpha" else "alpha|penalties"):
        fit(clone(model).set_params(**{name: value}), *arrays)


def test_solvers_and_parameters_are_refused_before_anything_is_computed(model):
    X, y = uncomputable(500, 3, chunks=(100, 3)), uncomputable(500, chunks=100)
    for name, value in (("tol", -1.0), ("max_iter", -1), ("solver", 3), ("solver", "pca")):
        with pytest.raises(ValueError, match=name):
            fit(clone(model).set_params(**{name: value}), X, y)
    if isinstance(model, LogisticRegression):
        with pytest.raises(ValueError, match="'C' parameter"):
            fit(clone(model).set_params(C=0.0), X, y)


@pytest.mark.parametrize("kind", KINDS)
def test_one_class_only(model, kind, arrays):
    if not isinstance(model, LogisticRegression):
        return
    X, _ = arrays
    for label in (1, True, 2.0):
        with pytest.raises(ValueError, match="only one class"):
            fit(model, *as_kind(kind, X, np.full(N, label))[:2])


@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_are_a_regression(model, kind, arrays):
    if not isinstance(model, LogisticRegression):
        return
    X, _ = arrays
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        fit(model, *as_kind(kind, X, X[:, 0])[:2])


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize("kind", ["numpy", "pandas", "dask", "frame"])
def test_missing_labels(model, kind, missing, arrays):
    if not isinstance(model, LogisticRegression):
        return
    X, y = arrays
    words = np.array(["no", "yes"], dtype=object)[y.astype(int)]
    words[345] = missing
    with pytest.raises(NonFiniteValues, match="Input y contains NaN at row"):
        fit(model, *as_kind(kind, X, words)[:2])


def test_values_that_overflow_say_so(model, arrays):
    X, y = arrays
    X = X * 1e200
    with pytest.raises((BadBlock, Diverged), match="Scale the columns") as error:
        fit(model, X, y)
    assert isinstance(error.value, ValueError), "what callers of scikit-learn catch"
