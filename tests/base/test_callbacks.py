"""Callbacks: what they are told and in which order, that they can end a fit, and where they run."""

from __future__ import annotations

import inspect
import os
import pickle

import dask.array as da
import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dlbd_estimators
from dlbd_estimators import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPRegressor,
    Ridge,
)
from tests.inputs import in_chunks, task

SMALL = {"hidden_layer_sizes": (4,), "random_state": 0, "batch_size": 50}
CASES = {
    "ols-gram": LinearRegression(),
    "ols-lbfgs": LinearRegression(solver="lbfgs"),
    "ridge-gram": Ridge(),
    "ridge-newton": Ridge(solver="newton"),
    "ridge-lbfgs": Ridge(solver="lbfgs"),
    "ridge-descent": Ridge(solver="gradient_descent"),
    "enet": ElasticNet(alpha=0.01),
    "lasso": Lasso(alpha=0.01),
    "logistic-newton": LogisticRegression(solver="newton"),
    "logistic-lbfgs": LogisticRegression(solver="lbfgs"),
    "classes-adam": MLPClassifier(max_iter=4, **SMALL),
    "classes-sgd": MLPClassifier(max_iter=4, solver="sgd", **SMALL),
    "classes-lbfgs": MLPClassifier(max_iter=4, solver="lbfgs", **SMALL),
    "classes-held-out": MLPClassifier(max_iter=4, early_stopping=True, **SMALL),
    "number-adam": MLPRegressor(max_iter=4, **SMALL),
    "number-lbfgs": MLPRegressor(max_iter=4, solver="lbfgs", **SMALL),
}
#: Over after a step or two, whatever a callback says.
DIRECT = ("ols-gram", "ridge-gram", "ridge-newton", "enet", "lasso")

NUMBERS = ("ols", "ridge", "enet", "lasso", "number")

every_case = pytest.mark.parametrize("name", CASES)
numpy_and_dask = pytest.mark.parametrize("kind", ["numpy", "dask"])
cut_short = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Recorder:
    """Writes down what it is told; ends the fit at the step of number `stop_at`."""

    def __init__(self, stop_at=None):
        self.events, self.seen, self.models, self.processes = [], [], [], set()
        self.stop_at = stop_at

    def _record(self, event, context):
        self.events.append((event, context.task_name, context.task_id))
        self.processes.add(os.getpid())

    def setup(self, estimator, context):
        self._record("setup", context)

    def teardown(self, estimator, context):
        self._record("teardown", context)

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self._record("begin", context)
        self.seen.append((X, y, metadata))

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None
    ):
        self._record("end", context)
        if context.max_subtasks == 0:
            self.models.append(fitted_estimator)
        self.seen.append((X, y, metadata))
        return self.stop_at is not None and self.events[-1][2] + 1 == self.stop_at

    @property
    def steps(self):
        return [task_id for event, name, task_id in self.events if (event, name) == ("end", STEP)]

    def __reduce__(self):
        raise AssertionError("A callback is to stay in its process.")


STEP = "iteration"


class Everywhere(Recorder):
    """Is handed on to estimators within estimators."""

    max_propagation_depth = None


class Failing(Recorder):
    """Raises an error where it is told to."""

    def __init__(self, where, error):
        super().__init__()
        self.where, self.error = where, error

    def _record(self, event, context):
        super()._record(event, context)
        if self.events[-1] == self.where:
            raise self.error


def data(name, kind, n=1200):
    targets = "number" if name.split("-")[0] in NUMBERS else "binary"
    X, y = task(targets, n=n)
    return (X, y) if kind == "numpy" else in_chunks(100, X, y)


def step_of(model):
    batches = isinstance(model, MLPClassifier | MLPRegressor) and model.solver != "lbfgs"
    return "epoch" if batches else "iteration"


def without_clock(value):
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [{key: each[key] for key in each if key != "seconds"} for each in value]
    return value


def assert_same_fit(found, expected):
    """The same fitted attributes, which have the same values."""
    names = {name for name in vars(expected) if name.endswith("_")}
    assert names == {name for name in vars(found) if name.endswith("_")}
    for name in names:
        np.testing.assert_equal(
            without_clock(getattr(found, name)), without_clock(getattr(expected, name)), name
        )


@cut_short
@numpy_and_dask
@every_case
def test_a_fit_is_a_task_and_so_is_each_step(name, kind):
    X, y = data(name, kind)
    model, recorder = clone(CASES[name]), Recorder()
    assert model.set_callbacks(recorder) is model
    model.fit(X, y)
    n_steps = int(np.ravel(model.n_iter_)[0])
    assert n_steps == len(model.history_) > 0
    steps = [
        (event, step_of(model), number) for number in range(n_steps) for event in ("begin", "end")
    ]
    root = "fit", 0
    assert recorder.events == [
        ("setup", *root), ("begin", *root), *steps, ("end", *root), ("teardown", *root),
    ]  # fmt: skip
    # The user's own objects, as they are.
    assert all(seen[0] is X and seen[1] is y and seen[2] is None for seen in recorder.seen)
    assert_same_fit(recorder.models[-1], model)


