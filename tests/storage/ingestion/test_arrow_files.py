"""Files and data sets of Arrow give the rows of the same tables."""

from __future__ import annotations

import contextlib

import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pa_dataset
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage.ingestion.arrow_files import arrow_pieces

N = 30
FRAME = pd.DataFrame({
    "x": np.where(np.arange(N) % 7 == 0, np.nan, np.arange(N) / 7),
    "c": pd.Categorical(["u", "v", "w"] * (N // 3)),
    "t": pd.date_range("2020", periods=N, freq="9D"),
    "y": np.arange(N) % 3,
})  # fmt: skip
COLUMNS = {"t": storage.Column("datetime", parts=["month"])}


def values(source, folder, **options):
    data = storage.ingest(source, folder, target="y", columns=COLUMNS, **options)
    return data.feature_names, data.X.compute(), data.y.compute()


def same(found, expected):
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[2], expected[2])


def write(path, table, *, stream, rows, compression=None):
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with new(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_both_formats_give_the_rows_of_the_table(tmp_path, stream, compression):
    table = pa.Table.from_pandas(FRAME)
    write(tmp_path / "1.arrow", table[:20], stream=stream, rows=3, compression=compression)
    write(tmp_path / "2.arrow", table[20:].select(["y", "c", "x", "t"]), stream=stream, rows=9)
    expected = values(FRAME, tmp_path / "expected")
    for number, nbytes in enumerate((1, 2_000, 2**24)):
        source = tmp_path / "*.arrow"
        same(values(source, tmp_path / f"{number}", partition_nbytes=nbytes), expected)
    assert storage.open_dataset(tmp_path / "0").quality.columns["c"].kind == "category"


def test_files_of_pandas_and_polars(tmp_path):
    expected = values(FRAME, tmp_path / "expected")
    FRAME.to_feather(tmp_path / "a.feather")
    frame = pl.from_pandas(FRAME)
    frame.write_ipc(tmp_path / "b.ipc")  # with string views
    frame.with_columns(pl.col("c").cast(pl.String)).write_ipc_stream(tmp_path / "c.arrows")
    for name in ("a.feather", "b.ipc", "c.arrows"):
        same(values(tmp_path / name, tmp_path / f"{name}.zarr"), expected)


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=6),
    st.integers(1, 400),
    st.booleans(),
    st.booleans(),
)
def test_pieces_of_any_size_hold_each_row_once(tmp_path_factory, batches, nbytes, stream, deltas):
    """Each batch may have a dictionary of its own, or add to the one before (a delta)."""
    path = str(tmp_path_factory.mktemp("arrow") / "a.arrow")
    schema = pa.schema([("n", pa.int64()), ("c", pa.dictionary(pa.int8(), pa.string()))])
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas, unify_dictionaries=not stream)
    known, texts, chunks = [], [], []
    for batch in batches:
        known = [*known, *sorted({*batch} - {*known})] if deltas else sorted({*batch})
        coded = pa.DictionaryArray.from_arrays(
            pa.array([known.index(text) for text in batch], pa.int8()), pa.array(known, pa.string())
        )
        numbers = pa.array(range(len(texts), len(texts) + len(batch)), pa.int64())
        chunks.append(pa.record_batch([numbers, coded], schema=schema))
        texts += batch
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(path, schema, options=options) as writer:
        writer.write_table(pa.Table.from_batches(chunks, schema))
    pieces, names = arrow_pieces(fsspec.filesystem("file"), [path], nbytes)
    assert names == ("n", "c")
    found = [piece(["c", "n"]).table.to_pylist() for piece in pieces]
    rows = [row for part in found for row in part]
    assert rows == [{"c": text, "n": number} for number, text in enumerate(texts)]
    only = [piece(["n"]) for piece in pieces]
    assert [number for rows in only for number in rows.table["n"].to_pylist()] == [
        *range(len(texts))
    ]


def test_a_piece_reads_its_own_batches_only(tmp_path):
    table = pa.table({"x": np.arange(40_000.0), "y": np.arange(40_000)})
    for stream in (False, True):
        path = str(tmp_path / f"{stream}.arrow")
        write(path, table, stream=stream, rows=1_000)
        files = _Counting(fsspec.filesystem("file"))
        pieces, _ = arrow_pieces(files, [path], 40_000)
        assert len(pieces) >= 16
        files.n_bytes = 0
        assert pieces[7](["x"]).table.num_rows <= 3_000
        assert files.n_bytes < 80_000


