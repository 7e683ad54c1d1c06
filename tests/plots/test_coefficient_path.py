"""Coefficients along a path, drawn: what the lines, names and axes say."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from sklearn import linear_model

mpl.use("Agg")  # before pyplot: there is no display

import matplotlib.pyplot as plt

from dlbd_estimators.linear_model import lasso_path
from dlbd_estimators.plots import CoefficientPathDisplay


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def path(rng):
    X = rng.normal(size=(100, 4))
    return lasso_path(X, X @ [0.0, 3.0, -1.0, 0.1], alphas=20)


def test_a_line_for_each_column_from_strong_to_weak(path):
    display = CoefficientPathDisplay.from_path(path, feature_names=list("pqrs"), chosen=path[0][5])
    alphas, coefs, _ = path
    for line, values in zip(display.lines_, coefs, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), alphas)
        np.testing.assert_array_equal(line.get_ydata(), values)
    left, right = display.ax_.get_xlim()
    assert left > right
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_ylabel() == "Coefficient"
    assert display.chosen_line_.get_xdata()[0] == alphas[5]
    assert {"q", "r", "s"} <= {each.get_text() for each in display.labels_}


def test_the_largest_are_named_and_alphas_may_come_in_any_order(path):
    alphas, coefs, _ = path
    display = CoefficientPathDisplay.from_path((alphas[::-1], coefs[:, ::-1]), max_names=1)
    assert [each.get_text() for each in display.labels_] == ["x1"]
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), coefs[1])
    assert display.chosen_line_ is None
    again = CoefficientPathDisplay.from_path(path, ax=display.ax_)
    assert again.ax_ is display.ax_
    assert again.ax_.xaxis_inverted()


def test_scikit_learns_path_and_a_strength_of_zero(rng):
    X = rng.normal(size=(50, 2))
    theirs = linear_model.lasso_path(X, X[:, 0], alphas=[0.5, 0.1])
    assert len(CoefficientPathDisplay.from_path(theirs).lines_) == 2
    display = CoefficientPathDisplay(alphas=np.array([1.0, 0.0]), coefs=np.zeros((2, 2))).plot()
    assert display.ax_.get_xscale() == "linear"
    assert not display.labels_


def test_what_is_wrong_is_said(path):
    with pytest.raises(ValueError, match="coefs has shape"):
        CoefficientPathDisplay.from_path((path[0][1:], path[1]))
    with pytest.raises(ValueError, match="3 names for 4 columns"):
        CoefficientPathDisplay.from_path(path, feature_names=list("abc"))


def test_a_logistic_path_is_drawn_by_the_strength_of_its_penalty(rng):
    Cs, coefs = np.array([0.1, 1.0, 10.0]), rng.normal(size=(4, 3))
    display = CoefficientPathDisplay.from_logistic_path((Cs, coefs, np.zeros(3)), chosen=1.0)
    assert display.ax_.get_xlabel() == "1 / C"
    np.testing.assert_allclose(display.lines_[2].get_xdata(), [10.0, 1.0, 0.1])
    np.testing.assert_array_equal(display.lines_[2].get_ydata(), coefs[2])
    assert display.chosen_line_.get_xdata()[0] == 1.0
    of_classes = np.stack([coefs, -coefs, 2 * coefs])
    display = CoefficientPathDisplay.from_logistic_path((Cs, of_classes), class_number=1)
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), -coefs[0])
    with pytest.raises(ValueError, match="one of 3 classes, from 0, but is None"):
        CoefficientPathDisplay.from_logistic_path((Cs, of_classes))
    with pytest.raises(ValueError, match="the path has two"):
        CoefficientPathDisplay.from_logistic_path((Cs, coefs), class_number=0)
