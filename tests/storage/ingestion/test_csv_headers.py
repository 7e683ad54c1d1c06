"""The first lines of CSV files: empty ones before the header, and files that are no CSV."""

from __future__ import annotations

import bz2
import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import storage
from storage import Column, CSVFormat

ROWS = "".join(f"{number},{2 * number},0\n" for number in range(30))


def written(folder, **files):
    for name, content in files.items():
        content = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.csv").write_bytes(content)
    return str(folder / "*.csv")


@pytest.mark.parametrize("start", ["\n", "\n\n\n", "\r\n", "\ufeff\n", "\n" * 100], ids=repr)
@pytest.mark.parametrize("nbytes", [50, 2**20])
def test_no_row_is_lost_after_empty_lines_before_a_header(tmp_path, start, nbytes):
    source = written(tmp_path, a=f"x,z,y\n{ROWS}", b=f"{start}z,x,y\n{ROWS}")
    data = storage.ingest(source, tmp_path / "d", target="y", partition_nbytes=nbytes)
    assert data.n_samples == data.quality.n_rows == 60
    assert data.X[:, 0].compute().tolist() == [*range(30), *range(0, 60, 2)]


def test_no_row_is_lost_after_empty_lines_of_a_compressed_file(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"\n\nx,z,y\n{ROWS}".encode()))
    data = storage.ingest(tmp_path / "a.csv.gz", tmp_path / "d", target="y")
    assert data.n_samples == 30


@pytest.mark.parametrize("nbytes", [100, 2**20])
@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("a,1,0", r"not a number: 'a' in line 34 of"),
        ("1,2", r"'1,2' in line 34 of"),
        ("1,\0,0", r"line 34 of .* has a byte 0"),
        (b"1,\xe9,0", r"line 34 of .* is not utf-8"),
        ('1,"2,0', r"begins in line 34 of"),
    ],
)
def test_lines_are_counted_from_the_first_one_of_the_file(tmp_path, line, match, nbytes):
    line = line if isinstance(line, bytes) else line.encode()
    start, rows = b"\n\nx,z,y\n", ROWS.encode()
    source = written(tmp_path, a=start + rows + line + b"\n" + rows)
    number = {"x": Column("number")}
    with pytest.raises(storage.InvalidData, match=match):
        storage.ingest(
            source, tmp_path / "d", target="y", columns=number, partition_nbytes=nbytes
        )  # fmt: skip


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1], "y": [2]}), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("x,y\n1,2\n".encode("utf-16"), "not a CSV file, but UTF-16: convert it to UTF-8 first"),
        ("x,y\n1,2\n".encode("utf-16-le"), r"line 1 of .* has a byte 0.* UTF-16 without a mark"),
        (b"a\0,y\n1,2\n", r"line 1 of .* has a byte 0"),
        (b"\n\na\0,y\n1,2\n", r"line 3 of .* has a byte 0"),
        (gzip.compress(b"x,y\n1,2\n"), r"compressed by gzip: give it a name that ends in \.gz"),
        (bz2.compress(b"x,y\n1,2\n"), r"compressed by bzip2: give it a name that ends in \.bz2"),
        (b"PK\x03\x04\x14\0\x06\0", "zip archive, as workbooks of Excel are: export it as CSV"),
        (parquet(), r"a Parquet file: give it a name that ends in \.parquet"),
    ],
    ids=["utf-16", "utf-16-le", "zero", "late-zero", "gzip", "bzip2", "zip", "parquet"],
)
def test_files_that_are_no_csv_are_recognised(tmp_path, content, match):
    with pytest.raises(storage.InvalidData, match=match):
        storage.ingest(written(tmp_path, a=content), tmp_path / "d", target="y")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"delimiter": "\n"}, ValueError, "delimiter must be one ASCII character within a line"),
        ({"delimiter": "é"}, ValueError, "delimiter must be one ASCII character"),
        ({"delimiter": ";;"}, ValueError, "delimiter must be one ASCII character"),
        ({"delimiter": ""}, ValueError, "delimiter must be one ASCII character"),
        ({"quotechar": "\0"}, ValueError, "quotechar must be one ASCII character"),
        ({"delimiter": '"'}, ValueError, "delimiter and quotechar are both .*, and must differ"),
        ({"encoding": "rot13"}, LookupError, "not a text encoding"),
        ({"encoding": "nope"}, LookupError, "unknown encoding"),
    ],
)
def test_formats_that_no_file_can_have(options, error, match):
    with pytest.raises(error, match=match):
        CSVFormat(**options)
