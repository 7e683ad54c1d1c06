"""Raw rows that are appended go through the steps of the data set, and have their own report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import storage
from storage import Column
from tests.storage.ingestion.test_like import rows

COLUMNS = {"distance": Column(missing="impute"), "carrier": Column(unknown="ignore")}


@pytest.fixture
def data(tmp_path):
    return storage.ingest(rows(50, 1), tmp_path / "d", target="late", columns=COLUMNS)


@settings(max_examples=8)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=3),
    st.sets(st.sampled_from(["AA", "UA", "XX"]), min_size=1),
)
def test_they_are_encoded_as_the_first_rows_were(tmp_path_factory, sizes, carriers):
    path = tmp_path_factory.mktemp("append") / "d"
    data = storage.ingest(
        rows(50, 1), path, target="late", columns=COLUMNS, dtype="float32", chunk_nbytes=200
    )
    first = data.quality
    for version, n in enumerate(sizes, 2):
        frame = rows(n, version, sorted(carriers))
        X, y, _ = data.encode(frame)
        data = storage.append(data, frame)
        new = data.since(version - 1)
        np.testing.assert_array_equal(new.X.compute(), X.astype(np.float32))
        np.testing.assert_array_equal(new.y.compute(), y)
        assert new.labels.compute().tolist() == frame.late.tolist()
        report = data.quality_of(version)
        assert (report.n_rows, report.columns["distance"].broken.get("missing", 0)) == (
            n, frame.distance.isna().sum(),
        )  # fmt: skip
    # The steps and the report of the first rows have not changed.
    assert data.quality == data.quality_of(1) == first
    assert data.verify().chunks == data.manifest.n_chunks
    assert [each.source for each in data.versions] == ["a pandas DataFrame"] * (1 + len(sizes))


def test_files_and_their_lines_are_named(tmp_path, data):
    rows(9, 2).to_csv(tmp_path / "good.csv", index=False, sep=";")
    newer = storage.append(data.path, tmp_path / "good.csv", csv=storage.CSVFormat(delimiter=";"))
    assert newer.n_samples == 59
    rows(9, 3).assign(distance="far").to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(storage.InvalidData, match=r"(?s)'far' in line 2 of .*bad\.csv"):
        storage.append(data, tmp_path / "bad.csv")
    with pytest.raises(storage.InvalidData, match="no column 'carrier'"):
        storage.append(data, rows(9, 2).drop(columns="carrier"))
    assert storage.open_dataset(data.path).version == 2


def test_a_split_selects_among_appended_rows_too(tmp_path):
    frame = rows(100, 1).assign(customer=np.arange(100) % 20)
    train = storage.HashSplit("customer", stop=0.5)
    data = storage.ingest(
        frame[:60], tmp_path / "d", target="late", features=["carrier"], rows=train
    )
    data = storage.append(data, frame[60:])
    whole = storage.ingest(frame, tmp_path / "w", target="late", features=["carrier"], rows=train)
    np.testing.assert_array_equal(data.X.compute(), whole.X.compute())


def test_arrays_and_raw_rows_are_not_mixed(tmp_path, data):
    with pytest.raises(ValueError, match="give raw rows"):
        storage.append(data, data.X, data.y)
    arrays = storage.create_dataset(tmp_path / "arrays", np.eye(3), np.arange(3))
    with pytest.raises(ValueError, match="give X and y"):
        storage.append(arrays, rows(9, 2))
    newer = storage.append(arrays, np.eye(3), np.arange(3))
    with pytest.raises(storage.NotADataset, match=r"version 2 .* no quality report"):
        newer.quality_of(2)


@pytest.mark.parametrize("content", [None, b"{}", b"["])
def test_a_damaged_report_is_refused(data, content):
    newer = storage.append(data, rows(9, 2))
    (path,) = newer.path.glob("version-2-*/quality.json")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    for use in (lambda: newer.quality_of(2), newer.verify):
        with pytest.raises(storage.MetadataCorrupt, match="quality"):
            use()


def test_a_shuffled_data_set_takes_raw_rows(tmp_path, data):
    mixed = storage.shuffle(storage.append(data, rows(9, 2)), tmp_path / "mixed", seed=0)
    assert (mixed.version, mixed.n_samples) == (1, 59)
    newer = storage.append(mixed, rows(5, 3))
    np.testing.assert_array_equal(newer.since(1).X.compute(), data.encode(rows(5, 3)).X)


def test_a_frame_of_the_same_rows_is_appended_in_one_step(data):
    newer = storage.append(data, pd.concat([rows(5, 2), rows(4, 3)]))
    assert [version.n_added for version in newer.versions] == [50, 9]


def test_raw_rows_of_all_versions_repair_it(data):
    newer = storage.append(data, rows(9, 2))
    before = newer.X.compute()
    (data.path / newer.layouts["X"].key(0)).unlink()
    for spare in data.path.glob("version-*/X.c.*"):
        spare.unlink()
    storage.repair(data.path, pd.concat([rows(50, 1), rows(9, 2)]))
    np.testing.assert_array_equal(newer.X.compute(), before)
