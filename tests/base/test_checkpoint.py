"""A fit that is killed after any step, and fitted again, ends as one that was never killed."""

from __future__ import annotations

import itertools
import resource
import shutil
import signal
import warnings
from contextlib import contextmanager
from types import FunctionType

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from sklearn import model_selection
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.pipeline import make_pipeline

from dlbd_estimators import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MLPClassifier,
    Ridge,
    RidgeClassifierCV,
    RidgeCV,
)
from dlbd_estimators.base import fingerprint
from dlbd_estimators.engine.checkpoint import CheckpointFolder
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.exceptions import CheckpointDamaged, CheckpointMismatch, InvalidParameter
from dlbd_estimators.model_selection import KFold
from dlbd_estimators.preprocessing import StandardScaler

N, P, ROWS = 960, 4, 60


class Killed(BaseException):
    """What no code of a fit takes for an error of its own."""


class Kill:
    """Ends the process, as far as a fit can see, after so many steps."""

    def __init__(self, n_steps=1):
        self.n_steps = n_steps

    def setup(self, estimator, context):
        self.done = 0

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.done += context.task_name in ("iteration", "epoch")
        if self.done == self.n_steps and self.n_steps:
            raise Killed


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, P)) * [0.1, 1.0, 10.0, 1.0] + [0.0, 1.0, 0.0, -1.0]
    y = X @ [10.0, -1.0, 0.05, 0.5] + rng.logistic(size=N)
    return X, y


def targets(model, y):
    """What a model of this kind predicts."""
    if not is_classifier(model):
        return y
    few, many = np.quantile(y, 0.3), np.quantile(y, 0.8)
    return np.array(["a", "b", "c"])[(y > few).astype(int) + (y > many)]


def lazy(*arrays):
    """Blocks that are their own, as read from a disk: those may be kept between passes."""
    parts = (da.from_array(each, chunks=(ROWS, *each.shape[1:])) for each in arrays)
    return [each.map_blocks(np.copy) for each in parts]


def fit_until_done(make, *data):
    """Fit again and again, each time killed by what it writes; return the model and how often.

    There are more of them than steps: also between the trials of a step that was too long.
    """

    def write(folder, *what):
        of_folder(folder, *what)
        raise Killed

    of_folder = CheckpointFolder.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointFolder, "write", write)
        for killed in range(200):
            try:
                return make().set_callbacks(Kill(0)).fit(*data), killed
            except Killed:
                continue
    raise AssertionError("It never ends.")


#: Measured, and not computed: of what was really spent.
MEASURED = {"seconds", "bytes_read"}


def assert_same(found, expected):
    """All that a fit leaves, but for what the clock says."""
    ours, theirs = ({**vars(each)} for each in (found, expected))
    assert ours.keys() - {"_skl_callbacks"} == theirs.keys()
    for name in theirs.keys() - {"checkpoint", "history_"}:
        if name.endswith("_"):
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    histories = [
        [{k: v for k, v in entry.items() if k not in MEASURED} for entry in each["history_"]]
        for each in (ours, theirs)
    ]
    assert histories[0] == histories[1]
    seconds = [entry["seconds"] for entry in ours["history_"]]
    assert seconds == sorted(seconds)


MODELS = {
    "ridge": Ridge,
    "ridge, lbfgs": lambda **more: Ridge(solver="lbfgs", **more),
    "non-negative": lambda **more: LinearRegression(positive=True, **more),
    "lasso": lambda **more: Lasso(alpha=0.01, **more),
    "elastic net": lambda **more: ElasticNet(alpha=0.01, tol=1e-9, **more),
    "ridge, alphas": lambda **more: RidgeCV([0.1, 1.0], cv=3, **more),
    "ridge, leave one out": lambda **more: RidgeCV([0.1, 1.0], **more),
    "ridge, classes": lambda **more: RidgeClassifierCV([0.1, 1.0], cv=3, **more),
    "lasso, alphas": lambda **more: LassoCV(alphas=5, cv=3, **more),
    "elastic net, ratios": lambda **more: ElasticNetCV(l1_ratio=[0.3, 1.0], alphas=5, cv=3, **more),
    "logistic, strengths": lambda **more: LogisticRegressionCV(
        Cs=[0.1, 1.0], cv=3, scoring="neg_log_loss", l1_ratios=(0.0,), use_legacy_attributes=False,
        **more,
    ),
    **{
        f"logistic, {solver}": lambda solver=solver, **more: LogisticRegression(
            solver=solver, tol=1e-9, class_weight="balanced", **more
        )
        for solver in ("auto", "newton_cg", "lbfgs", "gradient_descent")
    },
    **{
        f"logistic, l1, {solver}": lambda solver=solver, **more: LogisticRegression(
            solver=solver, l1_ratio=0.5, C=0.1, tol=1e-9, **more
        )
        for solver in ("proximal_newton", "working_set")
    },
}  # fmt: skip


