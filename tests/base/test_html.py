"""What a notebook shows of an estimator."""

from __future__ import annotations

import re

import numpy as np
import pytest
import sklearn
from sklearn.pipeline import make_pipeline

from dlbd_estimators import Lasso, LogisticRegression, MLPRegressor, Ridge
from dlbd_estimators.base.html import sparkline
from dlbd_estimators.preprocessing import StandardScaler


@pytest.fixture
def data(rng):
    X = rng.normal(size=(200, 3))
    return X, X[:, 0] + 0.1 * rng.normal(size=200)


def shown(estimator):
    return estimator._repr_mimebundle_()["text/html"]


def test_a_fit_is_summed_up_below_the_diagram(data):
    X, y = data
    model = LogisticRegression(solver="lbfgs").fit(X, y > 0)
    text = shown(model)
    assert "dlbd-fit" in model._repr_html_()  # ids of the diagram differ from call to call
    diagram, summary = text.split('<div class="dlbd-fit">')
    assert "sk-top-container" in diagram
    assert f"<td>{model.n_passes_:.2f}</td>" in summary
    assert f"<td>{model.history_[-1]['loss']:.8g}</td>" in summary
    assert "<td>lbfgs</td>" in summary
    points = re.search('points="(.*?)"', summary).group(1).split()
    assert len(points) == len(model.history_)
    heights = [float(point.split(",")[1]) for point in points]
    losses = [entry["loss"] for entry in model.history_]
    # Downwards is up in SVG.
    assert np.corrcoef(heights, losses)[0, 1] == pytest.approx(-1, abs=0.01)


def test_what_was_not_fitted_is_shown_as_before():
    assert "dlbd-fit" not in shown(Ridge())


def test_every_estimator_shows_its_fit(data):
    for model in (
        Ridge(),
        Lasso(0.01),
        MLPRegressor(hidden_layer_sizes=(2,), solver="lbfgs", max_iter=500),
    ):
        assert "passes over the data" in shown(model.fit(*data))


def test_a_pipeline_shows_scikit_learns_diagram(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(X, y)
    assert "sk-top-container" in shown(pipeline)


def test_text_is_text_where_it_is_asked_for(data):
    model = Ridge().fit(*data)
    with sklearn.config_context(display="text"):
        assert "text/html" not in model._repr_mimebundle_()
        assert not hasattr(model, "_repr_html_")


@pytest.mark.parametrize(
    "history", [None, [], [{}], "nonsense", [{"loss": "x"}], [{"loss": None}] * 3]
)
def test_attributes_of_any_kind_can_be_shown(data, history):
    model = Ridge().fit(*data)
    model.history_ = history
    assert "sk-top-container" in shown(model)


def test_names_are_text(data):
    model = Ridge().fit(*data)
    model.solver_ = "<script>"
    assert "<script>" not in shown(model).split('<div class="dlbd-fit">')[1]


def test_a_curve_needs_two_numbers():
    assert sparkline([]) == sparkline([1.0]) == sparkline([None, 2.0, np.nan]) == ""
    assert sparkline([1.0, 1.0]).count(",") == 3  # two points, and one in the title
    assert "from 3 to 1" in sparkline([np.inf, 3.0, None, 1.0])