@cut_short
@numpy_and_dask
@every_case
def test_the_fitted_estimator_of_a_step_is_that_of_a_fit_of_so_many_steps(name, kind):
    X, y = data(name, kind)
    recorder = Recorder()
    model = clone(CASES[name]).set_callbacks(recorder).fit(X, y)
    for n in range(1, min(len(recorder.models), 4)):
        expected = clone(CASES[name]).set_params(max_iter=n).fit(X, y)
        assert_same_fit(recorder.models[n - 1], expected)
    fitted = recorder.models[0]
    assert fitted is not model
    assert fitted.score(X, y) == expected_score(CASES[name], X, y, 1)


def expected_score(model, X, y, n):
    return clone(model).set_params(max_iter=n).fit(X, y).score(X, y)


# A warning is an error here: nobody is warned of what they asked for.
@numpy_and_dask
@pytest.mark.parametrize("name", [name for name in CASES if name not in DIRECT])
@pytest.mark.parametrize("n", [1, 2])
def test_a_true_answer_ends_the_fit(name, kind, n):
    X, y = data(name, kind)
    recorder = Recorder(stop_at=n)
    model = clone(CASES[name]).set_callbacks(recorder).fit(X, y)
    assert len(model.history_) == len(recorder.models) == n
    assert [event[0] for event in recorder.events[-2:]] == ["end", "teardown"]
    with pytest.warns(ConvergenceWarning):
        expected = clone(CASES[name]).set_params(max_iter=n).fit(X, y)
    assert_same_fit(model, expected)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


def test_a_step_that_is_the_last_anyway_cannot_be_stopped_at():
    X, y = data("ridge", "numpy")
    model = Ridge().set_callbacks(Recorder(stop_at=1)).fit(X, y)
    np.testing.assert_array_equal(model.coef_, Ridge().fit(X, y).coef_)


@cut_short
@numpy_and_dask
@pytest.mark.parametrize(
    "name", ["ridge-lbfgs", "logistic-newton", "classes-adam", "classes-held-out", "number-lbfgs"]
)
def test_scoring_monitor_sees_what_shorter_fits_score(name, kind):
    X, y = data(name, kind)
    scoring = "accuracy" if is_classifier(CASES[name]) else "r2"
    monitor = ScoringMonitor(scoring=scoring)
    model = clone(CASES[name]).set_callbacks(monitor).fit(X, y)
    log = [(row["task_id_path"], row[scoring]) for row in monitor.get_logs().data]
    assert [path for path, _ in log] == [(0,), *[(0, n) for n in range(len(model.history_))]]
    expected = [model.score(X, y), *[expected_score(CASES[name], X, y, n) for n in (1, 2, 3)]]
    assert [score for _, score in log[:4]] == pytest.approx(expected, rel=1e-12)


@numpy_and_dask
def test_weights_are_metadata_and_weigh_the_monitored_score(kind):
    X, y = data("logistic", "numpy")
    weight = np.random.default_rng(0).uniform(size=len(X))
    if kind == "dask":
        X, y, weight = in_chunks(100, X, y, weight)
    recorder, monitor = Recorder(), ScoringMonitor(scoring="accuracy")
    model = LogisticRegression().set_callbacks(recorder, monitor).fit(X, y, weight)
    assert all(seen[2]["sample_weight"] is weight for seen in recorder.seen)
    score = monitor.get_logs().data[0]["accuracy"]
    assert score == pytest.approx(model.score(X, y, weight), rel=1e-12)
    assert score != model.score(X, y)


@numpy_and_dask
def test_progress_bar(kind, capsys):
    X, y = data("logistic", kind)
    LogisticRegression().set_callbacks(ProgressBar()).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "LogisticRegression - fit" in line and "100%" in line]


def test_a_pipeline_and_its_last_step_have_callbacks(capsys):
    X, y = data("logistic", "numpy")
    recorder, everywhere = Recorder(), Everywhere()
    last = LogisticRegression(solver="lbfgs").set_callbacks(recorder)
    pipeline = make_pipeline(StandardScaler(), last).set_callbacks(everywhere, ProgressBar())
    pipeline.fit(X, y)
    n_steps = pipeline[-1].n_iter_[0]
    assert recorder.steps == everywhere.steps == list(range(n_steps))
    # What the last step gets from the scaler, not what the pipeline got.
    assert recorder.seen[0][0] is not X
    assert "LogisticRegression - fit #1" in capsys.readouterr().out
    assert pipeline[-1].set_callbacks() is last
    np.testing.assert_array_equal(
        pipeline.predict(X), make_pipeline(StandardScaler(), last).fit(X, y).predict(X)
    )


