"""The process that fits is killed; another one goes on, with the same bits, on other workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest

from dlbd_estimators import LogisticRegression, LogisticRegressionCV

N, P, ROWS = 1200, 4, 60
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(600)

MODELS = {
    "logistic": lambda **more: LogisticRegression(solver="lbfgs", tol=1e-9, **more),
    "search": lambda **more: LogisticRegressionCV(
        Cs=[0.1, 1.0], cv=3, scoring="neg_log_loss", l1_ratios=(0.0,), use_legacy_attributes=False,
        **more,
    ),
}  # fmt: skip
ATTRIBUTES = ("coef_", "intercept_", "n_iter_", "n_passes_")
MEASURED = {"seconds", "bytes_read"}


class Read:
    """Reads a block; the process ends with the so-many-th that it reads."""

    def __init__(self, most=None):
        self.left, self.lock = most, threading.Lock()

    def __call__(self, block):
        if self.left is not None:
            with self.lock:
                self.left -= 1
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        return block


def fitted(name, checkpoint=None, most=None):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(N, P)) * [0.1, 1.0, 10.0, 1.0]
    y = (X @ [10.0, -1.0, 0.05, 0.5] + rng.logistic(size=N) > 0).astype(int)
    X, y = (da.from_array(each, chunks=(ROWS, *each.shape[1:])) for each in (X, y))
    model = MODELS[name]() if checkpoint is None else MODELS[name](checkpoint=checkpoint)
    # Blocks are read in each pass, so that it may end in any of them.
    with dask.config.set({"dlbd-estimators.cache-share": 0.0}):
        return model.fit(X if most is None else X.map_blocks(Read(most)), y)


def main(name, checkpoint, most, kill_in_write):
    """What the process does that is killed."""
    if kill_in_write == "True":
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    fitted(name, checkpoint, int(most))


def kill(name, checkpoint, most, *, in_write=False):
    program = "import sys; from tests.faults.test_client_killed import main; main(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, name, checkpoint, str(most), str(in_write)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


#: All blocks are looked at before the first pass; then a pass reads each of them.
LOOK = PASS = N // ROWS


@pytest.mark.usefixtures("client")  # two workers, where the processes killed had threads
@pytest.mark.parametrize(
    ("name", "kills"),
    [("logistic", [LOOK + 2 * PASS + 3, LOOK + PASS + 7]), ("search", [LOOK + PASS + 9])],
)
def test_another_process_goes_on_where_one_was_killed(name, kills, tmp_path):
    whole = fitted(name)
    path = tmp_path / "fit"
    for most in kills:
        kill(name, str(path), most)
    if name == "logistic":
        before = {each.name for each in path.iterdir()}
        kill(name, str(path), 10**9, in_write=True)
        (half,) = {each.name for each in path.iterdir()} - before
        assert half.endswith(".writing")
    model = fitted(name, path)
    for attribute in ATTRIBUTES:
        np.testing.assert_array_equal(getattr(model, attribute), getattr(whole, attribute))
    for ours, theirs in zip(model.history_, whole.history_, strict=True):
        for key in ours.keys() - MEASURED:
            assert ours[key] == theirs[key], key
