"""The models of a logistic path are those of single fits, in about the passes of one fit."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from dlbd_estimators import LogisticRegression
from dlbd_estimators.exceptions import InvalidParameter, NonFiniteValues
from dlbd_estimators.linear_model import logistic_regression_path
from dlbd_estimators.solvers.smooth import path_sample

CS = [10.0, 0.01, 1.0]  # in any order


def data(rng, n, n_classes):
    Z = rng.normal(size=(n, 4))
    latent = Z @ [1.0, -1.0, 0.5, 0.0] + rng.logistic(size=n)
    codes = np.digitize(latent, np.quantile(latent, np.arange(1, n_classes) / n_classes))
    return Z * [1.0, 10.0, 0.1, 1.0] + [0.0, 0.0, 0.0, 30.0], np.array(["a", "b", "c"])[codes]


def lazy(*arrays, rows=50):
    return [da.from_array(array, chunks=(rows, *array.shape[1:])) for array in arrays]


def assert_single_fits(path, X, y, weight, tol, **given):
    Cs, coefs, intercepts = path
    outputs = 1 if len(np.unique(y)) == 2 else len(np.unique(y))
    coefs, intercepts = coefs.reshape(outputs, -1, len(Cs)), intercepts.reshape(outputs, -1)
    for number, C in enumerate(Cs):
        model = LogisticRegression(C=C, tol=1e-11, **given).fit(X, y, weight)
        size = np.abs(model.coef_ * X.std(axis=0)).max()
        error = np.abs(coefs[..., number] - model.coef_) * X.std(axis=0)
        assert error.max() <= tol * size
        spread = np.abs(model.coef_).max() * 30.0  # of the term that the intercept balances
        np.testing.assert_allclose(intercepts[:, number], model.intercept_, atol=tol * spread)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("given", [
    {}, {"fit_intercept": False}, {"class_weight": "balanced"}, {"l1_ratio": 0.7},
], ids=str)  # fmt: skip
def test_each_model_is_that_of_a_single_fit(given, n_classes, rng):
    X, y = data(rng, 200, n_classes)
    weight = rng.uniform(0.5, 2.0, 200)
    in_memory = logistic_regression_path(X, y, Cs=CS, sample_weight=weight, **given)
    np.testing.assert_array_equal(in_memory[0], CS)
    outputs = () if n_classes == 2 else (3,)
    assert [part.shape for part in in_memory[1:]] == [(*outputs, 4, 3), (*outputs, 3)]
    assert_single_fits(in_memory, X, y, weight, 1e-5, **given)
    rows = lazy(X, y, weight)
    found = logistic_regression_path(*rows[:2], Cs=CS, sample_weight=rows[2], **given)
    for part, expected in zip(found, in_memory, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_sweeps_reach_the_accuracy_and_do_not_depend_on_the_number_of_strengths(rng, monkeypatch):
    monkeypatch.setattr(path_sample, "_MOST_ROWS", 1_500)  # fewer than the rows of the data
    X, y = data(rng, 12_000, 2)
    reads = []

    def counted(block):
        reads.append(len(block))
        return block

    def path(Cs, tol):
        reads.clear()
        rows, labels = lazy(X, y, rows=400)
        found = logistic_regression_path(
            rows.map_blocks(counted, meta=np.empty((0, 4))), labels, Cs=Cs, tol=tol
        )
        return found, sum(reads) / len(X)

    found, passes = path(CS, 1e-6)
    assert_single_fits(found, X, y, None, 1e-6)
    _, of_many = path(np.logspace(-2, 1, 9), 1e-6)
    _, rough = path(CS, 1e-2)
    assert of_many <= passes + 1
    assert rough < passes
    assert passes < 7
    assert of_few_rows(X, y, reads, counted) == 1


def of_few_rows(X, y, reads, counted):
    reads.clear()
    rows, labels = lazy(X[:1_000], y[:1_000], rows=100)
    logistic_regression_path(rows.map_blocks(counted, meta=np.empty((0, 4))), labels, Cs=CS)
    return sum(reads) / 1_000


@pytest.mark.parametrize(("given", "error", "match"), [
    ({"Cs": [1.0, 0.0]}, InvalidParameter, r"'Cs' parameter of logistic_regression_path"),
    ({"Cs": 0}, InvalidParameter, "Cs"),
    ({"tol": 0.0}, InvalidParameter, "tol"),
    ({"l1_ratio": 2.0}, InvalidParameter, "l1_ratio"),
    ({"fit_intercept": "no"}, InvalidParameter, "fit_intercept"),
], ids=str)  # fmt: skip
def test_bad_parameters_are_named(given, error, match, rng):
    with pytest.raises(error, match=match):
        logistic_regression_path(*data(rng, 60, 2), **given)


def test_bad_rows_are_named(rng):
    X, y = data(rng, 60, 2)
    with pytest.raises(ValueError, match="class"):
        logistic_regression_path(X, np.zeros(60))
    X[53, 2] = np.nan
    with pytest.raises(NonFiniteValues, match="row 3 of block 1"):
        logistic_regression_path(*lazy(X, y))
