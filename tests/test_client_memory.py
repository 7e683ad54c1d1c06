"""Lazy data stay where they are: no call brings more than a few blocks into the client process.

The data are blocks that the workers make themselves, so the client holds none of them but those
that a call brings there, and tracemalloc, which NumPy and the network's buffers report to, sees
every one. Without a cluster the blocks live in this process too, but few at a time.
"""

from __future__ import annotations

import threading
import tracemalloc
import weakref
from contextlib import contextmanager

import dask
import dask.array as da
import numpy as np
import pytest
import sklearn.preprocessing
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import dlbd_estimators
from dlbd_estimators import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MLPClassifier,
    MLPRegressor,
    Ridge,
    RidgeClassifierCV,
    RidgeCV,
    compose,
    metrics,
    model_selection,
    preprocessing,
)
from dlbd_estimators.solvers.smooth import path_sample

#: Blocks of all data, on the cluster and on threads.
ON_CLUSTER, ON_THREADS = 16, 32
BLOCK_ROWS, N_FEATURES = 8_192, 32
BLOCK = BLOCK_ROWS * N_FEATURES * 8
#: Of the client, per call: half a block is what Dask's graphs and messages take. The rows that a
#: logistic regression keeps are two blocks, whatever the data.
MOST_IN_CLIENT = 3 * BLOCK
N_THREADS = 2
#: A thread works on one block and may load the next; one more may wait to be freed.
MOST_ALIVE = 3 * N_THREADS
#: Of this process where the threads are its own: for each thread its block, the next one, what
#: kernels make of one and their buffers; half the data.
MOST_IN_THREADS = 16 * BLOCK

pytestmark = pytest.mark.long


class Watched(np.ndarray):
    """Views keep their owner alive, and only arrays of a class of one's own can be watched."""


class Loader:
    """Makes blocks of uniform numbers, and counts those that are alive at once."""

    def __init__(self):
        self.most, self._alive, self._lock = 0, [], threading.Lock()

    def __call__(self, block_id):
        block = make_block(block_id).view(Watched)
        with self._lock:
            self._alive = [each for each in self._alive if each() is not None]
            self._alive.append(weakref.ref(block))
            self.most = max(self.most, len(self._alive))
        return block


def make_block(block_id):
    return np.random.default_rng(block_id[0]).random((BLOCK_ROWS, N_FEATURES))


def with_holes(block):
    return np.where(block < 0.05, np.nan, block)


def as_codes(block):
    # Few columns, because finding categories takes long; together they are still 4 blocks.
    return np.floor(3 * block[:, :4])


def as_sparse(block):
    return sparse.csr_array(np.where(block > 0.97, block, 0))


def as_targets(block):
    # Not linear, or the fits would be exact.
    return block[:, :8].sum(axis=1) + 4 * block[:, 8] * block[:, 9] + block[:, 10] ** 4


def as_labels(block):
    return (as_targets(block) > 5.3).astype(np.int64)


def as_scores(block):
    # Few distinct ones: the area under the curve keeps all of them, and says so.
    return np.round(1 / (1 + np.exp(5.3 - block[:, :9].sum(axis=1))), 3)


def as_grid(block, number):
    # Eight columns are the values of one variable at 256 x 256 places.
    return block[:, 8 * number : 8 * number + 8].reshape(1, 256, 256)


class Data:
    """Lazy arrays; ``load(block_id)`` makes the blocks that all others are made of."""

    def __init__(self, load, n_blocks):
        self.X = da.map_blocks(
            load,
            name=f"made-{id(self)}",
            chunks=((BLOCK_ROWS,) * n_blocks, (N_FEATURES,)),
            dtype=float,
            meta=np.empty((0, N_FEATURES)),
        )
        self.holes = self.X.map_blocks(with_holes, dtype=float)
        self.sparse = self.X.map_blocks(as_sparse, meta=sparse.csr_array((0, 0)))
        self.codes = self.X.map_blocks(as_codes, dtype=float, chunks=(self.X.chunks[0], (4,)))
        self.targets = self._column(as_targets, float)
        self.labels = self._column(as_labels, np.int64)
        self.scores = self._column(as_scores, float)
        self.found = (self.scores > 0.4).astype(np.int64)

    def grid(self):
        """Return an xarray Dataset of four variables, together as large as X."""
        xarray = pytest.importorskip("xarray")
        chunks = ((1,) * self.X.numblocks[0], (256,), (256,))
        names = enumerate(("t2m", "sp", "wind", "cape"))
        arrays = {
            name: self.X.map_blocks(
                as_grid, number, new_axis=2, chunks=chunks, dtype=float, meta=np.empty((0, 0, 0))
            )
            for number, name in names
        }
        return xarray.Dataset({name: (("time", "y", "x"), array) for name, array in arrays.items()})

    def _column(self, function, dtype):
        return self.X.map_blocks(function, drop_axis=1, dtype=dtype, meta=np.empty(0, dtype=dtype))


