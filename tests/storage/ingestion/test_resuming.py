"""An ingest that is killed at any write continues, and writes only what is not finished."""

from __future__ import annotations

import os
import signal

import dask
import numpy as np
import pandas as pd
import pytest
from distributed.utils import get_mp_context
from sklearn.datasets import dump_svmlight_file

import storage
from storage.ingestion import pieces
from storage.local_files import LocalFiles
from storage.resuming import leftovers, lock
from storage.staging import Staging
from storage.work import Work

N = 240
#: Small blocks: eight of X, each of two chunks, and eight of y.
SIZES = {"chunk_nbytes": 240, "block_nbytes": 720, "partition_nbytes": 700}


@pytest.fixture(autouse=True)
def _runs_of_three_blocks(monkeypatch):
    monkeypatch.setattr(pieces, "_BLOCKS_OF_THREAD", 1)
    monkeypatch.setattr(pieces, "n_threads", lambda: 3)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=N), "b": rng.integers(0, 9, N), "y": np.arange(N)})
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def ingest(table, url, **options):
    with dask.config.set(scheduler="synchronous"):
        return storage.ingest(table, url, target="y", **SIZES, **options)


def killed_at(number, table, url, ending):
    """Ingest, and end this process at a write to the hidden folder with this ending."""
    write, count = LocalFiles.write, 0

    def counted(self, *arguments, **options):
        nonlocal count
        count += self.root.endswith(ending)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, *arguments, **options)

    LocalFiles.write = counted
    ingest(table, url)


def kill(number, table, url, ending=".writing"):
    """Start an ingest in another process, which is killed at this write to a hidden folder."""
    process = get_mp_context().Process(
        target=killed_at, args=(number, str(table), str(url), ending)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def unfinished(folder):
    """Return the hidden folder of the data set; beside it is that of rows of text files."""
    [left] = (each for each in hidden(folder) if each.suffix == ".writing")
    assert {each.suffix for each in hidden(folder)} <= {".writing", ".rows"}
    return left


def hidden(folder):
    return [each for each in folder.iterdir() if each.name.startswith(".")]


def chunks(folder):
    """Return when each chunk's file in a folder was written, and its inode."""
    return {
        str(file.relative_to(folder)): (file.stat().st_ino, file.stat().st_mtime_ns)
        for file in folder.rglob("c.*")
    }


def files(folder):
    """Return the content of the files that do not name the identity of the data set."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("c.*")}


@pytest.fixture
def whole(table, tmp_path):
    return files(ingest(table, tmp_path / "whole").path)


#: The work, the metadata of the group and of two arrays, chunks, ingest.json, and the manifest.
@pytest.mark.parametrize("number", [1, 2, 3, 5, 10, 21, -2, -1])
def test_an_ingest_killed_at_a_write_resumes(number, table, whole, tmp_path, monkeypatch):
    url = tmp_path / "d"
    n_writes = 5 + len(whole) + 1
    kill(number % (n_writes + 1) if number < 0 else number, table, url)
    assert not url.exists()
    left = unfinished(tmp_path)
    before = chunks(left)
    assert len(before) == (max(number - 5, 0) if number > 0 else len(whole))
    written = []
    write = LocalFiles.write

    def noted(self, key, *arguments, **options):
        written.append(key)
        write(self, key, *arguments, **options)

    monkeypatch.setattr(LocalFiles, "write", noted)
    data = ingest(table, url, resume=True)
    data.verify()
    assert files(url) == whole
    assert hidden(tmp_path) == []
    after = chunks(url)
    # A block is written again if one of its chunks is missing.
    kept = {key for key in before if after[key] == before[key]}
    assert len(before) - len(kept) <= 1
    assert {key for key in written if "/c." in key} == after.keys() - kept


@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("resume", [True, False])
def test_an_ingest_killed_in_its_first_pass_begins_anew(number, resume, table, whole, tmp_path):
    kill(number, table, tmp_path / "d", ".rows")
    [left] = hidden(tmp_path)
    assert len([*left.iterdir()]) == number - 1
    assert files(ingest(table, tmp_path / "d", resume=resume).path) == whole
    assert hidden(tmp_path) == []


def test_an_ingest_of_svmlight_files_resumes(table, tmp_path):
    frame = pd.read_csv(table)
    rows = tmp_path / "rows.svm"
    dump_svmlight_file(frame[["a", "b"]], frame["y"], str(rows))
    whole = files(ingest(rows, tmp_path / "whole").path)
    url = tmp_path / "d"
    kill(11, rows, url)
    left = unfinished(tmp_path)
    before = chunks(left)
    data = ingest(rows, url, resume=True)
    data.verify()
    assert files(url) == whole
    assert hidden(tmp_path) == []
    kept = {key for key, was in before.items() if chunks(url)[key] == was}
    assert len(before) == 6
    assert len(before) - len(kept) <= 1


@pytest.mark.parametrize("change", ["rows", "options", "damage", "no resume"])
def test_an_ingest_of_other_rows_or_options_begins_anew(change, table, tmp_path):
    url, options = tmp_path / "d", {"resume": True}
    kill(14, table, url)
    left = unfinished(tmp_path)
    before = chunks(left)
    damaged = min(key for key in before if key.startswith("X/"))
    if change == "rows":  # the same size and statistics
        lines = table.read_text().splitlines()
        table.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    elif change == "options":
        options["dtype"] = "float32"
    elif change == "damage":
        content = bytearray((left / damaged).read_bytes())
        content[20] ^= 1
        (left / damaged).write_bytes(content)
    else:
        options = {}
    data = ingest(table, url, **options)
    data.verify()
    wanted = pd.read_csv(table)[["a", "b"]]
    np.testing.assert_allclose(data.X.compute(scheduler="synchronous"), wanted, rtol=1e-6)
    same = {key for key, was in before.items() if chunks(url).get(key) == was}
    # A block is written again if one of its chunks is damaged or missing.
    other = {key: f"X/c.{int(key.split('.')[1]) ^ 1}.0" for key in before if key.startswith("X/")}
    again = {key for key, pair in other.items() if damaged in (key, pair) or pair not in before}
    assert same == (before.keys() - again if change == "damage" else set())
    assert hidden(tmp_path) == []


def test_the_folder_of_a_living_writer_is_left_alone(table, tmp_path):
    living = Staging(LocalFiles(str(tmp_path / "d")), overwrite=False)
    living.begin(Work("signature", "0" * 32, "2026-01-01T00:00:00+00:00"))
    assert [*leftovers(tmp_path / "d")] == []
    assert lock(living.folder) is None
    ingest(table, tmp_path / "d", resume=True)
    assert hidden(tmp_path) == [living.folder]
    living.discard()
    assert hidden(tmp_path) == []


def test_what_cannot_resume_is_refused(table, tmp_path):
    with pytest.raises(ValueError, match="from files or a data set only, because a pandas"):
        ingest(pd.read_csv(table), tmp_path / "d", resume=True)
    assert hidden(tmp_path) == []
