"""Dask frames: every stored row is one row of the frame, whatever was done to it before."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.delayed import delayed

import storage

N = 3_000


def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 3)), columns=list("abc"))
    frame["k"] = rng.integers(0, 40, N)
    frame["y"] = frame.a
    frame["w"] = frame.b.abs()
    return frame


def source(kind, folder):
    frame = table()
    if kind == "pandas":
        return dd.from_pandas(frame, npartitions=5)
    if kind == "parquet":
        for part in range(5):
            frame.iloc[part * 600 : part * 600 + 600].to_parquet(folder / f"{part}.parquet")
        return dd.read_parquet(folder)
    if kind == "csv":
        frame.to_csv(folder / "all.csv", index=False)
        return dd.read_csv(folder / "all.csv", blocksize=60_000)
    if kind == "delayed":
        return dd.from_delayed(
            [delayed(part_of)(frame, part) for part in range(5)], meta=frame.iloc[:0]
        )
    return dd.from_map(part_of, [frame] * 5, range(5), meta=frame.iloc[:0])


def part_of(frame, part):
    return frame.iloc[part * 600 : part * 600 + 600]


def other():
    return dd.from_pandas(pd.DataFrame({"k": np.arange(40), "d": np.arange(40) % 3}), npartitions=2)


OPERATIONS = {
    "nothing": lambda ddf: ddf,
    "filter": lambda ddf: ddf[ddf.a > 0],
    "set_index": lambda ddf: ddf.set_index("k"),
    "set_index by tasks": lambda ddf: ddf.set_index("k", shuffle_method="tasks"),
    "shuffle": lambda ddf: ddf.shuffle("k"),
    "sort_values": lambda ddf: ddf.sort_values("k"),
    "merge": lambda ddf: ddf.merge(other(), on="k", broadcast=False),
    "merge small": lambda ddf: ddf.merge(other(), on="k"),
    "concat": lambda ddf: dd.concat([ddf.set_index("k"), ddf.shuffle("k")]),
    "twice": lambda ddf: ddf.set_index("k").reset_index().shuffle("k").assign(c=lambda f: f.c * 2),
    "repartition": lambda ddf: (
        ddf.repartition(npartitions=3).set_index("k").repartition(npartitions=2)
    ),
    "random_split": lambda ddf: ddf.random_split([0.7, 0.3], random_state=0)[0].set_index("k"),
    "sample": lambda ddf: ddf.sample(frac=0.5, random_state=0).shuffle("k"),
    "groupby": lambda ddf: ddf.groupby("k")[["a", "b", "c", "y", "w"]].apply(
        lambda group: group * 2, meta=ddf._meta[["a", "b", "c", "y", "w"]]
    ),
    "dropna": lambda ddf: ddf.where(ddf.a > 0).dropna().shuffle("k"),
}


def rows_of(frame):
    values = frame[["a", "b", "c", "y", "w"]].to_numpy()
    return values[np.lexsort(values.T)]


def holds_its_rows(folder, ddf):
    """Rows of X, y and weights that were stored together are rows of the frame, each once."""
    data = storage.create_dataset(
        folder / "stored", ddf[["a", "b", "c"]], ddf["y"], ddf["w"],
        chunk_nbytes=2_000, block_nbytes=10_000,
    )  # fmt: skip
    X, y, w = dask.compute(data.X, data.y, data.sample_weight)
    stored = pd.DataFrame(np.column_stack([X, y, w]), columns=list("abcyw"))
    np.testing.assert_array_equal(rows_of(stored), rows_of(ddf.compute()))
    data.verify()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_rows_stay_together_on_threads(tmp_path, operation):
    (tmp_path / "source").mkdir()
    holds_its_rows(tmp_path, OPERATIONS[operation](source("pandas", tmp_path / "source")))


@pytest.mark.parametrize("kind", ["parquet", "csv", "delayed", "map"])
@pytest.mark.parametrize("operation", ["nothing", "filter", "set_index", "set_index by tasks"])
def test_rows_stay_together_from_any_source(tmp_path, kind, operation):
    (tmp_path / "source").mkdir()
    holds_its_rows(tmp_path, OPERATIONS[operation](source(kind, tmp_path / "source")))


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("operation", ["filter", "set_index", "merge", "concat"])
def test_rows_stay_together_on_a_cluster(tmp_path, operation):
    (tmp_path / "source").mkdir()
    holds_its_rows(tmp_path, OPERATIONS[operation](source("parquet", tmp_path / "source")))


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("client")
def test_persisted_frames(tmp_path):
    holds_its_rows(tmp_path, source("pandas", tmp_path).set_index("k").persist())


def test_the_shuffle_runs_once_for_all_that_is_written(tmp_path):
    """Once to count the rows, once to write them: not once for each of X, y and weights."""
    seen = []

    def look(frame):
        seen.append(len(frame))
        return frame

    ddf = source("pandas", tmp_path).map_partitions(look, meta=table().iloc[:0]).shuffle("k")
    seen.clear()
    storage.create_dataset(tmp_path / "d", ddf[["a", "b"]], ddf["y"], ddf["w"])
    assert len(seen) == 2 * 5


CHANGED = {
    "arithmetic": lambda s: (s[["a", "b", "c"]] * 2 - 1, s["y"] * 2 - 1, s["w"]),
    "mean": lambda s: (s[["a", "b", "c"]].fillna(s["a"].mean()), s["y"], s["w"] + s["w"].min()),
    "whole": lambda s: (s[["a", "b", "c", "y", "w"]], s["y"], s["w"]),
    "dropped": lambda s: (s.drop(columns=["w", "y"]), s["y"], s["w"]),
    "renamed": lambda s: (s.rename(columns={"a": "z"})[["z", "b"]], s["y"], s["w"]),
    "filtered apart": lambda s: (s[s.a > 0][["a", "b"]], s["y"][s.a > 0], s["w"][s.a > 0]),
    "several targets": lambda s: (s[["a"]], s[["y", "b"]], s["w"]),
}


@pytest.mark.parametrize("shuffle", ["set_index", "merge", "nothing"])
@pytest.mark.parametrize("change", CHANGED)
def test_what_is_done_to_the_columns_apart(tmp_path, change, shuffle):
    (tmp_path / "source").mkdir()
    s = OPERATIONS[shuffle](source("parquet", tmp_path / "source"))
    X, y, w = CHANGED[change](s)
    data = storage.create_dataset(tmp_path / "d", X, y, w, block_nbytes=5_000, chunk_nbytes=999)
    label = next(each for each in data.feature_names if each in "az")
    target = data.y if data.y.ndim == 1 else data.y[:, 0]
    a, got = dask.compute(data.X[:, data.feature_names.index(label)], target)
    np.testing.assert_array_equal(a, got)
    assert len(got) > 1_000


def test_only_the_columns_that_are_written_are_shuffled(tmp_path):
    seen = []

    def load(part, columns=None):
        seen.append(columns)
        return part_of(table(), part) if columns is None else part_of(table(), part)[columns]

    ddf = dd.from_map(load, range(5), meta=table().iloc[:0]).set_index("k")
    seen.clear()
    data = storage.create_dataset(tmp_path / "d", ddf[["a", "b"]], ddf["y"])
    # Dask reads k alone to find the divisions; then rows are counted, then written.
    assert [sorted(columns) for columns in seen if columns != ["k"]] == [list("abky")] * 2 * 5
    np.testing.assert_array_equal(data.X[:, 0].compute(), data.y.compute())


def test_parquet_columns_of_other_sizes_are_cut_alike(tmp_path):
    (tmp_path / "source").mkdir()
    ddf = source("parquet", tmp_path / "source")
    X, y = ddf[["a", "b", "c"]], ddf["y"]
    assert X.optimize().npartitions != y.optimize().npartitions
    holds_its_rows(tmp_path, ddf)


def test_frame_beside_arrays_in_memory(tmp_path):
    frame = table()
    ddf = dd.from_pandas(frame, npartitions=4)
    data = storage.create_dataset(tmp_path / "d", ddf[["a", "b"]], frame["y"].to_numpy())
    np.testing.assert_array_equal(data.X[:, 0].compute(), data.y.compute())


@pytest.mark.parametrize("method", ["disk", "tasks"])
def test_arrays_that_were_shuffled_apart_are_refused(tmp_path, method):
    s = dd.from_pandas(table(), npartitions=4).shuffle("k", shuffle_method=method)
    X, y = s[["a", "b"]].to_dask_array(), s["y"].to_dask_array()
    if method == "tasks":
        data = storage.create_dataset(tmp_path / "d", X, y)
        np.testing.assert_array_equal(data.X[:, 0].compute(), data.y.compute())
        return
    for given in ((X, y), (s[["a", "b"]], y), (X, s["y"])):
        with pytest.raises(ValueError, match="X and y do not come from the same shuffle"):
            storage.create_dataset(tmp_path / "d", *given)
    with pytest.raises(ValueError, match="X and sample_weight do not come"):
        storage.create_dataset(tmp_path / "d", s[["a"]], s["y"], s["w"].to_dask_array())
    assert not (tmp_path / "d").exists()


def merged():
    keys = pd.DataFrame({"k": np.arange(12), "z": 1.0})
    left = dd.from_pandas(table(), npartitions=4)
    return left.merge(dd.from_pandas(keys, npartitions=3), on="k", broadcast=False)


OTHER_ORDERS = {
    "array": lambda frame: frame["y"].to_dask_array(),
    "pandas": lambda frame: frame["y"].compute(),
    "numpy": lambda frame: frame["y"].compute().to_numpy(),
    "array in memory": lambda frame: dask.array.from_array(frame["y"].compute().to_numpy()),
    "not shuffled": lambda _: dd.from_pandas(table(), npartitions=4)["y"],
}


def refuse_other_order(tmp_path, other):
    # Both of its sides are shuffled: arrays made of it apart share the shuffle of the right one.
    frame = merged()
    for X in (frame[["a", "b"]], frame[["a", "b"]].to_dask_array()):
        with pytest.raises(ValueError, match="X and y do not come from the same shuffle"):
            storage.create_dataset(tmp_path / "d", X, OTHER_ORDERS[other](frame))
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("other", OTHER_ORDERS)
def test_rows_of_a_merge_stand_beside_rows_of_the_same_merge(tmp_path, other):
    refuse_other_order(tmp_path, other)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("other", OTHER_ORDERS)
def test_rows_of_a_merge_between_workers(tmp_path, other, client):  # noqa: ARG001
    refuse_other_order(tmp_path, other)


@pytest.mark.parametrize("n_partitions", [2, 4])
def test_a_number_of_a_shuffled_frame_orders_nothing(tmp_path, n_partitions):
    frame = dd.from_pandas(table(), npartitions=n_partitions)
    X = (frame[["a", "b"]] - merged()["a"].mean()).to_dask_array()
    data = storage.create_dataset(tmp_path / "d", X, frame["y"].to_dask_array())
    expected = table()["a"] - merged()["a"].mean().compute()
    np.testing.assert_allclose(data.X[:, 0].compute(), expected, rtol=1e-12)


def test_other_shuffles_by_tasks_put_rows_into_another_order(tmp_path):
    wide = table().assign(**{f"more{number}": 0.5 for number in range(20)})
    for part in range(12):
        wide.iloc[part * 250 : part * 250 + 250].to_parquet(tmp_path / f"{part:02}.parquet")
    s = dd.read_parquet(tmp_path).shuffle("k", shuffle_method="tasks", npartitions=6)
    # Dask reads as many files at once as the columns are few.
    X, y = s[["a", *(f"more{number}" for number in range(9))]], s["y"]
    data = storage.create_dataset(tmp_path / "d", X, y)
    np.testing.assert_array_equal(data.X[:, 0].compute(), data.y.compute())
    with pytest.raises(ValueError, match="not come from the same shuffle"):
        storage.create_dataset(tmp_path / "e", X.values, y.values)
    mean = s["a"].mean()
    data = storage.create_dataset(tmp_path / "f", X - mean, y - mean)
    np.testing.assert_array_equal(data.X[:, 0].compute(), data.y.compute())


def test_rows_put_together_and_cut_again_keep_their_order(tmp_path):
    s = dd.from_pandas(table(), npartitions=4).shuffle("k")
    one = s.repartition(npartitions=1).repartition(npartitions=3)
    data = storage.create_dataset(tmp_path / "d", one[["a", "b"]], one["y"])
    np.testing.assert_array_equal(data.X[:, 0].compute(), data.y.compute())
    with pytest.raises(ValueError, match="not come from the same shuffle"):
        storage.create_dataset(tmp_path / "e", one[["a", "b"]], one["y"].values)


def test_one_array_of_a_shuffled_frame_is_cut_into_both(tmp_path):
    s = dd.from_pandas(table(), npartitions=4).set_index("k")
    whole = s[["a", "b", "y"]].to_dask_array(lengths=True)
    data = storage.create_dataset(tmp_path / "d", whole[:, :2], whole[:, 2])
    np.testing.assert_array_equal(data.X[:, 0].compute(), data.y.compute())


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("client")
def test_arrays_on_a_cluster(tmp_path):
    s = dd.from_pandas(table(), npartitions=4).shuffle("k")
    with pytest.raises(ValueError, match="not come from the same shuffle"):
        storage.create_dataset(tmp_path / "d", s[["a", "b"]].values, s["y"].values)
    # Workers exchange parts here too, but every row has its place.
    X = dask.array.from_array(table()[["a", "b"]].to_numpy(), chunks=(700, 1))
    y = dask.array.from_array(table()["y"].to_numpy(), chunks=300)
    X, y = X.rechunk((500, 2), method="p2p"), y.rechunk(900, method="p2p")
    data = storage.create_dataset(tmp_path / "d", X, y)
    np.testing.assert_array_equal(data.X[:, 0].compute(), data.y.compute())
