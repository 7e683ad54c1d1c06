"""Rows that a shuffle has put into an order of its own go with rows of the same shuffle alone."""

from __future__ import annotations

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from dlbd_estimators import Ridge, metrics
from dlbd_estimators.exceptions import LengthMismatch
from dlbd_estimators.model_selection import KFold, train_test_split

COLUMNS = list("abc")
EXPECTED = [1.0, 2.0, -1.0]
SHUFFLES = {
    "set_index": lambda frame: frame.set_index("k"),
    "sort_values": lambda frame: frame.sort_values("k"),
    "shuffle": lambda frame: frame.shuffle("k"),
    "merge": lambda frame: frame.merge(
        dd.from_pandas(KEYS, npartitions=3), on="k", broadcast=False
    ),
}
KEYS = pd.DataFrame({"k": np.arange(12), "z": 1.0})


def table(n=600):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=COLUMNS)
    return frame.assign(k=rng.integers(0, 12, n), y=frame.a + 2 * frame.b - frame.c, row=range(n))


@pytest.fixture
def frame():
    return dd.from_pandas(table(), npartitions=6)


def coefs(X, y):
    return Ridge(alpha=0.0).fit(X, y).coef_


def split_first(X, y):
    X, _, y, _ = train_test_split(X, y, random_state=0)
    return coefs(X, y)


def score(X, y):
    return metrics.r2_score(y, Ridge(alpha=0.0).fit(X, X["a"]).predict(X))


@pytest.mark.parametrize("use", [coefs, split_first, score])
@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize(
    "other",
    [
        lambda shuffled, _: shuffled["y"].values,
        lambda shuffled, _: shuffled["y"].compute(),
        lambda shuffled, _: shuffled["y"].compute().to_numpy(),
        lambda shuffled, _: da.from_array(shuffled["y"].compute().to_numpy(), chunks=50),
        lambda _, frame: frame["y"],
    ],
    ids=["values", "pandas", "numpy", "dask array", "before the shuffle"],
)
def test_rows_in_other_orders_are_refused(frame, shuffle, other, use):
    shuffled = SHUFFLES[shuffle](frame)
    y = other(shuffled, frame)
    with pytest.raises(LengthMismatch, match="do not belong together"):
        use(shuffled[COLUMNS], y)


@pytest.mark.parametrize("use", [coefs, split_first, score])
@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_columns_that_became_arrays_apart_are_refused(frame, shuffle, use):
    # Both sides of a merge are shuffled; the arrays share the shuffle of the right one alone.
    shuffled = SHUFFLES[shuffle](frame)
    X = shuffled[COLUMNS].values if use is not score else shuffled[COLUMNS]
    with pytest.raises(LengthMismatch, match="do not belong together"):
        use(X, shuffled["y"].values)


@pytest.mark.parametrize("use", [coefs, split_first])
@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_shuffled_frame_that_became_an_array_has_one_order(frame, shuffle, use):
    array = SHUFFLES[shuffle](frame)[[*COLUMNS, "y"]].to_dask_array()
    np.testing.assert_allclose(use(array[:, :3], array[:, 3]), EXPECTED, rtol=1e-9)
    again = dd.from_dask_array(array, columns=[*COLUMNS, "y"])  # Dask fuses the shuffle's tasks
    np.testing.assert_allclose(use(again[COLUMNS], again["y"]), EXPECTED, rtol=1e-9)
    np.testing.assert_allclose(use(again[COLUMNS], again["y"].values), EXPECTED, rtol=1e-9)


@pytest.mark.parametrize("through", ["array", "frame", "array of a frame", "shuffles", "frames"])
def test_parts_of_a_shuffled_array_stay_apart(frame, through):
    columns = ["k", "row"]
    rows = frame.shuffle("k")[columns].to_dask_array()
    if through != "array":
        rows = dd.from_dask_array(rows, columns=columns)
    if through in ("shuffles", "frames"):  # Dask fuses tasks that it has fused already
        rows = dd.from_dask_array(rows.shuffle("row").to_dask_array(), columns=columns)
    if through in ("array of a frame", "shuffles"):
        rows = rows.to_dask_array()
    for train, test in [train_test_split(rows, random_state=0), *KFold(3).split_arrays(rows)]:
        # In computations of their own, each of which shuffles anew.
        found = [np.asarray(part.compute())[:, 1] for part in (train, test)]
        assert sorted(np.concatenate(found)) == list(range(600))


