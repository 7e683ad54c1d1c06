"""Hypothesis profiles, fixed seeds, and one cluster of real processes for all tests."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pytest
import scipy.linalg  # noqa: F401  (scipy loads a BLAS of its own: it is limited too)
from distributed.utils import get_mp_context
from hypothesis import settings
from threadpoolctl import threadpool_limits

from tests.leftovers import Surroundings
from tests.time_limit import Alarm

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

# Small products of several threads that wait for one another take fifty times as long where other
# processes want the cores, and here a process of tests runs on each. (The plugins of pytest have
# loaded NumPy by now, so the variable is for the processes that tests start.)
os.environ["OPENBLAS_NUM_THREADS"] = "1"
threadpool_limits(1, user_api="blas")

# No deadline: the first call of a kernel pays for BLAS threads and page faults, and a test's time
# limit is pytest-timeout's business. The same examples on every run and machine, so that what fails
# on one fails on others too; nightly runs draw other ones each time.
settings.register_profile(
    "default", deadline=None, max_examples=20, derandomize=True, print_blob=True
)
settings.register_profile("nightly", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "default")

dask.config.set(
    {
        # A worker process is forked from a server that has imported the libraries, and is ready in
        # a tenth of the time that a new interpreter takes: the suite starts hundreds. (The server
        # itself is a new interpreter, so a worker knows nothing that a test has imported or
        # patched.)
        "distributed.worker.multiprocessing-method": "forkserver",
        # What Dask watches for its own pages: of waiting clusters, a sixth of all processor time.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "500 ms",
        "distributed.admin.system-monitor.interval": "5 s",
    }
)
# Packages import their subpackages at first use, so each subpackage is named; so is what Dask
# imports when a worker starts, and what the modules of tests import.
get_mp_context().set_forkserver_preload(
    [
        "dask.array",
        "dask.dataframe",
        "distributed",
        "distributed.http.worker.prometheus.core",
        "distributed.shuffle",
        "dlbd_estimators.compose",
        "dlbd_estimators.engine.cluster",
        "dlbd_estimators.linear_model",
        "dlbd_estimators.metrics",
        "dlbd_estimators.model_selection",
        "dlbd_estimators.neural_network",
        "dlbd_estimators.preprocessing",
        "hypothesis.strategies",
        "prometheus_client",
        "pytest",
        "sklearn.linear_model",
        "storage",
    ]
)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer() -> Generator[None, Any, Any]:
    """Let a test's time limit end Hypothesis, too."""
    done = yield
    handler = signal.getsignal(signal.SIGALRM)
    if callable(handler):  # not where the limit is kept by a thread
        signal.signal(signal.SIGALRM, Alarm(handler))
    return done


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of processes of tests: one more than cores.

    A test on a cluster or of another process mostly waits, for messages and for starts.
    """
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put long tests first; mark what runs on the cluster: `-m "not cluster"` leaves it out.

    Slow faults run only with `-m slow_fault` (`make test-faults`).
    """
    if "slow_fault" not in config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("slow_fault")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow_fault")]
    # They have been shuffled by now: pytest-randomly comes first.
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    """Start every test from the same global random states (random_state=None draws on them)."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - this is the legacy state that scikit-learn falls back on


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves settings, a default client or files behind."""
    if "cluster" in request.fixturenames:
        request.getfixturevalue("cluster")  # it outlives the test that starts it
    if "killable" in request.fixturenames:
        # Its nannies start threads and processes again: tests/faults/conftest.py looks at its end.
        yield
        return
    before = Surroundings.now()
    yield
    left = before.leftovers()
    if left:
        pytest.fail(f"The test left behind {'; '.join(left)}.", pytrace=False)


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers for every test that asks."""
    return np.random.default_rng(20130101)


@pytest.fixture(scope="session")
def torch(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """PyTorch, where it is installed: it is large, and no dependency of the tests."""
    torch = pytest.importorskip("torch", reason="PyTorch is large, and no dependency of the tests")
    # Its optimizers set this variable at their first use, which would be in the middle of a test.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("torch")))
    return torch


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Two worker processes of one thread each, shared by all tests: leave it as you found it.

    A test that kills workers, or needs another number of them, starts a cluster of its own.

    Workers are no copies of this process: they know nothing that it has imported or patched. They
    do get its sys.path, so functions of test modules reach them by reference, by the name
    `tests.<directory>.<module>`. Workers import that module afresh: it must import without pytest's
    help (no work at module level that counts on fixtures, environment or warning filters).
    Warnings are not errors there, where third parties' code runs too.
    """
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        memory_limit="1GiB",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        local_directory=str(tmp_path_factory.mktemp("cluster")),
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    """A client of the shared cluster, the active one while the test runs."""
    from distributed import Client

    with Client(cluster) as client:
        yield client
