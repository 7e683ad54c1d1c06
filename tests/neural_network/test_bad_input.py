"""Bad input is named, and leaves a fitted perceptron as it was."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from dlbd_estimators.exceptions import (
    BadBlock,
    Diverged,
    LengthMismatch,
    NonFiniteValues,
)
from dlbd_estimators.solvers.stochastic.one_epoch import InMemory, InRounds
from tests.blocks.test_dask_blocks import uncomputable
from tests.inputs import CLASSES, NUMBERS, as_kind, flat, in_chunks, perceptron, refused, task

KINDS = [*CLASSES, *NUMBERS]
DATA = ["numpy", "pandas", "dask", "ragged", "unknown", "frame", "zarr"]
N = 500

# Fits that are no one's business here are cut short.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fit(kind, *data, **options):
    return perceptron(kind, **{"max_iter": 2, **options}).fit(*data)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (-np.inf, "infinity")])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", ["classes", "counts"])
def test_a_feature_that_is_not_finite_is_named(kind, data, value, word, solver):
    X, y = task(kind, n=N)
    X[345, 2] = value
    at = {
        "dask": "row 45 of block 3 (rows 300 to 400), column 2",
        "unknown": "row 45 of block 3",
        "ragged": "row 94 of block 2 (rows 251 to 500), column 2",
    }.get(data, "column 2")
    with refused(kind, NonFiniteValues, f"Input X contains {word} at row") as case:
        case.model.set_params(solver=solver).fit(*as_kind(data, X, y)[:2])
    assert at in case.message
    assert ("('feature 2')" in case.message) == (data in ("pandas", "frame"))


@pytest.mark.parametrize("options", [{"n_replicas": 2}, {"early_stopping": True}])
@pytest.mark.parametrize("data", ["dask", "unknown"])
def test_a_feature_that_is_not_finite_is_named_by_any_replica(data, options):
    X, y = task("number", n=N)
    X[345, 2] = np.nan
    with refused("number", NonFiniteValues, r"X contains NaN at row \d+ of block 3") as case:
        case.model.set_params(**options).fit(*as_kind(data, X, y)[:2])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("row", [300, 345, 361, 399])
@pytest.mark.parametrize("what", ["X", "y", "sample_weight"])
def test_rows_are_numbered_among_all_where_some_are_held_out(what, row, solver):
    X, y = task("number", n=N)
    given = {"X": X, "y": y, "sample_weight": np.ones(N)}
    given[what][row] = np.nan
    in_blocks = dict(zip(given, in_chunks(100, *given.values()), strict=True))
    at = rf"row {row - 300} of block 3( \(rows 300 to 400\))?"
    # Half of the rows: some of these are trained on, and some are held out.
    options = {"early_stopping": True, "validation_fraction": 0.5, "solver": solver}
    with refused("number", NonFiniteValues, at) as case:
        case.model.set_params(**options).fit(**in_blocks)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", NUMBERS)
def test_a_target_that_is_not_finite_is_named(kind, data, value, solver):
    X, y = task(kind, n=N)
    y[345] = value
    with refused(kind, NonFiniteValues, r"Input y contains (NaN|infinity) at row \d+") as case:
        case.model.set_params(solver=solver).fit(*as_kind(data, X, y)[:2])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_a_weight_that_is_not_finite_or_negative_is_named(kind, data, value, solver):
    X, y = task(kind, n=N)
    weight = np.ones(N)
    weight[345] = value
    with refused(kind, NonFiniteValues, r"sample_weight must be finite .* at row") as case:
        case.model.set_params(solver=solver).fit(*as_kind(data, X, y, weight))


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_zero_for_all_rows(kind, data, solver):
    inputs = as_kind(data, *task(kind, n=N), np.zeros(N))
    with refused(kind, ValueError, r"(?i)weights?\b.*\bzero") as case:
        case.model.set_params(solver=solver).fit(*inputs)


@pytest.mark.parametrize("data", DATA)
def test_targets_that_do_not_suit_the_loss(data):
    X, y = task("counts", n=N)
    y[345] = -2.0
    with refused("counts", BadBlock, r"at least 0, but y is -2.0 at row \d+ of block") as case:
        case.model.fit(*as_kind(data, X, y)[:2])
    X, y = task("labels", n=N)
    y[345] = [0, 1, 2]
    error = r"0 or 1, but y is .*2.* at row \d+ of block|multiclass-multioutput|1d array"
    with refused("labels", ValueError, error) as case:
        case.model.fit(*as_kind(data, X, y)[:2])


def test_lengths_that_differ_are_refused_before_anything_is_computed():
    X = uncomputable(N, 5, chunks=(100, 5))
    y, weight = uncomputable(N, chunks=100), uncomputable(N, chunks=100)
    for kind in ("binary", "number"):
        for inputs in ((X, y[:-1]), (X, np.zeros(N - 1)), (X, y, weight[:-1])):
            with refused(kind, LengthMismatch, r"500 rows but \w+ has \d+") as case:
                case.model.fit(*inputs)
        eager, target = task(kind, n=N)
        for inputs in ((eager, target[:-1]), (eager, target, np.ones(N + 1))):
            with refused(kind, LengthMismatch, r"500 rows but \w+ has \d+") as case:
                case.model.fit(*inputs)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_no_targets(kind, lazy):
    X, _ = task(kind)
    with refused(kind, ValueError, "requires y to be passed") as case:
        case.model.fit(in_chunks(100, X)[0] if lazy else X, None)


@pytest.mark.parametrize("lazy", [False, True])
def test_labels_that_are_none(lazy):
    X, y = task("binary", n=N)
    words = np.where(y, "yes", "no").astype(object)
    words[345] = None
    for bad, error, match in (
        (X[:, 0], ValueError, "continuous"),
        (words, NonFiniteValues, r"y contains NaN at row \d+"),
    ):
        with refused("binary", error, match) as case:
            case.model.fit(*(in_chunks(100, X, bad) if lazy else (X, bad)))


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("kind", "fraction", "match"),
    [
        ("number", 0.0, "validation_fraction"),
        ("number", 0.01, "validation set is too small.*'validation_fraction'"),
        ("binary", 0.001, "validation_fraction"),
    ],
)
def test_a_validation_set_too_small(kind, fraction, match, lazy):
    X, y = task(kind, n=60)
    options = {"early_stopping": True, "validation_fraction": fraction}
    with refused(kind, ValueError, match) as case:
        case.model.set_params(**options).fit(*(in_chunks(60, X, y) if lazy else (X, y)))


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("n_rare", [1, 2])
def test_a_split_that_leaves_a_class_out(n_rare, lazy, words):
    X, y = task("classes", n=200)
    y[y == 2] = 0
    y[:n_rare] = 2
    name = "'c'" if words else "2"
    y = np.array(["a", "b", "c"], dtype=object)[y] if words else y
    match = f"no row of class {name} to (train|validate) on"
    match = match if lazy or n_rare > 1 else "validation_fraction.*only 1 member"
    with refused("classes", ValueError, match) as case:
        case.model.set_params(early_stopping=True, random_state=1)
        case.model.fit(*(in_chunks(100, X, y) if lazy else (X, y)))


@pytest.mark.parametrize("data", ["numpy", "dask", "two replicas"])
@pytest.mark.parametrize("kind", KINDS)
def test_divergence_names_the_epoch_and_a_rate(kind, data):
    X, y = as_kind("numpy" if data == "numpy" else "dask", *task(kind))[:2]
    options = {"solver": "sgd", "learning_rate_init": 1e6, "activation": "identity"}
    options |= {"max_iter": 200, "hidden_layer_sizes": (8, 8)}
    options |= {"n_replicas": 2 if data == "two replicas" else 1}
    where = r"epoch \d+:" if data == "numpy" else r"epoch \d+, round 1 of 1:"
    model = perceptron(kind, **options)
    with pytest.raises(
        Diverged, match=rf"{where} .*learning_rate_init=\S+ instead of 1e\+06"
    ) as error:
        model.fit(X, y)
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, FloatingPointError)
    assert not hasattr(model, "coefs_")
    with pytest.raises(NotFittedError):
        model.predict(X)
    with refused(kind, Diverged, where) as case:
        case.model.set_params(**options).fit(X, y)


@pytest.mark.parametrize("data", [np.zeros((3, 5)), da.zeros((3, 5))])
@pytest.mark.parametrize("kind", KINDS)
def test_before_fit_and_after_a_fit_that_failed(kind, data):
    model = perceptron(kind)
    for _ in range(2):
        for method in ("predict", "predict_proba", "predict_log_proba"):
            if hasattr(model, method):
                with pytest.raises(NotFittedError):
                    getattr(model, method)(data)
        with pytest.raises(NotFittedError):
            model.score(data, np.zeros(3))
        X, y = task(kind)
        X[3, 3] = np.nan
        with pytest.raises(NonFiniteValues):
            model.fit(X, y)


def test_a_fit_that_failed_leaves_the_features_of_the_last():
    X, y = task("number")
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "c"])
    frame.loc[7, "b"] = np.nan
    with refused("number", NonFiniteValues, r"column 1 \('b'\)") as case:
        case.model.fit(frame, y)
    assert case.model.n_features_in_ == 5


@pytest.mark.parametrize("scheme", [InMemory, InRounds])
def test_an_interrupted_fit_keeps_the_last_whole_epoch(scheme, monkeypatch):
    X, y = task("classes")
    data = (X, y) if scheme is InMemory else in_chunks(100, X, y)
    whole = scheme.epoch
    expected = fit("classes", *data, max_iter=3)

    def epoch(self, training):
        if training.n_epochs == 3:
            raise KeyboardInterrupt
        return whole(self, training)

    monkeypatch.setattr(scheme, "epoch", epoch)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model = fit("classes", *data, max_iter=100)
    np.testing.assert_array_equal(flat(model), flat(expected))
    assert model.loss_curve_ == expected.loss_curve_
    assert (model.n_iter_, len(model.history_), model.t_) == (3, 3, 900)


@pytest.mark.parametrize("scheme", [InMemory, InRounds])
def test_a_model_interrupted_in_the_first_epoch_of_another_fit_is_what_it_was(scheme, monkeypatch):
    X, y = task("classes")
    data = (X, y) if scheme is InMemory else in_chunks(100, X, y)
    model = fit("classes", *data, max_iter=3)
    before = flat(model)

    def epoch(_self, _training):
        raise KeyboardInterrupt

    monkeypatch.setattr(scheme, "epoch", epoch)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data)
    np.testing.assert_array_equal(flat(model), before)
    assert (model.n_iter_, len(model.loss_curve_)) == (3, 3)


@pytest.mark.parametrize("scheme", [InMemory, InRounds])
def test_a_fit_interrupted_in_its_first_epoch_is_no_fit_of_rows_without_weight(scheme, monkeypatch):
    X, y = task("classes")

    def epoch(_self, _training):
        raise KeyboardInterrupt

    monkeypatch.setattr(scheme, "epoch", epoch)
    model = perceptron("classes", warm_start=True)
    try:
        with pytest.warns(UserWarning, match="interrupted by user"):
            model.fit(*((X, y) if scheme is InMemory else in_chunks(100, X, y)))
    except KeyboardInterrupt:  # the other way to have nothing
        assert not hasattr(model, "coefs_")
    else:
        assert model.predict(X).shape == y.shape
