"""The work that no fault may change: solvers, networks, searches, statistics, scores, writes."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
from scipy import sparse

import storage
from dlbd_estimators import DifferentialPrivacy
from dlbd_estimators.compose import ColumnTransformer
from dlbd_estimators.inference import coefficient_table
from dlbd_estimators.linear_model import (
    ElasticNetCV,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeCV,
    logistic_regression_path,
)
from dlbd_estimators.metrics import confusion_matrix, log_loss, r2_score, roc_auc_score
from dlbd_estimators.model_selection import GridSearchCV, KFold, train_test_split
from dlbd_estimators.neural_network import MLPClassifier, MLPRegressor
from dlbd_estimators.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    SimpleImputer,
    StandardScaler,
)
from dlbd_estimators.reports import report
from storage.ingestion.stored_hashes import hash_array
from tests.faults.svmlight_work import ingest_svmlight

N, P, ROWS = 480, 3, 40
N_BLOCKS = N // ROWS

#: Fitted attributes whose bits are compared.
_ATTRIBUTES = (
    "coef_", "intercept_", "coefs_", "intercepts_", "n_iter_", "n_passes_", "loss_curve_",
    "alpha_", "C_", "scores_", "mse_path_", "best_score_", "mean_", "var_", "data_min_",
    "statistics_", "categories_",
)  # fmt: skip


class Rows(NamedTuple):
    """Rows to work on, a folder to write to, and the function that each block of X goes through."""

    X: da.Array
    y: da.Array
    labels: da.Array
    folder: Path
    read: Callable | None = None


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, numbers to predict, and labels of two classes."""
    rng = np.random.default_rng(11)
    X = rng.normal(size=(N, P)) * [0.5, 1.0, 4.0]
    y = X @ [2.0, -1.0, 0.25] + rng.normal(size=N)
    return X, y, (y > 0.3).astype(np.int64)


def lazy(read: Callable | None = None) -> tuple[da.Array, da.Array, da.Array]:
    """Return the data as lazy arrays; ``read`` is called with each block of X."""
    X, y, labels = (da.from_array(each, chunks=(ROWS, *each.shape[1:])) for each in data())
    return (X if read is None else X.map_blocks(read, meta=np.empty((0, 0)))), y, labels


def bits(model: object) -> list[np.ndarray]:
    """Return all that a fit has found, as a list of arrays."""
    found = []
    for name in _ATTRIBUTES:
        value = getattr(model, name, None)
        if isinstance(value, dict):
            value = [value[key] for key in sorted(value)]
        if value is not None:
            found += [np.asarray(each) for each in (value if isinstance(value, list) else [value])]
    assert found
    return found


def _regression(model: Callable) -> Callable:
    return lambda rows: bits(model().fit(rows.X, rows.y))


def _classification(model: Callable) -> Callable:
    return lambda rows: bits(model().fit(rows.X, rows.labels))


def _transformer(model: Callable) -> Callable:
    return lambda rows: bits(model().fit(rows.X))


def _l1(solver: str) -> Callable:
    return lambda: LogisticRegression(solver=solver, C=0.5, l1_ratio=1.0, max_iter=3)


def _private(model: Callable) -> Callable:
    def fit(rows: Rows) -> list[np.ndarray]:
        budget = {"epsilon": 1.0, "delta": 1e-4, "n_samples": N, "classes": [0, 1]}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"DifferentialPrivacy\(seed", UserWarning)
            privacy = DifferentialPrivacy(**budget, seed=1)
            return bits(model(privacy=privacy).fit(rows.X, rows.labels))

    return fit


def _network(**options: object) -> Callable:
    given = {"max_iter": 2, "batch_size": 20, "n_iter_no_change": 9, "random_state": 0, **options}
    return lambda: MLPClassifier((4,), **given)


def _columns(rows: Rows) -> list[np.ndarray]:
    steps = [("scaled", StandardScaler(), [0, 1]), ("filled", SimpleImputer(), [2])]
    return [ColumnTransformer(steps).fit_transform(rows.X).compute()]


def _encoded(rows: Rows) -> list[np.ndarray]:
    whole = da.round(rows.X).astype(np.int64)
    return [
        *bits(OrdinalEncoder().fit(whole)),
        OneHotEncoder(sparse_output=False).fit(whole).transform(whole).sum(axis=0).compute(),
    ]


