"""Appended rows are compared with the stored ones: the versions have the rows of one ingest."""

from __future__ import annotations

import itertools
import shutil

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import storage
from storage.ingestion import stored_hashes
from storage.ingestion.recipe import Recipe
from storage.ingestion.stored_hashes import StoredHashes, hash_array
from tests.storage.ingestion.test_duplicates import KEYS, repeats
from tests.storage.killed_writer import Killed, killed_at

#: Blocks of a few rows, so that a data set has several.
SMALL = {"chunk_nbytes": 24, "block_nbytes": 128}
KEY = {"id": storage.Column("key", duplicates="drop")}


def stored(data):
    return data.y.compute().astype(int).tolist()


def frame(ids, first=0):
    """A frame with keys, whose y numbers the rows."""
    return pd.DataFrame({"id": ids, "x": 1.0, "y": np.arange(first, first + len(ids))})


@st.composite
def batches(draw):
    """A column of some kind with repeated values, in batches; a negative x drops the row."""
    kind = draw(st.sampled_from(sorted(KEYS)))
    sizes = draw(st.lists(st.integers(1, 7), min_size=2, max_size=4))
    n_rows = sum(sizes)
    values = pd.DataFrame(
        {
            "c": draw(st.lists(KEYS[kind], min_size=n_rows, max_size=n_rows)),
            # The first row is kept.
            "x": [3, *draw(st.lists(st.sampled_from([-1, 3, 4]), min_size=n_rows - 1,
                                    max_size=n_rows - 1))],
            "y": np.arange(n_rows),
        }
    )  # fmt: skip
    if kind in ("key", "category"):
        values["c"] = values.c.astype("string")
    categories = ["a", "b", "c"] if kind == "category" else None
    columns = {
        "c": storage.Column(kind, categories=categories, duplicates="drop"),
        "x": storage.Column("number", minimum=0, out_of_range="drop"),
        "y": storage.Column("number"),
    }
    ends = np.cumsum(sizes)
    return values, [values[end - n : end] for end, n in zip(ends, sizes, strict=True)], columns


@given(batches(), st.data())
def test_appended_rows_are_those_of_one_ingest(tmp_path_factory, drawn, data):
    folder = tmp_path_factory.mktemp("hashes")
    whole, parts, columns = drawn
    expected = storage.ingest(whole, folder / "whole", target="y", columns=columns, **SMALL)

    def given_as(rows, name):
        form = data.draw(st.sampled_from(["frame", "csv", "dask"]))
        if form == "csv":
            rows.to_csv(folder / name, index=False)
            return folder / name
        return dd.from_pandas(rows, npartitions=data.draw(st.integers(1, 3))) if (
            form == "dask"
        ) else rows  # fmt: skip

    found = storage.ingest(
        given_as(parts[0], "0.csv"), folder / "d", target="y", columns=columns, **SMALL
    )
    n_repeated = found.quality.columns["c"].broken.get("duplicates", 0)
    for number, rows in enumerate(parts[1:], 1):
        before, version = set(stored(found)), found.version
        source = given_as(rows, f"{number}.csv")
        if not set(rows.y) & set(stored(expected)):
            with pytest.raises(storage.InvalidData, match="no row is left"):
                storage.append(found, source)
            n_repeated += len(repeats(whole.c[: rows.y.max() + 1], whole.x >= 0))
            n_repeated -= len(repeats(whole.c[: rows.y.min()], whole.x >= 0))
            continue
        found = storage.append(found, source)
        report = found.quality_of(found.version)
        n_repeated += report.columns["c"].broken.get("duplicates", 0)
        assert report.stored_rows == "compared"
        assert found.version == version + 1
        assert set(stored(found)) == before | (set(rows.y) & set(stored(expected)))
    assert stored(found) == stored(expected)
    np.testing.assert_array_equal(found.X.compute(), expected.X.compute())
    np.testing.assert_array_equal(hash_array(found).compute(), hash_array(expected).compute())
    assert n_repeated == expected.quality.columns["c"].broken.get("duplicates", 0)
    found.verify(decode=True)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True), st.data())
