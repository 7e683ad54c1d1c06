"""Damaged chunks are written again from the raw rows, or not at all."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import storage

N = 120
SIZES = {"chunk_nbytes": 240, "block_nbytes": 720, "partition_nbytes": 700}


@pytest.fixture(scope="module", autouse=True)
def _in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N), unit="D")
    return pd.DataFrame(
        {
            "a": np.where(rng.random(N) < 0.2, np.nan, rng.normal(size=N)),
            "b": rng.choice(["x", "y"], N),
            "day": day,
            "y": rng.choice(["no", "yes"], N),
        }
    )


def ingest(source, url, **options):
    rules = {"a": storage.Column("number", missing="drop"), "y": storage.Column("category")}
    return storage.ingest(source, url, target="y", columns=rules, **SIZES, **options)


@pytest.fixture(scope="module")
def made(frame, tmp_path_factory):
    """A table, a data set of its rows, and the content of the files of its chunks."""
    folder = tmp_path_factory.mktemp("made")
    frame.to_csv(folder / "table.csv", index=False)
    data = ingest(
        folder / "table.csv", folder / "d", rows=storage.TimeSplit("day", "2020-01-05"),
        dtype="float32",
    )  # fmt: skip
    return folder / "table.csv", data.path, content(data.path)


def content(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("c.*")}


def damage(path, key, how):
    file = path / key
    if how == "missing":
        file.unlink()
    elif how == "short":
        file.write_bytes(file.read_bytes()[:-3])
    else:
        changed = bytearray(file.read_bytes())
        changed[-6] ^= 4
        file.write_bytes(changed)


@given(st.data())
@settings(max_examples=8)
def test_damaged_chunks_are_written_as_they_were(made, data):
    table, path, before = made
    damaged = data.draw(st.lists(st.sampled_from(sorted(before)), unique=True, max_size=5))
    for key in damaged:
        damage(path, key, data.draw(st.sampled_from(["missing", "short", "flipped"])))
    inodes = {key: (path / key).stat().st_ino for key in before if key not in damaged}
    if damaged:
        with pytest.raises(storage.DatasetCorrupt, match=r"storage\.repair, dlbd repair"):
            storage.verify(path)
    report = storage.repair(path, table, partition_nbytes=data.draw(st.sampled_from([300, 10**6])))
    assert report.chunks == len(before)
    assert content(path) == before
    assert {key: (path / key).stat().st_ino for key in inodes} == inodes


def test_other_rows_are_refused(made, frame, tmp_path):
    _, path, before = made
    number = max(int(key.split(".")[1]) for key in before if key.startswith("X/"))
    last, row = f"X/c.{number}.0", frame.a.last_valid_index()
    try:
        for key in ("X/c.0.0", last):
            damage(path, key, "missing")
        other = frame.copy()
        other.loc[row, "b"] = {"x": "y", "y": "x"}[other.b[row]]
        with pytest.raises(storage.InvalidData, match="1 of 2 damaged chunks would differ"):
            storage.repair(path, other)
        # The chunk whose rows are the same is right again.
        assert content(path) == {key: each for key, each in before.items() if key != last}
        with pytest.raises(storage.InvalidData, match=r"gives \d+ rows, and .* has"):
            storage.repair(path, frame[:-30])
        with pytest.raises(FileNotFoundError):
            storage.repair(path, tmp_path / "no.csv")
        with pytest.raises(storage.InvalidData, match="'a'"):
            storage.repair(path, frame.drop(columns="a"))
        assert not (path / last).exists()
    finally:
        storage.repair(path, frame)
    assert content(path) == before


def test_what_cannot_be_repaired(made, tmp_path):
    table, path, _ = made
    X = np.arange(20.0).reshape(10, 2)
    plain = storage.create_dataset(tmp_path / "plain", X, X[:, 0])
    with pytest.raises(storage.NotADataset, match=r"storage\.ingest did not make it"):
        storage.repair(plain.path, table)
    metadata = (path / "X" / "zarr.json").read_bytes()
    try:
        (path / "X" / "zarr.json").write_bytes(metadata + b" ")
        with pytest.raises(storage.MetadataCorrupt):
            storage.repair(path, table)
    finally:
        (path / "X" / "zarr.json").write_bytes(metadata)
    # An intact data set needs no source.
    assert storage.repair(path, tmp_path / "no.csv").chunks > 0
