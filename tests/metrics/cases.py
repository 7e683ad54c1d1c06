"""Metrics with options, and rows to give them."""

from __future__ import annotations

import numpy as np
import sklearn.metrics
from hypothesis import strategies as st

import dlbd_estimators.metrics
from tests.strategies import cuts, random_generators, weights

LABELS = [
    ("accuracy_score", {}),
    ("accuracy_score", {"normalize": False}),
    ("balanced_accuracy_score", {"adjusted": True}),
    ("confusion_matrix", {}),
    ("confusion_matrix", {"labels": [2, 0], "normalize": "true"}),
    ("confusion_matrix", {"normalize": "all"}),
    ("precision_score", {"average": "macro"}),
    ("recall_score", {"average": "weighted", "zero_division": 1.0}),
    ("f1_score", {"average": None}),
    ("f1_score", {"average": "micro", "labels": [0, 1]}),
]
SEVERAL_LABELS = [
    ("accuracy_score", {}),
    ("precision_score", {"average": "samples", "zero_division": 0.0}),
    ("f1_score", {"average": None}),
    ("recall_score", {"average": "micro"}),
    ("roc_auc_score", {"average": "macro"}),
    ("roc_auc_score", {"average": "weighted", "max_fpr": 0.5}),
    ("roc_auc_score", {"average": "micro"}),
    ("roc_auc_score", {"average": None}),
]
PROBABILITIES = [
    ("log_loss", {"labels": [0, 1, 2]}),
    ("log_loss", {"labels": [0, 1, 2], "normalize": False}),
    ("brier_score_loss", {"labels": [0, 1, 2]}),
    ("brier_score_loss", {"labels": [0, 1, 2], "scale_by_half": True}),
    ("roc_auc_score", {"multi_class": "ovr", "labels": [0, 1, 2]}),
    ("roc_auc_score", {"multi_class": "ovr", "average": "weighted", "labels": [0, 1, 2]}),
    ("roc_auc_score", {"multi_class": "ovr", "average": "micro", "labels": [0, 1, 2]}),
    ("roc_auc_score", {"multi_class": "ovr", "average": None, "labels": [0, 1, 2]}),
    ("roc_auc_score", {"multi_class": "ovo", "labels": [0, 1, 2]}),
    ("roc_auc_score", {"multi_class": "ovo", "average": "weighted", "labels": [0, 1, 2]}),
]
ONE_PROBABILITY = [
    ("log_loss", {"labels": [0, 1]}),
    ("brier_score_loss", {}),
    ("brier_score_loss", {"pos_label": 0, "scale_by_half": False}),
    ("roc_auc_score", {}),
    ("roc_auc_score", {"max_fpr": 0.3}),
]
NUMBERS = [
    (name, {"multioutput": how})
    for name in (
        "mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "r2_score",
    )
    for how in ("uniform_average", "raw_values", [0.2, 0.8])
] + [
    ("r2_score", {"multioutput": "variance_weighted"}),
    ("r2_score", {"multioutput": None, "force_finite": False}),
]  # fmt: skip
ONE_NUMBER = [
    ("mean_squared_error", {}),
    ("root_mean_squared_error", {}),
    ("mean_absolute_error", {}),
    ("r2_score", {}),
    ("max_error", {}),
    ("mean_poisson_deviance", {}),
]


def ours(name):
    return getattr(dlbd_estimators.metrics, name)


def theirs(name):
    return getattr(sklearn.metrics, name)


def rows(kind, rng, n):
    """(y_true, y_pred) of n rows; scores and probabilities repeat, extreme ones among them."""
    match kind:
        case "labels":
            return rng.integers(0, 3, n), rng.integers(0, 3, n)
        case "several labels":
            return rng.integers(0, 2, (n, 3)), rng.integers(0, 2, (n, 3))
        case "probabilities":
            raw = rng.integers(0, 4, (n, 3)) + np.array([0.5, 0.25, 0.0])
            return rng.integers(0, 3, n), raw / raw.sum(axis=1, keepdims=True)
        case "one probability":
            return rng.integers(0, 2, n), rng.integers(0, 6, n) / 5
        case "numbers":
            y = rng.normal(size=(n, 2)) * [1.0, 30.0] + [5.0, -5.0]
            return y, y + rng.normal(size=(n, 2))
        case "number":
            return rng.poisson(2.0, n).astype(float), rng.gamma(2.0, size=n) + 0.1
    raise AssertionError(kind)


CASES = [
    (kind, name, options)
    for kind, cases in (
        ("labels", LABELS),
        ("several labels", SEVERAL_LABELS),
        ("probabilities", PROBABILITIES),
        ("one probability", ONE_PROBABILITY),
        ("numbers", NUMBERS),
        ("number", ONE_NUMBER),
    )
    for name, options in cases
]


@st.composite
def inputs(draw, kind, *, weighted=True):
    """y_true, y_pred, sample_weight (zeros among them, or None), and cuts of each of them."""
    n = draw(st.integers(6, 40))
    y_true, y_pred = rows(kind, draw(random_generators()), n)
    weight = draw(weights(n)) if weighted else None
    return y_true, y_pred, weight, [draw(cuts(n)) for _ in range(3)]
