"""LogisticRegression.partial_fit: a Newton step a batch, with the curvature of all before."""

from __future__ import annotations

import pickle
from itertools import pairwise

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from dlbd_estimators import LogisticRegression, LogisticRegressionCV
from dlbd_estimators.exceptions import BadBlock
from tests.strategies import cuts

N = 400


def data(rng, n=N, n_classes=2):
    X = rng.normal(size=(n, 3)) * [1, 5, 1] + [0, 0, 20]
    score = X @ [1.0, -0.2, 0.5] - 10 + rng.logistic(size=n)
    return X, np.digitize(score, [0.0] if n_classes == 2 else [-1.0, 1.0])


def derivatives(Z, y, w, n_classes):
    """Gradient and Hessian of the sum of log losses, written out; w is (n_outputs, width)."""
    if n_classes == 2:
        p = expit(Z @ w[0])
        return (Z.T @ (p - y)), (Z.T * (p * (1 - p))) @ Z
    p = softmax(Z @ w.T, axis=1)
    gradient = (p - np.eye(n_classes)[y]).T @ Z
    blocks = p[:, :, None] * (np.eye(n_classes) - p[:, None, :])
    width = Z.shape[1]
    hessian = np.einsum("nkj,na,nb->kajb", blocks, Z, Z)
    return gradient.ravel(), hessian.reshape(n_classes * width, n_classes * width)


def written_out(batches, n_classes, strength, fit_intercept=True):
    """The minimum of the sum of the batches' quadratics and of the penalty, step by step."""
    X = batches[0][0]
    n_outputs, width = (1 if n_classes == 2 else n_classes), X.shape[1] + fit_intercept
    w, hessian, linear = np.zeros(n_outputs * width), 0.0, 0.0
    penalty = np.full((n_outputs, width), strength)
    if fit_intercept:
        penalty[:, -1] = 0.0
    for X, y in batches:
        Z = np.column_stack([X, np.ones(len(X))]) if fit_intercept else X
        g, H = derivatives(Z, y, w.reshape(n_outputs, width), n_classes)
        hessian, linear = hessian + H, linear + H @ w - g
        w = np.linalg.pinv(hessian + np.diag(penalty.ravel()), rcond=1e-13) @ linear
    w = w.reshape(n_outputs, width)
    if n_outputs > 1:
        w = w - w.mean(axis=0)
    return (w[:, :-1], w[:, -1]) if fit_intercept else (w, np.zeros(n_outputs))


@settings(max_examples=15)
@given(st.sampled_from([2, 3]), st.booleans(), st.sampled_from([0.5, np.inf]), st.data())
def test_steps_are_the_formula(n_classes, fit_intercept, C, drawn):
    X, y = data(np.random.default_rng(1), n_classes=n_classes)
    edges = np.cumsum([0, 60, *drawn.draw(cuts(N - 60))])
    batches = [(X[a:b], y[a:b]) for a, b in pairwise(edges) if b > a]
    model = LogisticRegression(C=C, fit_intercept=fit_intercept)
    for batch in batches:
        model.partial_fit(*batch, classes=range(n_classes))
    coef, intercept = written_out(batches, n_classes, 1.0 / C, fit_intercept)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(model.intercept_, intercept, rtol=1e-7, atol=1e-7)
    assert (model.n_samples_seen_, model.n_passes_, model.solver_) == (N, 1.0, "online_newton")


@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_gets_near_the_fit_of_all_rows(n_classes, rng):
    X, y = data(rng, n=20_000, n_classes=n_classes)
    full = LogisticRegression().fit(X, y)
    off = {}
    for n_batches in (5, 50, 200):
        model = LogisticRegression()
        for rows in np.array_split(np.arange(len(X)), n_batches):
            model.partial_fit(X[rows], y[rows], classes=np.unique(y))
        off[n_batches] = np.abs(model.coef_ - full.coef_).max() / np.abs(full.coef_).max()
        assert model.score(X, y) > full.score(X, y) - 0.02
    assert off[200] < off[50] < off[5]
    assert off[200] < 0.1


def test_codes_in_place_of_labels_are_refused_with_the_labels(rng):
    X = rng.normal(size=(20, 2))
    codes = (X[:, 0] > 0).astype("u1")
    model = LogisticRegression().partial_fit(X, np.array(["no", "yes"])[codes], ["no", "yes"])
    with pytest.raises(ValueError, match=r"the label [01] at .* \('no', 'yes'\). Are these codes"):
        model.partial_fit(X, codes)


def test_the_cut_of_a_batch_into_chunks_changes_nothing(rng):
    X, y = data(rng)
    names = np.array(["no", "yes"])[y]
    weight = rng.uniform(0.5, 2.0, N)
    model, lazy = LogisticRegression(), LogisticRegression()
    for rows in (slice(0, 150), slice(150, N)):
        model.partial_fit(X[rows], names[rows], ["no", "yes"], weight[rows])
        arrays = [da.from_array(each[rows], chunks=70) for each in (names, weight)]
        batch = da.from_array(X[rows], chunks=((100, 0, len(X[rows]) - 100), 2))
        lazy.partial_fit(batch, arrays[0], ["no", "yes"], arrays[1])
    np.testing.assert_allclose(lazy.coef_, model.coef_, rtol=1e-10)
    assert list(model.predict(X[:1])) in (["no"], ["yes"])


