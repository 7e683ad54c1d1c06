"""Tables of coefficients: what is refused, what changes nothing, and formulas written out."""

from __future__ import annotations

import pickle

import cloudpickle
import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbd_estimators import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeCV,
)
from dlbd_estimators.base.grouped_targets import Groups
from dlbd_estimators.exceptions import LengthMismatch, NonFiniteValues
from dlbd_estimators.inference import coefficient_table
from tests.strategies import cuts

COVARIANCES = ("classical", "HC0", "HC1", "HC2", "HC3", "clustered")
N = 120


def data(rng, n=N):
    X = rng.normal(size=(n, 3)) * [1.0, 20.0, 0.1]
    groups = rng.integers(0, 12, n)
    return X, X @ [1.0, 0.1, -2.0] + rng.normal(size=n) * (1 + X[:, 0] ** 2), groups


def table_of(model, X, y, weight=None, groups=None, covariance="classical", **how):
    if covariance == "clustered":
        how["groups"] = groups
    return coefficient_table(model, X, y, weight, covariance=covariance, **how)


def assert_close(found, expected, rtol=1e-9):
    np.testing.assert_allclose(found.estimate, expected.estimate, rtol=rtol)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=rtol, atol=rtol**2)
    np.testing.assert_allclose(found.p_value, expected.p_value, rtol=1e-5, atol=1e-300)
    assert found.df_residual == pytest.approx(expected.df_residual)


@settings(max_examples=10)
@given(st.data())
def test_the_cut_into_chunks_changes_nothing(drawn):
    rng = np.random.default_rng(0)
    X, y, groups = data(rng)
    weight = rng.uniform(0.5, 2.0, N)
    model = LinearRegression().fit(X, y, weight)
    covariance = drawn.draw(st.sampled_from(COVARIANCES))
    how = {
        "covariance": covariance,
        "weights": drawn.draw(st.sampled_from(["frequency", "variance"])),
    }
    expected = table_of(model, X, y, weight, groups, **how)
    sizes = drawn.draw(cuts(N))
    lazy = [da.from_array(each, chunks=(sizes, *each.shape[1:])) for each in (X, y, weight, groups)]
    assert_close(table_of(model, *lazy, **how), expected)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("n_classes", [0, 2, 3])
def test_frequencies_are_rows_that_stand_several_times(covariance, n_classes, rng):
    X, y, groups = data(rng)
    model = LogisticRegression(C=np.inf, tol=1e-12) if n_classes else LinearRegression()
    if n_classes == 2:
        y = np.where(y > 0, "up", "down")
    elif n_classes == 3:
        if covariance in ("HC2", "HC3"):
            return  # refused
        y = np.where(np.arange(N) % 4, np.digitize(y, [-0.5, 0.5]), np.arange(N) % 3)
    times = np.arange(N) % 3
    model.fit(X, y, times)
    weighted = table_of(model, X, y, times, groups, covariance)
    rows = [np.repeat(each, times, axis=0) for each in (X, y)]
    assert_close(weighted, table_of(model, *rows, None, np.repeat(groups, times), covariance))


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_a_row_of_weight_zero_is_no_row(covariance, rng):
    X, y, groups = data(rng)
    weight = rng.uniform(0.5, 2.0, N) * (np.arange(N) % 5 > 0)
    weight[groups == 3] = 0.0  # and no group
    kept = weight > 0
    model = LinearRegression().fit(X, y, weight)
    found = table_of(model, X, y, weight, groups, covariance, weights="variance")
    expected = table_of(
        model, X[kept], y[kept], weight[kept], groups[kept], covariance, weights="variance"
    )
    assert_close(found, expected)


