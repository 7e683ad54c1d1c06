"""The process that fits is killed; another one goes on, with the same bits, on other workers."""

from __future__ import annotations

import os
import signal
import threading
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
from distributed.utils import get_mp_context

from dlbd_estimators import LogisticRegression, LogisticRegressionCV, MLPClassifier

N, P, ROWS = 1200, 4, 60

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

MODELS = {
    "logistic": lambda **more: LogisticRegression(solver="lbfgs", tol=1e-9, **more),
    "search": lambda **more: LogisticRegressionCV(
        Cs=[0.1, 1.0], cv=3, scoring="neg_log_loss", l1_ratios=(0.0,), use_legacy_attributes=False,
        **more,
    ),
    "network": lambda **more: MLPClassifier(
        (5,), batch_size=20, n_replicas=2, max_iter=3, n_iter_no_change=5, random_state=0, **more
    ),
}  # fmt: skip
ATTRIBUTES = ("coef_", "intercept_", "coefs_", "intercepts_", "n_iter_", "n_passes_")
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


def parts_of(value):
    return value if isinstance(value, list) else [value]


def fit_until_killed(name, checkpoint, most, in_write):
    """What the process does that is killed."""
    warnings.simplefilter("ignore")
    if in_write:
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    fitted(name, checkpoint, most)


def kill(name, checkpoint, most, *, in_write=False):
    # It has threads of its own: no client is active there.
    arguments = (name, checkpoint, most, in_write)
    process = get_mp_context().Process(target=fit_until_killed, args=arguments)
    process.start()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL
    process.close()


#: All blocks are looked at before the first pass; then a pass reads each of them.
LOOK = PASS = N // ROWS


@pytest.mark.usefixtures("client")  # two workers, where the processes killed had threads
@pytest.mark.parametrize(
    ("name", "kills"),
    [
        ("logistic", [LOOK + 2 * PASS + 3, LOOK + PASS + 7]),
        ("search", [LOOK + PASS + 9]),
        ("network", [LOOK + 2 * PASS + 5]),
    ],
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
        ours, theirs = (getattr(each, attribute, ()) for each in (model, whole))
        for part, other in zip(parts_of(ours), parts_of(theirs), strict=True):
            np.testing.assert_array_equal(part, other)
    for ours, theirs in zip(model.history_, whole.history_, strict=True):
        for key in ours.keys() - MEASURED:
            assert ours[key] == theirs[key], key
