"""A cluster after a fit is as it was before, and its client has been sent little."""

from __future__ import annotations

import gc
import time

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed.client import Client

from dlbd_estimators import LogisticRegression, Ridge, metrics
from dlbd_estimators.model_selection import train_test_split
from dlbd_estimators.preprocessing import OneHotEncoder, StandardScaler

N_PARTS, N_ROWS = 8, 12_000

pytestmark = pytest.mark.long


def made(number):
    rng = np.random.default_rng(number)
    frame = pd.DataFrame(rng.normal(size=(N_ROWS, 6)), columns=list("abcdef"))
    y = frame.a - frame.b + rng.normal(size=N_ROWS)
    return frame.assign(y=y, label=(y > 0).astype(int), k=rng.integers(0, 50, N_ROWS))


def plain():
    return dd.from_map(made, range(N_PARTS), meta=made(0).iloc[:0])


def merged():
    other = dd.from_pandas(pd.DataFrame({"k": np.arange(50), "z": 1.0}), npartitions=3)
    return plain().merge(other, on="k", broadcast=False)


def through_array():
    columns = [*"abcdef", "y", "label", "k"]
    return dd.from_dask_array(merged()[columns].to_dask_array(), columns=columns)


FRAMES = {
    "filtered": lambda: plain().query("a > 0"),
    "centred": lambda: plain().assign(c=lambda f: f.c - f.c.mean()),
    "set_index": lambda: plain().set_index("k"),
    "through an array": through_array,
}


def ridge(frame):
    Ridge().fit(frame[list("abcdef")], frame["y"])


def logistic(frame):
    X, y = frame[list("abcdef")], frame["label"]
    model = LogisticRegression().fit(X, y)
    metrics.accuracy_score(y, model.predict(X))


def transformers(frame):
    StandardScaler().fit(frame[list("abc")])
    if "k" in frame.columns:
        OneHotEncoder().fit(frame[["k"]])


def split(frame):
    X, X_test, y, y_test = train_test_split(
        frame[list("abc")], frame["y"], stratify=frame["label"], random_state=0
    )
    Ridge().fit(X, y).score(X_test, y_test)


class _Received:
    """Sizes of what a client is sent by `gather`, by which all results come."""

    def __init__(self, monkeypatch):
        self.sizes = []
        original = Client._gather

        async def gather(client, *arguments, **options):
            found = await original(client, *arguments, **options)
            self.sizes.append(_nbytes(found))
            return found

        monkeypatch.setattr(Client, "_gather", gather)


def _nbytes(value):
    if isinstance(value, dict):
        return sum(map(_nbytes, value.values()))
    if isinstance(value, list | tuple | set):
        return sum(map(_nbytes, value))
    if isinstance(value, pd.DataFrame | pd.Series):
        return int(np.sum(value.memory_usage()))
    return int(getattr(value, "nbytes", 0))


def held(client):
    """What lies on the cluster, by the scheduler's account."""
    return client.run_on_scheduler(lambda dask_scheduler: set(dask_scheduler.tasks))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("use", [ridge, logistic, transformers, split])
@pytest.mark.parametrize("frame", FRAMES)
def test_a_client_is_sent_little_and_nothing_is_left(client, monkeypatch, frame, use):
    frame = FRAMES[frame]()
    before = held(client)
    received = _Received(monkeypatch)
    use(frame)
    # A column of a frame is 768 kB.
    assert max(received.sizes, default=0) < 2**19, received.sizes
    gc.collect()
    for _ in range(100):  # the scheduler forgets a little later
        left = held(client) - before
        if not left:
            break
        time.sleep(0.1)
    assert not left
    assert not client.futures


@pytest.mark.timeout(60)
def test_arrays_less_their_mean_are_not_sent_to_the_client(client, monkeypatch):
    received = _Received(monkeypatch)
    X = da.random.default_rng(0).normal(size=(200_000, 6), chunks=(20_000, 2)).rechunk((20_000, 6))
    Ridge().fit(X - X.mean(axis=0), X[:, 0])
    assert max(received.sizes, default=0) < 2**19, received.sizes
    assert not client.futures
