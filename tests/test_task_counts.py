"""The scheduler sees as many tasks of 300 blocks as of 30: bundles, a few for each thread.

Statistics, metrics and splits are passes of the same engine as those of fits. A cluster counts the
tasks that reach its scheduler. Without one, what Dask's scheduler would run is counted, and the
bundles that the threads of a pass take.
"""

from __future__ import annotations

from contextlib import contextmanager

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from dlbd_estimators import Ridge, compose, metrics, preprocessing
from dlbd_estimators.engine import threads
from dlbd_estimators.engine.bundle import run_bundle
from dlbd_estimators.model_selection import train_test_split

FEW, MANY = 30, 300
ROWS = 2
#: Of two threads: four each.
BUNDLES = 8


class Data:
    """Columns made of the same blocks of a few rows each, none of them in this process."""

    def __init__(self, n_blocks):
        self.X = da.map_blocks(
            make_block,
            chunks=((ROWS,) * n_blocks, (3,)),
            dtype=float,
            meta=np.empty((0, 3)),
        )
        self.y = self._column(first_column, float)
        self.near = self._column(near_first_column, float)
        self.labels = self._column(as_labels, np.int64)
        self.found = self._column(as_found_labels, np.int64)
        self.shares = self._column(as_shares, float)

    def _column(self, function, dtype):
        return self.X.map_blocks(function, drop_axis=1, dtype=dtype, meta=np.empty(0, dtype=dtype))

    @property
    def frame(self):
        return dd.from_map(make_frame, range(self.X.numblocks[0]), meta=make_frame(0).iloc[:0])


def make_block(block_id):
    return np.random.default_rng(block_id[0]).normal(size=(ROWS, 3)) + np.array([[1.0], [-1.0]])


def make_frame(number):
    rows = np.random.default_rng(number).normal(size=(ROWS, 2))
    return pd.DataFrame({"a": rows[:, 0], "b": rows[:, 1], "kind": ["x", "y"]})


def first_column(block):
    return block[:, 0]


def near_first_column(block):
    return block[:, 0] + 0.1


def as_labels(block):
    return np.arange(len(block))


def as_found_labels(block):
    return (block[:, 0] > 0).astype(np.int64)


def as_shares(block):
    return np.clip(np.round(1 / (1 + np.exp(-block[:, 0])), 1), 0.1, 0.9)


NUMBERS = [
    "max_error", "mean_absolute_error", "mean_squared_error", "r2_score",
    "root_mean_squared_error",
]  # fmt: skip
LABELS = [
    "accuracy_score", "balanced_accuracy_score", "confusion_matrix", "f1_score",
    "precision_score", "recall_score",
]  # fmt: skip
SHARES = ["brier_score_loss", "log_loss", "roc_auc_score", "roc_curve"]


def metric(name, y_true, y_pred):
    return lambda data: getattr(metrics, name)(getattr(data, y_true), getattr(data, y_pred))


USES = {
    "Ridge.fit": lambda data: Ridge().fit(data.X, data.y),
    "StandardScaler": lambda data: preprocessing.StandardScaler().fit(data.X),
    "StandardScaler of a frame": lambda data: preprocessing.StandardScaler().fit(
        data.frame[["a", "b"]]
    ),
    "StandardScaler with weights": lambda data: preprocessing.StandardScaler().fit(
        data.X, sample_weight=data.shares
    ),
    "MinMaxScaler": lambda data: preprocessing.MinMaxScaler().fit(data.X),
    "MaxAbsScaler": lambda data: preprocessing.MaxAbsScaler().fit(data.X),
    "SimpleImputer": lambda data: preprocessing.SimpleImputer().fit(data.X),
    "OneHotEncoder": lambda data: preprocessing.OneHotEncoder().fit(data.labels[:, None]),
    "OneHotEncoder of a frame": lambda data: preprocessing.OneHotEncoder().fit(
        data.frame[["kind"]]
    ),
    "OrdinalEncoder": lambda data: preprocessing.OrdinalEncoder().fit(data.labels[:, None]),
    "ColumnTransformer": lambda data: compose.ColumnTransformer(
        [
            ("scaled", preprocessing.StandardScaler(), [0, 1]),
            ("filled", preprocessing.SimpleImputer(), [2]),
        ]
    ).fit(data.X),
    **{name: metric(name, "y", "near") for name in NUMBERS},
    **{name: metric(name, "labels", "found") for name in LABELS},
    **{name: metric(name, "labels", "shares") for name in SHARES},
    "mean_poisson_deviance": metric("mean_poisson_deviance", "labels", "shares"),
    "calibration_curve": lambda data: metrics.calibration_curve(data.labels, data.shares),
    "stratified split": lambda data: train_test_split(
        data.X, data.labels, stratify=data.labels, random_state=0
    ),
}


@contextmanager
def tasks_on_threads(monkeypatch):
    """Count what Dask would schedule, and the bundles of passes."""
    counts = []

    def scheduled(graph, keys, **options):
        graph = dict(graph.__dask_graph__() if hasattr(graph, "__dask_graph__") else graph)
        counts.extend(graph)
        return dask.threaded.get(graph, keys, **options)

    def bundle(*args, **options):
        counts.append("bundle")
        return run_bundle(*args, **options)

    monkeypatch.setattr(threads, "run_bundle", bundle)
    with dask.config.set(scheduler=scheduled, num_workers=2):
        yield counts


@pytest.mark.parametrize("use", USES)
def test_tasks_on_threads_do_not_depend_on_the_number_of_blocks(use, monkeypatch):
    for n_blocks in (FEW, MANY):
        data = Data(n_blocks)
        with tasks_on_threads(monkeypatch) as counts:
            USES[use](data)
        assert counts == ["bundle"] * BUNDLES, n_blocks


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "use",
    [
        "StandardScaler",
        "ColumnTransformer",
        "OneHotEncoder of a frame",
        "r2_score",
        "stratified split",
    ],
)
def test_tasks_on_a_cluster_do_not_depend_on_the_number_of_blocks(use, cluster, client):  # noqa: ARG001
    from distributed.diagnostics.plugin import SchedulerPlugin

    class Counter(SchedulerPlugin):
        def __init__(self):
            self.tasks = []

        def transition(self, key, start, finish, *args, **kwargs):
            if start == "processing" and finish == "memory":
                self.tasks.append(key)

    for n_blocks in (FEW, MANY):
        counter = Counter()
        cluster.scheduler.add_plugin(counter, name="counter")
        USES[use](Data(n_blocks))
        cluster.scheduler.remove_plugin("counter")
        assert len(counter.tasks) == BUNDLES, (n_blocks, counter.tasks)