def test_a_pipeline_whose_last_step_was_stopped_predicts():
    X, y = data("logistic", "numpy")
    model = LogisticRegression(solver="gradient_descent").set_callbacks(Recorder(stop_at=2))
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    assert pipeline[-1].n_iter_ == [2]
    assert pipeline.score(X, y) > 0.8


@pytest.mark.parametrize(
    ("name", "kind"),
    [("ridge-lbfgs", "numpy"), ("logistic-newton", "dask"), ("classes-adam", "dask")],
)
@cut_short
def test_a_grid_search_runs_callbacks_of_all_its_fits(name, kind, capsys):
    X, y = data(name, kind, n=120)
    scoring = "accuracy" if is_classifier(CASES[name]) else "r2"
    monitor, everywhere = ScoringMonitor(scoring=scoring), Everywhere()
    model = clone(CASES[name]).set_callbacks(monitor)
    search = GridSearchCV(model, {"tol": [0.1, 0.01]}, cv=2, error_score="raise")
    search.set_callbacks(everywhere, ProgressBar(max_propagation_depth=None)).fit(X, y)
    rows = monitor.get_logs().data
    fits = [row for row in rows if row["task_name"] == "fit"]
    assert len(fits) == 5  # two values on two folds, and one with the best
    assert [row["task_id_path"] for row in fits] == [(0, 1), *[(0, 0, i) for i in range(4)]]
    best = search.best_estimator_
    assert fits[0][scoring] == pytest.approx(best.score(X, y), rel=1e-12)
    steps = [row for row in rows if row["parent_task_id_path"] == (0, 1)]
    assert len(steps) == len(best.history_)
    names = [event for event in everywhere.events if event[:2] == ("end", step_of(model))]
    assert len(names) == len(rows) - len(fits)
    assert f"refit-with-best-params | {type(model).__name__} - fit" in capsys.readouterr().out


class Counting(Ridge):
    """Counts how often its attributes are made of a solution."""

    def _attributes(self, *args):
        self.n_made = getattr(self, "n_made", 0) + 1
        return super()._attributes(*args)


def test_models_are_made_for_callbacks_that_want_them_alone():
    X, y = data("ridge", "numpy")
    assert Counting(solver="gradient_descent").fit(X, y).n_made == 1
    model = Counting(solver="gradient_descent").set_callbacks(ProgressBar()).fit(X, y)
    assert model.n_made == 1
    model = Counting(solver="gradient_descent").set_callbacks(Recorder()).fit(X, y)
    assert model.n_made == 1 + model.n_iter_[0]


PLACES = [
    ("setup", "fit", 0), ("begin", "fit", 0), ("begin", "step", 1), ("end", "step", 1),
    ("end", "fit", 0),
]  # fmt: skip


@cut_short
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "name", ["ridge-descent", "logistic-lbfgs", "classes-adam", "number-lbfgs"]
)
def test_an_error_of_a_callback_is_the_users(name, place):
    X, y = data(name, "numpy")
    model = clone(CASES[name])
    event, task_name, number = place
    where = event, step_of(model) if task_name == "step" else task_name, number
    failing, later = Failing(where, KeyError("theirs")), Recorder()
    with pytest.raises(KeyError, match="theirs"):
        model.set_callbacks(failing, later).fit(X, y)
    assert failing.events[-1][0] == "teardown"
    # Only who was set up is torn down.
    assert [each[0] for each in later.events[-1:]] == ([] if event == "setup" else ["teardown"])
    leftovers = set(vars(model)) - set(vars(clone(CASES[name]).fit(X, y)))
    assert leftovers == {"_skl_callbacks"}
    model.set_callbacks().fit(X, y).predict(X)


