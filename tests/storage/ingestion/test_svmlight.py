"""svmlight files become sparse rows, as scikit-learn reads them, or the line is named."""

from __future__ import annotations

import gzip
import io
import tempfile
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_svmlight_file

import storage
from storage import SVMLightFormat
from storage.ingestion.svmlight_files import SVMLightBlock
from storage.ingestion.svmlight_lines import LineRules

ANY = LineRules(n_features=None, zero_based=None, classes=None, refuses_queries=False)


@pytest.fixture(autouse=True)
def _in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@st.composite
def lines(draw):
    """Lines of a file: rows, some without entries, comments, empty lines, and query numbers."""
    found = []
    for _ in range(draw(st.integers(1, 12))):
        columns = sorted(draw(st.sets(st.integers(1, 9), max_size=4)))
        values = st.floats(-1e300, 1e300) | st.just(0.0)
        entries = " ".join(f"{column}:{draw(values)!r}" for column in columns)
        query = draw(st.sampled_from(["", "", "qid:3 "]))
        label = draw(st.sampled_from(["1", "-1", "+1", "2.5"]))
        comment = draw(st.sampled_from(["", " # 7:x", "\r"]))
        found.append(f"{label} {query}{entries}{comment}")
        found.extend(draw(st.sampled_from([[], [], [""], ["# a comment"]])))
    return found


@given(lines=lines(), ends=st.booleans(), nbytes=st.integers(1, 300), shift=st.integers(0, 1))
def test_rows_are_those_that_scikit_learn_reads(lines, ends, nbytes, shift):
    content = ("\n".join(lines) + "\n" * ends).encode()
    X, y = load_svmlight_file(io.BytesIO(content), n_features=9 + shift, zero_based=bool(shift))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.svm"
        file.write_bytes(content)
        data = storage.ingest(
            file,
            Path(folder) / "d",
            svmlight=SVMLightFormat(n_features=9 + shift, zero_based=bool(shift), qid="ignore"),
            partition_nbytes=nbytes,
            chunk_nbytes=100,
            block_nbytes=300,
        )
        found = data.X.compute()
        assert found.shape == X.shape
        for name in ("indptr", "indices", "data"):
            np.testing.assert_array_equal(getattr(found, name), getattr(X, name))
        np.testing.assert_array_equal(data.y.compute(), y)


@settings(max_examples=100)
@given(
    content=st.text("12 :,#-.\nq\0e\u00e9", max_size=30).map(str.encode)
    | st.lists(st.sampled_from([b"1", b" 2:3", b" 1:1", b" qid:4", b"\n", b":", b" x"])).map(
        b"".join
    )
)
def test_a_line_is_wrong_where_scikit_learn_refuses_it(content):
    wrong = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            _, labels = load_svmlight_file(io.BytesIO(line), n_features=99)
        except ValueError:
            wrong.append(number)
        else:
            if not np.isfinite(labels).all():
                wrong.append(number)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "rows.svm").write_bytes(content)
        block = SVMLightBlock(LocalFileSystem(), f"{folder}/rows.svm", 0, len(content))
        if not wrong:
            block.rows(ANY)
            return
        with pytest.raises(storage.InvalidData) as info:
            block.rows(ANY)
    assert f"line {wrong[0]:,} of " in str(info.value) or "\0" in content.decode()


def test_several_files_and_compressed_ones(tmp_path):
    (tmp_path / "1.svm").write_text("1 1:0.5 3:2\n-1 2:1\n")
    (tmp_path / "2.svm.gz").write_bytes(gzip.compress(b"1 5:4\n"))
    (tmp_path / "3.svm").write_text("")
    data = storage.ingest(tmp_path / "*.svm*", tmp_path / "d", target="label")
    assert data.X.compute().toarray().tolist() == [
        [0.5, 0, 2, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 4],
    ]  # fmt: skip
    assert data.y.compute().tolist() == [1, -1, 1]
    assert (data.target, data.classes) == ("label", None)
    assert data.schema.source.endswith("*.svm*, columns numbered from 1")


