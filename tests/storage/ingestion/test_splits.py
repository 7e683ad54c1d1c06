"""Named splits: one ingest gives what one ingest for each split gives."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from dlbd_estimators import Ridge
from storage import Column, HashSplit, TimeSplit
from storage.ingestion import csv_files
from storage.ingestion.record import IngestRecord

HASHES = {
    "train": HashSplit("customer", stop=0.5),
    "test": HashSplit("customer", 0.6, 0.8),
    "last": HashSplit("customer", 0.8),
}


def trips(n=200, seed=0, carriers=("AA", "DL", "UA")):
    rng = np.random.default_rng(seed)
    day = pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 365, n), unit="D")
    return pd.DataFrame(
        {
            "customer": [f"c{number}" for number in rng.integers(0, n // 2, n)],
            "day": day,
            "row": np.arange(n) + 1000 * seed,
            "miles": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "carrier": rng.choice(carriers, n),
            "late": rng.choice(["no", "yes"], n),
        }
    )


def options(unknown="ignore"):
    columns = {
        "miles": Column("number", missing="impute", scale="standard"),
        "carrier": Column("category", unknown=unknown, missing="keep"),
    }
    return {"target": "late", "features": ["row", "miles", "carrier"], "columns": columns}


def same(split, alone):
    """The rows and the report of a split are those of a data set that has only its rows."""
    np.testing.assert_array_equal(split.X.compute(), alone.X.compute())
    np.testing.assert_array_equal(split.y.compute(), alone.y.compute())
    np.testing.assert_array_equal(split.labels.compute(), alone.labels.compute())
    assert split.n_samples == alone.n_samples == len(split.X)
    assert split.X.chunks[0] == split.y.chunks[0]
    assert (split.feature_names, split.classes) == (alone.feature_names, alone.classes)
    assert tuple(split.X.feature_names) == alone.feature_names


@given(
    st.integers(0, 5),
    st.sampled_from(["ignore", "missing", "drop"]),
    st.sampled_from([600, 2**20]),
    st.sampled_from(["frame", "csv", "parquet"]),
    st.booleans(),
)
def test_one_ingest_gives_what_one_for_each_split_gives(
    tmp_path_factory, seed, unknown, nbytes, kind, new_category
):
    folder = tmp_path_factory.mktemp("splits")
    frame, more = trips(60, seed), trips(30, seed + 10, ["AA", "ZZ"])
    if new_category:  # which only the test rows have
        hashes = HASHES["test"].mask(storage_column(frame.customer))[0]
        frame.loc[hashes & (frame.row % 2 == 0), "carrier"] = "XX"
    sources = [write(each, folder / f"{number}", kind) for number, each in enumerate((frame, more))]
    data = storage.ingest(
        sources[0], folder / "d", splits=HASHES, partition_nbytes=nbytes, block_nbytes=1800,
        chunk_nbytes=600, **options(unknown),
    )  # fmt: skip
    assert [*data.splits] == [*HASHES]
    data = storage.append(data, sources[1])
    train = None
    for name in ("train", "test"):
        rows = HASHES[name]
        given = {"like": train} if train else options(unknown)
        alone = storage.ingest(
            sources[0], folder / name, rows=rows, partition_nbytes=nbytes, **given
        )
        train = train or alone
        found, expected = data.splits[name].quality, alone.quality
        assert replace(found, source="") == replace(expected, source="")
        if rows.mask(storage_column(more.customer))[0].any():
            alone = storage.append(alone, sources[1])
            np.testing.assert_array_equal(
                data.splits[name].since(1).X.compute(), alone.since(1).X.compute()
            )
        same(data.splits[name], alone)
    assert data.n_samples == sum(each.n_samples for each in data.splits.values())
    assert data.quality.n_kept == storage.open_dataset(folder / "d", version=1).n_samples
    hashes = HASHES["train"].measured(storage_column([*frame.customer, *more.customer]))[0]
    assert data.n_in_no_split == np.sum((hashes >= 0.5) & (hashes < 0.6))
    assert data.verify().chunks


def storage_column(values):
    import pyarrow as pa

    return pa.chunked_array([list(values)])


def write(frame, place, kind):
    if kind == "frame":
        return frame
    place = place.with_suffix(f".{kind}")
    if kind == "csv":
        frame.to_csv(place, index=False)
    else:
        frame.to_parquet(place, row_group_size=7)
    return place


def test_nothing_is_learned_from_the_test_rows(tmp_path):
    frame = trips(400)
    test = HASHES["test"].mask(storage_column(frame.customer))[0]
    data = storage.ingest(frame, tmp_path / "a", splits=HASHES, **options())
    frame.loc[test, "miles"] = 1e9
    frame.loc[test, "carrier"] = "ZZ"
    other = storage.ingest(frame, tmp_path / "b", splits=HASHES, **options())
    assert IngestRecord.of(data).recipe == IngestRecord.of(other).recipe
    np.testing.assert_array_equal(
        data.splits["train"].X.compute(), other.splits["train"].X.compute()
    )
    assert other.splits["test"].X[:, 1].min().compute() > 1e8
    assert other.quality.columns["carrier"].broken == {"unknown": test.sum()}
    assert data.feature_names == other.feature_names


def test_steps_learned_from_all_splits_are_those_of_all_rows(tmp_path):
    frame = trips(100)
    whole = storage.ingest(frame, tmp_path / "a", **options())
    times = {"past": TimeSplit("day", stop="2013-09-01"), "new": TimeSplit("day", "2013-09-01")}
    data = storage.ingest(
        frame, tmp_path / "b", splits=times, learn_from=["past", "new"], **options()
    )
    order = np.argsort(frame.day >= "2013-09-01", kind="stable")
    np.testing.assert_allclose(data.X.compute(), whole.X.compute()[order], rtol=1e-12)
    assert [each.learned for each in data.splits.values()] == [True, True]
    with pytest.raises(TypeError, match="no split is called 'train'"):
        storage.ingest(frame, tmp_path / "c", splits=times, **options())


@pytest.mark.parametrize("new_category", [False, True])
def test_the_text_is_read_once_unless_other_splits_have_new_categories(
    tmp_path, monkeypatch, new_category
):
    frame = trips(300)
    if new_category:
        test = HASHES["test"].mask(storage_column(frame.customer))[0]
        frame.loc[test, "carrier"] = "XX"
    frame.to_csv(tmp_path / "a.csv", index=False)
    reads, read = [], csv_files.CSVBlock.__call__

    def counted(block, columns):
        reads.append(columns)
        return read(block, columns)

    monkeypatch.setattr(csv_files.CSVBlock, "__call__", counted)
    data = storage.ingest(
        tmp_path / "a.csv", tmp_path / "d", splits=HASHES, partition_nbytes=3000, **options()
    )
    n_partitions = -(-(tmp_path / "a.csv").stat().st_size // 3000)
    n_whole = sum("miles" in each and "customer" in each for each in reads)
    assert n_whole <= (2 if new_category else 1) * (n_partitions + 1) + 2  # and a sample
    assert n_whole >= (2 if new_category else 1) * (n_partitions - 1)
    assert {each.name for each in tmp_path.iterdir()} == {"a.csv", "d"}
    assert data.n_samples > 100


@pytest.mark.usefixtures("client")
def test_on_a_cluster(tmp_path):
    frame = trips(300)
    frame.to_csv(tmp_path / "a.csv", index=False)
    times = {"train": TimeSplit("day", stop="2013-09-01"), "test": TimeSplit("day", "2013-09-01")}
    data = storage.ingest(
        tmp_path / "a.csv", tmp_path / "d", splits=times, partition_nbytes=999, block_nbytes=2000,
        chunk_nbytes=500, **options(),
    )  # fmt: skip
    split = data.splits["train"]
    assert split.X.numblocks[0] > 2
    model = Ridge().fit(split.X, split.y)
    expected = Ridge().fit(split.X.compute(), split.y.compute())
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)
    assert [*model.feature_names_in_] == [*data.feature_names]
    rows = split.X[:, 0].compute().astype(int)
    assert rows.tolist() == np.flatnonzero(frame.day < "2013-09-01").tolist()


def test_versions_and_chosen_columns(tmp_path):
    data = storage.ingest(trips(80), tmp_path / "d", splits=HASHES, **options())
    first = {name: split.n_samples for name, split in data.splits.items()}
    data = storage.append(data, trips(60, 1))
    again = storage.append(tmp_path / "d", trips(60, 2))
    old = storage.open_dataset(tmp_path / "d", version=1)
    assert {name: split.n_samples for name, split in old.splits.items()} == first
    split = again.splits["test"]
    two = np.concatenate([data.splits["test"].X.compute(), split.since(2).X.compute()])
    np.testing.assert_array_equal(split.X.compute(), two)
    assert split.since(3).n_samples == 0
    with pytest.raises(ValueError, match="no version 4"):
        split.since(4)
    with pytest.raises(ValueError, match="is newer than version 1"):
        old.splits["test"].since(2)
    chosen = storage.open_dataset(tmp_path / "d", columns=["miles"])
    np.testing.assert_array_equal(chosen.splits["test"].X.compute(), two[:, 1:2])
    assert repr(split).startswith(f"Split 'test': {len(two)} rows whose hash of 'customer' is in [")
    with pytest.raises(KeyError):
        again.splits["validation"]


def test_a_version_may_have_no_row_of_a_split(tmp_path):
    data = storage.ingest(trips(80), tmp_path / "d", splits=HASHES, **options())
    frame = trips(60, 1)
    train = frame[HASHES["train"].mask(storage_column(frame.customer))[0]]
    newer = storage.append(data, train)
    assert newer.splits["train"].since(1).n_samples == len(train)
    assert newer.splits["test"].since(1).n_samples == 0
    same(newer.splits["test"], data.splits["test"])
    with pytest.raises(storage.InvalidData, match="the split selects none"):
        storage.append(newer, frame[HASHES["train"].mask(storage_column(frame.customer))[0]][:0])


def test_rules_of_all_rows_hold_in_all_splits(tmp_path):
    frame = trips(100)
    frame["key"] = [f"k{number}" for number in range(100)]
    frame = pd.concat([frame, frame[:10]], ignore_index=True)
    given = options()
    given["columns"] |= {"key": Column("key", duplicates="drop")}
    data = storage.ingest(frame, tmp_path / "d", splits=HASHES, **given)
    hashes = HASHES["train"].measured(storage_column(frame.customer))[0]
    used = (hashes < 0.5) | (hashes >= 0.6)
    assert data.n_samples == used[:100].sum()
    assert data.quality.n_rows == used.sum()
    frame.loc[7, "miles"] = np.inf
    with pytest.raises(storage.InvalidData, match=r"1 of .* rows: a value that is not a number"):
        storage.ingest(frame, tmp_path / "e", splits={"train": HashSplit("customer")}, **options())
    frame.loc[3, "customer"] = None
    with pytest.raises(storage.InvalidData, match=r"decided by .*, 1: nothing in row 3"):
        storage.ingest(frame, tmp_path / "e", splits=HASHES, **options())
    assert not (tmp_path / "e").exists()


def test_malformed_lines_count_once(tmp_path):
    trips(100).to_csv(tmp_path / "a.csv", index=False)
    with open(tmp_path / "a.csv", "a") as file:
        file.write("too,few\n")
    form = storage.CSVFormat(on_bad_lines="skip")
    data = storage.ingest(tmp_path / "a.csv", tmp_path / "d", splits=HASHES, csv=form, **options())
    assert data.quality.n_malformed == 1
    assert data.quality.n_rows == data.n_samples + 1
    assert {each.quality.n_malformed for each in data.splits.values()} == {0}
    with pytest.raises(storage.InvalidData, match="too many or too few fields, 1 of"):
        storage.ingest(tmp_path / "a.csv", tmp_path / "e", splits=HASHES, **options())


def test_a_category_of_the_test_rows_alone_is_named_with_its_line(tmp_path):
    frame = trips(100)
    row = int(np.flatnonzero(HASHES["test"].mask(storage_column(frame.customer))[0])[3])
    frame.loc[row, "carrier"] = "XX"
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(
        storage.InvalidData, match=rf"(?s)'XX' in line {row + 2} of .*learns from: train"
    ):
        storage.ingest(tmp_path / "a.csv", tmp_path / "d", splits=HASHES, **options("error"))
    assert not (tmp_path / "d").exists()


def test_damaged_chunks_of_several_versions_are_repaired(tmp_path):
    for number in (1, 2):
        trips(90, number).to_csv(tmp_path / f"{number}.csv", index=False)
    small = {"block_nbytes": 900, "chunk_nbytes": 300, "splits": HASHES, **options()}
    storage.ingest(tmp_path / "1.csv", tmp_path / "d", **small)
    data = storage.append(tmp_path / "d", tmp_path / "2.csv")
    before = data.X.compute()
    for path in sorted((tmp_path / "d" / "X").glob("c.*")):
        path.unlink()
    files = [tmp_path / "1.csv", tmp_path / "2.csv"]
    storage.repair(tmp_path / "d", files)
    np.testing.assert_array_equal(storage.open_dataset(tmp_path / "d").X.compute(), before)
    min((tmp_path / "d" / "X").glob("c.*")).unlink()
    with pytest.raises(storage.InvalidData, match="it is another source"):
        storage.repair(tmp_path / "d", files[0])


def test_one_split_is_shuffled(tmp_path):
    data = storage.ingest(trips(90), tmp_path / "d", splits=HASHES, **options())
    with pytest.raises(ValueError, match=r"shuffle\(data\.splits\['train'\]"):
        storage.shuffle(data, tmp_path / "mixed", seed=0)
    mixed = storage.shuffle(data.splits["test"], tmp_path / "mixed", seed=0)
    rows = mixed.X[:, 0].compute()
    assert sorted(rows) == data.splits["test"].X[:, 0].compute().tolist() != rows.tolist()
    assert not mixed.splits
    assert mixed.quality == data.splits["test"].quality
    with pytest.raises(ValueError, match="would contain training rows"):
        storage.ingest(trips(90), tmp_path / "x", like=mixed, rows=HashSplit("customer", 0.7))


def test_a_test_set_with_rows_of_a_split_is_refused(tmp_path):
    data = storage.ingest(trips(90), tmp_path / "d", splits=HASHES, **options())
    with pytest.raises(ValueError, match=r"splits train, test, last.* contain training rows"):
        storage.ingest(trips(90), tmp_path / "x", like=data, rows=HashSplit("customer", 0.7))
    between = storage.ingest(trips(90), tmp_path / "x", like=data,
                             rows=HashSplit("customer", 0.5, 0.6))  # fmt: skip
    assert between.n_samples == data.n_in_no_split


@pytest.mark.parametrize(
    ("splits", "learn_from", "error"),
    [
        ({"train": HashSplit("a", stop=0.6), "b": HashSplit("a", 0.5)}, None, "overlap"),
        ({"train": HashSplit("a", stop=0.5), "b": HashSplit("b", 0.5)}, None, "may be in both"),
        ({"train": HashSplit("a", stop=0.5), "b": HashSplit("a", 0.5, seed=1)}, None, "in both"),
        ({"train": HashSplit("a", stop=0.5), "b": TimeSplit("a")}, None, "in both"),
        ({"train": TimeSplit("a", stop="2013-01-01"), "b": TimeSplit("a", "2013-01-01",
          format="%Y")}, None, "in both"),
        ({"train": HashSplit("a")}, "test", "learn_from must name"),
        ({"train": HashSplit("a")}, [], "learn_from must name"),
        ({"train": HashSplit("a")}, ["train", "train"], "each once"),
        ({}, "train", "1 to 100 splits"),
        ({"": HashSplit("a")}, "", "printable text"),
        ({1: HashSplit("a")}, None, "no split is called"),
        ({"train": "a"}, None, "must be a storage.HashSplit"),
        ([HashSplit("a")], None, "must be a dict"),
        (None, "train", "give splits="),
    ],
)  # fmt: skip
def test_splits_that_cannot_be(tmp_path, splits, learn_from, error):
    with pytest.raises((TypeError, ValueError), match=error):
        storage.ingest(trips(9), tmp_path / "d", splits=splits, learn_from=learn_from, **options())
    assert not (tmp_path / "d").exists()


def test_options_that_contradict_splits(tmp_path):
    train = storage.ingest(trips(40), tmp_path / "d", splits=HASHES, **options())
    with pytest.raises(ValueError, match="splits cannot be given with rows="):
        storage.ingest(trips(9), tmp_path / "e", splits=HASHES, rows=HASHES["test"], **options())
    with pytest.raises(ValueError, match="splits cannot be given with like="):
        storage.ingest(trips(9), tmp_path / "e", splits=HASHES, like=train)
    late = {"train": TimeSplit("day", stop="2015-01-01"), "test": TimeSplit("day", "2015-01-01")}
    with pytest.raises(storage.InvalidData, match="split 'test' has no rows: the source has no"):
        storage.ingest(trips(9), tmp_path / "e", splits=late, **options())
    (tmp_path / "a.svm").write_text("1 1:2.0\n")
    with pytest.raises(ValueError, match="splits"):
        storage.ingest(tmp_path / "a.svm", tmp_path / "e", splits=HASHES)
    assert not (tmp_path / "e").exists()


def test_a_data_set_of_an_older_release_has_no_splits(tmp_path):
    data = storage.ingest(trips(40), tmp_path / "d", rows=HASHES["train"], **options())
    assert data.splits == {}
    assert data.n_in_no_split == 0
    record = IngestRecord.of(data)
    plain = json.loads((tmp_path / "d" / "ingest.json").read_text())
    del plain["splits"]
    assert IngestRecord._parse(plain) == record
    arrays = storage.create_dataset(tmp_path / "arrays", np.eye(3), np.arange(3))
    assert arrays.splits == {}
    assert arrays.units == {}


@pytest.mark.parametrize("change", [
    lambda splits: splits.update(n_outside=-1),
    lambda splits: splits["selections"]["test"].update(start=0.4),
    lambda splits: splits["selections"].update(test=None),
    lambda splits: splits["quality"].pop("test"),
    lambda splits: splits["quality"]["test"].update(n_kept=True),
    lambda splits: splits.update(learn_from=["nothing"]),
    lambda splits: splits.update(selections=3),
])  # fmt: skip
def test_damaged_splits_are_refused(tmp_path, change):
    data = storage.ingest(trips(40), tmp_path / "d", splits=HASHES, **options())
    plain = json.loads((tmp_path / "d" / "ingest.json").read_text())
    assert IngestRecord._parse(plain) == IngestRecord.of(data)
    change(plain["splits"])
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        IngestRecord._parse(plain)


def test_units(tmp_path):
    columns = {"miles": Column("number", unit="mi"), "row": Column("number")}
    frame = trips(30)
    data = storage.ingest(
        frame.assign(late=0.5), tmp_path / "d", target="late", features=["miles", "row"],
        columns=columns | {"late": Column("number", unit="h")},
    )  # fmt: skip
    assert data.units == {"miles": "mi", "late": "h"}
    assert data.describe().attrs["units"] == data.units
    assert storage.open_dataset(tmp_path / "d", columns=["row"]).units == {"late": "h"}