def test_integer_weights_are_rows_that_stand_several_times(rng):
    X, y = data(rng)
    times = rng.integers(0, 3, N)
    weighted = LogisticRegression().partial_fit(X, y, [0, 1], times)
    repeated = LogisticRegression().partial_fit(
        np.repeat(X, times, axis=0), np.repeat(y, times), [0, 1]
    )
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-10)
    by_class = LogisticRegression(class_weight={0: 1.0, 1: 3.0}).partial_fit(X, y, [0, 1])
    by_row = LogisticRegression().partial_fit(X, y, [0, 1], np.where(y == 1, 3.0, 1.0))
    np.testing.assert_allclose(by_class.coef_, by_row.coef_, rtol=1e-12)


def test_columns_far_from_zero(rng):
    near = rng.integers(-4096, 4096, size=(N, 3)) / 4096.0
    y = (near @ [1.0, -2.0, 0.5] + 0.5 * rng.logistic(size=N) > 0).astype(int)
    models = []
    for X in (near, near + 1e7):
        model = LogisticRegression()
        for rows in (slice(0, 100), slice(100, N)):
            model.partial_fit(X[rows], y[rows], [0, 1])
        models.append(model)
    np.testing.assert_allclose(models[1].coef_, models[0].coef_, rtol=1e-5)


def test_the_loss_told_is_that_before_the_step(rng):
    X, y = data(rng)
    model = LogisticRegression(C=np.inf).partial_fit(X, y, [0, 1])
    assert model.history_[0]["loss"] == pytest.approx(np.log(2))
    assert "error" not in model.history_[0]
    plain = LogisticRegression(C=np.inf, fit_intercept=False).partial_fit(X, y, [0, 1])
    slope = np.abs(X.T @ (0.5 - y)).max() / len(X)
    assert plain.history_[0]["gradient_norm"] == pytest.approx(slope, rel=1e-9)
    model = pickle.loads(pickle.dumps(model)).partial_fit(X, y)
    assert model.history_[0]["loss"] < np.log(2)
    assert model.n_samples_seen_ == 2 * N


def test_fewer_rows_than_features(rng):
    X, y = data(rng)
    model = LogisticRegression(C=np.inf).partial_fit(X[:2], y[:2], [0, 1])
    assert np.isfinite(model.partial_fit(X[2:], y[2:]).coef_).all()
    model.partial_fit(X, y, sample_weight=np.zeros(N))  # some rows have had a weight
    with pytest.raises(ValueError, match="zero for all rows"):
        LogisticRegression().partial_fit(X, y, [0, 1], np.zeros(N))


def test_bad_calls_say_what_to_do(rng):
    X, y = data(rng)
    for model, classes, match in (
        (LogisticRegression(), None, "classes must be passed on the first call"),
        (LogisticRegression(), [1, 1], "two labels or more"),
        (LogisticRegression(class_weight="balanced"), [0, 1], "needs all rows"),
        (LogisticRegression().partial_fit(X, y, [0, 1]), [0, 1, 2], "not the same as on last call"),
    ):
        with pytest.raises(ValueError, match=match):
            model.partial_fit(X, y, classes)
    with pytest.raises(BadBlock, match=r"label .*2.* passed as classes"):
        LogisticRegression().partial_fit(X, y + 1, [0, 1])
    wide = da.zeros((10, 5_000), chunks=(5, -1))
    with pytest.raises(ValueError, match=r"5001 parameters.*MLPClassifier"):
        LogisticRegression().partial_fit(wide, da.zeros(10, chunks=5), [0, 1])
    for model in (LogisticRegressionCV(), LogisticRegression(l1_ratio=0.5)):
        assert not hasattr(model, "partial_fit")


def test_an_intercept_that_comes_or_goes_between_batches_is_refused(rng):
    X = rng.normal(size=(50, 2))
    y = X[:, 0] > 0
    model = LogisticRegression().partial_fit(X, y, classes=[False, True])
    with pytest.raises(ValueError, match="fit_intercept=False, but earlier batches"):
        model.set_params(fit_intercept=False).partial_fit(X, y)


def test_fit_begins_anew_and_keeps_nothing(rng):
    X, y = data(rng)
    model = LogisticRegression().partial_fit(X, y, [0, 1]).fit(X[:200], y[:200])
    np.testing.assert_array_equal(model.coef_, LogisticRegression().fit(X[:200], y[:200]).coef_)
    assert not hasattr(model, "n_samples_seen_")
    with pytest.warns(UserWarning, match=r"fitted by fit.*starts again.*warm_start"):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(model.coef_, LogisticRegression().partial_fit(X, y, [0, 1]).coef_)
