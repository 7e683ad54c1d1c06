"""On lazy data every metric is scikit-learn's on the computed data, however that is cut."""

from __future__ import annotations

import inspect
import warnings

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlbd_estimators.metrics
from tests.metrics.cases import CASES, inputs, ours, rows, theirs

#: Metrics that are a number, or a table of them; curves are in test_curves.py.
NUMBERS = set(dlbd_estimators.metrics.__all__) - {"calibration_curve", "roc_curve"}
KINDS = sorted({kind for kind, _, _ in CASES})
IDS = [f"{name}-{kind}-{options}" for kind, name, options in CASES]


def said(metric, *arguments, **options):
    """What a metric returns or raises, and the categories of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = metric(*arguments, **options)
        except ValueError as error:
            value = error
    return value, {each.category for each in caught}


def takes_weights(name, options):
    return name != "max_error" and options.get("multi_class") != "ovo"


def assert_same(name, y_true, y_pred, lazy_true, lazy_pred, weight, lazy_weight, options):
    weights = {} if weight is None else {"sample_weight": weight}
    lazy_weights = {} if weight is None else {"sample_weight": lazy_weight}
    expected, warned = said(theirs(name), y_true, y_pred, **weights, **options)
    found, warned_lazily = said(ours(name), lazy_true, lazy_pred, **lazy_weights, **options)
    if isinstance(expected, ValueError):
        assert isinstance(found, ValueError)
        return
    if isinstance(found, ValueError):
        raise found
    assert isinstance(found, np.ndarray if isinstance(expected, np.ndarray) else float)
    assert warned_lazily == warned
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def chunked(array, sizes):
    return da.from_array(array, chunks=(sizes, *array.shape[1:]))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_chunks(kind, data):
    name, options = data.draw(st.sampled_from([each[1:] for each in CASES if each[0] == kind]))
    y_true, y_pred, weight, sizes = data.draw(inputs(kind, weighted=takes_weights(name, options)))
    lazy = [
        None if each is None else chunked(each, size)
        for each, size in zip((y_true, y_pred, weight), sizes, strict=True)
    ]
    with dask.config.set(scheduler="synchronous"):
        assert_same(name, y_true, y_pred, lazy[0], lazy[1], weight, lazy[2], options)


@pytest.mark.parametrize("kind", ["labels", "one probability", "number"])
def test_containers(kind):
    y_true, y_pred = rows(kind, np.random.default_rng(0), 60)
    weight = np.random.default_rng(1).uniform(0.1, 1.0, 60)
    name = {"labels": "accuracy_score", "number": "r2_score"}.get(kind, "log_loss")
    unknown = da.ones(60, dtype=bool, chunks=20)
    lazy_true, lazy_pred = da.from_array(y_true, chunks=20), da.from_array(y_pred, chunks=20)
    frame = dd.from_pandas(pd.DataFrame({"t": y_true, "p": y_pred, "w": weight}), npartitions=3)
    for each in [
        (lazy_true, y_pred, pd.Series(weight)),
        (y_true.tolist(), lazy_pred, weight),
        (y_true, lazy_pred[unknown], weight),
        (lazy_true[unknown], lazy_pred[unknown], da.from_array(weight, chunks=20)),
        (lazy_true, lazy_pred[unknown], da.from_array(weight, chunks=7)),
        (lazy_true[:, None], lazy_pred, weight),
        (frame["t"], frame["p"], frame["w"]),
        (frame["t"], y_pred, None),
        (y_true, y_pred, da.from_array(weight, chunks=9)),
    ]:
        same = weight if each[2] is not None else None
        assert_same(name, y_true, y_pred, each[0], each[1], same, each[2], {})


@pytest.mark.parametrize("dtype", [object, "U", "string"])
def test_labels_that_are_strings(dtype):
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.choice(["cat", "dog", "a bird"], (2, 50))
    if dtype == "string":
        frame = dd.from_pandas(pd.DataFrame({"t": y_true, "p": y_pred}, dtype=dtype), npartitions=4)
        lazy = frame["t"], frame["p"]
    else:
        lazy = [da.from_array(each.astype(dtype), chunks=13) for each in (y_true, y_pred)]
    for name, options in [
        ("confusion_matrix", {"labels": ["dog", "cat"]}),
        ("f1_score", {"average": "macro"}),
        ("accuracy_score", {}),
    ]:
        assert_same(name, y_true, y_pred, *lazy, None, None, options)
    two = np.where(y_true == "cat", "cat", "dog")
    score = rng.random(50)
    lazy_two, lazy_score = da.from_array(two, chunks=13), da.from_array(score, chunks=20)
    for name, options in [
        ("precision_score", {"pos_label": "dog"}),
        ("brier_score_loss", {"pos_label": "dog"}),
        ("brier_score_loss", {"pos_label": "cat"}),
        ("log_loss", {}),
        ("roc_auc_score", {}),
    ]:
        predicted = (y_pred, lazy[1]) if name == "precision_score" else (score, lazy_score)
        assert_same(name, two, predicted[0], lazy_two, predicted[1], None, None, options)


@pytest.mark.parametrize(("kind", "name", "options"), CASES, ids=IDS)
def test_float32(kind, name, options):
    y_true, y_pred = rows(kind, np.random.default_rng(3), 80)
    if y_pred.dtype.kind == "f":
        y_pred = y_pred.astype(np.float32)
    if name == "r2_score":
        y_true, y_pred = y_true - 5.0, y_pred - np.float32(5.0)
    expected = theirs(name)(y_true, y_pred, **options)
    found = ours(name)(
        *(da.from_array(each, chunks={0: 17}) for each in (y_true, y_pred)), **options
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_parameters_are_those_of_scikit_learn():
    for name in NUMBERS:
        found = inspect.signature(ours(name)).parameters
        expected = inspect.signature(theirs(name)).parameters
        assert {key: (each.default, each.kind) for key, each in found.items()} == {
            key: (each.default, each.kind) for key, each in expected.items()
        }


def test_every_metric_is_tried():
    assert {name for _, name, _ in CASES} == NUMBERS


@pytest.mark.parametrize(("kind", "name", "options"), CASES, ids=IDS)
def test_in_memory_it_is_scikit_learn(kind, name, options):
    y_true, y_pred = rows(kind, np.random.default_rng(4), 50)
    found = ours(name)(y_true.tolist(), y_pred, **options)
    np.testing.assert_array_equal(found, theirs(name)(y_true, y_pred, **options))


def test_far_from_zero_no_digits_are_lost():
    rng = np.random.default_rng(0)
    y = rng.normal(size=4_000) + 1e9
    predicted = y + 0.1 * rng.normal(size=4_000)
    found = ours("r2_score")(da.from_array(y, chunks=37), da.from_array(predicted, chunks=37))
    exact = theirs("r2_score")(y - 1e9, predicted - 1e9)
    assert abs(found - exact) < 1e-13


def test_constant_targets():
    y = np.full(50, 0.1)
    lazy = da.from_array(y, chunks=7)
    weight = np.linspace(0, 1, 50)
    assert ours("r2_score")(lazy, y + 1.0, sample_weight=weight) == 0.0
    assert ours("r2_score")(lazy, y, sample_weight=weight) == 1.0
    with pytest.warns(RuntimeWarning, match="divide by zero"):  # scikit-learn's own
        assert ours("r2_score")(lazy, y + 1.0, force_finite=False) == -np.inf
