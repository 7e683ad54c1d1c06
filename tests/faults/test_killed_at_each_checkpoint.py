"""A process is killed after each checkpoint; the next one goes on, on more or fewer workers."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import warnings
from pathlib import Path

import dask
import pytest
from distributed.utils import get_mp_context

from dlbd_estimators import Lasso, LogisticRegression, LogisticRegressionCV, MLPClassifier
from tests.faults.work import assert_same_bits, bits, lazy

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

MODELS = {
    "lbfgs": lambda path: LogisticRegression(solver="lbfgs", max_iter=5, checkpoint=path),
    "newton": lambda path: LogisticRegression(solver="newton", checkpoint=path),
    "coordinate_descent": lambda path: Lasso(0.1, checkpoint=path),
    "search": lambda path: LogisticRegressionCV(
        Cs=[0.1, 1.0], cv=3, scoring="neg_log_loss", l1_ratios=(0.0,), max_iter=4,
        use_legacy_attributes=False, checkpoint=path,
    ),
    "network": lambda path: MLPClassifier(
        (4,), batch_size=20, n_replicas=2, max_iter=3, n_iter_no_change=9, random_state=0,
        checkpoint=path,
    ),
}  # fmt: skip


def fit(name, path):
    X, y, labels = lazy()
    return bits(MODELS[name](path).fit(X, y if name == "coordinate_descent" else labels))


def fit_until_a_checkpoint(name, path, n_threads):
    """Fit on threads; end by SIGKILL as soon as a checkpoint has got its name."""
    warnings.simplefilter("ignore")
    replace = os.replace

    def replace_and_end(*names):
        replace(*names)
        os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_and_end
    with dask.config.set(scheduler="threads", num_workers=n_threads):
        fit(name, path)
    sys.exit(0)


@pytest.mark.usefixtures("client")  # the first process has one thread, the last two workers
@pytest.mark.parametrize("name", MODELS)
def test_a_process_killed_after_each_checkpoint(name, tmp_path):
    with dask.config.set(scheduler="threads"):
        whole = fit(name, None)
    path = str(tmp_path / "fit")
    context, ended, seen = get_mp_context(), [], set()
    while not ended or ended[-1] != 0:
        n_threads = 1 + len(ended) % 3
        process = context.Process(target=fit_until_a_checkpoint, args=(name, path, n_threads))
        process.start()
        process.join()
        ended.append(process.exitcode)
        process.close()
        now = frozenset(each.name for each in Path(path).iterdir())
        assert ended[-1] == 0 or now not in seen, "It made no progress."
        seen.add(now)
        if len(ended) == 2:
            assert_same_bits(_copied(name, path, tmp_path), whole)
    assert set(ended[:-1]) == {-signal.SIGKILL}
    assert len(ended) > 2
    assert_same_bits(fit(name, path), whole)


def _copied(name, path, folder):
    """Go on from a copy on the cluster, so that the original goes on from where it is."""
    shutil.copytree(path, folder / "copy")
    return fit(name, str(folder / "copy"))
