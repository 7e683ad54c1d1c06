"""Training that is killed after any epoch, and fitted again, ends as if it had never been."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators.engine.checkpoint import CheckpointFolder
from dlbd_estimators.exceptions import CheckpointMismatch
from dlbd_estimators.solvers.saving import to_bytes
from dlbd_estimators.solvers.stochastic import epoch_plan
from dlbd_estimators.solvers.stochastic.one_epoch import InRounds
from tests.base.test_checkpoint import Kill, Killed, assert_same, fit_until_done
from tests.inputs import flat, in_chunks, perceptron, task

#: What one process of the tests goes through, killed after each epoch.
OPTIONS = {
    "in memory": {},
    "in memory, early stopping": {"early_stopping": True, "solver": "sgd"},
    "in memory, lbfgs": {"solver": "lbfgs"},
    "adaptive": {
        "chunks": 40, "solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5,
        "tol": 0.1, "n_iter_no_change": 1,
    },
    "replicas": {
        "chunks": 40, "n_replicas": 3, "batch_size": 20, "buffer_size": 2 * 40 * 5 * 8,
        "early_stopping": True,
    },
    "lbfgs": {"chunks": 40, "solver": "lbfgs"},
}  # fmt: skip


def rows(kind, chunks):
    X, y = task(kind, n=160)
    # Blocks that are their own, as read from a disk: those may be kept between passes.
    lazily = [each.map_blocks(np.copy) for each in in_chunks(chunks or len(X), X, y)]
    return (X, y) if chunks is None else lazily


def assert_same_network(found, expected):
    np.testing.assert_array_equal(flat(found), flat(expected))
    for model in (found, expected):
        model.coefs_ = model.intercepts_ = None
    assert_same(found, expected)
    if hasattr(expected, "_training"):  # what partial_fit would go on with
        assert to_bytes(found._training) == to_bytes(expected._training)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["classes", "number"])
@pytest.mark.parametrize("name", OPTIONS)
def test_training_killed_after_each_epoch_ends_as_if_it_had_never_been(name, kind, tmp_path):
    options = {"max_iter": 5, **OPTIONS[name]}
    data = rows(kind, options.pop("chunks", None))
    whole = perceptron(kind, **options).fit(*data)

    def make():
        return perceptron(kind, checkpoint=tmp_path, **options)

    model, killed = fit_until_done(make, *data)
    assert killed >= len(whole.history_) + 1
    assert_same_network(model, whole)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_replicas", [1, 2])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_training_killed_after_each_round(early_stopping, n_replicas, tmp_path, monkeypatch):
    monkeypatch.setattr(epoch_plan, "_MAX_FILLS", 1)
    data = rows("classes", 20)
    options = {
        "max_iter": 3, "n_replicas": n_replicas, "batch_size": 10, "buffer_size": 2 * 20 * 5 * 8,
        "early_stopping": early_stopping,
    }  # fmt: skip
    whole = perceptron("classes", **options).fit(*data)
    written = []

    def write(folder, number, facts, arrays):
        of_folder(folder, number, facts, arrays)
        written.append(facts["n_iter"])
        raise Killed

    of_folder = CheckpointFolder.write
    n_rounds = whole.history_[0]["rounds"]
    assert n_rounds > 3
    with monkeypatch.context() as killing:
        killing.setattr(CheckpointFolder, "write", write)
        for _ in range(3 * n_rounds + 1):
            with pytest.raises(Killed):
                perceptron("classes", checkpoint=tmp_path, **options).fit(*data)
    assert [written.count(epoch) for epoch in range(4)] == [n_rounds, n_rounds, n_rounds, 1]
    assert_same_network(perceptron("classes", checkpoint=tmp_path, **options).fit(*data), whole)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("chunks", [None, 40])
@pytest.mark.parametrize("of", ["nobody", "the user"])
def test_random_numbers_go_on_where_they_were(of, chunks, tmp_path):
    """Rows are held out once, and initial weights are drawn once, whatever is drawn meanwhile."""
    data = rows("classes", chunks)

    def make(random_state, **more):
        options = {"max_iter": 4, "early_stopping": True, "random_state": random_state}
        return perceptron("classes", **options, **more)

    theirs = np.random.RandomState(3)
    before = np.random.get_state()  # noqa: NPY002 - what scikit-learn takes without a seed
    try:
        np.random.seed(3)  # noqa: NPY002
        whole = make(theirs).fit(*data)
        for _ in range(3):
            model = make(None if of == "nobody" else np.random.RandomState(3), checkpoint=tmp_path)
            with pytest.raises(Killed):
                model.set_callbacks(Kill()).fit(*data)
            np.random.normal(size=7)  # noqa: NPY002
        last = None if of == "nobody" else np.random.RandomState(4)
        model = make(last, checkpoint=tmp_path).fit(*data)
    finally:
        np.random.set_state(before)  # noqa: NPY002
    expected = theirs.normal()
    assert_same_network(model.set_params(random_state=theirs), whole)
    if last is not None:
        assert last.normal() == expected
        again = np.random.RandomState(5)  # the fit has ended, and makes no epoch
        make(again, checkpoint=tmp_path).fit(*data)
        assert again.normal() == expected


def test_an_interrupted_network_can_be_used_and_goes_on(tmp_path):
    class Interrupt(Kill):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "epoch":
                raise KeyboardInterrupt

    X, y = rows("classes", 40)
    whole = perceptron("classes", max_iter=3)
    model = perceptron("classes", max_iter=3, checkpoint=tmp_path).set_callbacks(Interrupt())
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, y)
    assert model.n_iter_ == 1
    model.predict(X).compute()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert_same_network(model.set_callbacks().fit(X, y), whole.fit(X, y))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_interrupt_between_rounds_leaves_the_last_whole_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr(epoch_plan, "_MAX_FILLS", 1)
    data = rows("classes", 20)
    options = {"batch_size": 10, "buffer_size": 2 * 20 * 5 * 8}

    def epoch(self, state):
        if (state.n_epochs, state.rounds_made) == (1, 2):
            raise KeyboardInterrupt
        return whole_epoch(self, state)

    whole_epoch = InRounds.epoch
    model = perceptron("classes", max_iter=3, checkpoint=tmp_path, **options)
    with monkeypatch.context() as interrupting:
        interrupting.setattr(InRounds, "epoch", epoch)
        with pytest.warns(UserWarning, match="interrupted by user"):
            model.fit(*data)
        one = perceptron("classes", max_iter=1, **options).fit(*data)
        np.testing.assert_array_equal(flat(model), flat(one))
        assert (model.n_iter_, model.loss_curve_) == (1, one.loss_curve_)
        with pytest.raises(KeyboardInterrupt):  # it went on, and has no whole epoch of its own
            model.fit(*data)
    assert_same_network(model.fit(*data), perceptron("classes", max_iter=3, **options).fit(*data))


def test_partial_fit_writes_nothing(tmp_path):
    X, y = rows("number", None)
    model = perceptron("number", checkpoint=tmp_path)
    model.partial_fit(X, y).partial_fit(X, y)
    assert list(tmp_path.iterdir()) == []


def test_another_network_is_told(tmp_path):
    X, y = rows("number", 40)
    model = perceptron("number", max_iter=1, checkpoint=tmp_path)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    with pytest.raises(
        CheckpointMismatch, match=r"hidden_layer_sizes: \[8\] in the checkpoint, \[9\]"
    ):
        model.set_params(hidden_layer_sizes=(9,)).fit(X, y)
    assert model.coefs_[0].shape[1] == 8  # what it was is worth more
