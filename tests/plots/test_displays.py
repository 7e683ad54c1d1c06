"""Displays hold what was computed and draw it; lazy data give scikit-learn's numbers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import dask.array as da
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn import calibration, metrics
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression as SklearnLinearRegression
from sklearn.pipeline import make_pipeline

mpl.use("Agg")  # before pyplot: there is no display

import matplotlib.pyplot as plt

from dlbd_estimators import (
    ElasticNetCV,
    LassoCV,
    LogisticRegression,
    LogisticRegressionCV,
    MLPClassifier,
    Ridge,
    RidgeCV,
)
from dlbd_estimators.plots import (
    CalibrationDisplay,
    CoefficientsDisplay,
    LossCurveDisplay,
    RocCurveDisplay,
    SearchScoresDisplay,
)
from dlbd_estimators.preprocessing import StandardScaler


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def data(rng):
    X = rng.normal(size=(600, 4))
    y = np.where(X[:, 0] - X[:, 1] + rng.normal(size=600) > 0, "yes", "no")
    return X, y


@pytest.fixture
def model(data):
    return LogisticRegression(solver="lbfgs").fit(*data)


def lazy(X, y):
    return da.from_array(X, chunks=(170, X.shape[1])), da.from_array(y, chunks=170)


@pytest.mark.parametrize("y", ["loss", "gradient_norm"])
@pytest.mark.parametrize("x", ["pass", "iteration", "seconds"])
def test_a_loss_curve_is_history(model, x, y):
    display = LossCurveDisplay.from_estimator(model, x=x, y=y)
    np.testing.assert_array_equal(display.line_.get_xdata(), [e[x] for e in model.history_])
    np.testing.assert_array_equal(display.line_.get_ydata(), [e[y] for e in model.history_])
    assert display.ax_.get_yscale() == ("linear" if y == "loss" else "log")
    assert display.figure_ is display.ax_.figure
    (text,) = display.ax_.get_legend().get_texts()
    assert text.get_text() == "LogisticRegression"


def test_excess_is_above_the_least(model):
    losses = np.array([entry["loss"] for entry in model.history_])
    display = LossCurveDisplay.from_estimator(model, y="excess")
    np.testing.assert_array_equal(display.line_.get_ydata(), losses - losses.min())
    assert display.ax_.get_yscale() == "log"
    display.figure_.canvas.draw()


def test_the_scale_is_the_users_choice():
    history = [{"pass": 1, "loss": 2.0, "error": 0.0}, {"pass": 2, "loss": 1.0, "error": 0.0}]
    draw = LossCurveDisplay.from_history
    assert draw(history, log=True).ax_.get_yscale() == "log"
    assert draw(history, y="excess").ax_.get_yscale() == "log"
    assert draw(history, y="excess", log=False).ax_.get_yscale() == "linear"
    # Nothing is above 0, which a logarithmic scale could not show.
    assert draw(history, y="error").ax_.get_yscale() == "linear"


def test_curves_overlay(data, model):
    first = LossCurveDisplay.from_estimator(model)
    network = MLPClassifier(
        (3,), max_iter=3, early_stopping=True, random_state=0, n_iter_no_change=9
    )
    with pytest.warns(match="Maximum iterations"):
        network.fit(*data)
    second = LossCurveDisplay.from_estimator(network, ax=first.ax_, name="network", color="k")
    assert second.ax_ is first.ax_
    names = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert names == ["LogisticRegression", "network", "network, validation rows"]
    assert second.line_.get_color() == "k"
    scores = LossCurveDisplay.from_estimator(network, y="validation_score").line_.get_ydata()
    np.testing.assert_array_equal(scores, network.validation_scores_)


def test_of_a_pipeline_the_last_step_is_drawn(data):
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(*data)
    shown = LossCurveDisplay.from_estimator(pipeline).line_.get_ydata()
    np.testing.assert_array_equal(shown, [entry["loss"] for entry in pipeline[-1].history_])


def test_what_has_no_history_is_refused(data, model):
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(LogisticRegression())
    with pytest.raises(TypeError, match="no history_"):
        LossCurveDisplay.from_estimator(SklearnLinearRegression().fit(data[0], data[0][:, 0]))
    with pytest.raises(ValueError, match=r"no key 'lost'\. .*'loss'"):
        LossCurveDisplay.from_estimator(model, y="lost")


def test_the_largest_coefficients_come_first_with_their_names(data):
    X = pd.DataFrame(data[0], columns=["age", "height", "noise", "size"])
    target = X["height"] * 2 - 5 * X["age"] + 0.1 * X["size"]
    model = Ridge().fit(X, target)
    display = CoefficientsDisplay.from_estimator(model, n_features=3)
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["age", "height", "size"]
    widths = [bar.get_width() for bar in display.bars_]
    np.testing.assert_array_equal(widths, model.coef_[[0, 1, 3]])
    assert display.ax_.get_title(loc="left") == "Ridge: 3 of 4 coefficients"
    assert display.ax_.yaxis_inverted()
    assert display.bars_[0].get_facecolor() != display.bars_[1].get_facecolor()


def test_names_come_from_the_steps_before(data):
    X = pd.DataFrame(data[0], columns=list("abcd"))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, data[1])
    display = CoefficientsDisplay.from_estimator(pipeline)
    assert set(display.feature_names) == set("abcd")
    unnamed = CoefficientsDisplay.from_estimator(LogisticRegression().fit(*data))
    assert set(unnamed.feature_names) == {"x0", "x1", "x2", "x3"}


def test_one_of_several_classes_is_chosen(data):
    X = data[0]
    model = LogisticRegression().fit(X, np.digitize(X[:, 0], [-0.5, 0.5]))
    display = CoefficientsDisplay.from_estimator(model, class_=2, feature_names=list("abcd"))
    assert display.coef[0] == pytest.approx(model.coef_[2, 0])
    for wrong in (None, 7):
        with pytest.raises(ValueError, match=r"\[.*0.*1.*2.*\]: choose one"):
            CoefficientsDisplay.from_estimator(model, class_=wrong)
    with pytest.raises(ValueError, match="n_features must be at least 1"):
        CoefficientsDisplay.from_estimator(model, class_=2, n_features=0)
    with pytest.raises(ValueError, match="2 feature_names for 4"):
        CoefficientsDisplay.from_estimator(model, class_=2, feature_names=["a", "b"])


def test_the_one_row_of_two_classes_belongs_to_the_greater(model):
    shown = CoefficientsDisplay.from_estimator(model, class_="yes")
    assert shown.coef[0] == model.coef_[0][np.abs(model.coef_[0]).argmax()]
    assert shown.ax_.get_title(loc="left") == "LogisticRegression, yes: 4 coefficients"
    with pytest.raises(ValueError, match=r"\['yes'\]: choose one"):
        CoefficientsDisplay.from_estimator(model, class_="no")


def test_what_has_no_coefficients_is_refused():
    with pytest.raises(NotFittedError):
        CoefficientsDisplay.from_estimator(Ridge())
    with pytest.raises(TypeError, match="no coef_"):
        CoefficientsDisplay.from_estimator(StandardScaler().fit([[1.0], [2.0]]))


@pytest.mark.parametrize("pos_label", [None, "no"])
def test_roc_of_lazy_data_is_that_of_scikit_learn(data, model, pos_label, rng):
    weights = rng.integers(0, 3, size=600)
    mine = RocCurveDisplay.from_estimator(
        model, *lazy(*data), sample_weight=da.from_array(weights, chunks=100), pos_label=pos_label
    )
    theirs = metrics.RocCurveDisplay.from_estimator(
        model, *data, sample_weight=weights, pos_label=pos_label
    )
    assert mine.pos_label == theirs.pos_label
    np.testing.assert_allclose(mine.roc_auc, theirs.roc_auc, rtol=1e-12)
    np.testing.assert_allclose(mine.fpr, np.ravel(theirs.fpr), rtol=1e-12)
    np.testing.assert_allclose(mine.tpr, np.ravel(theirs.tpr), rtol=1e-12)
    # scikit-learn 1.9 names no curve that it draws of an estimator otherwise.
    assert "LogisticRegression" in mine.ax_.get_legend().get_texts()[0].get_text()


def test_calibration_of_lazy_data_is_that_of_scikit_learn(data, model):
    mine = CalibrationDisplay.from_estimator(model, *lazy(*data), n_bins=7)
    theirs = calibration.CalibrationDisplay.from_estimator(model, *data, n_bins=7)
    np.testing.assert_allclose(mine.prob_true, theirs.prob_true, rtol=1e-12)
    np.testing.assert_allclose(mine.prob_pred, theirs.prob_pred, rtol=1e-12)
    assert mine.ax_.get_ylabel() == theirs.ax_.get_ylabel()


@pytest.mark.parametrize("display", [RocCurveDisplay, CalibrationDisplay])
def test_in_memory_they_are_those_of_scikit_learn(display, data, model):
    base = display.__mro__[1]
    mine, theirs = (each.from_estimator(model, *data) for each in (display, base))
    assert isinstance(mine, display)
    np.testing.assert_array_equal(mine.line_.get_xydata(), theirs.line_.get_xydata())


@pytest.mark.parametrize("display", [RocCurveDisplay, CalibrationDisplay])
def test_three_classes_and_unknown_labels_are_refused(display, data, model):
    X, y = lazy(*data)
    with pytest.raises(ValueError, match="pos_label='maybe'"):
        display.from_estimator(model, X, y, pos_label="maybe")
    three = LogisticRegression().fit(data[0], np.digitize(data[0][:, 0], [-0.5, 0.5]))
    with pytest.raises(ValueError, match="3 classes"):
        display.from_estimator(three, X, y)

    with pytest.raises(NotFittedError):
        display.from_estimator(LogisticRegression(), X, y)
    with pytest.raises(ValueError, match="Got Ridge"):
        display.from_estimator(Ridge().fit(data[0], data[0][:, 0]), X, y)
    assert not plt.get_fignums()


def test_many_scores_are_rounded_and_few_are_not(rng):
    y = rng.integers(0, 2, size=20_000)
    scores = (y + rng.normal(size=20_000)).astype(np.float32)
    lazily = da.from_array(y, chunks=7_000), da.from_array(scores, chunks=7_000)
    every = {"drop_intermediate": False}
    exact = RocCurveDisplay.from_predictions(*lazily, **every)
    rounded = RocCurveDisplay.from_predictions(*lazily, **every, max_scores=4_096)
    assert len(exact.fpr) == len(np.unique(scores)) + 1
    assert 1_024 < len(rounded.fpr) <= 4_097
    assert exact.roc_auc == pytest.approx(metrics.roc_auc_score(y, scores), rel=1e-12)
    assert rounded.roc_auc != exact.roc_auc
    assert rounded.roc_auc == pytest.approx(exact.roc_auc, abs=1e-3)
    for wrong in (4_095, 1e5):
        with pytest.raises(ValueError, match="max_scores must be"):
            RocCurveDisplay.from_predictions(*lazily, max_scores=wrong)


def test_scores_of_decision_function_and_its_sign(data):
    model = LogisticRegression().fit(*data)
    for pos_label in ("yes", "no"):
        options = {"response_method": "decision_function", "pos_label": pos_label}
        mine = RocCurveDisplay.from_estimator(model, *lazy(*data), **options)
        theirs = metrics.RocCurveDisplay.from_estimator(model, *data, **options)
        np.testing.assert_allclose(mine.roc_auc, theirs.roc_auc, rtol=1e-12)
    with pytest.raises(ValueError, match="response_method must be"):
        RocCurveDisplay.from_estimator(model, *lazy(*data), response_method="fit")


@pytest.mark.parametrize("display", [RocCurveDisplay, CalibrationDisplay])
def test_lazy_data_are_read_once_and_stay_lazy(display, data, model):
    X, y = data
    read = []

    def counted(block, block_info=None):
        if block_info:
            read.append(block_info[0]["chunk-location"][0])
        return block

    lazily = da.from_array(X, chunks=(170, 4)).map_blocks(
        counted, dtype=X.dtype, meta=np.empty((0, 0))
    )
    display.from_estimator(model, lazily, da.from_array(y, chunks=170))
    assert sorted(read) == [0, 1, 2, 3]


def test_settings_of_matplotlib_are_left_alone(model, data):
    before = dict(mpl.rcParams)
    display = LossCurveDisplay.from_estimator(model)
    CoefficientsDisplay.from_estimator(model)
    RocCurveDisplay.from_estimator(model, *lazy(*data))
    assert dict(mpl.rcParams) == before
    assert not display.ax_.spines["top"].get_visible()


def test_without_matplotlib_it_is_named(model, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install .*plots"):
        LossCurveDisplay.from_estimator(model)
    with pytest.raises(ImportError, match=r"pip install .*plots"):
        RocCurveDisplay.from_estimator(model, *lazy(*data))


def test_the_code_of_the_documentation_runs(tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "plots.md"
    code = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code) == 7
    monkeypatch.chdir(tmp_path)
    exec("\n".join(code), {})
    assert (tmp_path / "fits.png").stat().st_size > 0


def logistic_search(data, **parameters):
    search = LogisticRegressionCV(
        Cs=[1.0, 0.01, 0.1],
        scoring="neg_log_loss",
        cv=3,
        **{"l1_ratios": (0.0,), "use_legacy_attributes": False, **parameters},
    )
    return search.fit(*data)


def test_scores_of_a_search_are_drawn_in_the_order_of_strengths(data):
    search = logistic_search(data)
    display = SearchScoresDisplay.from_estimator(make_pipeline(search), name="late")
    np.testing.assert_array_equal(display.line_.get_xdata(), [0.01, 0.1, 1.0])
    mean = search.scores_[:, 0].mean(axis=0)
    np.testing.assert_allclose(display.line_.get_ydata(), mean[[1, 2, 0]])
    assert display.chosen_line_.get_xdata()[0] == search.C_
    assert display.chosen_line_.get_xdata()[0] == search.Cs_[mean.argmax()]
    band = display.spread_.get_paths()[0].vertices
    spread = search.scores_[:, 0].std(axis=0)
    assert band[:, 1].max() == pytest.approx((mean + spread).max())
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_ylabel() == "Mean log-likelihood of held-out rows"


def test_legacy_attributes_give_the_same_scores(data):
    new = SearchScoresDisplay.from_estimator(logistic_search(data, l1_ratios=(0.0, 0.5)))
    search = logistic_search(data, l1_ratios=(0.0, 0.5), use_legacy_attributes=True)
    legacy = SearchScoresDisplay.from_estimator(search)
    np.testing.assert_array_equal(new.scores, legacy.scores)
    assert new.chosen == legacy.chosen


def test_errors_of_a_search_for_alpha(rng):
    X = rng.normal(size=(60, 3))
    y = X[:, 0] + rng.normal(size=60)
    lasso = LassoCV(alphas=[0.1, 1.0], cv=3).fit(X, y)
    display = SearchScoresDisplay.from_estimator(lasso)
    np.testing.assert_allclose(
        display.line_.get_ydata(), lasso.mse_path_[::-1].mean(axis=1), rtol=1e-12
    )
    assert display.chosen == lasso.alpha_
    net = ElasticNetCV(l1_ratio=[0.2, 0.9], alphas=[0.1, 1.0], cv=3).fit(X, y)
    for number, ratio in enumerate([0.2, 0.9]):
        display = SearchScoresDisplay.from_estimator(net, l1_ratio=ratio)
        np.testing.assert_array_equal(display.scores, net.mse_path_[number])
        assert (display.chosen == net.alpha_) == (ratio == net.l1_ratio_)
    with pytest.raises(
        ValueError, match=r"l1_ratio=0\.5 was not tried. These were: \[0\.2, 0\.9\]"
    ):
        SearchScoresDisplay.from_estimator(net, l1_ratio=0.5)


def test_one_alpha_has_one_point(rng):
    X = rng.normal(size=(60, 3))
    y = X[:, 0] + rng.normal(size=60)
    display = SearchScoresDisplay.from_estimator(LassoCV(alphas=[0.1], cv=3).fit(X, y))
    assert display.scores.shape == (1, 3)
    net = ElasticNetCV(l1_ratio=[0.2, 0.9], alphas=[0.1], cv=3).fit(X, y)
    for number, ratio in enumerate([0.2, 0.9]):
        display = SearchScoresDisplay.from_estimator(net, l1_ratio=ratio)
        assert display.strengths.tolist() == [0.1]
        np.testing.assert_array_equal(display.scores, net.mse_path_.reshape(2, 1, 3)[number])


def test_no_penalty_is_a_level_line():
    draw = SearchScoresDisplay(
        strengths=np.array([np.inf, 1.0, 0.1]),
        scores=np.array([[3.0], [2.0], [1.0]]),
        chosen=np.inf,
    )
    display = draw.plot()
    np.testing.assert_array_equal(display.line_.get_xdata(), [0.1, 1.0])
    assert set(display.chosen_line_.get_ydata()) == {3.0}
    display.figure_.canvas.draw()


def test_what_has_no_scores_by_penalty_is_refused(data, rng):
    with pytest.raises(NotFittedError):
        SearchScoresDisplay.from_estimator(LassoCV())
    ridge = RidgeCV(cv=3).fit(data[0], rng.normal(size=600))
    with pytest.raises(TypeError, match="RidgeCV keeps no scores by penalty"):
        SearchScoresDisplay.from_estimator(ridge)