def test_files_of_another_kind_are_refused(tmp_path):
    (tmp_path / "1.svm").write_text(GOOD)
    (tmp_path / "2.csv").write_text("a,y\n1,2\n")
    for source in (tmp_path / "*", [tmp_path / "1.svm", tmp_path / "2.csv"]):
        with pytest.raises(storage.InvalidData, match="svmlight files and files of another kind"):
            storage.ingest(source, tmp_path / "d", target="y")


def test_classes_and_the_format_are_used_again(tmp_path):
    (tmp_path / "train.svm").write_text("-1 0:1 4:1\n1 2:1\n-1 1:1\n")
    (tmp_path / "test.txt").write_text("1 1:3\n-1 2:2\n")
    form = SVMLightFormat(classes="auto")
    data = storage.ingest(tmp_path / "train.svm", tmp_path / "d", svmlight=form, dtype="float32")
    assert data.classes == (-1, 1)
    assert data.labels.compute().tolist() == [-1, 1, -1]
    test = storage.ingest(tmp_path / "test.txt", tmp_path / "test", like=data)
    assert (test.classes, test.X.dtype) == ((-1, 1), np.float32)
    rows = [[0, 3, 0, 0, 0], [0, 0, 2, 0, 0]]  # the columns count from 0, as in train.svm
    assert test.X.compute().toarray().tolist() == rows
    newer = storage.append(data, tmp_path / "test.txt")
    assert newer.since(1).X.compute().toarray().tolist() == rows
    assert newer.labels.compute().tolist() == [-1, 1, -1, 1, -1]
    (tmp_path / "test.txt").write_text("2 1:3\n")
    with pytest.raises(storage.InvalidData, match=r"line 1 .* label '2'.*none of .* -1, 1"):
        storage.append(data, tmp_path / "test.txt")


def test_damaged_chunks_are_repaired(tmp_path):
    (tmp_path / "rows.svm").write_text("".join(f"{i} 1:{i} 3:1\n" for i in range(40)))
    data = storage.ingest(tmp_path / "rows.svm", tmp_path / "d", chunk_nbytes=100, block_nbytes=200)
    before = data.X.compute()
    (data.path / "X" / "c.1").unlink()
    (data.path / "y" / "c.0").write_bytes(b"")
    storage.repair(data.path, tmp_path / "rows.svm")
    assert (storage.open_dataset(data.path).X.compute() != before).nnz == 0
    with pytest.raises(storage.NotADataset, match="svmlight files, which have no raw columns"):
        _ = data.quality


@pytest.mark.cluster
def test_a_cluster_stores_the_same_bytes(tmp_path, client):
    (tmp_path / "rows.svm").write_text("".join(f"{i} 1:{i} 3:1\n" for i in range(40)))
    options = {"partition_nbytes": 60, "chunk_nbytes": 100, "block_nbytes": 200}
    here = storage.ingest(tmp_path / "rows.svm", tmp_path / "here", **options)
    with dask.config.set(scheduler=client):
        there = storage.ingest(tmp_path / "rows.svm", tmp_path / "there", **options)
        (tmp_path / "rows.svm").write_text("1 1:1\n1 3:1 1:1\n")
        with pytest.raises(storage.InvalidData, match=r"line 2 of .*: they must increase"):
            storage.ingest(tmp_path / "rows.svm", tmp_path / "d", **options)
    files = [
        {file.name: file.read_bytes() for file in (data.path / "X").glob("c.*")}
        for data in (here, there)
    ]
    assert len(files[0]) > 3
    assert files[0] == files[1]


GOOD = "1 1:2\n" * 5


