"""Events in a file: as they were, line by line, whoever else writes."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.monitoring import JSONLinesFile, listening

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
Y = (X[:, 0] + RNG.normal(size=300) > 0).astype(int)
N_LINES = 300
PROGRAM = """
import sys
from dlbd_estimators.monitoring import JSONLinesFile
write = JSONLinesFile(sys.argv[1])
for number in range(int(sys.argv[2])):
    write({"fit": sys.argv[3], "number": number, "filling": "x" * 3000})
"""


def parsed(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_are_the_events(tmp_path):
    events, path = [], tmp_path / "fits.jsonl"
    with listening(JSONLinesFile(path)), listening(events.append):
        LogisticRegression(solver="lbfgs").fit(X, Y)
        Ridge().fit(X, Y)
    assert parsed(path) == events
    assert len({event["fit"] for event in events}) == 2


def test_what_the_file_holds_is_kept(tmp_path):
    path = tmp_path / "fits.jsonl"
    path.write_text('{"from": "before"}\n')
    for _ in range(2):
        JSONLinesFile(str(path))({"event": "step"})
    assert parsed(path) == [{"from": "before"}, {"event": "step"}, {"event": "step"}]


def test_threads_append_whole_lines(tmp_path):
    path = tmp_path / "fits.jsonl"
    write = JSONLinesFile(path)
    fits = [
        threading.Thread(
            target=lambda: [write({"n": n, "filling": "x" * 3000}) for n in range(N_LINES)]
        )
        for _ in range(4)
    ]
    for fit in fits:
        fit.start()
    for fit in fits:
        fit.join()
    assert sorted(line["n"] for line in parsed(path)) == sorted([*range(N_LINES)] * 4)


def test_processes_append_whole_lines(tmp_path):
    path = tmp_path / "fits.jsonl"
    root = Path(__file__).resolve().parents[2]
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, path, str(N_LINES), name], cwd=root)
        for name in "ab"
    ]
    assert [process.wait() for process in running] == [0, 0]
    lines = parsed(path)
    for name in "ab":
        assert [e["number"] for e in lines if e["fit"] == name] == list(range(N_LINES))


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        JSONLinesFile(tmp_path / "file" / "fits.jsonl")
    with pytest.raises(FileNotFoundError):
        JSONLinesFile(tmp_path / "missing" / "fits.jsonl")
    with pytest.raises(IsADirectoryError):
        JSONLinesFile(tmp_path)


def test_the_file_is_where_it_was_when_the_program_goes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write = JSONLinesFile("fits.jsonl")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write({"event": "step"})
    assert parsed(tmp_path / "fits.jsonl") == [{"event": "step"}]


def test_a_file_that_is_deleted_meanwhile_is_made_anew(tmp_path, caplog):
    path = tmp_path / "fits.jsonl"
    write = JSONLinesFile(path)

    def delete(event):
        if event["event"] == "fit_started":
            path.unlink()

    with listening(write), listening(delete):
        Ridge().fit(X, Y)
    assert [event["event"] for event in parsed(path)] == ["step", "fit_ended"]
    assert not caplog.records


def test_a_folder_that_is_deleted_meanwhile_does_not_break_the_fit(tmp_path, caplog):
    folder = tmp_path / "logs"
    folder.mkdir()
    write = JSONLinesFile(folder / "fits.jsonl")
    write.path.unlink()
    folder.rmdir()
    with caplog.at_level(logging.WARNING), listening(write):
        model = Ridge().fit(X, Y)
    assert model.n_features_in_ == 3
    (record,) = caplog.records
    assert repr(write) in record.getMessage()
    assert not folder.exists()


def test_what_json_has_no_word_for_is_not_written(tmp_path):
    write = JSONLinesFile(tmp_path / "fits.jsonl")
    with pytest.raises(ValueError, match="JSON compliant"):
        write({"loss": float("nan")})
    assert parsed(write.path) == []