@pytest.mark.parametrize("covariance", ["HC1", "HC2", "HC3"])
def test_logistic_regression_with_leverages_is_the_formula_of_sandwich(covariance, rng):
    # As R's package `sandwich` has it for a glm: working residuals and its hat values.
    X, y, _ = data(rng)
    y = (y > 0).astype(int)
    model = LogisticRegression(C=np.inf, tol=1e-13).fit(X, y)
    table = coefficient_table(model, X, y, covariance=covariance)
    Z = np.column_stack([np.ones(N), X])
    probability = model.predict_proba(X)[:, 1]
    curvature = probability * (1 - probability)
    inverse = np.linalg.inv(Z.T @ (Z * curvature[:, None]))
    leverage = curvature * np.einsum("ij,jk,ik->i", Z, inverse, Z)
    factor = {
        "HC1": N / (N - 4), "HC2": 1 / (1 - leverage), "HC3": 1 / (1 - leverage) ** 2,
    }[covariance]  # fmt: skip
    meat = Z.T @ (Z * (factor * (y - probability) ** 2)[:, None])
    np.testing.assert_allclose(table.covariance, inverse @ meat @ inverse, rtol=1e-7)
    assert table.df_residual == np.inf


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_ridge_where_it_is_asked_for(covariance, rng):
    X, y, groups = data(rng)
    model = Ridge(5.0).fit(X, y)
    found = table_of(model, X, y, None, groups, covariance, allow_penalty=True)
    Z = np.column_stack([np.ones(N), X])
    bread = Z.T @ Z
    inverse = np.linalg.inv(bread + 5.0 * np.diag([0, 1, 1, 1]))
    effective = np.trace(inverse @ bread)
    error = y - model.predict(X)
    leverage = np.einsum("ij,jk,ik->i", Z, inverse, Z)
    scores = np.array([(error * (groups == g)) @ Z for g in np.unique(groups)])
    meat = {
        "classical": error @ error / (N - effective) * bread,
        "HC0": (Z * error[:, None] ** 2).T @ Z,
        "HC1": N / (N - effective) * (Z * error[:, None] ** 2).T @ Z,
        "HC2": (Z * error[:, None] ** 2 / (1 - leverage)[:, None]).T @ Z,
        "HC3": (Z * error[:, None] ** 2 / (1 - leverage)[:, None] ** 2).T @ Z,
        "clustered": 12 / 11 * (N - 1) / (N - effective) * scores.T @ scores,
    }[covariance]
    np.testing.assert_allclose(found.covariance, inverse @ meat @ inverse, rtol=1e-8)


@pytest.mark.parametrize("covariance", ["classical", "HC0"])
def test_penalised_classes_have_the_covariance_of_symmetric_coefficients(covariance, rng):
    X, y, _ = data(rng)
    y = np.digitize(y, [-0.5, 0.5])
    model = LogisticRegression(C=0.1, tol=1e-12).fit(X, y)
    found = coefficient_table(model, X, y, covariance=covariance, allow_penalty=True)
    Z = np.column_stack([np.ones(N), X])
    p = model.predict_proba(X)
    curvature = p[:, :, None] * np.eye(3) - p[:, :, None] * p[:, None, :]
    bread = np.einsum("ikj,ia,ib->kajb", curvature, Z, Z).reshape(12, 12)
    scores = ((p - np.eye(3)[y])[:, :, None] * Z[:, None, :]).reshape(N, 12)
    # All intercepts may be shifted together: the pseudo-inverse leaves this direction out.
    inverse = np.linalg.pinv(bread + np.kron(np.eye(3), np.diag([0.0, 10.0, 10.0, 10.0])))
    meat = bread if covariance == "classical" else scores.T @ scores
    against_first = np.kron(np.array([[-1, 1, 0], [-1, 0, 1]]), np.eye(4))
    expected = against_first @ inverse @ meat @ inverse @ against_first.T
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-8)
    symmetric = np.column_stack([model.intercept_, model.coef_]).ravel()
    np.testing.assert_allclose(found.estimate, against_first @ symmetric, rtol=1e-12)


@pytest.mark.parametrize("model", [
    LinearRegression(), LinearRegression(fit_intercept=False), Ridge(5.0),
], ids=str)  # fmt: skip
def test_the_moments_of_partial_fit_need_no_pass(model, rng):
    X, y, _ = data(rng)
    weight = rng.integers(0, 3, N).astype(float)
    model = model.partial_fit(X[:50], y[:50], weight[:50]).partial_fit(X[50:], y[50:], weight[50:])
    found = coefficient_table(model, allow_penalty=True)
    assert_close(found, coefficient_table(model, X, y, weight, allow_penalty=True))
    assert found.n_passes == 0.0
    with pytest.raises(ValueError, match=r"X=None.*'HC1'.* Pass X and y"):
        coefficient_table(model, covariance="HC1", allow_penalty=True)
    with pytest.raises(ValueError, match="passed without X"):
        coefficient_table(model, None, y, allow_penalty=True)
    with pytest.raises(ValueError, match="keeps no sums"):
        coefficient_table(model.fit(X, y), allow_penalty=True)