def small(network):
    return network(
        hidden_layer_sizes=(3,),
        batch_size=1_024,
        max_iter=1,
        random_state=0,
        buffer_size=2 * BLOCK + 2**18,  # by default 256 MiB, more than all data
    )


#: Estimators, with the attributes of Data that are their X and y.
ESTIMATORS = {
    "LinearRegression": (LinearRegression(), "X", "targets"),
    "Ridge": (Ridge(), "X", "targets"),
    "LassoCV": (LassoCV(alphas=5, cv=3), "X", "targets"),
    "ElasticNetCV": (ElasticNetCV(alphas=5, cv=3), "X", "targets"),
    "RidgeCV": (RidgeCV(cv=3), "X", "targets"),
    "RidgeClassifierCV": (RidgeClassifierCV(cv=3), "X", "labels"),
    "Lasso": (Lasso(0.01), "X", "targets"),
    "ElasticNet": (ElasticNet(0.01), "X", "targets"),
    "LogisticRegression": (LogisticRegression(), "X", "labels"),
    "LogisticRegression on sparse rows": (LogisticRegression(), "sparse", "labels"),
    "LogisticRegression with l1": (LogisticRegression(C=0.01, l1_ratio=0.5), "X", "labels"),
    "LogisticRegressionCV": (LogisticRegressionCV(Cs=3, cv=3), "X", "labels"),
    "GridSearchCV": (
        model_selection.GridSearchCV(
            make_pipeline(preprocessing.StandardScaler(), Ridge()),
            {"ridge__alpha": [0.01, 1.0]},
            cv=2,
        ),
        "X",
        "targets",
    ),
    "RandomizedSearchCV": (  # whose candidates share nothing
        model_selection.RandomizedSearchCV(
            LinearRegression(), {"fit_intercept": [True, False]}, n_iter=2, cv=2
        ),
        "X",
        "targets",
    ),
    "MLPClassifier": (small(MLPClassifier), "X", "labels"),
    "MLPRegressor": (small(MLPRegressor), "X", "targets"),
    "StandardScaler": (preprocessing.StandardScaler(), "X", None),
    "MinMaxScaler": (preprocessing.MinMaxScaler(), "X", None),
    "MaxAbsScaler": (preprocessing.MaxAbsScaler(), "X", None),
    "SimpleImputer": (preprocessing.SimpleImputer(add_indicator=True), "holes", None),
    "OneHotEncoder": (preprocessing.OneHotEncoder(), "codes", None),
    "OrdinalEncoder": (preprocessing.OrdinalEncoder(), "codes", None),
    "Blockwise": (
        preprocessing.Blockwise(
            sklearn.preprocessing.QuantileTransformer(n_quantiles=5).fit(make_block((0, 0))[:50])
        ),
        "X",
        None,
    ),
    "ColumnTransformer": (
        compose.ColumnTransformer(
            [
                ("scaled", preprocessing.StandardScaler(), slice(0, 20)),
                ("imputed", preprocessing.SimpleImputer(), slice(20, 24)),
            ],
            remainder="passthrough",
        ),
        "holes",
        None,
    ),
}
PREDICTIONS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform")
REGRESSION = ("r2_score", "max_error", "mean_", "root_mean_")
OF_SCORES = ("brier_score_loss", "calibration_curve", "log_loss", "roc_auc_score", "roc_curve")


def consume(*results):
    """Read lazy results where their blocks are, each down to a number."""
    assert all(isinstance(each, da.Array) for each in results)
    dask.compute(*(each.sum() for each in results))


def estimator_calls(name, data):
    estimator, X, y = ESTIMATORS[name]
    X = getattr(data, X)
    y = None if y is None else getattr(data, y)
    yield "fit", lambda: estimator.fit(X, y)
    if name.startswith("MLP"):
        yield "fit with validation", lambda: estimator.fit(X, y, X_val=X, y_val=y)
    if hasattr(estimator, "partial_fit"):
        classify = isinstance(estimator, MLPClassifier | LogisticRegression)
        more = {"classes": [0, 1]} if classify else {}
        # A perceptron goes on from `fit`; other models keep nothing there to go on from.
        batches = estimator if name.startswith("MLP") else clone(estimator)
        yield "partial_fit", lambda: batches.partial_fit(X, y, **more)
    for method in PREDICTIONS:
        if hasattr(estimator, method):
            yield method, lambda method=method: consume(getattr(estimator, method)(X))
    if hasattr(estimator, "inverse_transform"):
        yield (
            "inverse_transform",
            lambda: consume(estimator.inverse_transform(estimator.transform(X))),
        )
    if y is not None:
        yield "score", lambda: estimator.score(X, y)


def metric_calls(data):
    for name in metrics.__all__:
        metric = getattr(metrics, name)
        if name.startswith(REGRESSION):
            y_true, y_pred = data.targets, data.scores
        else:
            y_true, y_pred = data.labels, data.scores if name in OF_SCORES else data.found
        weights = (
            {} if name in ("max_error", "calibration_curve") else {"sample_weight": data.X[:, 0]}
        )
        yield (
            name,
            lambda metric=metric, y=(y_true, y_pred), weights=weights: metric(*y, **weights),
        )


