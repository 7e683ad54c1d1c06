"""Commands show their progress in a terminal, and nowhere else."""

from __future__ import annotations

import json
import os
import re
import sys
import threading

import numpy as np
import pytest

import storage
from dlbd_estimators import LogisticRegression, Ridge
from storage import progress_bar
from storage.progress import Progress


@pytest.fixture
def terminal(installed, monkeypatch):
    """Run a command with standard error in a terminal; returns the exit code and the lines there.

    A line is a list of what it showed, one after the other.
    """
    monkeypatch.syspath_prepend(installed)
    from dlbd_estimators.cli.program import main

    def run(*words):
        master, slave = os.openpty()
        shown = []
        reader = threading.Thread(target=_read, args=(master, shown))
        reader.start()
        with os.fdopen(slave, "w") as stderr, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stderr)
            with pytest.raises(SystemExit) as ended:
                main(list(map(str, words)), prog_name="dlbd")
        reader.join()
        os.close(master)
        text = re.sub(r"\x1b\[\?25[lh]", "", b"".join(shown).decode())
        lines = text.removesuffix("\r\n").split("\r\n") if text else []
        return ended.value.code, [
            [part.strip() for part in re.split("\r+", line)] for line in lines
        ]

    return run


def _read(master, shown):
    while True:
        try:
            part = os.read(master, 1024)
        except OSError:  # the other end is closed
            return
        if not part:
            return
        shown.append(part)


@pytest.fixture
def csv(tmp_path):
    rows = "".join(f"{number},{number % 2}\n" for number in range(50))
    (tmp_path / "rows.csv").write_text("a,y\n" + rows)
    return tmp_path / "rows.csv"


FIRST = r"([\w-]+) +\[-{20}\]  0/\d+    0%"
LAST = r"([\w-]+) +\[#{20}\]  (\d+)/\2  100%  \d+\.\d s"


def test_each_stage_is_one_line_of_a_terminal(terminal, capsys, tmp_path, csv):
    data, mixed = tmp_path / "d.zarr", tmp_path / "m.zarr"
    commands = {
        ("ingest", csv, "-o", data, "--target", "y"): ["count", "write"],
        ("append", data, csv): ["count", "write", "complete"],
        ("shuffle", data, "-o", mixed): ["shuffle", "write"],
        ("verify", data): ["verify"],
        ("repair", data, csv, csv): ["verify"],
    }
    for words, stages in commands.items():
        code, lines = terminal(*words)
        assert code == 0
        assert [re.fullmatch(FIRST, line[1])[1] for line in lines] == stages
        assert [re.fullmatch(LAST, line[-1])[1] for line in lines] == stages
    assert "as they were written" in capsys.readouterr().out


def test_json_shows_no_progress(terminal, capsys, tmp_path, csv):
    data = tmp_path / "d.zarr"
    for words in (
        ("ingest", csv, "-o", data, "--target", "y"),
        ("append", data, csv),
        ("shuffle", data, "-o", tmp_path / "m.zarr"),
        ("verify", data),
        ("repair", data, csv, csv),
    ):
        assert terminal(*words, "--json") == (0, [])
        json.loads(capsys.readouterr().out)


@pytest.mark.cluster
def test_a_cluster_shows_the_same_lines(terminal, capsys, cluster, tmp_path, csv):
    place = ("--cluster", cluster.scheduler_address)
    code, lines = terminal("ingest", csv, "-o", tmp_path / "d.zarr", "--target", "y", *place)
    assert code == 0
    assert [re.fullmatch(LAST, line[-1])[1] for line in lines] == ["count", "write"]
    capsys.readouterr()


