"""What a writer does after its commit may be lost, late or repeated: every version stays whole."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import storage
from storage import appending, completion
from storage.local_files import LocalFiles
from tests.storage.test_appending import X, Y, data, one_thread, same, zarr_shows

__all__ = ["data", "one_thread"]  # fixtures


KILLED = textwrap.dedent("""
    import os, shutil, signal, sys
    import numpy as np
    import storage
    from storage import local_files

    class Killed:
        # The module os, with functions that end the process before their step-th change of a disk.
        def __init__(self, step):
            self.left = step

        def __getattr__(self, name):
            self.left -= name in ("rename", "link", "unlink", "makedirs")
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return getattr(os, name)

    folder = sys.argv[1]
    X, y = np.load(f"{folder}/X.npy"), np.load(f"{folder}/y.npy")
    for number, step in enumerate(range(1, 200, 3)):
        shutil.copytree(f"{folder}/d", f"{folder}/{number}")
        child = os.fork()
        if not child:
            local_files.os = Killed(step)
            storage.append(f"{folder}/{number}", X, y)
            os._exit(0)
        if not os.waitpid(child, 0)[1]:
            break
""")


@pytest.mark.usefixtures("one_thread")
def test_a_killed_append_leaves_a_whole_version_wherever_it_was_killed(data, tmp_path):
    expected = {"X": X, "y": Y}
    data = storage.create_dataset(
        data.path, X[:50], Y[:50], overwrite=True, chunk_nbytes=600, block_nbytes=1_400
    )
    storage.append(data, X[50:61], Y[50:61])
    np.save(tmp_path / "X.npy", X[61:80])
    np.save(tmp_path / "y.npy", Y[61:80])
    subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        check=True, cwd=Path(storage.__file__).parents[1],
    )  # fmt: skip
    numbers = []
    for number in range(len(list(tmp_path.glob("[0-9]*")))):
        path = tmp_path / str(number)
        old, now = storage.open_dataset(path, version=1), storage.open_dataset(path)
        for each in (old, now):
            same(each, expected)
        numbers.append(now.version)
        # The next append is not disturbed, and completes what was left.
        shown = zarr_shows(path, expected)
        newest = storage.append(path, X[now.n_samples : 90], Y[now.n_samples : 90])
        assert newest.version == now.version + 1
        newest.verify()
        same(old, expected)
        assert shown in {61, now.n_samples}
        assert zarr_shows(path, expected) == 90
        kept = {each.folder for each in newest.history.appended} | {"version-1"}
        assert {each.name for each in path.glob("version-*")} == kept
    # It was killed many times before the commit, and after it.
    assert numbers == sorted(numbers)
    assert min(numbers.count(2), numbers.count(3)) > 2


def test_a_slow_writer_that_completes_an_old_version_late_harms_nothing(data, monkeypatch):
    late = []

    def postponed(*args):
        late.append(args)

    with monkeypatch.context() as patch:
        patch.setattr(appending, "complete", postponed)
        second = storage.append(data, X[50:61], Y[50:61])
    assert zarr_shows(data.path, {"X": X, "y": Y}) == 50
    third = storage.append(data, X[61:], Y[61:])
    # Its steps run to the end before it looks for newer versions.
    with monkeypatch.context() as patch:
        patch.setattr(completion, "read_versions", lambda *_, **__: ())
        completion.complete(*late[0])
    for each in (data, second, third):
        same(each, {"X": X, "y": Y})
        each.verify()
    completion.complete(*late[0])
    assert zarr_shows(data.path, {"X": X, "y": Y}) == 200


def test_errors_after_the_commit_are_a_warning_at_the_users_line(data, monkeypatch):
    def fail(*_):
        raise RuntimeError("all workers were lost")

    with monkeypatch.context() as patch:
        patch.setattr(appending, "complete", fail)
        with pytest.warns(RuntimeWarning, match="appended .* as version 2, but zarr") as caught:
            newer = storage.append(data, X[50:], Y[50:])
    assert caught[0].filename == __file__
    same(newer, {"X": X, "y": Y})


def test_an_answer_that_is_lost_at_the_commit_loses_no_rows(data, monkeypatch):
    create = LocalFiles.create

    def lose(self, key, content):
        create(self, key, content)
        raise ConnectionError("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "create", lose)
        with pytest.raises(ConnectionError) as caught:
            storage.append(data, X[50:90], Y[50:90])
    assert "if it has a version 2 of 90 rows" in caught.value.__notes__[0]
    now = storage.open_dataset(data.path)
    assert now.version == 2
    same(now, {"X": X, "y": Y})
    assert zarr_shows(storage.append(data, X[90:], Y[90:]).path, {"X": X, "y": Y}) == 200