def split_calls(data):
    arrays = data.X, data.labels

    def parts_of(split):
        for parts in split:
            consume(*parts)

    yield (
        "train_test_split",
        lambda: parts_of([model_selection.train_test_split(*arrays, random_state=0)]),
    )
    yield (
        "stratified train_test_split",
        lambda: parts_of(
            [model_selection.train_test_split(*arrays, stratify=arrays[1], random_state=0)]
        ),
    )
    for splitter in (
        model_selection.KFold(2, shuffle=True, random_state=0),
        model_selection.ShuffleSplit(1, random_state=0),
    ):
        yield (
            type(splitter).__name__,
            lambda splitter=splitter: parts_of(splitter.split_arrays(*arrays)),
        )


def xarray_calls(data):
    dataset = data.grid()
    target = dataset["t2m"] + dataset["sp"] ** 2
    features = ["t2m", "wind", "cape"]
    regression, scaler = Ridge(), preprocessing.StandardScaler()
    yield "Ridge.fit", lambda: regression.fit(dataset[features], target)
    yield "Ridge.score", lambda: regression.score(dataset[features], target)
    yield "Ridge.predict", lambda: consume(regression.predict(dataset[features]).data)
    yield "fit_transform", lambda: consume(scaler.fit_transform(dataset).data)


CASES = {
    **{name: lambda data, name=name: estimator_calls(name, data) for name in ESTIMATORS},
    "metrics": metric_calls,
    "model_selection": split_calls,
    "xarray": xarray_calls,
}


class Meter:
    """What this process allocated at most within :meth:`running`, in bytes.

    Now and then that is a table of the interpreter that grows, and no data: the 174,763rd interned
    string costs 7.7 MB at once. Such a table grows once, while a call that brings data brings them
    each time, so a call that takes too much is run and measured a second time (:meth:`measure`).
    """

    peak = 0

    @contextmanager
    def running(self):
        tracemalloc.start(1)
        try:
            yield
            self.peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def measure(self, run, most):
        """What `run` takes at most, in bytes: of two runs the smaller, unless one is enough."""
        with self.running():
            run()
        first = self.peak
        if first >= most:
            with self.running():
                run()
        return min(first, self.peak)


@pytest.fixture(autouse=True)
def few_rows_held(monkeypatch):
    """A search holds a fixed number of rows, whatever the data: fewer where these are few."""
    monkeypatch.setattr(path_sample, "_MOST_ROWS", 1_000)


def test_every_public_class_and_function_is_held_to_it():
    public = {
        *dlbd_estimators.__all__,
        *preprocessing.__all__,
        *compose.__all__,
    }
    assert public - set(ESTIMATORS) == {  # they see no data
        "DifferentialPrivacy",
        "InconsistentVersionWarning",
        "SeparableWarning",
        "__version__",
        "load",
        "make_column_transformer",
        "save",
        "to_sklearn",
    }
    data = Data(make_block, 1)
    assert {name for name, _ in metric_calls(data)} == set(metrics.__all__)
    split = {name for name, _ in split_calls(data)}
    assert split | set(ESTIMATORS) >= set(model_selection.__all__)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of short fits
@pytest.mark.usefixtures("client")
def test_the_client_of_a_cluster_holds_no_data(case):
    meter = Meter()
    for call, run in CASES[case](Data(make_block, ON_CLUSTER)):
        peak = meter.measure(run, MOST_IN_CLIENT)
        assert peak < MOST_IN_CLIENT, f"{call}: {peak / BLOCK:.2f} blocks"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of short fits
def test_threads_of_this_process_hold_few_blocks(case):
    meter, loader = Meter(), Loader()
    options = {
        "scheduler": "threads",
        "num_workers": N_THREADS,
        "dlbd-estimators.cache-share": 0.0,  # or memory to spare is filled on purpose
    }
    with dask.config.set(options):
        for call, run in CASES[case](Data(loader, ON_THREADS)):
            loader.most = 0
            peak = meter.measure(run, MOST_IN_THREADS)
            assert loader.most <= MOST_ALIVE, f"{call}: {loader.most} blocks alive at once"
            assert peak < MOST_IN_THREADS, f"{call}: {peak / BLOCK:.2f} blocks"


@pytest.mark.usefixtures("client")
def test_the_meter_sees_data_in_the_client():
    everything = Data(make_block, ON_CLUSTER).X.compute
    assert Meter().measure(everything, MOST_IN_CLIENT) > ON_CLUSTER * BLOCK


def test_the_meter_does_not_count_what_is_allocated_once():
    tables = []

    def run():
        if not tables:
            tables.append(bytearray(2 * MOST_IN_CLIENT))

    assert Meter().measure(run, MOST_IN_CLIENT) < BLOCK


def test_the_loader_sees_blocks_that_are_kept():
    loader = Loader()
    kept = [loader((i, 0))[1:] for i in range(5)]  # a view keeps its block
    assert loader.most == len(kept)
