"""Rows that the user passes for validation: their scores and losses, and what they decide."""

from __future__ import annotations

import dask
import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_squared_error

from dlbd_estimators import MLPClassifier
from dlbd_estimators.exceptions import CheckpointMismatch, Diverged, NonFiniteValues
from dlbd_estimators.plots import LossCurveDisplay
from tests.base.test_checkpoint import fit_until_done
from tests.engine.test_cluster import scheduler_keys
from tests.inputs import as_kind, flat, in_chunks, perceptron, task

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FEW = {"max_iter": 4, "learning_rate_init": 0.05}


def parts(kind, n=240):
    """Training rows, and others to validate on."""
    X, y = task(kind, n=n + 100)
    return (X[:n], y[:n]), {"X_val": X[n:], "y_val": y[n:]}


def lazily(rows, val, chunk=40):
    return in_chunks(chunk, *rows), dict(zip(val, in_chunks(chunk, *val.values()), strict=True))


def fit(kind, rows, val, **options):
    return perceptron(kind, **{**FEW, **options}).fit(*rows, **val)


def bits(model):
    curves = (model.loss_curve_, model.validation_scores_)
    losses = [entry["validation_loss"] for entry in model.history_]
    return np.concatenate([flat(model), *curves, losses])


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", ["binary", "classes", "labels", "number", "numbers", "counts"])
def test_each_epoch_has_the_score_and_the_loss_of_the_rows(kind, early_stopping):
    rows, val = parts(kind)
    weight = np.random.default_rng(0).integers(0, 3, 100).astype(float)
    model = fit(kind, rows, {**val, "sample_weight_val": weight}, early_stopping=early_stopping)
    states = [fit(kind, rows, val, max_iter=n, early_stopping=False) for n in range(1, 5)]
    scores = [each.score(val["X_val"], val["y_val"], weight) for each in states]
    np.testing.assert_allclose(model.validation_scores_, scores, rtol=1e-12)
    assert [entry["validation_score"] for entry in model.history_] == model.validation_scores_
    assert model.best_validation_score_ == max(model.validation_scores_)
    kept = int(np.argmax(scores)) if early_stopping else -1
    np.testing.assert_array_equal(flat(model), flat(states[kept]))
    losses = [entry["validation_loss"] for entry in model.history_]
    X, y = val["X_val"], val["y_val"]
    if kind in ("binary", "classes"):
        expected = [log_loss(y, each.predict_proba(X), sample_weight=weight) for each in states]
    elif kind in ("number", "numbers"):
        expected = [
            mean_squared_error(y, each.predict(X), sample_weight=weight) / 2 for each in states
        ]
    else:
        return
    np.testing.assert_allclose(losses, expected, rtol=1e-9)


def test_rows_that_only_watch_change_no_bit():
    rows, val = parts("classes")
    watched = fit("classes", rows, val)
    np.testing.assert_array_equal(flat(watched), flat(fit("classes", rows, {})))
    assert watched.best_loss_ == min(watched.loss_curve_)
    in_blocks = lazily(rows, val)
    np.testing.assert_array_equal(
        flat(fit("classes", *in_blocks)), flat(fit("classes", in_blocks[0], {}))
    )


def test_early_stopping_stops_by_them_and_trains_on_all_rows():
    rows, val = parts("classes")
    options = {"max_iter": 60, "n_iter_no_change": 3, "early_stopping": True}
    model = fit("classes", rows, val, **options)
    assert model.n_iter_ < 60
    assert model.t_ == model.n_iter_ * len(rows[0])
    scores = model.validation_scores_
    assert model.score(val["X_val"], val["y_val"]) == pytest.approx(max(scores))


@pytest.mark.parametrize("data", ["pandas", "ragged", "zarr", "frame", "unknown"])
def test_any_kind_of_data(data):
    rows, val = parts("number")
    expected = fit("number", rows, val, early_stopping=True)
    X_val, y_val, weight = as_kind(data, val["X_val"], val["y_val"], np.ones(100))
    X, y, _ = as_kind("pandas" if data in ("pandas", "frame") else "numpy", *rows)
    given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": weight}
    model = fit("number", (X, y), given, early_stopping=True)
    np.testing.assert_allclose(bits(model), bits(expected), rtol=1e-9)


@pytest.mark.parametrize(("chunk", "early_stopping"), [(1, False), (7, True), (100, True)])
def test_blocks_of_the_rows_change_only_rounding(chunk, early_stopping):
    rows, val = parts("classes", n=60)
    expected = fit("classes", rows, val, max_iter=2, early_stopping=early_stopping)
    in_blocks = dict(zip(val, in_chunks(chunk, *val.values()), strict=True))
    model = fit("classes", rows, in_blocks, max_iter=2, early_stopping=early_stopping)
    np.testing.assert_allclose(bits(model), bits(expected), rtol=1e-10)


def test_class_weights_count_as_in_training():
    rows, val = parts("classes")
    factors = {0: 1.0, 1: 3.0, 2: 0.5}
    model = fit("classes", rows, val, max_iter=1, class_weight=factors)
    weight = np.array([factors[label] for label in val["y_val"]])
    expected = log_loss(val["y_val"], model.predict_proba(val["X_val"]), sample_weight=weight)
    assert model.history_[0]["validation_loss"] == pytest.approx(expected)


