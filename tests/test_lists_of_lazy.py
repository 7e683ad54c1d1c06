"""Lists of lazy objects are refused where NumPy would compute them one by one."""

from __future__ import annotations

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import zarr
from distributed import wait

from dlbd_estimators import LogisticRegression, MLPRegressor, Ridge, metrics
from dlbd_estimators.exceptions import WorkersLost
from dlbd_estimators.model_selection import train_test_split
from dlbd_estimators.preprocessing import OneHotEncoder, StandardScaler

ROWS = np.random.default_rng(0).normal(size=(12, 3))
LAZY = da.from_array(ROWS, chunks=(4, 3))
Y = np.arange(12.0)
MANY = {
    "rows": lambda: list(LAZY),
    "a tuple of rows": lambda: tuple(LAZY),
    "numbers in lists": lambda: [[row[0], row[1]] for row in LAZY],
    "delayed": lambda: [dask.delayed(np.zeros)(3) for _ in range(12)],
    "series": lambda: [dd.from_pandas(pd.Series(ROWS[:, 0]), npartitions=2) for _ in range(3)],
    "one among arrays": lambda: [*ROWS[:11], LAZY[11]],
}
USES = {
    "fit": lambda many: Ridge().fit(many, Y),
    "network": lambda many: MLPRegressor(hidden_layer_sizes=(2,), max_iter=1).fit(many, Y),
    "predict": lambda many: Ridge().fit(ROWS, Y).predict(many),
    "score": lambda many: Ridge().fit(ROWS, Y).score(many, Y),
    "scale": lambda many: StandardScaler().fit(many),
    "transform": lambda many: StandardScaler().fit(ROWS).transform(many),
    "fit_transform": lambda many: OneHotEncoder().fit_transform(many),
}


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("loaded into the client")

    monkeypatch.setattr(da.Array, "__array__", refuse)
    monkeypatch.setattr(dd.Series, "__array__", refuse)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("many", MANY)
def test_as_features(many, use):
    with pytest.raises(TypeError, match=r"of lazy objects.*dask\.array\.stack"):
        USES[use](MANY[many]())


@pytest.mark.parametrize("X", [ROWS, LAZY], ids=["in memory", "lazy"])
def test_as_targets_and_weights(X):
    numbers = list(LAZY[:, 0])
    with pytest.raises(TypeError, match="lazy"):
        Ridge().fit(X, numbers)
    with pytest.raises(TypeError, match="lazy"):
        LogisticRegression().fit(X, [number > 0 for number in numbers])
    with pytest.raises(TypeError, match="lazy"):
        Ridge().fit(X, Y, sample_weight=numbers)
    with pytest.raises(TypeError, match=r"of lazy objects.*dask\.array\.stack"):
        metrics.r2_score(numbers, X[:, 0])


def test_a_split_takes_their_members_and_computes_none():
    train, test = train_test_split(list(LAZY), random_state=0)
    assert len(train) == 9
    assert len(test) == 3
    assert all(isinstance(each, da.Array) for each in [*train, *test])


def test_a_group_of_arrays_is_no_array(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(TypeError, match=r"zarr Group.*Choose an array of it"):
        Ridge().fit(group, Y)


def test_a_delayed_value_of_any_kind_is_told_what_to_do():
    for value in (dask.delayed(ROWS), dask.delayed(ROWS).T, dask.delayed(np.zeros)(3)):
        with pytest.raises(TypeError, match=r"dask\.array\.from_delayed"):
            Ridge().fit(value, Y)


def test_a_number_has_no_rows_to_split():
    with pytest.raises(ValueError, match="no dimensions"):
        train_test_split(LAZY.sum(), random_state=0)


def test_masked_and_sparse_values_beside_lazy_rows_are_refused():
    masked = np.ma.masked_greater(Y, 3.0)
    for given in ({"y": masked}, {"y": Y, "sample_weight": masked}):
        with pytest.raises(TypeError, match="is masked"):
            Ridge().fit(LAZY, **given)


def test_futures_are_told_what_to_do(client):
    future = client.submit(np.zeros, (12, 3), pure=False)
    given = [(future, Y), (LAZY, client.submit(np.zeros, 12)), ([future, future], Y)]
    for X, y in given:
        with pytest.raises(TypeError, match=r"from_delayed"):
            Ridge().fit(X, y)


def test_data_that_a_cluster_has_lost_are_named_as_the_cause(client):
    X = LAZY.persist()
    wait(X)
    client.cancel(X, force=True)
    with pytest.raises(WorkersLost, match="persist them again"):
        Ridge().fit(X, da.from_array(Y, chunks=4))