def _scores(rows: Rows) -> list[np.ndarray]:
    shown = 1 / (1 + da.exp(-rows.X[:, 0]))
    return [
        np.asarray(each)
        for each in (
            r2_score(rows.y, rows.X[:, 0]),
            log_loss(rows.labels, shown),
            roc_auc_score(rows.labels, shown),
            confusion_matrix(rows.labels, (shown > 0.5).astype(np.int64)),
        )
    ]


def _split(rows: Rows) -> list[np.ndarray]:
    parts = train_test_split(rows.X, rows.labels, stratify=rows.labels, random_state=0)
    return list(dask.compute(*parts))


def _predict(rows: Rows) -> list[np.ndarray]:
    model = LogisticRegression().fit(*(data()[at] for at in (0, 2)))
    return [model.predict_proba(rows.X).compute(), np.asarray(model.score(rows.X, rows.labels))]


def _path(rows: Rows) -> list[np.ndarray]:
    found = logistic_regression_path(rows.X, rows.labels, Cs=[0.1, 1.0])
    return [np.asarray(each) for each in found]


def _covariance(rows: Rows) -> list[np.ndarray]:
    model = LogisticRegression(store_covariance=True).fit(rows.X, rows.labels)
    table = coefficient_table(model, allow_penalty=True)
    return [*bits(model), np.asarray(table.covariance)]


@cache
def _model() -> LogisticRegression:
    return LogisticRegression().fit(*(data()[at] for at in (0, 2)))


def _report(rows: Rows) -> list[np.ndarray]:
    page = rows.folder / f"page-{time.monotonic_ns()}.html"
    report(_model(), rows.X, rows.labels, path=page)
    assert [each.name for each in rows.folder.glob(".page*")] == []
    # The names of the parts of plots and diagrams are random or numbered, and the time is shown.
    changing = r'(id="|#)[\w-]+|sk-[a-z-]+-id-\d+|\d\d:\d\d|\d{4}-\d\d-\d\d'
    text = re.sub(changing, "", page.read_text())
    return [np.frombuffer(text.encode(), np.uint8)]


#: A block is as large as the blocks of :func:`lazy`, and has two chunks of X.
_SIZES = {"chunk_nbytes": ROWS * P * 4, "block_nbytes": ROWS * (P + 1) * 8}


def _new_path(rows: Rows) -> Path:
    return rows.folder / f"written-{time.monotonic_ns()}"


def _content(written: storage.Dataset) -> list[np.ndarray]:
    """Return all rows of a data set that was just written; nothing else may be left there."""
    written.verify()
    assert [each.name for each in written.path.parent.glob(".written*")] == []
    X, y = dask.compute(written.X, written.y, scheduler="threads")
    return [X.toarray() if sparse.issparse(X) else X, y]


def _write(rows: Rows) -> list[np.ndarray]:
    return _content(storage.create_dataset(_new_path(rows), rows.X, rows.y, **_SIZES))


def _ingest(rows: Rows) -> list[np.ndarray]:
    """Ingest the rows as a table, with the values of another table by a key."""
    frame = dd.from_dask_array(rows.X, columns=["a", "b", "c"])
    values = pd.DataFrame({"key": np.arange(-3, 4), "value": np.arange(7) ** 0.5})
    written = storage.ingest(
        frame.assign(key=frame["c"].round().astype(np.int64)),
        _new_path(rows),
        target="c",
        columns={"value": storage.Column(missing="impute")},
        joins=[storage.Join(values, on="key", unmatched="keep")],
        **_SIZES,
    )
    return _content(written)


def _ingest_svmlight(rows: Rows) -> list[np.ndarray]:
    X, y, _ = data()
    return _content(ingest_svmlight(_positive(X), y, _new_path(rows), rows.read, **_SIZES))


def _append(rows: Rows) -> list[np.ndarray]:
    X, y, _ = data()
    path = rows.folder / f"stored-{time.monotonic_ns()}"
    storage.create_dataset(path, X[:90], y[:90], **_SIZES)
    return _content(storage.append(path, rows.X, rows.y))