@pytest.mark.parametrize("in_memory", [False, True], ids=["lazy", "in memory"])
@pytest.mark.parametrize("name", MODELS)
def test_a_fit_killed_after_each_step_ends_as_if_it_had_never_been(name, in_memory, data, tmp_path):
    make = MODELS[name]
    X, y = data[0], targets(make(), data[1])
    given = (X, y) if in_memory else lazy(X, y)
    whole = make().fit(*given)
    model, killed = fit_until_done(lambda: make(checkpoint=tmp_path / "fit"), *given)
    assert_same(model, whole)
    assert killed >= len(whole.history_) + 1
    # Other workers: one thread, and none of what was kept in memory.
    again = make(checkpoint=str(tmp_path / "fit")).fit(*given)
    assert_same(again, whole)


def test_a_finished_fit_is_not_fitted_again(data, tmp_path, monkeypatch):
    X, y = data
    model = Ridge(solver="lbfgs", checkpoint=tmp_path).fit(X, y)
    facts, _ = CheckpointFolder(str(tmp_path)).read(max(CheckpointFolder(str(tmp_path)).numbers()))
    assert facts["finished"]
    monkeypatch.setattr(ThreadExecutor, "sweep", None)
    assert_same(Ridge(solver="lbfgs", checkpoint=tmp_path).fit(X, y), model)


def test_more_steps_may_be_asked_for_later(data, tmp_path):
    X, y = data
    make = MODELS["ridge, lbfgs"]
    whole = make(tol=1e-12).fit(X, y)
    for max_iter in (2, 2, 3, 1000):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            model = make(tol=1e-12, checkpoint=tmp_path, max_iter=max_iter).fit(X, y)
        assert [each.category for each in seen] == [ConvergenceWarning] * (max_iter < 1000)
        assert model.n_iter_[0] == min(max_iter, whole.n_iter_[0])
    np.testing.assert_array_equal(model.coef_, whole.coef_)
    steps = whole.n_iter_[0]
    with pytest.raises(
        CheckpointMismatch, match=f"max_iter: {steps} steps in the checkpoint, 2 in"
    ):
        make(tol=1e-12, checkpoint=tmp_path, max_iter=2).fit(X, y)


def test_a_fit_that_a_callback_stopped_goes_on(data, tmp_path):
    class Stop(Kill):
        def on_fit_task_end(self, estimator, context):
            return context.task_name == "iteration"

    X, y = data
    whole = Ridge(solver="lbfgs").fit(X, y)
    for n_iter in (1, 2):
        model = Ridge(solver="lbfgs", checkpoint=tmp_path).set_callbacks(Stop()).fit(X, y)
        assert model.n_iter_[0] == n_iter
    assert_same(Ridge(solver="lbfgs", checkpoint=tmp_path).fit(X, y), whole)


def test_an_interrupted_fit_goes_on(data, tmp_path):
    class Interrupt(Kill):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "iteration":
                raise KeyboardInterrupt

    X, y = data
    for _ in range(2):
        model = Ridge(solver="lbfgs", checkpoint=tmp_path).set_callbacks(Interrupt())
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
        assert not hasattr(model, "coef_")
    assert_same(
        Ridge(solver="lbfgs", checkpoint=tmp_path).fit(X, y), Ridge(solver="lbfgs").fit(X, y)
    )