def test_an_error_keeps_the_version_and_names_the_rows(tmp_path_factory, first, data):
    folder = tmp_path_factory.mktemp("error")
    columns = {"id": storage.Column("key", duplicates="error")}
    found = storage.ingest(frame(first), folder / "d", target="y", columns=columns)
    more = data.draw(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=4))
    path = folder / "more.csv"
    frame(more, 10).to_csv(path, index=False)
    wrong = repeats([*first, *more], np.ones(20, bool))
    if not wrong:
        assert stored(storage.append(found, path)) == [
            *range(len(first)),
            *range(10, 10 + len(more)),
        ]
        return
    row = wrong[0] - len(first)
    message = f"'{more[row]}' in line {row + 2} of {path}"
    with pytest.raises(storage.InvalidData, match="earlier row has") as error:
        storage.append(found, path)
    assert message in str(error.value)
    assert storage.open_dataset(folder / "d").version == 1
    assert stored(storage.open_dataset(folder / "d")) == [*range(len(first))]
    assert not [*(folder / "d").glob("version-*")]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), min_size=2, max_size=12),
    st.integers(1, 11),
)
def test_no_two_stored_rows_share_a_value_in_any_of_several_columns(tmp_path_factory, rows, cut):
    folder = tmp_path_factory.mktemp("several")
    raw = pd.DataFrame(rows, columns=["id", "n"]).assign(x=1.0, y=np.arange(len(rows)))
    columns = {
        "id": storage.Column("key", duplicates="drop"),
        "n": storage.Column("number", duplicates="drop"),
    }
    data = storage.ingest(raw[:cut], folder / "d", target="y", columns=columns)
    try:
        data = storage.append(data, raw[cut:])
    except storage.InvalidData as error:
        assert "no row" in str(error)  # noqa: PT017 - some appends are possible
    kept = raw.iloc[stored(data)]
    assert kept.id.is_unique
    assert kept.n.is_unique
    assert hash_array(data).shape == (len(kept), 3)


def test_many_values_in_blocks_and_buckets(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_hashes, "_TASK_NBYTES", 3000)  # several tasks, of several blocks
    ids = np.random.default_rng(0).integers(0, 3000, 4000).astype(str)
    whole = frame(ids)
    data = storage.ingest(whole[:2000], tmp_path / "d", target="y", columns=KEY,
                          chunk_nbytes=240, block_nbytes=960)  # fmt: skip
    for start in (2000, 2500):
        rows = whole[start : start + 500] if start == 2000 else whole[start:]
        data = storage.append(data, dd.from_pandas(rows, npartitions=7))
    assert stored(data) == np.flatnonzero(~whole.id.duplicated()).tolist()
    found = StoredHashes.of(data)
    assert len(found.blocks) == data.X.numblocks[0] > 20


def test_rows_of_files_and_of_frames_have_the_same_hashes(tmp_path):
    """Those of text files are kept in a file between both passes, and written block by block."""
    ids = [f"key {number}" for number in range(400)]
    whole = frame(ids).assign(n=np.arange(400.0)[::-1], x=0.123456)
    columns = KEY | {"n": storage.Column("number", duplicates="drop")}
    whole.to_csv(tmp_path / "rows.csv", index=False)
    found = [
        storage.ingest(source, tmp_path / name, target="y", columns=columns, partition_nbytes=4000,
                       chunk_nbytes=320, block_nbytes=1000)
        for name, source in (("file", tmp_path / "rows.csv"), ("frame", whole))
    ]  # fmt: skip
    one, other = (hash_array(data).compute() for data in found)
    assert one.shape == (400, 3)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one[:, 2].view(np.float64), whole.n)


def test_the_report_says_what_was_compared(tmp_path):
    data = storage.ingest(frame(["a", "b"]), tmp_path / "d", target="y", columns=KEY)
    assert data.quality.stored_rows is None
    path = tmp_path / "more.csv"
    frame(["c", "b", "d", "d"], 2).to_csv(path, index=False)
    report = storage.append(data, path).quality_of(2)
    assert (report.n_rows, report.n_kept) == (4, 2)
    assert str(report).splitlines()[1:3] == [
        "  id (key): 2 values",
        f"      2 duplicates: drop; 'b' in line 3 of {path}",
    ]
    report = storage.append(data, frame(["e"], 6)).quality_of(3)
    assert "      no duplicates among these rows and the stored ones" in str(report).splitlines()
    page = report.to_html(tmp_path / "q.html").read_text()
    assert "Duplicates were looked for among these rows and the stored ones, in id." in page
    with pytest.raises(storage.InvalidData, match="no row is left of 4"):
        storage.append(data, path)


