"""Parquet files that are damaged, or that change while they are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import storage
from storage.ingestion import ingest

N = 300


@pytest.fixture
def frame(rng):
    return pd.DataFrame({"x": rng.normal(size=N), "y": np.arange(N)})


@pytest.fixture
def source(frame, tmp_path):
    path = tmp_path / "rows.parquet"
    frame.to_parquet(path, row_group_size=100, write_page_checksum=True)
    return path


def refused(source, match, **columns):
    folder = source.parent
    with pytest.raises(storage.InvalidData, match=match):
        storage.ingest(source, folder / "d", target="y", columns=columns, partition_nbytes=1_000)
    assert list(folder.iterdir()) == [source]


def test_damage_names_the_file_and_the_row_group(source):
    group = pq.ParquetFile(source).metadata.row_group(1).column(0)
    content, start = source.read_bytes(), group.dictionary_page_offset
    # The header of a page, and then values: only the checksum of the page shows their change.
    for place in (start, start + group.total_compressed_size - 4):
        damaged = bytearray(content)
        damaged[place : place + 4] = bytes(byte ^ 255 for byte in content[place : place + 4])
        source.write_bytes(damaged)
        refused(source, r"row groups 1 of .*rows\.parquet cannot be read as Parquet: .*damaged")


def test_a_file_that_is_replaced_or_removed_between_the_passes(source, frame, monkeypatch):
    encode, original = ingest.encode_source, source.read_bytes()
    imputed = storage.Column("number", missing="impute")  # by the mean, which the first pass finds

    def shortened(*arguments):
        encoded = encode(*arguments)
        frame[:50].to_parquet(source)
        return encoded

    monkeypatch.setattr(ingest, "encode_source", shortened)
    refused(source, r"rows\.parquet was changed or deleted while it was read", x=imputed)
    source.write_bytes(original)
    hidden = source.with_name("hidden")

    def removed(*arguments):
        encoded = encode(*arguments)
        source.rename(hidden)
        return encoded

    monkeypatch.setattr(ingest, "encode_source", removed)
    with pytest.raises(FileNotFoundError, match=r"rows\.parquet"):
        storage.ingest(source, source.parent / "d", target="y", columns={"x": imputed})
    assert list(source.parent.iterdir()) == [hidden]
