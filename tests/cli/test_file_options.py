"""How `dlbd` reads files that are not as expected, and the options that it advises."""

from __future__ import annotations

import re
import shlex
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import storage
from tests.storage.cloud.killed_writer import Killed, killed_at

ROWS = "1,2,0\n3,4,1\n" * 20


def write(folder, text):
    (folder / "rows.csv").write_text(text)
    return folder / "rows.csv"


@pytest.mark.parametrize(
    ("text", "advised", "n_rows"),
    [
        (f"x,z,y\n{ROWS}1,2\n", "--skip-bad-lines", 40),
        (f'x,z,y\n{ROWS}1,"a\nb",0\n', "--multiline -c z:category", 41),
        (f"x;z;y\n{ROWS}".replace(",", ";"), "--delimiter ';'", 40),
        (f"x\tz\ty\n{ROWS}".replace(",", "\t"), r"--delimiter '\t'", 40),
        (f"x,z,y\n{ROWS}1,?,0\n", "-c z:number,unparsable=drop", 40),
        (f"x,z,y\n{ROWS}1,?,0\n", "-c z:category", 41),
        (f"x,z,y\n{ROWS}1,2,\n", "-c y:number,missing=drop", 40),
    ],
)
def test_the_options_that_an_error_advises_help(dlbd, tmp_path, text, advised, n_rows):
    command = ["ingest", write(tmp_path, text), "-o", tmp_path / "d", "--target", "y"]
    failed = dlbd(*command)
    assert failed.exit_code == 1
    assert "storage." not in failed.stderr
    first = advised.partition(" -c ")[0]
    assert first.replace("-c z:category", "-c NAME:category") in failed.stderr
    assert not (tmp_path / "d").exists()
    done = dlbd(*command, *shlex.split(advised))
    assert done.exit_code == 0, done.stderr
    assert storage.open_dataset(tmp_path / "d").n_samples == n_rows


@pytest.mark.parametrize(
    ("text", "options", "advised"),
    [
        (f"x,z,y\n{ROWS}1,\xe9,0\n", "", "--encoding 'latin-1'"),
        ("x,z,y\n", "", r"-c x:number, or leave it out with --features"),
        (f"x,z,y\n{ROWS}", "-c x:number,maximum=2", "-c x:number,out_of_range=drop"),
        (f",z,y\n{ROWS}", "", "to use with --features"),
    ],
)
def test_errors_advise_options_of_the_command(dlbd, tmp_path, text, options, advised):
    (tmp_path / "rows.csv").write_bytes(text.encode("latin-1"))
    failed = dlbd(
        "ingest", tmp_path / "rows.csv", "-o", tmp_path / "d", "--target", "y", *options.split()
    )
    assert failed.exit_code == 1
    assert advised in failed.stderr
    assert not re.search(r"storage\.|CSVFormat|features=", failed.stderr)


def test_a_data_set_is_replaced_by_the_option_that_the_error_names(dlbd, tmp_path):
    command = ["ingest", write(tmp_path, f"x,z,y\n{ROWS}"), "-o", tmp_path / "d", "--target", "y"]
    assert dlbd(*command).exit_code == 0
    failed = dlbd(*command)
    assert failed.exit_code == 1
    assert "replace it with --overwrite" in failed.stderr
    assert dlbd(*command, "--overwrite").exit_code == 0


def test_an_ingest_into_a_store_resumes_by_the_option_that_the_error_names(dlbd, tmp_path):
    rows, url = write(tmp_path, f"x,z,y\n{ROWS}"), f"memory://{uuid.uuid4().hex}"
    with pytest.raises(Killed), killed_at(6):
        storage.ingest([str(rows)], url, target="y")
    command = ["ingest", rows, "-o", url, "--target", "y"]
    failed = dlbd(*command)
    assert failed.exit_code == 1
    assert "continue an ingest of the same files with --resume" in failed.stderr
    failed = dlbd(*command, "--resume", "--expected-rows", 10**9)
    assert failed.exit_code == 1
    assert "cannot be continued" in failed.stderr
    done = dlbd(*command, "--resume")
    assert done.exit_code == 0, done.stderr
    assert storage.verify(url).chunks == 2


def test_bad_lines_are_skipped_in_appended_rows_too(dlbd, tmp_path):
    rows, data = write(tmp_path, f"x,z,y\n{ROWS}1,2\n"), tmp_path / "d"
    assert dlbd("ingest", rows, "-o", data, "--target", "y", "--skip-bad-lines").exit_code == 0
    failed = dlbd("append", data, rows)
    assert failed.exit_code == 1
    assert "--skip-bad-lines" in failed.stderr
    assert dlbd("append", data, rows, "--skip-bad-lines").exit_code == 0
    assert storage.open_dataset(data).n_samples == 80
    assert dlbd("repair", data, rows, rows, "--skip-bad-lines").exit_code == 0


def test_an_encoding_that_does_not_exist_is_an_invalid_command(dlbd, tmp_path):
    failed = dlbd("ingest", write(tmp_path, f"x,z,y\n{ROWS}"), "-o", tmp_path / "d", "--target",
                  "y", "--encoding", "utf-99")  # fmt: skip
    assert failed.exit_code == 2
    assert "unknown encoding: utf-99" in failed.stderr


@pytest.mark.filterwarnings("always:column 'x' has the type text")
def test_the_options_that_a_warning_advises_help(dlbd, tmp_path):
    table = pa.table({"x": [f"{number}.5" for number in range(200)], "y": range(200)})
    pq.write_table(table, tmp_path / "rows.parquet")
    command = ["ingest", tmp_path / "rows.parquet", "-o", tmp_path / "d", "--target", "y"]
    done = dlbd(*command)
    assert done.exit_code == 0
    assert done.stderr.startswith("UserWarning: column 'x' has the type text")
    assert "declare -c x:number, or -c NAME:category if this is meant" in done.stderr
    assert done.stderr.count("\n") == 1
    done = dlbd(*command, "--overwrite", "-c", "x:number")
    assert (done.exit_code, done.stderr) == (0, "")
    assert storage.open_dataset(tmp_path / "d").feature_names == ("x",)