def test_rows_that_other_policies_left_out_are_not_compared(tmp_path):
    columns = KEY | {"x": storage.Column("number", minimum=0, out_of_range="drop")}
    raw = frame(["a", "b"]).assign(x=[-1.0, 1.0])
    data = storage.ingest(raw, tmp_path / "d", target="y", columns=columns)
    assert stored(storage.append(data, frame(["a", "b", "a"], 2))) == [1, 2]


def test_old_versions_and_new_rows(tmp_path):
    data = storage.ingest(frame(["a", "b"]), tmp_path / "d", target="y", columns=KEY)
    storage.append(data, frame(["b", "c"], 2))
    # It was opened before; the rows are compared with the newest version.
    newest = storage.append(data, frame(["c", "d", "a"], 4))
    assert newest.version == 3
    assert stored(newest) == [0, 1, 3, 5]
    assert newest.since(1).y.compute().tolist() == [3, 5]
    for version, rows in ((1, [0, 1]), (2, [0, 1, 3])):
        old = storage.open_dataset(tmp_path / "d", version=version)
        assert stored(old) == rows
        assert hash_array(old).shape == (len(rows), 2)
        old.verify(decode=True)


def test_a_version_that_was_committed_meanwhile_is_a_conflict(tmp_path, monkeypatch):
    data = storage.ingest(frame(["a", "b"]), tmp_path / "d", target="y", columns=KEY)
    of = StoredHashes.of

    def late(current):
        monkeypatch.undo()
        found = of(current)
        storage.append(data, frame(["c"], 2))  # another process
        return found

    monkeypatch.setattr(StoredHashes, "of", late)
    with pytest.raises(storage.AppendConflict, match="as version 2"):
        storage.append(data, frame(["c", "d"], 3))
    assert stored(storage.open_dataset(tmp_path / "d")) == [0, 1, 2]
    assert stored(storage.append(data, frame(["c", "d"], 3))) == [0, 1, 2, 4]


def test_an_append_that_was_killed_is_repeated_without_duplicates(tmp_path):
    folder = tmp_path / "base"
    with dask.config.set(scheduler="synchronous"):
        storage.ingest(frame(["a", "b"]), folder, target="y", columns=KEY)
        more, versions = frame(["b", "c", "c", "d"], 2), set()
        for number in itertools.count(1, 3):
            path = tmp_path / str(number)
            shutil.copytree(folder, path)
            try:
                with killed_at(number):
                    storage.append(path, more)
            except Killed:
                versions.add(storage.open_dataset(path).version)
            else:
                break
            if storage.open_dataset(path).version == 1:
                storage.append(path, more)
            else:  # it was committed
                with pytest.raises(storage.InvalidData, match="no row is left of 4"):
                    storage.append(path, more)
            data = storage.open_dataset(path)
            assert stored(data) == [0, 1, 3, 5]
            data.verify()
    assert number > 20
    assert versions == {1, 2}


def test_named_splits_are_compared_with_each_other(tmp_path):
    days = ["2013-01-01", "2013-02-01", "2013-01-05", "2013-02-03", "2013-01-09", "2014-01-01"]
    ids = ["a", "b", "c", "a", "d", "e"]
    raw = frame(ids).assign(day=days)
    splits = {
        "train": storage.TimeSplit("day", stop="2013-02-01"),
        "test": storage.TimeSplit("day", start="2013-02-01", stop="2014-01-01"),
    }
    options = {"target": "y", "features": ["x"], "columns": KEY, "splits": splits}
    data = storage.ingest(raw, tmp_path / "d", **options)
    assert stored(data) == [0, 2, 4, 1]
    # "b" is in the split "test", and "e" was in no split.
    more = frame(["b", "e", "f", "d", "f"], 6).assign(
        day=["2013-01-02", "2013-01-03", "2013-02-07", "2013-02-08", "2013-01-04"]
    )
    data = storage.append(data, more)
    assert data.splits["train"].y.compute().tolist() == [0, 2, 4, 7]
    assert data.splits["test"].y.compute().tolist() == [1, 8]
    chunk = tmp_path / "d" / data.layouts["hashes"].key(0)
    content = chunk.read_bytes()
    chunk.unlink()
    for spare in (tmp_path / "d").glob("version-*/hashes.c.*"):
        spare.unlink()
    storage.repair(tmp_path / "d", pd.concat([raw, more]))
    assert chunk.read_bytes() == content
    train = storage.shuffle(data.splits["train"], tmp_path / "train", seed=0)
    assert hash_array(train).shape == (4, 2)
    # "b" and "f" are not in this data set.
    newer = storage.append(train, frame(["a", "b"], 20).assign(day="2013-01-01"))
    assert newer.since(1).y.compute().tolist() == [21]


