"""Fit in a loop on three workers, while a random worker is killed every few seconds.

    python benchmarks/soak.py [--seconds 60] [--every 3] [--seed 0]

Each model, transformer and metric must always give the same bits as on threads. After each result,
the memory and the open files of this process, which runs the client and the scheduler, are
recorded; their growth in the second half of the run is printed. The exit status is 1 if a result
differed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
from sklearn.exceptions import ConvergenceWarning

import storage
from dlbd_estimators import Lasso, LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.model_selection import train_test_split
from dlbd_estimators.preprocessing import StandardScaler

N_ROWS, N_FEATURES, N_BLOCKS = 120_000, 20, 60


def main() -> int:
    """Fit until the time is over, and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # short fits do not converge
    found = Found()
    with (
        tempfile.TemporaryDirectory() as folder,
        # By default the cluster gives up a worker that is not restarted within 15 s, which may
        # happen on a busy machine.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        LocalCluster(
            n_workers=3,
            threads_per_worker=1,
            memory_limit="1GiB",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as cluster,
        Client(cluster),
    ):
        work = _work(_data(folder, asked.seed))
        with dask.config.set(scheduler="threads"):
            expected = {name: run() for name, run in work.items()}
        with _killing(cluster, asked.every, asked.seed, found):
            end = time.monotonic() + asked.seconds
            while time.monotonic() < end:
                for name, run in work.items():
                    began, killed = time.monotonic(), found.n_kills
                    result = run()
                    found.n_fits += 1
                    if not np.array_equal(result, expected[name]):
                        found.wrong.append(name)
                    took, killed = time.monotonic() - began, found.n_kills - killed
                    print(f"  {name}: {took:.1f} s, {killed} killed", flush=True)
                    found.sizes.append(_size())
    print(found.summary())
    return 1 if found.wrong else 0


@dataclass
class Found:
    """Counts and results of the run.

    Attributes
    ----------
    n_kills, n_fits : int
        Number of workers killed, and number of results compared with the results on threads.
    wrong : list of str
        Names of the results that differed.
    sizes : list of (float, int)
        Resident megabytes and open files after each result.
    """

    n_kills: int = 0
    n_fits: int = 0
    wrong: list[str] = field(default_factory=list)
    sizes: list[tuple[float, int]] = field(default_factory=list)

    def summary(self) -> str:
        """Return a summary in words."""
        half = self.sizes[len(self.sizes) // 2 :]
        (memory, files), (later, more) = half[0], half[-1]
        return (
            f"{self.n_kills} workers killed, {self.n_fits} results; "
            f"wrong: {', '.join(self.wrong) or 'none'}\n"
            f"second half: {memory:.0f} -> {later:.0f} MB resident, "
            f"{files} -> {more} open files"
        )


def _data(folder: str, seed: int) -> storage.Dataset:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N_ROWS, N_FEATURES))
    y = X @ rng.normal(size=N_FEATURES) + rng.normal(size=N_ROWS)
    nbytes = X.nbytes // N_BLOCKS
    return storage.create_dataset(
        f"{folder}/rows.zarr", X, y, chunk_nbytes=nbytes, block_nbytes=2 * nbytes
    )


def _work(data: storage.Dataset) -> dict[str, Callable[[], Any]]:
    X, y = data.X, data.y
    labels: da.Array = (y > 0).astype(np.int64)
    fitted = Ridge().fit(X, y)
    network = MLPClassifier((8,), max_iter=2, batch_size=500, random_state=0)
    return {
        "LogisticRegression": lambda: LogisticRegression().fit(X, labels).coef_,
        "L-BFGS": lambda: LogisticRegression(solver="lbfgs").fit(X, labels).coef_,
        "Ridge, centred rows": lambda: Ridge().fit(X - X.mean(axis=0), y).coef_,
        "Lasso": lambda: Lasso(0.1).fit(X, y).coef_,
        "MLPClassifier": lambda: np.concatenate(
            [each.ravel() for each in network.fit(X, labels).coefs_]
        ),
        "StandardScaler": lambda: StandardScaler().fit(X).var_,
        "r2_score": lambda: np.array(fitted.score(X, y)),
        "train_test_split": lambda: (
            train_test_split(X, labels, stratify=labels, random_state=0)[1].sum(axis=0).compute()
        ),
    }


@contextmanager
def _killing(cluster: LocalCluster, every: float, seed: int, found: Found) -> Iterator[None]:
    ended, draw = threading.Event(), random.Random(seed)

    def kill() -> None:
        while not ended.wait(every):
            # Kill registered workers only: a nanny gives up a worker that dies before it registers.
            registered_names = {worker.name for worker in cluster.scheduler.workers.values()}
            pids = [each.pid for name, each in cluster.workers.items() if name in registered_names]
            if pids:
                os.kill(draw.choice(pids), signal.SIGKILL)
                found.n_kills += 1

    thread = threading.Thread(target=kill, name="killer")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _size() -> tuple[float, int]:
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(resident.split()[1]) / 1e3, len(os.listdir("/proc/self/fd"))


if __name__ == "__main__":
    sys.exit(main())