class _Counting:
    """A file system that counts the bytes that are read."""

    def __init__(self, files):
        self.files, self.n_bytes = files, 0

    def info(self, path):
        return self.files.info(path)

    @contextlib.contextmanager
    def open(self, path, mode):
        with self.files.open(path, mode, block_size=0) as file:
            read = file.read

            def counted(*size):
                content = read(*size)
                self.n_bytes += len(content)
                return content

            file.read = counted
            yield file


@pytest.mark.parametrize("stream", [False, True])
def test_damage_is_an_error_that_names_the_file(tmp_path, stream):
    path = tmp_path / "a.arrow"
    write(path, pa.Table.from_pandas(FRAME), stream=stream, rows=8)
    content = path.read_bytes()
    for damaged in (b"", b"no Arrow file at all", content[: len(content) // 2], content[:40]):
        path.write_bytes(damaged)
        with pytest.raises(storage.InvalidData, match=r"a\.arrow cannot be read as Arrow's: .+"):
            storage.ingest(path, tmp_path / "d", target="y")
    assert not (tmp_path / "d").exists()


@given(st.integers(0), st.integers(0, 255), st.booleans())
def test_a_changed_byte_gives_rows_or_an_error(tmp_path_factory, place, byte, stream):
    path = tmp_path_factory.mktemp("arrow") / "a.arrow"
    table = pa.table({"c": ["ab", "c", None], "x": [1.0, 2.0, 3.0]})
    write(path, table.set_column(0, "c", table["c"].dictionary_encode()), stream=stream, rows=2)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content)
    with contextlib.suppress(storage.InvalidData):
        pieces, names = arrow_pieces(fsspec.filesystem("file"), [str(path)], 2**20)
        for piece in pieces:
            piece(names)


def test_columns_that_a_file_lacks_or_has_twice(tmp_path):
    write(tmp_path / "1.arrow", pa.table({"x": [1], "z": [2], "y": [3]}), stream=False, rows=9)
    write(tmp_path / "2.arrow", pa.table({"x": [1], "y": [3]}), stream=True, rows=9)
    with pytest.raises(storage.InvalidData, match=r"2\.arrow has no column 'z': it has x, y"):
        storage.ingest(tmp_path / "*.arrow", tmp_path / "d", target="y")
    twice = pa.table([[1], [2]], names=["x", "x"])
    write(tmp_path / "3.arrow", twice, stream=False, rows=9)
    with pytest.raises(storage.InvalidData, match=r"3\.arrow has 2 columns called 'x'"):
        storage.ingest(tmp_path / "3.arrow", tmp_path / "d", target="x")


def test_feather_1_is_refused(tmp_path):
    (tmp_path / "a.feather").write_bytes(b"FEA1" + b"\0" * 40)
    with pytest.raises(storage.InvalidData, match=r"version 1 of the format Feather.*write it"):
        storage.ingest(tmp_path / "a.feather", tmp_path / "d", target="y")


def test_data_sets_of_arrow(tmp_path):
    table = pa.Table.from_pandas(FRAME)
    expected = values(FRAME, tmp_path / "expected")
    same(values(pa_dataset.dataset(table), tmp_path / "memory"), expected)
    for form in ("parquet", "ipc", "csv"):
        folder = tmp_path / form
        plain = table.set_column(1, "c", table["c"].cast(pa.string()))
        written = plain.set_column(3, "y", plain["y"].cast(pa.int32()))
        pa_dataset.write_dataset(written, folder, format=form, partitioning=["y"],
                                 partitioning_flavor="hive")  # fmt: skip
        hive = pa_dataset.partitioning(pa.schema([("y", pa.int32())]), flavor="hive")
        source = pa_dataset.dataset(folder, format=form, partitioning=hive)
        names, X, y = values(source, tmp_path / f"{form}.zarr", partition_nbytes=100)
        assert names == expected[0]
        order = np.argsort(FRAME["y"], kind="stable")
        same((names, X, y), (names, expected[1][order], expected[2][order]))
    with pytest.raises(ValueError, match=r"has a filter.*rows=.*to_table"):
        storage.ingest(source.filter(pc.field("x") > 1), tmp_path / "d", target="y")


@pytest.mark.usefixtures("client")
def test_workers_of_a_cluster_read_arrow_files(tmp_path):
    write(tmp_path / "1.arrow", pa.Table.from_pandas(FRAME), stream=True, rows=7)
    pa.parquet.write_table(pa.Table.from_pandas(FRAME), tmp_path / "1.parquet", row_group_size=8)
    expected = values(FRAME, tmp_path / "expected")
    same(values(tmp_path / "1.arrow", tmp_path / "a", partition_nbytes=1), expected)
    source = pa_dataset.dataset(tmp_path / "1.parquet")
    same(values(source, tmp_path / "b", partition_nbytes=1), expected)