@pytest.mark.parametrize("ending", [".parquet", ".zarr"])
def test_predictions_are_counted_by_block(terminal, capsys, tmp_path, ending):
    X = np.arange(200.0).reshape(100, 2)
    data = storage.create_dataset(
        tmp_path / "d.zarr", X, X[:, 0], chunk_nbytes=200, block_nbytes=400
    )
    Ridge().fit(X, X[:, 0]).save(tmp_path / "model")
    words = ("predict", tmp_path / "model", data.path)
    code, [line] = terminal(*words, "-o", tmp_path / f"p{ending}")
    assert code == 0
    assert f"{data.X.numblocks[0]}/{data.X.numblocks[0]}" in line[-1]
    assert terminal(*words, "-o", tmp_path / f"q{ending}", "--json") == (0, [])
    capsys.readouterr()


@pytest.mark.parametrize("name", ["score", "report"])
@pytest.mark.parametrize("model", [Ridge(), LogisticRegression()])
def test_each_pass_of_a_score_or_report_is_one_line(terminal, capsys, tmp_path, name, model):
    X = np.arange(200.0).reshape(100, 2)
    y = np.arange(100) % 2
    data = storage.create_dataset(tmp_path / "d.zarr", X, y, chunk_nbytes=200, block_nbytes=400)
    model.fit(X, y).save(tmp_path / "model")
    words = [name, tmp_path / "model", data.path]
    words += ["-o", tmp_path / "page.html"] if name == "report" else []
    code, lines = terminal(*words)
    assert code == 0
    assert len(lines) > 2
    n_blocks = str(data.X.numblocks[0])
    assert [re.fullmatch(LAST, line[-1])[2] for line in lines] == [n_blocks] * len(lines)
    assert terminal(*words, "--json") == (0, [])
    capsys.readouterr()


def test_no_terminal_shows_no_progress(dlbd, tmp_path, csv):
    done = dlbd("ingest", csv, "-o", tmp_path / "d.zarr", "--target", "y")
    assert (done.exit_code, done.stderr) == (0, "")


def test_an_error_begins_on_a_line_of_its_own(terminal, tmp_path):
    data = storage.create_dataset(tmp_path / "d.zarr", np.eye(3), np.arange(3.0))
    (tmp_path / "d.zarr" / "X" / "c.0.0").write_bytes(b"damaged")
    code, lines = terminal("verify", data.url)
    assert code == 1
    assert re.fullmatch(LAST, lines[0][-1])
    assert lines[1][-1].startswith("Error: ")
    code, lines = terminal("ingest", tmp_path / "none.csv", "-o", tmp_path / "e.zarr")
    assert (code, len(lines)) == (2, 1)


def test_the_time_left_counts_from_the_beginning_of_the_stage(monkeypatch):
    """Blocks that a killed ingest has written took no time now."""
    now = [100.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    line = progress_bar._Line()
    line(Progress("write", 60, 100))
    assert line._bar.current_item == ""
    now[0] = 110.0
    line(Progress("write", 80, 100))
    assert (line._bar.pos, line._bar.current_item) == (80, "10 s left")
    line.end()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), None),
        (("--loud",), "No such option '--loud' (see dlbd --help)"),
        (("ingets",), "No such command 'ingets'"),
        (("verify",), "Missing argument 'DATA' (see dlbd verify --help)"),
        (("verify", "d.zarr", "--jsn"), "(see dlbd verify --help)"),
        (("info", "d.zarr", "--head", "few"), "'--head'"),
        (("ingest", "a.csv", "-o", "d.zarr"), "--target or --like (see dlbd ingest --help)"),
        (("fit", "d.zarr", "Ridge", "-o", "m", "--grid", "alpha=1"), "(see dlbd fit --help)"),
        (("score", "m", "d.zarr", "--memory", "1GB"), "--workers, too (see dlbd score --help)"),
    ],
)
def test_an_invalid_command_line_is_explained_in_one_line(dlbd, words, message):
    done = dlbd(*words)
    assert done.exit_code == 2
    assert not done.stdout
    if message is None:
        assert "Usage: dlbd" in done.stderr  # all of `dlbd --help`
        return
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
