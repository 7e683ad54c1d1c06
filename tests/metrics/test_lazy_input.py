"""What lazy metrics refuse, how often they read, and that schedulers change no bit."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from sklearn.metrics import make_scorer
from sklearn.model_selection import cross_val_score

from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.exceptions import LengthMismatch
from dlbd_estimators.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_poisson_deviance,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)
from tests.metrics.cases import CASES, ours, rows

RNG = np.random.default_rng(0)
LABELS = da.from_array(RNG.integers(0, 2, 40), chunks=9)
THREE = da.from_array(np.arange(40) % 3, chunks=9)
SCORES = da.from_array(RNG.random(40), chunks=11)
NUMBERS = da.from_array(RNG.normal(size=(40, 2)), chunks=(11, 1))
PROBABILITIES = da.full((40, 3), 1 / 3, chunks=(9, 3))


def nan_at_the_end(array):
    return da.where(da.arange(40, chunks=array.chunks[0]) == 39, np.nan, array)


REFUSED = {
    "lengths": (r2_score, (SCORES, SCORES[:30]), {}, "39|40|30"),
    "length in memory": (accuracy_score, (LABELS, np.ones(7)), {}, "true has 40 rows but y_pred"),
    "length of weights": (r2_score, (SCORES, SCORES), {"sample_weight": np.ones(3)}, "has 3"),
    "scalar weight": (r2_score, (SCORES, SCORES), {"sample_weight": 2.0}, "sample_weight must be"),
    "no probabilities": (log_loss, (LABELS, None), {}, "y_proba must be"),
    "negative weight": (r2_score, (SCORES, SCORES), {"sample_weight": -LABELS}, "at least 0"),
    "zero weights": (r2_score, (SCORES, SCORES), {"sample_weight": 0 * LABELS}, "non-zero"),
    "NaN weight": (
        accuracy_score, (LABELS, LABELS), {"sample_weight": nan_at_the_end(SCORES)}, "sample_weight"
    ),
    "continuous": (accuracy_score, (LABELS, SCORES), {}, "continuous y_pred"),
    "NaN label": (f1_score, (nan_at_the_end(LABELS), LABELS), {}, "y_true contains NaN"),
    "NaN": (mean_squared_error, (SCORES, nan_at_the_end(SCORES)), {}, "y_pred contains NaN"),
    "strings": (mean_squared_error, (SCORES, SCORES.astype(str)), {}, "y_pred must be numeric"),
    "outputs": (mean_squared_error, (SCORES, NUMBERS), {}, "different number of output"),
    "weights of outputs": (
        mean_squared_error, (NUMBERS, NUMBERS), {"multioutput": [1, 2, 3]}, "custom weights"
    ),
    "multioutput": (
        mean_squared_error, (NUMBERS, NUMBERS), {"multioutput": "variance_weighted"}, "multioutput"
    ),
    "average": (f1_score, (LABELS, LABELS), {"average": "mean"}, "average must be one of"),
    "pos_label": (f1_score, (LABELS, LABELS), {"pos_label": 7}, "pos_label=7"),
    "binary": (f1_score, (THREE, THREE), {}, "multiclass"),
    "old name": (log_loss, (LABELS,), {"y_pred": SCORES}, "renamed"),
    "above one": (log_loss, (LABELS, SCORES + 1), {}, "greater than 1"),
    "below zero": (brier_score_loss, (LABELS, SCORES - 1), {}, "lower than 0"),
    "classes": (log_loss, (LABELS, PROBABILITIES), {}, "different number of classes"),
    "label not named": (log_loss, (THREE, PROBABILITIES), {"labels": [0, 1, 5]}, "not belonging"),
    "labels of one column": (brier_score_loss, (LABELS, SCORES), {"labels": [0, 1]}, "Leave label"),
    "pos_label of columns": (brier_score_loss, (THREE, PROBABILITIES), {"pos_label": 1}, "Leave"),
    "column of three": (brier_score_loss, (THREE, SCORES), {}, "binary"),
    "samples": (roc_auc_score, (LABELS, SCORES), {"average": "samples"}, "not supported for lazy"),
    "max_fpr": (roc_auc_score, (LABELS, SCORES), {"max_fpr": 2.0}, "max_fpr"),
    "classes to rank": (roc_auc_score, (THREE, PROBABILITIES), {}, "multi_class must be in"),
    "no probabilities to rank": (
        roc_auc_score, (THREE, 2 * PROBABILITIES), {"multi_class": "ovr"}, "sum up to 1.0"
    ),
    "weights of ovo": (
        roc_auc_score, (THREE, PROBABILITIES), {"multi_class": "ovo", "sample_weight": SCORES},
        "sample_weight is not supported",
    ),
    "ovo micro": (
        roc_auc_score, (THREE, PROBABILITIES), {"multi_class": "ovo", "average": "micro"}, "micro"
    ),
    "two columns of two": (
        roc_auc_score, (LABELS, da.full((40, 2), 0.5)), {}, r"y_score\[:, 1\]"
    ),
    "deviance": (mean_poisson_deviance, (SCORES, -SCORES), {}, "strictly positive"),
    "no rows": (r2_score, (SCORES[:0], SCORES[:0]), {}, "0 sample"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    metric, arrays, options, match = REFUSED[case]
    with pytest.raises(ValueError, match=match):
        metric(*arrays, **options)


def test_lengths_that_only_blocks_know():
    some = SCORES[SCORES > 0.3]
    with pytest.raises(LengthMismatch, match="inconsistent numbers of samples"):
        r2_score(some, SCORES)


def test_options_are_refused_before_anything_is_read():
    def read(block):  # noqa: ARG001 - it must not be called at all
        raise AssertionError("read")

    unread = da.ones(40, chunks=10).map_blocks(read, meta=np.ones(1))
    for metric, options in [
        (f1_score, {"average": "mean"}),
        (r2_score, {"multioutput": "mean"}),
        (roc_auc_score, {"multi_class": "ovx"}),
    ]:
        with pytest.raises(ValueError, match=next(iter(options))):
            metric(unread, unread, **options)


@pytest.mark.parametrize(("kind", "name"), sorted({each[:2] for each in CASES}))
def test_one_pass(kind, name):
    read = []

    def count(block, block_info=None):
        read.append(block_info[0]["chunk-location"])
        return block

    options = next(each for k, n, each in CASES if (k, n) == (kind, name))
    y_true, y_pred = rows(kind, np.random.default_rng(0), 60)
    lazy = da.from_array(y_pred, chunks={0: 10}).map_blocks(count, meta=y_pred[:0])
    read.clear()
    ours(name)(y_true, lazy, **options)
    assert len(read) == len(set(read)) == 6


def test_a_row_that_does_not_sum_to_one_is_told():
    unfair = np.full((40, 3), 0.3)
    with pytest.warns(UserWarning, match="do not sum to one"):
        log_loss(THREE, da.from_array(unfair, chunks=7))


def test_less_than_two_rows():
    with pytest.warns(UserWarning, match="less than two samples"):
        assert np.isnan(r2_score(SCORES[:1], SCORES[:1]))


@pytest.mark.parametrize("kind", ["labels", "probabilities", "number"])
@pytest.mark.usefixtures("client")
def test_schedulers_change_no_bit(kind):
    y_true, y_pred = rows(kind, np.random.default_rng(5), 500)
    weight = np.random.default_rng(6).random(500)
    lazy = [da.from_array(each, chunks={0: 23}) for each in (y_true, y_pred, weight)]
    name = {"labels": "accuracy_score", "probabilities": "log_loss", "number": "r2_score"}[kind]
    found = [ours(name)(*lazy[:2], sample_weight=lazy[2])]
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            found.append(ours(name)(*lazy[:2], sample_weight=lazy[2]))
    assert len(set(found)) == 1


def test_scorers_in_cross_validation():
    X = np.random.default_rng(1).normal(size=(120, 3))
    y = (X[:, 0] + 0.5 * np.random.default_rng(2).normal(size=120) > 0).astype(int)
    lazy_X, lazy_y = da.from_array(X, chunks=(25, 3)), da.from_array(y, chunks=25)
    folds = [(np.arange(60), np.arange(60, 120)), (np.arange(60, 120), np.arange(60))]
    for model, metric, options in [
        (LogisticRegression(), log_loss, {"response_method": "predict_proba"}),
        (LogisticRegression(), brier_score_loss, {"response_method": "predict_proba"}),
        (LogisticRegression(), f1_score, {}),
        (LogisticRegression(), roc_auc_score, {"response_method": "decision_function"}),
        (Ridge(), mean_squared_error, {}),
    ]:
        scoring = make_scorer(metric, greater_is_better="loss" not in metric.__name__, **options)
        lazy = cross_val_score(model, lazy_X, lazy_y, cv=folds, scoring=scoring)
        np.testing.assert_allclose(lazy, cross_val_score(model, X, y, cv=folds, scoring=scoring))