def test_columns_far_from_zero(rng):
    near = rng.integers(-4096, 4096, size=(400, 2)) / 4096.0
    y = near @ [1.0, -2.0] + rng.normal(size=400)
    far = near + 1e8  # exact: the spread has the digits that are left
    for covariance in ("classical", "HC1", "HC3"):
        expected = coefficient_table(
            LinearRegression().fit(near, y), near, y, covariance=covariance
        )
        lazy = da.from_array(far, chunks=(90, 2)), da.from_array(y, chunks=90)
        model = LinearRegression().fit(*lazy)
        found = coefficient_table(model, *lazy, covariance=covariance)
        np.testing.assert_allclose(found.estimate[1:], expected.estimate[1:], rtol=1e-6)
        np.testing.assert_allclose(found.standard_error[1:], expected.standard_error[1:], rtol=1e-6)
        intervals = found.prediction_interval(far[:5])
        near_intervals = expected.prediction_interval(near[:5])
        np.testing.assert_allclose(intervals, near_intervals, rtol=1e-5, atol=1e-5)


def test_float32_rows_are_summed_in_float64(rng):
    X, y, _ = data(rng)
    X = X.astype(np.float32)
    wide = X.astype(np.float64)
    found = coefficient_table(LinearRegression().fit(wide, y), X, y, covariance="HC3")
    expected = coefficient_table(LinearRegression().fit(wide, y), wide, y, covariance="HC3")
    assert_close(found, expected, rtol=1e-12)


@pytest.mark.parametrize("covariance", ["HC1", "clustered"])
def test_any_number_of_threads_gives_the_same_bits(covariance, rng):
    X, y, groups = data(rng, n=900)
    lazy = [da.from_array(each, chunks=(61, *each.shape[1:])) for each in (X, y, groups)]
    model = LinearRegression().fit(X, y)
    found = []
    for threads in (1, 2, 4):
        with dask.config.set(scheduler="threads", num_workers=threads):
            found.append(table_of(model, *lazy[:2], None, lazy[2], covariance))
    for each in found[1:]:
        np.testing.assert_array_equal(each.covariance, found[0].covariance)


@pytest.mark.cluster
def test_a_cluster_gives_the_bits_of_threads(client, rng):
    X, y, groups = data(rng, n=900)
    labels = np.where(y > 0, "up", "down")
    lazy = [da.from_array(each, chunks=(61, *each.shape[1:])) for each in (X, labels, groups)]
    model = LogisticRegression(C=np.inf).fit(X, labels)
    there = table_of(model, *lazy[:2], None, lazy[2], "clustered")
    with client.as_current(), dask.config.set(scheduler="threads"):
        here = table_of(model, *lazy[:2], None, lazy[2], "clustered")
    np.testing.assert_array_equal(there.covariance, here.covariance)


def test_a_data_frame_of_unknown_lengths_with_groups_of_strings(rng):
    X, y, groups = data(rng)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["y"], frame["place"] = y, np.array(["north", "south", "east", "west"])[groups % 4]
    lazy = dd.from_pandas(frame, npartitions=5)
    lazy = lazy[lazy["a"] > -0.5]
    kept = frame[frame["a"] > -0.5]
    model = LinearRegression().fit(lazy[["a", "b", "c"]], lazy["y"])
    found = coefficient_table(
        model, lazy[["a", "b", "c"]], lazy["y"], covariance="clustered", groups=lazy["place"]
    )
    expected = coefficient_table(
        model, kept[["a", "b", "c"]], kept["y"], covariance="clustered", groups=kept["place"]
    )
    assert_close(found, expected)
    assert found.names == ("intercept", "a", "b", "c")
    assert found.df_residual == 3


def test_tasks_do_not_carry_the_column_of_groups(rng):
    X, y, groups = data(rng)
    column = dd.from_pandas(pd.Series(groups), npartitions=3)
    lazy = [da.from_array(each, chunks=(40, *each.shape[1:])) for each in (y, groups, X)]
    joined = Groups(column, np.unique(groups), None).beside_lazy(*lazy)
    sent = cloudpickle.dumps(dict(joined.__dask_graph__()))
    assert b"new_collection" in cloudpickle.dumps(column)
    assert b"new_collection" not in sent