@pytest.mark.parametrize(
    ("line", "form", "problem"),
    [
        ("1 2", {}, r"has '2', which is not COLUMN:VALUE"),
        ("1 2:x", {}, r"has '2:x', whose value is not a number"),
        ("1 a:2", {}, r"has 'a:2', whose column number is not an integer"),
        ("1 3:1 2:1", {}, r"has the column number 2 after 3: they must increase"),
        ("1 3:1 3:1", {}, r"has the column number 3 after 3"),
        ("1 -1:1", {}, r"has the column number -1, and the lowest one is 0"),
        ("1 0:1", {"zero_based": False}, r"column number 0, .* is 1: declare zero_based"),
        ("1 5:1", {"n_features": 4}, r"column number 5, and with n_features=4 .* is 4"),
        ("1 0:1 4:1", {"n_features": 4}, r"column number 4, and with n_features=4 .* is 3"),
        ("1 99999999999:1", {}, r"column number 99999999999: X can have at most 16,777,216"),
        ("1,2 3:1", {}, r"has several labels, '1,2'"),
        ("3:1 4:1", {}, r"begins with '3:1', not with a label"),
        ("yes 3:1", {}, r"begins with 'yes', which is not a finite number"),
        ("nan 3:1", {}, r"begins with 'nan', which is not a finite number"),
        ("2 3:1", {"classes": [0, 1]}, r"has the label '2', which is none of the classes 0, 1"),
        ("1 qid:7 3:1", {}, r"has the query number 'qid:7'.*qid='ignore'"),
    ],
)
@pytest.mark.parametrize("nbytes", [10, 1000])
def test_a_bad_line_is_named(line, form, problem, nbytes, tmp_path):
    (tmp_path / "rows.svm").write_text(f"{GOOD}# a comment\n\n{line}\n{GOOD}")
    with pytest.raises(storage.InvalidData, match=rf"^line 8 of .*rows\.svm .*{problem}"):
        storage.ingest(
            tmp_path / "rows.svm",
            tmp_path / "d",
            svmlight=SVMLightFormat(**form),
            partition_nbytes=nbytes,
        )
    assert [each.name for each in tmp_path.iterdir()] == ["rows.svm"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no rows"),
        ("# nothing\n", "holds no rows"),
        ("1\n2\n", "have no entries.*n_f"),
    ],
)
def test_files_without_rows_or_columns_are_refused(content, message, tmp_path):
    (tmp_path / "rows.svm").write_text(content)
    with pytest.raises(storage.InvalidData, match=message):
        storage.ingest(tmp_path / "rows.svm", tmp_path / "d")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"features": ["x1"]}, ValueError, "features cannot be given for svmlight files"),
        ({"rows": storage.HashSplit("x1", 0, 0.5)}, ValueError, "rows cannot be given"),
        ({"csv": storage.CSVFormat()}, ValueError, "csv cannot be given"),
        ({"like": "tables"}, ValueError, "given with like=, was not made of svmlight files"),
        ({"svmlight": SVMLightFormat(), "like": "tables"}, ValueError, "svmlight cannot be given"),
    ],
)
def test_options_of_tables_are_refused(options, error, message, tmp_path):
    (tmp_path / "rows.svm").write_text(GOOD)
    if "like" in options:
        frame = pd.DataFrame({"a": [1.0, 2.0], "y": [1.0, 2.0]})
        options = options | {"like": storage.ingest(frame, tmp_path / "tables", target="y")}
    with pytest.raises(error, match=message):
        storage.ingest(tmp_path / "rows.svm", tmp_path / "d", **options)
    assert not (tmp_path / "d").exists()


def test_a_frame_is_no_svmlight_file(tmp_path):
    with pytest.raises(TypeError, match="svmlight is for files, and the source is a DataFrame"):
        storage.ingest(pd.DataFrame(), tmp_path / "d", svmlight=SVMLightFormat())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"n_features": 0}, ValueError),
        ({"n_features": 2.5}, ValueError),
        ({"zero_based": 1}, ValueError),
        ({"qid": "keep"}, ValueError),
        ({"classes": "all"}, ValueError),
        ({"classes": [1, 1]}, ValueError),
        ({"classes": ["a"]}, TypeError),
    ],
)
def test_options_of_the_format_are_checked(options, error):
    with pytest.raises(error, match=next(iter(options))):
        SVMLightFormat(**options)