def _append_by_key(rows: Rows) -> list[np.ndarray]:
    """Append raw rows whose keys are compared with each other and with the stored ones."""

    def with_key(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(key=(frame["b"] * 20).round().astype(np.int64))

    path = rows.folder / f"stored-{time.monotonic_ns()}"
    key = storage.Column("key", duplicates="drop")
    first = with_key(pd.DataFrame(data()[0][:90], columns=["a", "b", "c"]))
    stored = storage.ingest(first, path, target="c", columns={"key": key}, **_SIZES)
    frame = with_key(dd.from_dask_array(rows.X, columns=["a", "b", "c"]))
    newer = storage.append(stored, frame)
    assert stored.n_samples < 90
    # The appended rows repeat the first ones.
    assert newer.quality_of(2).columns["key"].broken["duplicates"] > 90
    hashes = hash_array(newer).compute(scheduler="threads")
    assert len(np.unique(hashes, axis=0)) == newer.n_samples
    return [*_content(newer), hashes]


def _shuffle(rows: Rows) -> list[np.ndarray]:
    path = _new_path(rows)
    stored = storage.create_dataset(path.with_name(f"stored-{path.name}"), *data()[:2], **_SIZES)
    assert stored.X.chunks == rows.X.chunks
    stored.X = rows.X  # the same values, read as the fault wants them to be
    return _content(storage.shuffle(stored, path, seed=0))


def _shuffle_sparse(rows: Rows) -> list[np.ndarray]:
    path = _new_path(rows)
    X, y, _ = data()
    stored = storage.create_dataset(
        path.with_name(f"stored-{path.name}"),
        sparse.csr_array(X),
        y,
        chunk_nbytes=ROWS * (12 * P + 4),
        block_nbytes=ROWS * (12 * P + 8 + 8),
    )
    assert stored.X.chunks == rows.X.chunks
    stored.X = rows.X.map_blocks(sparse.csr_array, meta=sparse.csr_array((0, 0)))
    return _content(storage.shuffle(stored, path, seed=0))


def _sparse(X: da.Array) -> da.Array:
    """Return the positive features in sparse blocks."""
    return X.map_blocks(_positive, meta=sparse.csr_array((0, 0)))


def _positive(block: np.ndarray) -> sparse.csr_array:
    return sparse.csr_array(np.maximum(block, 0))


def _sparse_fits(rows: Rows) -> list[np.ndarray]:
    X = _sparse(rows.X)
    model = LogisticRegression(solver="lbfgs", max_iter=3).fit(X, rows.labels)
    scores = [model.predict_proba(X).compute(), np.asarray(model.score(X, rows.labels))]
    others = [Ridge().fit(X, rows.y), Lasso(0.1).fit(X, rows.y)]
    few = rows.X.map_blocks(_far_ones, meta=sparse.csr_array((0, 0)))
    of_few = [Ridge(solver="gram").fit(few, rows.y), LogisticRegression().fit(few, rows.labels)]
    return [
        *bits(model),
        *(each for other in others for each in bits(other)),
        *scores,
        *map(_coefficients, of_few),
    ]


def _far_ones(block: np.ndarray) -> sparse.csr_array:
    """Return so few entries that products are formed without dense tiles."""
    return sparse.csr_array(np.where(np.abs(block) > 8, block, 0))


def _coefficients(model: object) -> np.ndarray:
    return np.append(model.coef_, model.intercept_)


def _write_sparse(rows: Rows) -> list[np.ndarray]:
    return _content(storage.create_dataset(_new_path(rows), _sparse(rows.X), rows.y, **_SIZES))


#: What to run: functions of :class:`Rows` that return arrays.
WORK: dict[str, Callable] = {
    "gram": _regression(lambda: Ridge(solver="gram")),
    "least squares": _regression(LinearRegression),
    "centred rows": lambda rows: bits(Ridge().fit(rows.X - rows.X.mean(axis=0), rows.y)),
    "newton": _classification(lambda: LogisticRegression(solver="newton")),
    "newton_cg": _classification(lambda: LogisticRegression(solver="newton-cg", max_iter=3)),
    "lbfgs": _classification(lambda: LogisticRegression(solver="lbfgs", max_iter=4)),
    "gradient_descent": _regression(lambda: Ridge(solver="gradient_descent", max_iter=4)),
    "nesterov": _regression(lambda: Ridge(solver="nesterov", max_iter=4)),
    "coordinate_descent": _regression(lambda: Lasso(0.1, solver="coordinate_descent")),
    "proximal_newton": _classification(_l1("proximal_newton")),
    "working_set": _classification(_l1("working_set")),
    "network, one replica": _classification(_network(n_replicas=1, buffer_size=40 * 3 * 8 * 4)),
    "network, two replicas": _classification(_network(n_replicas=2, early_stopping=True)),
    "network, passes": _regression(
        lambda: MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=3, random_state=0)
    ),
    "private logistic regression": _private(partial(LogisticRegression, max_iter=3)),
    "private network": _private(
        partial(MLPClassifier, (4,), max_iter=2, batch_size=N, random_state=0)
    ),
    "RidgeCV": _regression(lambda: RidgeCV(cv=3)),
    "LassoCV": _regression(lambda: LassoCV(alphas=[0.01, 0.1], cv=3)),
    "ElasticNetCV": _regression(lambda: ElasticNetCV(alphas=[0.01, 0.1], cv=3)),
    "LogisticRegressionCV": _classification(
        lambda: LogisticRegressionCV(
            Cs=[0.1, 1.0],
            cv=KFold(3),
            scoring="neg_log_loss",
            l1_ratios=(0.0,),
            use_legacy_attributes=False,
            max_iter=4,
        )
    ),
    "GridSearchCV": _regression(lambda: GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=3)),
    "StandardScaler": _transformer(StandardScaler),
    "MinMaxScaler": _transformer(MinMaxScaler),
    "SimpleImputer": _transformer(SimpleImputer),
    "encoders": _encoded,
    "ColumnTransformer": _columns,
    "metrics": _scores,
    "train_test_split": _split,
    "predict and score": _predict,
    "write": _write,
    "write: ingest and join": _ingest,
    "write: ingest svmlight": _ingest_svmlight,
    "write: append": _append,
    "write: append by a key": _append_by_key,
    "write: shuffle": _shuffle,
    "write: shuffle sparse rows": _shuffle_sparse,
    "write: sparse rows": _write_sparse,
    "sparse blocks": _sparse_fits,
    "logistic_regression_path": _path,
    "store_covariance": _covariance,
    "report": _report,
}