@pytest.mark.parametrize("lazy", ["both", "training", "validation"])
def test_the_cluster_gives_the_bits_of_threads(lazy, client):
    rows, val = parts("classes")
    lazy_rows, lazy_val = lazily(rows, val)
    options = {"early_stopping": True, "n_replicas": 1 if lazy == "validation" else 2}
    rows = rows if lazy == "validation" else lazy_rows
    val = val if lazy == "training" else lazy_val
    with dask.config.set(scheduler="threads"):
        expected = bits(fit("classes", rows, val, **options))
    before = set(scheduler_keys(client))
    np.testing.assert_array_equal(bits(fit("classes", rows, val, **options)), expected)
    names = [key for key in scheduler_keys(client) if key not in before]
    assert any("epoch" in name for name in names) == (lazy != "validation")
    assert any("validation" in name for name in names) == (lazy != "training")


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_killed_fit_continues_with_the_same_bits(early_stopping, tmp_path):
    rows, val = lazily(*parts("classes"))
    options = {**FEW, "early_stopping": early_stopping}
    whole = perceptron("classes", **options).fit(*rows, **val)

    class Fit:
        def __init__(self, model):
            self.model = model

        def set_callbacks(self, *callbacks):
            self.model.set_callbacks(*callbacks)
            return self

        def fit(self, X, y):
            return self.model.fit(X, y, **val)

    model, killed = fit_until_done(
        lambda: Fit(perceptron("classes", checkpoint=tmp_path, **options)), *rows
    )
    assert killed > 1
    np.testing.assert_array_equal(bits(model), bits(whole))
    again = perceptron("classes", checkpoint=tmp_path, **options)
    for other in ({}, {**val, "y_val": 0 * val["y_val"]}):
        with pytest.raises(CheckpointMismatch, match="validation data"):
            again.fit(*rows, **other)


def test_divergence_keeps_the_best_only_if_the_score_decides():
    rows, val = parts("number")
    options = {"solver": "sgd", "activation": "identity", "max_iter": 20}
    for rate in (0.2, 0.5, 1.0, 2.0):
        options["learning_rate_init"] = rate
        try:
            model = fit("number", rows, val, early_stopping=True, **options)
        except Diverged:
            continue
        if np.isnan(model.loss_):
            break
    assert np.isnan(model.history_[-1]["validation_loss"])
    assert np.isfinite(flat(model)).all()
    with pytest.raises(Diverged):
        fit("number", rows, val, **options)


def test_the_loss_curve_has_both():
    rows, val = parts("number")
    model = fit("number", rows, val)
    display = LossCurveDisplay.from_estimator(model)
    losses = [entry["validation_loss"] for entry in model.history_]
    np.testing.assert_array_equal(display.validation_line_.get_ydata(), losses)
    np.testing.assert_array_equal(display.line_.get_ydata(), model.loss_curve_)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["MLPRegressor", "MLPRegressor, validation rows"]
    assert LossCurveDisplay.from_estimator(fit("number", rows, {})).validation_line_ is None


class NoEpoch:
    """A callback that fails the test when an epoch begins."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        assert context.task_name != "epoch"

    def on_fit_task_end(self, estimator, context):
        pass


def rows_with(value):
    X = np.zeros((100, 5))
    X[93, 2] = value
    return X


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y_val": None}, ValueError, "X_val is provided, but y_val was not"),
        ({"X_val": None}, ValueError, "y_val is provided, but X_val was not"),
        (
            {"X_val": None, "y_val": None, "sample_weight_val": np.ones(100)},
            ValueError,
            "sample_weight_val is provided",
        ),
        ({"y_val": np.full(100, 7)}, ValueError, r"y_val has rows of the classes \[7\]"),
        ({"y_val": np.zeros(99)}, ValueError, "validation data .*inconsistent numbers"),
        ({"X_val": np.zeros((100, 3))}, ValueError, "validation data .*3 features"),
        ({"X_val": rows_with(np.nan)}, NonFiniteValues, "validation data .*NaN .*column 2"),
        ({"X_val": rows_with(np.inf)}, NonFiniteValues, "validation data .*infinity .*column 2"),
        ({"y_val": np.zeros((100, 2))}, ValueError, "shape of|A row of y_val"),
        ({"sample_weight_val": np.zeros(100)}, ValueError, "validation data .*zero"),
        ({"sample_weight_val": -np.ones(100)}, ValueError, "validation data .*at least 0"),
    ],
)
def test_bad_rows_are_named_before_training_and_change_nothing(change, error, message):
    rows, val = parts("classes")
    model = perceptron("classes", max_iter=1).fit(*rows)
    before = flat(model)
    model.set_callbacks(NoEpoch())
    given = {**val, **change}
    for data in (given, lazily((), given)[1]):
        with pytest.raises(error, match=f"(?s){message}"):
            model.fit(*rows, **data)
        np.testing.assert_array_equal(flat(model), before)


def test_full_passes_have_no_epoch_to_validate_after():
    rows, val = parts("classes")
    with pytest.raises(ValueError, match="solver='lbfgs' makes full passes"):
        MLPClassifier(solver="lbfgs").fit(*rows, **val)
