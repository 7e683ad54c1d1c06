"""What a test leaves behind is found, or the check after each test would be worth nothing."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import dask.array
import dask.config
import numpy as np
import pytest

from tests import leftovers
from tests.leftovers import Surroundings


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch):
    monkeypatch.setattr(leftovers, "GRACE", 0.2)


def test_nothing_left_is_nothing_found(tmp_path):
    before = Surroundings.now()
    (tmp_path / "file").write_text("in a folder of its own")
    threading.Thread(target=str).start()
    subprocess.run([sys.executable, "-c", ""], check=True)
    import colorsys  # noqa: F401 - a module that nobody has imported before

    assert before.leftovers() == []


def configured(monkeypatch):
    monkeypatch.setitem(dask.config.config, "scheduler", "dask.distributed")


def environment(monkeypatch):
    monkeypatch.setitem(os.environ, "LEFT_BEHIND", "1")


def folder(monkeypatch):
    monkeypatch.chdir(Path.cwd().parent)


def errstate(monkeypatch):
    monkeypatch.setattr(np, "geterr", lambda: {"divide": "raise"})


def level(monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)


def client(monkeypatch):
    monkeypatch.setattr(leftovers, "_default_client", lambda: "a client")


def module_replaced(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.array", types.ModuleType("dask.array"))


def module_missing(monkeypatch):
    monkeypatch.delitem(sys.modules, "dask.array")


def module_hidden(monkeypatch):
    monkeypatch.setitem(sys.modules, "no_such_module", None)


@pytest.mark.parametrize(
    ("leave", "found"),
    [
        (configured, "Dask configuration of ['scheduler']"),
        (environment, "LEFT_BEHIND"),
        (folder, "working directory"),
        (errstate, "errors: {'divide': 'raise'}"),
        (level, "logging: 10"),
        (client, "a default client"),
        (module_replaced, "dask.array"),
        (module_missing, "dask.array"),
        (module_hidden, "no_such_module"),
    ],
)
def test_what_is_left_is_found(leave, found):
    before = Surroundings.now()
    with pytest.MonkeyPatch.context() as monkeypatch:
        leave(monkeypatch)
        (line,) = before.leftovers()
    assert found in line
    assert before.leftovers() == []


def test_a_file_in_the_working_directory_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = Surroundings.now()
    Path("left.txt").touch()
    (line,) = before.leftovers()
    assert "left.txt" in line


def test_a_thread_that_goes_on_is_found():
    before, end = Surroundings.now(), threading.Event()
    thread = threading.Thread(target=end.wait, name="goes on")
    thread.start()
    try:
        assert before.leftovers() == ["threads: ['goes on']"]
    finally:
        end.set()
        thread.join()


def test_a_process_that_goes_on_is_found():
    before = Surroundings.now()
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        (line,) = before.leftovers()
        assert str(process.pid) in line
        assert "input()" in line