def test_all_files_repair_a_data_set_whose_appended_rows_repeated_keys(tmp_path):
    raw = [frame(["a", "b", "a"]), frame(["b", "c", "c"], 3), frame(["d", "a"], 6)]
    for number, rows in enumerate(raw):
        rows.to_csv(tmp_path / f"{number}.csv", index=False)
    files = [tmp_path / f"{number}.csv" for number in range(3)]
    data = storage.ingest(files[0], tmp_path / "d", target="y", columns=KEY, **SMALL)
    for file in files[1:]:
        data = storage.append(data, file)
    assert stored(data) == [0, 1, 4, 6]
    before = {
        key: (tmp_path / "d" / key).read_bytes()
        for layout in data.layouts.values()
        for key in map(layout.key, range(layout.n_chunks))
    }
    for key in before:
        (tmp_path / "d" / key).unlink()
    for spare in (tmp_path / "d").glob("version-*/*.c.*"):
        spare.unlink()
    with pytest.raises(storage.InvalidData, match="it is another source"):
        storage.repair(tmp_path / "d", files[:2])
    storage.repair(tmp_path / "d", files)
    assert {key: (tmp_path / "d" / key).read_bytes() for key in before} == before


def test_a_damaged_chunk_of_hashes_is_noticed(tmp_path):
    data = storage.ingest(frame(["a", "b"]), tmp_path / "d", target="y", columns=KEY)
    path = tmp_path / "d" / "hashes" / "c.0.0"
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes(9))
    with pytest.raises(storage.DatasetCorrupt, match="hashes"):
        data.verify()
    with pytest.raises(storage.ChunkCorrupt, match="hashes"):
        storage.append(data, frame(["c"], 2))
    assert storage.open_dataset(tmp_path / "d").version == 1
    path.write_bytes(content)
    assert stored(storage.append(data, frame(["c"], 2))) == [0, 1, 2]
    (tmp_path / "d" / "hashes" / "zarr.json").unlink()
    with pytest.raises(storage.MetadataCorrupt, match="hashes"):
        storage.open_dataset(tmp_path / "d")


def test_a_shuffled_data_set_keeps_the_hashes_of_its_rows(tmp_path):
    ids = [str(number) for number in range(60)]
    data = storage.ingest(frame(ids), tmp_path / "d", target="y", columns=KEY, **SMALL)
    data = storage.append(data, frame(["60", "3"], 60))
    mixed = storage.shuffle(data, tmp_path / "mixed", seed=1)
    order = stored(mixed)
    assert sorted(order) == [*range(61)] != order
    np.testing.assert_array_equal(
        hash_array(mixed).compute(), hash_array(data).compute()[np.array(order)]
    )
    assert storage.append(mixed, frame(["60", "7", "61"], 90)).since(1).y.compute() == [92]
    chosen = storage.open_dataset(tmp_path / "d", columns=["x"])
    few = storage.shuffle(chosen, tmp_path / "few", seed=1)
    assert hash_array(few) is None
    assert few.schema.to_attribute()["version"] == 1


def test_copies_of_the_arrays_and_rows_by_the_same_steps(tmp_path):
    data = storage.ingest(frame(["a", "b", "a"]), tmp_path / "d", target="y", columns=KEY)
    copy = storage.create_dataset(tmp_path / "copy", data.X, data.y)
    assert (hash_array(copy), copy.n_samples) == (None, 2)
    again = storage.ingest(data, tmp_path / "again", target="y")
    assert (hash_array(again), stored(again)) == (None, [0, 1])
    # Rows of another data set are not compared with those of the first one.
    like = storage.ingest(frame(["b", "b", "c"]), tmp_path / "like", like=data)
    assert stored(like) == [0, 2]
    assert stored(storage.append(like, frame(["c", "a"], 7))) == [0, 2, 8]
    assert data.encode(frame(["a"]).drop(columns="id")).X.tolist() == [[1.0]]