@pytest.mark.parametrize("lazily", [False, True])
def test_what_differs_is_listed(lazily, data, tmp_path):
    X, y = data[0], targets(LogisticRegression(), data[1])
    frame = pd.DataFrame(X, columns=list("abcd"))

    def fit(X=frame, y=y, weight=None, **more):
        given = {"C": 2, "random_state": np.random.RandomState(1), "checkpoint": tmp_path, **more}
        if lazily:
            X, y = lazy(X.to_numpy(), y)
        return LogisticRegression(**given).fit(X, y, weight)

    fit()
    fit(C=2.0, n_jobs=None, verbose=0, max_iter=200)  # the same fit
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    one = frame.copy()
    one.iloc[-1, 2] += 1e-9
    swapped = y.copy()
    swapped[[0, -1]] = "a"
    for given, lines in [
        (
            {"C": 3.0, "tol": 1e-8},
            ["parameter C: 2 in the checkpoint, 3 in this fit", "parameter tol: 1e-07 in"],
        ),
        ({"X": one}, [rf"rows in block {15 if lazily else 0} \(rows \d+ to {N}\): checksum"]),
        ({"y": swapped}, ["rows in block 0"]),
        (
            {"X": frame[:-1], "y": y[:-1]},
            [f"number of rows: {N} in the checkpoint, {N - 1} in this fit"],
        ),
        ({"X": frame[["a", "b"]]}, ["number of columns: 4 in the checkpoint, 2 in this fit"]),
        (
            {"X": frame.astype("float32")},
            ["precision: float64 in the checkpoint, float32 in this fit"],
        ),
        ({"weight": 2.0}, ["rows in block 0"]),
    ]:
        with pytest.raises(CheckpointMismatch, match="belongs to another fit") as caught:
            fit(**given)
        for line in lines:
            caught.match(line)
    if not lazily:
        with pytest.raises(CheckpointMismatch, match="names of columns"):
            fit(X=frame.rename(columns={"a": "x"}))
    with pytest.raises(CheckpointMismatch, match="estimator: LogisticRegression in the checkpoint"):
        Ridge(checkpoint=tmp_path).fit(X, data[1])
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_labels_that_differ_where_nobody_looked_are_noticed(data, tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "_MOST_BLOCKS", 2)
    X, y = data[0], targets(LogisticRegression(), data[1])
    LogisticRegression(checkpoint=tmp_path).fit(*lazy(X, y))
    y[N // 2] = "b" if y[N // 2] == "a" else "a"
    with pytest.raises(CheckpointMismatch, match="weights of classes"):
        LogisticRegression(checkpoint=tmp_path).fit(*lazy(X, y))


def test_few_of_many_blocks_are_looked_at(data, tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "_MOST_BLOCKS", 3)
    read = []

    def noted(block, block_info=None):
        read.append(block_info[0]["chunk-location"][0])
        return block

    X, y = lazy(*data)
    Ridge(checkpoint=tmp_path).fit(X, y)
    X = X.map_blocks(noted, meta=np.empty((0, 0)))
    Ridge(checkpoint=tmp_path).fit(X, y)
    assert sorted(set(read)) == [0, 7, 15]


def test_names_that_dask_draws_at_random_are_no_part_of_the_data(data, tmp_path):
    import dask

    def delayed(array):
        parts = [dask.delayed(lambda part=part: part)() for part in np.split(array, 16)]
        shape = (ROWS, *array.shape[1:])
        return da.concatenate([da.from_delayed(each, shape, float) for each in parts])

    model = Ridge(checkpoint=tmp_path).fit(*map(delayed, data))
    assert_same(Ridge(checkpoint=tmp_path).fit(*map(delayed, data)), model)


def test_a_random_state_goes_on_where_it_stood(data, tmp_path):
    X, y = lazy(data[0], targets(LogisticRegression(), data[1]))
    theirs, ours = np.random.RandomState(7), np.random.RandomState(7)
    whole = LogisticRegression(random_state=theirs, solver="lbfgs", tol=1e-9).fit(X, y)
    for _ in range(2):
        model = LogisticRegression(random_state=ours, solver="lbfgs", tol=1e-9, checkpoint=tmp_path)
        with pytest.raises(Killed):
            model.set_callbacks(Kill(2)).fit(X, y)
        ours.normal(size=5)
    ours = np.random.RandomState(8)  # of another process, whatever made it
    model.set_params(random_state=ours).set_callbacks().fit(X, y)
    assert_same(model.set_params(random_state=theirs), whole)
    assert ours.normal() == theirs.normal()


def hits(model, X, y):
    return model.score(X, y)


def misses(model, X, y):
    return -model.score(X, y)


class Scaled:
    def __call__(self, model, X, y):
        return model.score(X, y)


def test_scorers_that_cannot_be_told_apart_are_refused(data, tmp_path):
    X, y = data

    def search(scoring):
        return RidgeCV(cv=3, scoring=scoring, checkpoint=tmp_path).fit(X, y)

    first = search(hits)
    assert_same(search(hits), first)
    with pytest.raises(CheckpointMismatch, match=r"parameter scoring: .*hits, checksum of code"):
        search(misses)
    edited = FunctionType(misses.__code__.replace(co_name="hits"), globals())
    edited.__module__, edited.__qualname__ = hits.__module__, "hits"
    with pytest.raises(CheckpointMismatch, match=r"parameter scoring: .*hits, checksum of code"):
        search(edited)
    before = set(tmp_path.iterdir())
    for scoring in (lambda m, X, y: m.score(X, y), make_scorer(lambda *_: 0.0), Scaled()):
        with pytest.raises(
            ValueError, match=r"scoring=.* Pass a name that scikit-learn knows, or a func"
        ):
            search(scoring)
    assert set(tmp_path.iterdir()) == before


def test_folds_that_are_drawn_anew_are_refused(data, tmp_path):
    for splitter in (KFold, model_selection.KFold):
        with pytest.raises(
            ValueError, match=r"cv=.* draws other rows each time\. Give it a random"
        ):
            RidgeCV(cv=splitter(3, shuffle=True), checkpoint=tmp_path).fit(*data)
        RidgeCV(cv=splitter(3, shuffle=True, random_state=0)).fit(*data)
        RidgeCV(cv=splitter(3)).fit(*data)


def test_fits_that_share_a_path_and_nothing_else(data, tmp_path):
    X, y = data[0], targets(LogisticRegression(), data[1])
    path = str(tmp_path / "{}")
    one = LogisticRegression(solver="lbfgs", tol=1e-9, checkpoint=path)
    with pytest.warns(ConvergenceWarning):
        short = clone(one).set_params(max_iter=2).fit(X, y)
    assert one.fit(X, y).n_iter_[0] > 2
    with pytest.warns(ConvergenceWarning):
        assert_same(clone(one).set_params(max_iter=2).fit(X, y), short)
    assert len(list(tmp_path.iterdir())) == 2
    for given in (None, np.random.RandomState(0)):
        with pytest.raises(ValueError, match="Set random_state to an integer"):
            MLPClassifier((2,), max_iter=1, random_state=given, checkpoint=path).fit(X, y)


def test_a_path_may_begin_at_home(data, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Ridge(checkpoint="~/fit").fit(*data)
    assert list((tmp_path / "fit").iterdir())


def fit_small(data, path):
    X, y = (each[:120] for each in data)
    return Ridge(solver="lbfgs", checkpoint=path).fit(X, y)


def test_damaged_files_give_the_same_model_or_an_error(data, tmp_path, rng):
    """Never another model."""
    first = tmp_path / "first"
    model = Ridge(solver="lbfgs", checkpoint=first).set_callbacks(Kill(7))
    with pytest.raises(Killed):
        model.fit(*(each[:120] for each in data))
    whole = fit_small(data, tmp_path / "whole")
    names = sorted(each.name for each in first.iterdir())
    errors = fallbacks = 0
    for number in range(200):
        folder = tmp_path / str(number)
        shutil.copytree(first, folder)
        for name in rng.permutation(names)[: rng.integers(1, 3)]:
            content = bytearray((folder / name).read_bytes())
            place = int(rng.integers(len(content)))
            if rng.random() < 0.3:
                del content[place:]
            else:
                content[place] ^= 1 << rng.integers(8)
            (folder / name).write_bytes(content)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                assert_same(fit_small(data, folder), whole)
            except CheckpointDamaged as error:
                assert "are damaged" in str(error)  # noqa: PT017 - the same model is right too
                errors += 1
        fallbacks += any("is damaged" in str(each.message) for each in seen)
        shutil.rmtree(folder)
    assert errors > 30
    assert fallbacks > 20


def test_what_is_no_state_of_the_solver_is_an_error(data, tmp_path):
    fit_small(data, tmp_path)
    folder = CheckpointFolder(str(tmp_path))
    number, before = folder.numbers()
    facts, arrays = folder.read(number)
    (tmp_path / f"{before:08}.checkpoint").unlink()
    for wrong in (
        {"fingerprint": []},
        {"random": {"tuple": [1]}},
        {"records": {"tuple": [{"fields": {}}]}},
        {"state": None},
        {"state": {"fields": {"parameters": {"array": 0}}}},
        {"solver": "newton"},
        {"solver": "no such"},
        {"state": {"fields": {**facts["state"]["fields"], "value": "low"}}},
        {"state": {"fields": {**facts["state"]["fields"], "base": {"array": 99}}}},
    ):
        folder.write(number, {**facts, **wrong}, arrays)
        with pytest.raises(ValueError, match=r"checkpoint|Unknown solver"):
            fit_small(data, tmp_path)
    folder.write(number, facts, [each[:-1] for each in arrays])
    with pytest.raises(
        CheckpointDamaged,
        match=r"of the solver lbfgs: LBFGSState.parameters has shape \(4,\), not \[5\]",
    ):
        fit_small(data, tmp_path)


@contextmanager
def no_file_longer_than(nbytes):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_does_not_end_a_fit(data, tmp_path):
    whole = fit_small(data, None)
    with (
        no_file_longer_than(1000),
        pytest.warns(UserWarning, match=r"could not be written after step 0.*File too") as seen,
    ):
        model = fit_small(data, tmp_path)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert_same(model, whole)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_at_once(data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        fit_small(data, tmp_path / "file" / "fit")


def test_bad_values_are_refused(data):
    X, y = data
    for wrong in (1, "", True, b""):
        with pytest.raises(InvalidParameter, match="'checkpoint' parameter of Ridge must be"):
            Ridge(checkpoint=wrong).fit(X, y)
    with pytest.raises(ValueError, match="warm_start=True starts from"):
        Lasso(checkpoint="fit", warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="cv is an iterator"):
        RidgeCV(cv=ShuffleSplit(2).split(X), checkpoint="fit").fit(X, y)


def test_a_search_that_is_killed_goes_on_where_it_was(data, tmp_path, monkeypatch):
    X, y = data[0], targets(LogisticRegression(), data[1])
    own = str(tmp_path / "search-{}")

    def search():
        model = LogisticRegression(solver="lbfgs", checkpoint=own)
        return GridSearchCV(model, {"C": [0.1, 1.0]}, cv=3)

    whole = GridSearchCV(LogisticRegression(solver="lbfgs"), {"C": [0.1, 1.0]}, cv=3).fit(X, y)
    killed = search()
    killed.estimator.set_callbacks(KillAt(5))
    with pytest.raises(Killed):
        killed.fit(X, y)
    n_folders = len(list(tmp_path.iterdir()))
    assert 0 < n_folders < 7
    found = search().fit(X, y)
    assert len(list(tmp_path.iterdir())) == 7
    assert_same(found.best_estimator_, whole.best_estimator_)
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], whole.cv_results_["mean_test_score"]
    )
    monkeypatch.setattr(ThreadExecutor, "sweep", None)
    search().fit(X, y)


class KillAt(Kill):
    """Counts the steps of all fits of a search."""

    n_all = 0

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "iteration":
            type(self).n_all += 1
            if type(self).n_all > self.n_steps * 4:
                raise Killed


def test_a_search_for_shares_of_l1_killed_in_the_middle(data, tmp_path, monkeypatch):
    X, y = lazy(data[0], np.where(targets(LogisticRegression(), data[1]) == "a", "a", "b"))

    def make(**more):
        return LogisticRegressionCV(
            Cs=[0.1, 1.0], l1_ratios=[0.5, 1.0], cv=2, scoring="neg_log_loss", max_iter=20,
            use_legacy_attributes=False, **more,
        )  # fmt: skip

    whole = make().fit(X, y)
    n_written = itertools.count(1)

    def write(folder, *what):
        of_folder(folder, *what)
        if next(n_written) % 11 == 0:
            raise Killed

    of_folder = CheckpointFolder.write
    monkeypatch.setattr(CheckpointFolder, "write", write)
    killed = 0
    for _ in range(100):
        try:
            model = make(checkpoint=tmp_path).fit(X, y)
            break
        except Killed:
            killed += 1
    assert killed > 3
    model.n_passes_ = whole.n_passes_  # of the last process alone
    assert_same(model, whole)
    (tmp_path / "model-0002").rename(tmp_path / "away")
    (tmp_path / "model-0003").rename(tmp_path / "model-0002")
    with pytest.raises(CheckpointMismatch, match="part: model-0003 in the checkpoint"):
        make(checkpoint=tmp_path).fit(X, y)


def test_a_pipeline_hands_on_the_same_rows(data, tmp_path):
    X, y = lazy(data[0], targets(LogisticRegression(), data[1]))

    def make(**more):
        return make_pipeline(StandardScaler(), LogisticRegression(solver="lbfgs", **more))

    whole = make().fit(X, y)
    killed = make(checkpoint=tmp_path)
    killed[-1].set_callbacks(Kill(3))
    with pytest.raises(Killed):
        killed.fit(X, y)
    assert_same(make(checkpoint=tmp_path).fit(X, y)[-1], whole[-1])


def test_an_object_store_holds_checkpoints_too(data):
    url = "memory://checkpoints/fit"
    make = MODELS["logistic, lbfgs"]
    X, y = data[0], targets(LogisticRegression(), data[1])
    model, killed = fit_until_done(lambda: make(checkpoint=url), X, y)
    assert killed > 3
    assert_same(model, make().fit(X, y))
