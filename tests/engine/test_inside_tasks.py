"""Fits inside tasks, and blocks whose functions do what a task may: nothing hangs, same bits."""

from __future__ import annotations

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.exceptions import NonFiniteValues
from dlbd_estimators.metrics import accuracy_score
from dlbd_estimators.preprocessing import StandardScaler

N, P, ROWS = 200, 3, 50

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.ConvergenceWarning"),
]


def arrays(function=None):
    X = np.random.default_rng(7).normal(size=(N, P))
    y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
    lazy = da.from_array(X, chunks=(ROWS, P))
    if function is not None:
        lazy = lazy.map_blocks(function, dtype=float, meta=np.empty((0, 0)))
    return lazy, da.from_array(y, chunks=ROWS)


def computes(block):
    """A block function that computes with Dask."""
    return block + 0.0 * float(da.ones(4, chunks=1).sum().compute())


def asks_for_its_worker(block):
    from distributed import get_worker

    assert get_worker().address
    return block + 0.0


def opens_a_client(block):
    from distributed import worker_client

    with worker_client() as client:
        return block + 0.0 * client.submit(int, 1, pure=False).result()


def secedes(block):
    from distributed import get_client, rejoin, secede

    secede()
    value = get_client().submit(int, 1, pure=False).result()
    rejoin()
    return block + 0.0 * value


def everything(X, y):
    """What is found by passes, rounds and scores."""
    linear = LogisticRegression(tol=1e-2).fit(X, y)
    network = MLPClassifier((2,), max_iter=2, random_state=0, n_replicas=2).fit(X, y)
    return [
        np.ravel(linear.coef_),
        Ridge().fit(X, y).coef_,
        np.concatenate([np.ravel(w) for w in network.coefs_]),
        np.array([linear.score(X, y), network.score(X, y)]),
    ]


@pytest.fixture(scope="module")
def expected():
    """What threads of this process find."""
    with dask.config.set(scheduler="threads"):
        return everything(*arrays())


def assert_same_bits(mine, others):
    for left, right in zip(mine, others, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("function", [computes, asks_for_its_worker, opens_a_client, secedes])
def test_block_functions_may_do_what_tasks_may(function, client, expected):
    assert_same_bits(everything(*arrays(function)), expected)
    assert client.submit(int, 2, pure=False).result() == 2


def test_block_functions_compute_with_dask_on_threads(expected):
    with dask.config.set(scheduler="threads"):
        assert_same_bits(everything(*arrays(computes)), expected)


def fit_all(_number):
    """What a task of the user's does: estimators, a score, a metric, a transformer."""
    X, y = arrays()
    model = Ridge().fit(StandardScaler().fit_transform(X), y)
    return [*everything(X, y), np.array([model.score(X, y), accuracy_score(y, y)])]


def fit_badly(_number):
    X, y = arrays()
    Ridge().fit(X / (da.arange(N, chunks=ROWS) - 70)[:, None], y)


def fit_linear(number):
    X, y = arrays()
    return Ridge(alpha=number).fit(X, y).coef_


def fit_in_turn(number):
    """A task whose own tasks fit."""
    from distributed import worker_client

    with worker_client() as client:
        return client.submit(fit_linear, number, pure=False).result()


def test_fits_in_more_tasks_than_there_are_threads(client, expected):
    results = client.gather(client.map(fit_all, range(3), pure=False))
    for result in results:
        assert_same_bits(result[:-1], expected)
        assert result[-1][1] == 1.0


def fit_of_what_is_shared(number):
    """Blocks that share a value, and rows that a shuffle brings together: both run graphs first."""
    X, y = arrays()
    centred = Ridge().fit(X - X.mean(axis=0), y)
    frame = dd.from_dask_array(da.concatenate([X, y[:, None]], axis=1).rechunk((ROWS, P + 1)))
    frame = frame.rename(columns=dict(enumerate("abcy"))).shuffle("y", npartitions=2)
    shuffled = Ridge().fit(frame[list("abc")], frame["y"])
    return number, centred.coef_, shuffled.coef_


def test_fits_that_run_graphs_in_more_tasks_than_there_are_threads(client):
    expected = Ridge().fit(*(each.compute() for each in arrays())).coef_
    results = client.gather(client.map(fit_of_what_is_shared, range(4), pure=False))
    for _, centred, shuffled in results:
        np.testing.assert_allclose(centred, expected, rtol=1e-9)
        np.testing.assert_allclose(shuffled, expected, rtol=1e-9)


def test_fits_that_fail_in_tasks_give_their_threads_back(client):
    failing = client.map(fit_badly, range(4), pure=False)
    for future in failing:
        with pytest.raises(NonFiniteValues, match="X contains infinity"):
            future.result()
    again = client.gather(client.map(fit_linear, [1, 2, 3], pure=False))
    assert len(again) == 3
    assert set(client.nthreads().values()) == {1}
    assert all(count == 1 for count in client.run(threads_in_pool).values())


def threads_in_pool(dask_worker):
    executor = dask_worker.executors["default"]
    return len(executor._threads)


def test_fits_in_tasks_of_tasks_and_beside_a_client(client):
    mine = client.gather(client.map(fit_in_turn, [1, 2, 3], pure=False))
    with dask.config.set(scheduler="threads"):
        others = [fit_linear(number) for number in (1, 2, 3)]
    assert_same_bits(mine, others)


def test_fits_under_joblib_on_dask(client):
    import joblib

    with joblib.parallel_config(backend="dask"):
        mine = joblib.Parallel(n_jobs=-1)(joblib.delayed(fit_linear)(i) for i in (1, 2, 3))
    with dask.config.set(scheduler="threads"):
        others = [fit_linear(number) for number in (1, 2, 3)]
    assert_same_bits(mine, others)
    assert client.submit(int, 2, pure=False).result() == 2
