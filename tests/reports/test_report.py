"""A report is one complete page, or nothing changes."""

from __future__ import annotations

import html.parser
import re
import sys

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression as SklearnLinearRegression
from sklearn.metrics import accuracy_score, log_loss, r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline

from dlbd_estimators import DifferentialPrivacy, LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.model_selection import GridSearchCV
from dlbd_estimators.preprocessing import StandardScaler
from dlbd_estimators.reports import report


class Page(html.parser.HTMLParser):
    """Text of a page, what it links to, and whether its tags match."""

    VOID = ("meta", "path", "use", "input", "br", "link")

    def __init__(self, path):
        super().__init__()
        self.text, self.links, self.open = [], [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in ("src", "href") and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(self.text)


@pytest.fixture
def data(rng):
    X = rng.normal(size=(500, 3))
    y = np.where(X[:, 0] + rng.normal(size=500) > 0, "late", "in time")
    return X, y


def score(page, name):
    return re.search(rf"{name} +([-0-9.e]+)", " ".join(page.words.split())).group(1)


def test_two_classes(data, tmp_path):
    X, y = data
    model = LogisticRegression().fit(X, y)
    path = report(model, X, y, path=tmp_path / "late.html", title="Late <flights>")
    page = Page(path)
    assert not page.open
    assert "Late <flights>" in page.words
    assert "The error is the distance to the optimum" in page.words
    assert score(page, "accuracy") == f"{accuracy_score(y, model.predict(X)):.4f}"
    probability = model.predict_proba(X)
    assert score(page, "log loss") == f"{log_loss(y, probability):.4f}"
    area = roc_auc_score(y == "late", probability[:, 1])
    assert score(page, "area under the ROC curve") == f"{area:.4f}"
    assert "predicted late" in page.words
    for entry in model.history_:
        assert f"{entry['loss']:#.6g}" in page.words
    assert path.read_text().count("<svg") >= 4
    outside = [link for link in page.links if not link.startswith(("#", "data:"))]
    assert not [link for link in outside if "scikit-learn.org" not in link]


def test_lazy_data_give_the_same_page(data, tmp_path):
    X, y = data
    model = LogisticRegression().fit(X, y)
    lazy = da.from_array(X, chunks=(120, 3)), da.from_array(y, chunks=120)
    pages = [
        Page(report(model, *rows, path=tmp_path / f"{name}.html")).words
        for name, rows in (("memory", data), ("lazy", lazy))
    ]
    numbers = [
        re.findall(r"\d+\.\d+", page[page.index("Scores") : page.index("Plots")]) for page in pages
    ]
    assert numbers[0] == numbers[1] != []


def test_a_pipeline_and_several_classes(data, tmp_path):
    X = pd.DataFrame(data[0], columns=["a", "b", "c"])
    y = np.digitize(X["a"], [-0.5, 0.5])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    page = Page(report(pipeline, X, y, path=tmp_path / "page.html"))
    assert "StandardScaler" in page.words
    assert "predicted 2" in page.words
    assert "ROC" not in page.words


@pytest.mark.parametrize("lazy", [False, True])
def test_coefficients_are_shown_per_unit_and_per_standard_deviation(data, tmp_path, lazy):
    X = data[0] * [1.0, 100.0, 0.01]
    y = X @ [1.0, 0.01, 100.0]
    rows = (da.from_array(X, chunks=(100, 3)), da.from_array(y, chunks=100)) if lazy else (X, y)
    for model in (Ridge(), make_pipeline(StandardScaler(), Ridge())):
        text = report(model.fit(*rows), *rows, path=tmp_path / "page.html").read_text()
        # Matplotlib writes what it draws into a comment beside the outlines.
        assert text.count("<!-- Coefficient per unit of the column -->") == 1
        assert text.count("<!-- Coefficient per standard deviation of the column -->") == 1


def test_a_regression(data, tmp_path):
    X = data[0]
    y = X @ [1.0, 2.0, 3.0] + 0.1 * np.sin(10 * X[:, 0])
    model = Ridge().fit(X, y)
    page = Page(report(model, X, y, path=tmp_path / "page.html"))
    assert score(page, "R2") == f"{r2_score(y, model.predict(X)):.6g}"
    assert "largest error" in page.words


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_long_fit_of_a_network_is_cut_in_the_middle(data, tmp_path):
    model = MLPClassifier(
        (4,), max_iter=50, early_stopping=True, n_iter_no_change=60, random_state=0
    )
    model.fit(*data)
    page = Page(report(model, *data, path=tmp_path / "page.html"))
    assert "The first and the last 10 of 50 steps." in " ".join(page.text)
    assert "The error is the distance to the optimum" not in page.words
    assert "validation score" in page.words
    first, last = (f"{entry['loss']:#.6g}" for entry in (model.history_[9], model.history_[40]))
    cells = [text.strip() for text in page.text]
    assert cells.index(first) < cells.index("…") < cells.index(last)


def test_a_private_training_has_no_loss_to_show(data, tmp_path):
    privacy = DifferentialPrivacy(
        epsilon=1.0, delta=1e-5, n_samples=500, classes=["in time", "late"]
    )
    model = LogisticRegression(max_iter=2, privacy=privacy).fit(*data)
    page = Page(report(model, *data, path=tmp_path / "report.html"))
    assert "gradient norm" in page.words
    assert score(page, "accuracy")


def test_names_are_text(data, tmp_path):
    X = pd.DataFrame(data[0], columns=["<script>alert(1)</script>", "b", "c"])
    y = np.where(data[1] == "late", "<b>late</b>", "in time")
    text = report(LogisticRegression().fit(X, y), X, y, path=tmp_path / "page.html").read_text()
    assert "<script>alert(1)" not in text
    assert "<b>late" not in text


def test_without_matplotlib_there_is_a_page_that_says_so(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    model = LogisticRegression().fit(*data)
    page = Page(report(model, *data, path=tmp_path / "page.html"))
    assert "pip install" in page.words
    assert "accuracy" in page.words


def test_what_cannot_be_told_of_is_refused(data, tmp_path):
    X, y = data
    with pytest.raises(NotFittedError):
        report(Ridge(), X, y, path=tmp_path / "page.html")
    with pytest.raises(TypeError, match="no history_"):
        report(SklearnLinearRegression().fit(X, X[:, 0]), X, y, path=tmp_path / "page.html")
    search = GridSearchCV(Ridge(), {"alpha": [1.0, 2.0]}).fit(X, X[:, 0])
    with pytest.raises(TypeError, match="best_estimator_"):
        report(search, X, y, path=tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_told_before_anything_is_read(data, tmp_path):
    X, y = data
    model = LogisticRegression().fit(X, y)

    def read(_):
        raise AssertionError("read")

    never = da.from_array(X, chunks=(100, 3)).map_blocks(read, dtype=float, meta=np.empty((0, 3)))
    with pytest.raises(FileNotFoundError, match=r"no/page\.html'$"):
        report(model, never, da.from_array(y, chunks=100), path=tmp_path / "no" / "page.html")
    with pytest.raises(IsADirectoryError, match="is a folder: name the file of the page"):
        report(model, never, da.from_array(y, chunks=100), path=tmp_path)


def test_what_is_there_outlives_an_error(data, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    model = LogisticRegression().fit(*data)
    with pytest.raises(ValueError, match="features"):
        report(model, data[0][:, :2], data[1], path=path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
