"""Training and test sets of one source: rows selected by the hash of a key, or by time."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage import HashSplit, TimeSplit


def trips(n=300, keys=40):
    rng = np.random.default_rng(0)
    day = pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 365, n), unit="D")
    return pd.DataFrame(
        {
            "customer": [f"c{number}" for number in rng.integers(0, keys, n)],
            "day": day,
            "row": np.arange(n),
            "late": rng.choice(["no", "yes"], n),
        }
    )


def rows_of(data):
    return data.X.compute()[:, 0].astype(int)


def ingest(source, url, **options):
    return storage.ingest(source, url, **{"target": "late", "features": ["row"], **options})


@given(
    st.lists(st.floats(0.001, 0.999), min_size=1, max_size=3, unique=True),
    st.integers(0, 3),
    st.sampled_from([1, 500, 2**20]),
)
def test_splits_by_hash_share_no_key_and_lose_no_row(tmp_path_factory, edges, seed, nbytes):
    folder, frame = tmp_path_factory.mktemp("split"), trips(30)
    edges = [0, *sorted(edges), 1]
    rows, keys = [], []
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        split = HashSplit("customer", start, stop, seed)
        if not any(split.mask(pa.chunked_array([frame.customer]))[0]):
            with pytest.raises(storage.InvalidData, match="selects none of them"):
                ingest(frame, folder / str(number), rows=split, partition_nbytes=nbytes)
            continue
        data = ingest(frame, folder / str(number), rows=split, partition_nbytes=nbytes)
        assert data.quality.n_rows == data.n_samples
        rows.append(rows_of(data))
        keys.append(set(frame.customer[rows[-1]]))
    assert sorted(np.concatenate(rows)) == [*range(30)]
    assert sum(map(len, keys)) == len(set(frame.customer))


def test_the_share_of_keys_is_about_that_of_the_range_and_depends_on_the_seed(tmp_path):
    frame = pd.DataFrame({"id": np.arange(20_000), "row": np.arange(20_000), "late": 0.0})
    chosen = [
        rows_of(ingest(frame, tmp_path / str(seed), rows=HashSplit("id", 0.2, 0.5, seed)))
        for seed in (0, 1)
    ]
    for each in chosen:
        assert abs(len(each) / 20_000 - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 20_000)
    both = len(np.intersect1d(*chosen)) / 20_000
    assert abs(both - 0.09) < 4 * np.sqrt(0.09 * 0.91 / 20_000)


def test_a_key_is_in_the_same_set_whatever_its_file_is(tmp_path):
    frame = trips()
    split = HashSplit("customer", stop=0.5)
    expected = rows_of(ingest(frame, tmp_path / "frame", rows=split))
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=50)
    for name in ("a.csv", "a.parquet"):
        data = ingest(tmp_path / name, tmp_path / f"{name}.zarr", rows=split, partition_nbytes=999)
        assert rows_of(data).tolist() == expected.tolist()
    assert 0 < len(expected) < len(frame)
    # Fixed for ever: keys of a test set must not move into the training set with a new release.
    assert sorted(set(frame.customer[expected]))[:5] == ["c1", "c10", "c11", "c13", "c14"]


@pytest.mark.usefixtures("client")
def test_splits_by_time_on_a_cluster(tmp_path):
    frame = trips()
    frame.to_csv(tmp_path / "a.csv", index=False)
    edge = pd.Timestamp("2013-10-01")
    train = ingest(
        tmp_path / "a.csv", tmp_path / "train", rows=TimeSplit("day", stop=edge),
        partition_nbytes=999,
    )  # fmt: skip
    test = ingest(
        tmp_path / "a.csv", tmp_path / "test", target=None, features=None, like=train,
        rows=TimeSplit("day", start=edge), partition_nbytes=999,
    )  # fmt: skip
    before = (frame.day < edge).to_numpy()
    assert rows_of(train).tolist() == np.flatnonzero(before).tolist()
    assert rows_of(test).tolist() == np.flatnonzero(~before).tolist()
    assert "rows whose 'day' is a time before 2013-10-01" in repr(train.quality)
    zoned = TimeSplit("day", "2013-10-01T02:00+02:00")
    assert rows_of(ingest(frame, tmp_path / "z", rows=zoned)).tolist() == rows_of(test).tolist()


def test_a_test_set_with_training_rows_is_refused(tmp_path):
    frame = trips()
    train = ingest(frame, tmp_path / "train", rows=HashSplit("customer", stop=0.8))
    train = storage.shuffle(train, tmp_path / "mixed", seed=0)
    like = {"target": None, "features": None, "like": train}
    with pytest.raises(ValueError, match=r"in \[0\.7, 1\) would contain training rows"):
        ingest(frame, tmp_path / "test", rows=HashSplit("customer", 0.7), **like)
    assert not (tmp_path / "test").exists()
    # By another column or hash, or of another source: that cannot be known here.
    for rows in (HashSplit("customer", 0.8), HashSplit("customer", 0.7, seed=1),
                 HashSplit("row", 0.7), TimeSplit("day", "2013-12-01"), None):  # fmt: skip
        ingest(frame, tmp_path / "test", rows=rows, overwrite=True, **like)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (TimeSplit("t"), TimeSplit("t", "2020-01-01"), True),
        (TimeSplit("t", stop="2020-01-01"), TimeSplit("t", "2020-01-01"), False),
        (TimeSplit("t", stop="2020-01-02"), TimeSplit("t", "2020-01-01"), True),
        (TimeSplit("t", "2019-01-01", "2020-01-01"), TimeSplit("t", stop="2019-01-01"), False),
        (TimeSplit("t", "2020-01-01"), TimeSplit("u", "2020-01-01"), False),
        (TimeSplit("t"), HashSplit("t"), False),
        (HashSplit("t"), HashSplit("t", 0.5), True),
    ],
)
def test_overlaps(one, other, overlap):
    assert one.overlaps(other) == overlap
    assert other.overlaps(one) == overlap


def test_rows_that_no_split_can_take_are_named(tmp_path):
    frame = trips(40)
    frame.loc[[25, 30], "customer"] = None
    frame.to_csv(tmp_path / "a.csv", index=False)
    for source, where in ((frame, "row 25 of the DataFrame"), (tmp_path / "a.csv", "line 27 of")):
        with pytest.raises(storage.InvalidData, match=f"decided by .*, 2: nothing in {where}"):
            ingest(source, tmp_path / "d", rows=HashSplit("customer"), partition_nbytes=300)
    frame["day"] = frame.day.astype(str).where(frame.index != 12, "no day")
    frame.to_csv(tmp_path / "b.csv", index=False)
    for source, where in ((frame, "row 12 of the DataFrame"), (tmp_path / "b.csv", "line 14 of")):
        with pytest.raises(storage.InvalidData, match=f"decided by .*, 1: 'no day' in {where}"):
            ingest(source, tmp_path / "d", rows=TimeSplit("day"), partition_nbytes=300)
    assert not (tmp_path / "d").exists()


def test_lines_keep_their_numbers_where_a_split_leaves_out_others(tmp_path):
    frame = trips(40).assign(row=lambda each: each.row.astype(str))
    last = int(np.flatnonzero(frame.day >= pd.Timestamp("2013-06-01"))[-1])
    frame.loc[last, "row"] = "bad"
    frame.to_csv(tmp_path / "a.csv", index=False)
    split = TimeSplit("day", "2013-06-01")
    number = {"row": storage.Column("number")}
    with pytest.raises(storage.InvalidData, match=f"'bad' in line {last + 2} of"):
        ingest(tmp_path / "a.csv", tmp_path / "d", rows=split, columns=number, partition_nbytes=99)


def test_selections_that_cannot_be(tmp_path):
    for start, stop in ((0.5, 0.5), (-0.1, 1), (0, 1.1), (0.5, 0.2)):
        with pytest.raises(ValueError, match="range in"):
            HashSplit("customer", start, stop)
    with pytest.raises(ValueError, match="is not before stop"):
        TimeSplit("day", "2020-01-01", "2019-01-01")
    with pytest.raises(ValueError, match="soon"):
        TimeSplit("day", "soon")
    with pytest.raises(storage.InvalidData, match="no column 'user'"):
        ingest(trips(9), tmp_path / "d", rows=HashSplit("user"))
    with pytest.raises(TypeError, match=r"storage\.HashSplit or TimeSplit, got 'customer'"):
        ingest(trips(9), tmp_path / "d", rows="customer")