def test_an_older_release_stored_no_hashes(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Recipe, "n_words", 0)
        data = storage.ingest(frame(["a", "b"]), tmp_path / "d", target="y", columns=KEY)
    assert data.schema.to_attribute()["version"] == 1
    assert not (tmp_path / "d" / "hashes").exists()
    with pytest.warns(UserWarning, match=r"no hashes of its values in id, .* ingest all of them"):
        newer = storage.append(data, frame(["b", "c", "c"], 2))
    assert stored(newer) == [0, 1, 2, 3]
    report = newer.quality_of(2)
    assert report.stored_rows == "not compared"
    lines = str(report).splitlines()
    assert lines[1] == "  id (key): 2 values"
    assert lines[2].startswith("      1 duplicates: drop; 'c'")
    assert lines[3] == "      the stored rows were not compared: their values are not known"
    page = report.to_html(tmp_path / "q.html").read_text()
    assert "Duplicates were looked for among these rows only, in id." in page
    mixed = storage.shuffle(newer, tmp_path / "mixed", seed=0)
    assert hash_array(mixed) is None
    newer.verify()


def test_other_readers_open_it_and_do_not_take_hashes_for_data(tmp_path):
    data = storage.ingest(frame(["a", "b", "a"]), tmp_path / "d", target="y", columns=KEY)
    assert data.schema.to_attribute()["version"] == 3
    group = zarr.open_group(data.path, mode="r")
    assert sorted(name for name, _ in group.members()) == ["X", "hashes", "y"]
    np.testing.assert_array_equal(group["hashes"][:], hash_array(data).compute())
    opened = xarray.open_zarr(data.path)
    assert dict(opened.sizes) == {"sample": 2, "feature": 1, "word": 2}
    np.testing.assert_array_equal(opened["y"], [0, 1])
    assert [*data.to_dask_dataframe().columns] == ["x", "y"]
    assert [*data.head().columns] == [*data.describe().columns] == ["x", "y"]
    assert {*data.to_xarray().variables} == {"X", "y", "feature"}
    assert data.nbytes == 2 * 16
    assert "hashes" not in repr(data)
    assert data.verify().nan == {"X": 0, "y": 0}


def test_in_memory_and_in_an_object_store_the_same_rows_are_compared():
    url = "memory://stored-hashes-compared"
    data = storage.ingest(frame(["a", "b"]), url, target="y", columns=KEY)
    newer = storage.append(data, frame(["b", "c"], 2))
    assert stored(newer) == [0, 1, 3]
    newer.verify(decode=True)


def test_steps_that_make_other_hashes_are_refused(tmp_path, monkeypatch):
    data = storage.ingest(frame(["a", "b"]), tmp_path / "d", target="y", columns=KEY)
    monkeypatch.setattr(Recipe, "n_words", 3)
    with pytest.raises(storage.MetadataCorrupt, match="other hashes than are stored"):
        storage.append(data, frame(["b", "c"], 2))


def test_data_sets_without_the_policy_have_no_hashes(tmp_path):
    data = storage.ingest(frame(["a", "b"]), tmp_path / "d", target="y", features=["x"])
    assert [*data.layouts] == ["X", "y"]
    newer = storage.append(data, frame(["a"], 2))
    assert newer.quality_of(2).stored_rows is None


@pytest.mark.usefixtures("client")
@settings(max_examples=2)
@given(st.integers(0, 2**32 - 1))
def test_workers_compare_the_rows_with_the_stored_ones(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("cluster")
    ids = np.random.default_rng(seed).integers(0, 20_000, 30_000)
    whole = frame(ids)
    for name, rows in (("first", whole[:15_000]), ("more", whole[15_000:])):
        rows.to_csv(folder / f"{name}.csv", index=False)
    data = storage.ingest(folder / "first.csv", folder / "d", target="y", columns=KEY,
                          partition_nbytes=50_000, block_nbytes=64_000,
                          chunk_nbytes=16_000)  # fmt: skip
    data = storage.append(data, folder / "more.csv")
    assert stored(data) == np.flatnonzero(~whole.id.duplicated()).tolist()