def test_names_of_features_may_be_given(rng):
    X, y, _ = data(rng)
    model = LinearRegression().fit(X, y)
    table = coefficient_table(model, X, y, feature_names=["a", "b", "c"])
    assert table.names == ("intercept", "a", "b", "c")
    with pytest.raises(ValueError, match="feature_names has 2 names, but the model has 3"):
        coefficient_table(model, X, y, feature_names=["a", "b"])


def test_all_columns_are_shown_in_a_narrow_terminal(rng):
    X, y, _ = data(rng)
    with pd.option_context("display.width", 20, "display.max_columns", 2):
        text = str(coefficient_table(LinearRegression().fit(X, y), X, y))
    assert all(name in text for name in ("standard_error", " t ", "p_value"))


def test_the_table_is_shown_and_kept(rng):
    X, y, _ = data(rng)
    table = coefficient_table(LinearRegression().fit(X, y), X, y)
    frame = table.to_frame()
    assert list(frame.index) == ["intercept", "x0", "x1", "x2"]
    assert list(frame.columns) == ["estimate", "standard_error", "t", "p_value", "lower", "upper"]
    assert "standard_error" in str(table)
    assert "<table" in table._repr_html_()
    again = pickle.loads(pickle.dumps(table))
    np.testing.assert_array_equal(again.covariance, table.covariance)


def test_a_frequency_interval_covers_the_truth_as_often_as_it_says(rng):
    covered = []
    for _ in range(80):
        X, y, _ = data(rng, n=80)
        table = coefficient_table(
            LinearRegression().fit(X, y), X, y, covariance="HC3", confidence=0.9
        )
        truth = np.array([0.0, 1.0, 0.1, -2.0])
        covered.append((table.lower <= truth) & (truth <= table.upper))
    share = np.mean(covered, axis=0)
    assert np.all((share > 0.78) & (share < 0.99))


PENALISED = [
    (Ridge(), r"biased.*LinearRegression.*allow_penalty"),
    (LogisticRegression(), r"biased.*C=np\.inf"),
    (LogisticRegression(l1_ratio=1.0, solver="auto"), "l1 penalty chooses features"),
    (LogisticRegression(C=np.inf, class_weight="balanced"), "class_weight"),
    (LinearRegression(positive=True), "positive=True"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "match"), PENALISED, ids=[match for _, match in PENALISED])
def test_models_without_standard_errors_are_refused(model, match, rng):
    X, y, _ = data(rng)
    y = np.where(y > 0, 1, 0) if isinstance(model, LogisticRegression) else y
    with pytest.raises(ValueError, match=match):
        coefficient_table(model.fit(X, y), X, y)


@pytest.mark.parametrize(
    "model", [Lasso(), ElasticNet(), RidgeCV(), LogisticRegressionCV(Cs=2, cv=2)], ids=str
)
def test_other_classes_are_refused(model, rng):
    X, y, _ = data(rng)
    y = (y > 0) if isinstance(model, LogisticRegressionCV) else y
    with pytest.raises(TypeError, match=f"not for {type(model).__name__}"):
        coefficient_table(model.fit(X, y), X, y)


def test_several_targets_and_leverages_of_several_classes_are_refused(rng):
    X, y, _ = data(rng)
    both = np.column_stack([y, y])
    with pytest.raises(ValueError, match="2 targets"):
        coefficient_table(LinearRegression().fit(X, both), X, both)
    labels = np.arange(N) % 3
    with pytest.raises(ValueError, match="with 3 classes a row has a matrix"):
        coefficient_table(LogisticRegression(C=np.inf).fit(X, labels), X, labels, covariance="HC3")


def test_rows_that_the_model_was_not_fitted_to_are_refused(rng):
    X, y, _ = data(rng)
    model = LinearRegression().fit(X, y)
    with pytest.raises(ValueError, match=r"not the minimum on these rows.*standard errors"):
        coefficient_table(model, X, y, np.arange(N) % 3)
    model.coef_ += [0.0, 0.05, 0.0]
    with pytest.raises(ValueError, match="the coefficient of 'x1' is off"):
        coefficient_table(model, X, y)


def test_dependent_columns_are_named(rng):
    X, y, _ = data(rng)
    X = np.column_stack([X, X[:, 0] - X[:, 2]])
    with pytest.raises(ValueError, match="'x0', 'x2', 'x3'"):
        coefficient_table(LinearRegression().fit(X, y), X, y)
    with pytest.raises(ValueError, match="linearly dependent"):
        coefficient_table(LinearRegression().fit(X[:, :1] * 0 + 3, y), X[:, :1] * 0 + 3, y)


