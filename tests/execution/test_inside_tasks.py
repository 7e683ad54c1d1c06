"""Fits inside tasks, and blocks whose functions do what a task may: nothing hangs, same bits."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge

N, P, ROWS = 400, 3, 50

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
    linear = LogisticRegression(tol=1e-3).fit(X, y)
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