#: Names of the work by what it is, for faults that need one of each kind.
KINDS = (
    "gram", "newton", "lbfgs", "proximal_newton", "network, two replicas", "LogisticRegressionCV",
    "StandardScaler", "metrics", "train_test_split", "write", "report",
)  # fmt: skip


def run(name: str, folder: Path, read: Callable | None = None) -> list[np.ndarray]:
    """Do some work, and read each block in each pass."""
    with dask.config.set({"dlbd-estimators.cache-share": 0.0}):
        return WORK[name](Rows(*lazy(read), folder, read))


@cache
def expected(name: str, folder: Path) -> list[np.ndarray]:
    """Return what the work finds on threads of this process."""
    with dask.config.set(scheduler="threads"):
        return run(name, folder)


def assert_same_bits(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    """Fail if two lists of arrays differ in one bit."""
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


class Reads:
    """Counts the reads of blocks, in all processes; acts at some of them.

    Parameters
    ----------
    folder : Path
        Where the count is kept: one byte a read.
    seconds : float
        How long each read takes.
    """

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.seconds = str(folder), seconds

    def __call__(self, block: np.ndarray) -> np.ndarray:
        with (Path(self.folder) / "reads").open("ab") as file:
            file.write(b"x")
            file.flush()
            number = file.tell()  # each reader gets a number of its own: the file is appended to
        self.act(number)
        if self.seconds:
            time.sleep(self.seconds)
        return block

    def act(self, number: int) -> None:
        """Do nothing: a subclass brings the fault."""

    def count(self) -> int:
        """Return how many reads have begun."""
        file = Path(self.folder) / "reads"
        return file.stat().st_size if file.exists() else 0

    def at(self, number: int, act: Callable[[], object]) -> threading.Thread:
        """Act in a thread of this process, once so many reads have begun."""

        def wait() -> None:
            deadline = time.monotonic() + 120
            while self.count() < number and time.monotonic() < deadline:
                time.sleep(0.01)
            act()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread


class KillsEvery(Reads):
    """Ends the process that reads, at every so-many-th read."""

    def __init__(self, folder: Path, every: int, first: int = 1, most: int = 10**9) -> None:
        super().__init__(folder)
        self.every, self.first, self.most = every, first, most

    def act(self, number: int) -> None:
        past = number - self.first
        if past >= 0 and past % self.every == 0 and past // self.every < self.most:
            os.kill(os.getpid(), signal.SIGKILL)

    def n_kills(self) -> int:
        """Return how many processes have ended."""
        return min(self.most, max(0, (self.count() - self.first) // self.every + 1))