@cut_short
def test_a_callback_that_fails_leaves_a_perceptron_as_it_was():
    X, y = data("classes", "numpy")
    model = clone(CASES["classes-adam"]).fit(X, y)
    before = model.predict_proba(X)
    model.set_callbacks(Failing(("end", "epoch", 1), KeyError("theirs")))
    with pytest.raises(KeyError, match="theirs"):
        model.fit(X, 1 - y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_stop_iteration_is_no_word_for_stop():
    X, y = data("classes", "numpy")
    model = clone(CASES["classes-lbfgs"])
    model.set_callbacks(Failing(("end", "iteration", 1), StopIteration()))
    with pytest.raises(RuntimeError, match="return True"):
        model.fit(X, y)


def test_a_step_that_comes_to_nothing_ends_without_a_model():
    X, y = data("number", "numpy")
    recorder = Recorder()
    model = MLPRegressor(solver="lbfgs", tol=1e6, **SMALL).set_callbacks(recorder).fit(X, y)
    assert model.n_iter_ == 0
    assert recorder.steps == [0]
    assert recorder.models == [None]


@cut_short
def test_partial_fit_tells_callbacks_nothing():
    X, y = data("classes", "numpy")
    recorder = Recorder()
    model = MLPClassifier(**SMALL).set_callbacks(recorder)
    model.partial_fit(X, y, classes=[0, 1]).partial_fit(X, y)
    assert recorder.events == []
    # But a model that was stopped can go on.
    recorder.stop_at = 2
    model.fit(X, y).partial_fit(X, y)
    assert len(model.loss_curve_) == 3
    assert_same_fit(
        model.set_callbacks(), clone(model).set_params(max_iter=2).fit(X, y).partial_fit(X, y)
    )


@cut_short
@every_case
def test_clones_and_copies_have_callbacks_of_their_own_rights(name):
    X, y = data(name, "numpy", n=120)
    monitor = ScoringMonitor(scoring="accuracy" if is_classifier(CASES[name]) else "r2")
    model = clone(CASES[name]).set_params(max_iter=1).set_callbacks(monitor)
    twin, copied = clone(model).fit(X, y), pickle.loads(pickle.dumps(model)).fit(X, y)
    n_rows = 1 + len(twin.history_)
    assert len(monitor.get_logs(select="all")) == 1  # the clone's; the copy has its own
    assert len(monitor.get_logs().data) == n_rows
    fitted = pickle.loads(pickle.dumps(copied))
    np.testing.assert_array_equal(fitted.predict(X), twin.predict(X))


def test_fit_is_what_it_was_for_those_who_look_at_it():
    assert list(inspect.signature(Ridge.fit).parameters) == ["self", "X", "y", "sample_weight"]
    assert "sample_weight" in Ridge.fit.__doc__
    X, y = data("ridge", "numpy")
    weight = np.random.default_rng(0).uniform(size=len(X))
    with config_context(enable_metadata_routing=True):
        recorder = Recorder()
        model = Ridge().set_fit_request(sample_weight=True).set_callbacks(recorder)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        pipeline.fit(X, y, sample_weight=weight)
    assert all(seen[2]["sample_weight"] is weight for seen in recorder.seen)


@cut_short
def test_all_predictors_have_callbacks():
    found = [getattr(dlbd_estimators, name) for name in dlbd_estimators.__all__]
    predictors = [
        each for each in found
        if hasattr(each, "fit") and (is_classifier(each()) or is_regressor(each()))
    ]  # fmt: skip
    assert len(predictors) >= 5
    for predictor in predictors:
        recorder = Recorder()
        assert hasattr(predictor, "set_callbacks"), predictor
        X, y = task("binary", n=100)
        predictor().set_callbacks(recorder).fit(X, y)
        assert recorder.models, predictor
        assert recorder.models[-1].predict(X).shape == y.shape


@cut_short
@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("name", ["ridge-lbfgs", "logistic-newton", "classes-sgd", "number-lbfgs"])
def test_on_a_cluster_callbacks_run_here(name):
    X, y = data(name, "dask")

    class Validating(Recorder):  # which no worker could import, nor unpickle
        def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
            super().on_fit_task_end(estimator, context, X=X, y=y, fitted_estimator=fitted_estimator)
            scores.append(fitted_estimator.score(X, y))
            return context.task_id == 1

    scores, validating = [], Validating()
    model = clone(CASES[name]).set_callbacks(validating).fit(X, y)
    assert validating.processes == {os.getpid()}
    assert all(isinstance(seen[0], da.Array) and seen[0] is X for seen in validating.seen)
    assert len(model.history_) == 2
    expected = [expected_score(CASES[name], X, y, n) for n in (1, 2)]
    assert scores == pytest.approx([*expected, expected[-1]], rel=1e-12)


@pytest.mark.parametrize("name", ["lasso", "logistic-newton"])
def test_a_fit_that_no_callback_follows_makes_no_context(name, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a context was made")

    X, y = task("binary", n=80)
    monkeypatch.setattr("sklearn.callback.CallbackSupportMixin._init_callback_context", refuse)
    clone(CASES[name]).fit(X, y)
    with pytest.raises(AssertionError, match="a context was made"):
        clone(CASES[name]).set_callbacks(ProgressBar()).fit(X, y)