@pytest.mark.parametrize("n_partitions", [2, 6])
def test_numbers_that_come_from_a_shuffled_frame_order_nothing(frame, n_partitions):
    frame = frame.repartition(npartitions=n_partitions)
    mean = SHUFFLES["merge"](frame).a.mean()
    for y in (frame["y"], table()["y"].to_numpy(), frame["y"].values):
        np.testing.assert_allclose(coefs(frame[COLUMNS] - mean, y), EXPECTED, rtol=1e-9)


@pytest.mark.parametrize("partitions", [(1, 4), (2, 9)])
def test_partitions_put_together_and_cut_again_keep_their_order(frame, partitions):
    shuffled = frame.shuffle("k")
    for number in partitions:
        shuffled = shuffled.repartition(npartitions=number)
    np.testing.assert_allclose(coefs(shuffled[COLUMNS], shuffled["y"]), EXPECTED, rtol=1e-9)
    with pytest.raises(LengthMismatch, match="do not belong together"):
        coefs(shuffled[COLUMNS], shuffled["y"].values)


def test_other_shuffles_by_tasks_put_rows_into_another_order(frame):
    shuffled = frame.shuffle("k", shuffle_method="tasks").drop_duplicates(split_out=3)
    # Dask leaves the first shuffle out where it optimises: of an array, and not of the frame.
    X = shuffled[["row", *COLUMNS]].to_dask_array(lengths=True)
    for use in (coefs, split_first):
        np.testing.assert_allclose(use(shuffled[COLUMNS], shuffled["y"]), EXPECTED, rtol=1e-9)
        with pytest.raises(LengthMismatch, match="do not belong together"):
            use(X, shuffled["y"])
    with pytest.raises(LengthMismatch, match="do not belong together"):
        train_test_split(X, stratify=shuffled["k"])


def test_a_shuffle_by_tasks_of_other_partitions_is_another(tmp_path):
    # Dask reads as many files at once as the columns are few, and a shuffle of many partitions
    # orders their rows by the number of these.
    wide = table().assign(**{f"more{number}": 0.5 for number in range(20)})
    for part in range(12):
        wide.iloc[part * 50 : part * 50 + 50].to_parquet(tmp_path / f"{part:02}.parquet")
    shuffled = dd.read_parquet(tmp_path).shuffle("k", shuffle_method="tasks", npartitions=6)
    X = shuffled[[*COLUMNS, *(f"more{number}" for number in range(9))]]
    expected = [*EXPECTED, *[0.0] * 9]
    np.testing.assert_allclose(coefs(X, shuffled["y"]), expected, rtol=1e-9, atol=1e-9)
    with pytest.raises(LengthMismatch, match="do not belong together"):
        coefs(X.values, shuffled["y"].values)


def test_a_shuffle_by_tasks_of_the_same_partitions_has_one_order(frame):
    shuffled = frame.shuffle("k", shuffle_method="tasks")
    X, y = shuffled[COLUMNS].values, shuffled["y"].values
    np.testing.assert_allclose(coefs(X, y), EXPECTED, rtol=1e-9)
    np.testing.assert_allclose(coefs(X - frame.a.mean(), y), EXPECTED, rtol=1e-9)
    mean = frame.shuffle("k", shuffle_method="tasks", npartitions=2).a.mean()
    np.testing.assert_allclose(coefs(X - mean, y), EXPECTED, rtol=1e-9)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_features_less_their_mean_go_with_targets_of_the_same_shuffle(frame, shuffle):
    X = SHUFFLES[shuffle](frame)[COLUMNS]
    y = SHUFFLES[shuffle](frame)["y"]
    np.testing.assert_allclose(coefs(X - X.mean(), y - y.mean()), EXPECTED, rtol=1e-9)


def test_one_weight_for_all_rows_of_a_shuffled_frame(frame):
    shuffled = frame.set_index("k")
    model = Ridge(alpha=0.0).fit(shuffled[COLUMNS], shuffled["y"], sample_weight=2.0)
    np.testing.assert_allclose(model.coef_, EXPECTED, rtol=1e-9)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("whose", ["X", "both"])
def test_arrays_cut_anew_between_workers_keep_their_order(client, whose):  # noqa: ARG001
    rows = table()
    X = da.from_array(rows[COLUMNS].to_numpy(), chunks=(100, 2))
    Y = da.from_array(rows[["y", "y"]].to_numpy(), chunks=(100, 2))
    with dask.config.set({"array.rechunk.method": "p2p"}):
        X = X.rechunk((-1, 1)).rechunk((90, -1))
        Y = Y.rechunk((-1, 1)).rechunk((90, -1)) if whose == "both" else Y
    np.testing.assert_allclose(coefs(X, Y), [EXPECTED, EXPECTED], rtol=1e-9)