def test_classes_that_separate_are_refused(rng):
    X, _, _ = data(rng)
    y = (X[:, 0] > 0).astype(int)
    with pytest.warns(UserWarning, match="separable"):
        model = LogisticRegression(C=np.inf).fit(X, y)
    with pytest.raises(ValueError, match=r"separated|not the minimum"):
        coefficient_table(model, X, y)


def test_too_few_rows_and_groups(rng):
    X, y, _ = data(rng)
    few = X[:4], y[:4]
    with pytest.raises(ValueError, match="too few"):
        coefficient_table(LinearRegression().fit(*few), *few)
    model = LinearRegression().fit(X, y)
    with pytest.raises(ValueError, match="two groups or more"):
        coefficient_table(model, X, y, covariance="clustered", groups=np.zeros(N))


@pytest.mark.parametrize("covariance", ["HC2", "HC3"])
def test_a_row_of_leverage_one(covariance, rng):
    X, y, _ = data(rng)
    X[:, 2] = np.arange(N) == 17
    model = LinearRegression().fit(X, y)
    coefficient_table(model, X, y, covariance="HC1")
    with pytest.raises(ValueError, match=r"1 row\(s\) have a leverage of 1.*'HC1'"):
        coefficient_table(model, X, y, covariance=covariance)


def test_more_groups_than_can_be_held(rng, monkeypatch):
    monkeypatch.setattr("dlbd_estimators.linear_model.inference.standard_errors._MOST_SCORES", 40)
    X, y, groups = data(rng)
    model = LinearRegression().fit(X, y)
    given = {"covariance": "clustered"}
    with pytest.raises(ValueError, match="more than 10 groups"):
        coefficient_table(model, X, y, **given, groups=groups)
    lazy = [da.from_array(each, chunks=(30, *each.shape[1:])) for each in (X, y, groups)]
    with pytest.raises(ValueError, match="more than 10 groups"):
        coefficient_table(model, *lazy[:2], **given, groups=lazy[2])


BAD = [
    ({"covariance": "HC4"}, ValueError, "covariance must be one of"),
    ({"covariance": "clustered"}, ValueError, "belong together"),
    ({"groups": np.zeros(N)}, ValueError, "belong together"),
    ({"weights": "analytic"}, ValueError, "weights must be one of"),
    ({"confidence": 95}, ValueError, "between 0 and 1"),
    ({"covariance": "clustered", "groups": np.zeros(N - 1)}, LengthMismatch, "groups"),
    ({"covariance": "clustered", "groups": np.full(N, np.nan)}, ValueError, "groups is missing"),
    ({"covariance": "clustered", "groups": np.zeros((N, 2))}, ValueError, "one entry per row"),
    ({"covariance": "clustered", "groups": da.zeros(N)}, TypeError, "lazy but X is in memory"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "error", "match"), BAD)
def test_bad_input_says_what_to_do(given, error, match, rng):
    X, y, _ = data(rng)
    with pytest.raises(error, match=match):
        coefficient_table(LinearRegression().fit(X, y), X, y, **given)


def test_a_value_that_is_not_finite_is_named(rng):
    X, y, _ = data(rng)
    model = LinearRegression().fit(X, y)
    X[77, 1] = np.nan
    lazy = da.from_array(X, chunks=(50, 3)), da.from_array(y, chunks=50)
    with pytest.raises(NonFiniteValues, match=r"row 27 of block 1 .*column 1"):
        coefficient_table(model, *lazy)


def test_bad_hypotheses_and_intervals(rng):
    X, y, _ = data(rng)
    table = coefficient_table(LinearRegression().fit(X, y), X, y)
    for hypotheses, match in (
        ("x9", "Not among the coefficients"), ([], "hypotheses|Not among"),
        (np.eye(3), "rows of 4 numbers"), (["x0", "x0"], "linearly dependent"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            table.wald_test(hypotheses)
    with pytest.raises(ValueError, match="one number, or one for each of 2"):
        table.wald_test(["x0", "x1"], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="of must be"):
        table.prediction_interval(X, of="row")
    labels = y > 0
    logistic = LogisticRegression(C=np.inf).fit(X, labels)
    with pytest.raises(ValueError, match="only for a LinearRegression"):
        coefficient_table(logistic, X, labels).prediction_interval(X)
