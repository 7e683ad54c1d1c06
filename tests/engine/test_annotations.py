"""Annotations around a fit (workers, resources, priority, retries) are honoured as by Dask."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, Scheduler, SpecCluster, Worker, get_worker
from distributed.diagnostics.plugin import SchedulerPlugin
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.engine import cluster
from dlbd_estimators.engine.placement import Placement, place
from dlbd_estimators.exceptions import NoWorkers

N, P, ROWS = 600, 3, 50

pytestmark = pytest.mark.timeout(120)

#: Names of the workers that made a block, and how often a block failed: workers are threads here.
ran_on: set[str] = set()
failures: list[int] = []
go_on = threading.Event()


def noting(block):
    ran_on.add(get_worker().name)
    return block + 0.0


def failing_once(block, block_info=None):
    number = block_info[0]["chunk-location"][0]
    if number == 2 and number not in failures:
        failures.append(number)
        raise ZeroDivisionError("once")
    return block


class Tasks(SchedulerPlugin):
    """Keeps what the scheduler knows of tasks that begin."""

    name = "tasks-of-the-test"

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.seen = {}

    def transition(self, key, start, finish, *args, **kwargs):
        if finish == "processing":
            task = self.scheduler.tasks[key]
            self.seen[str(key)] = (task.priority[0], task.retries, set(task.worker_restrictions))


@pytest.fixture(scope="module")
def mixed():
    """One worker with a resource and two without, as threads of this process."""

    def worker(name, **options):
        return {"cls": Worker, "options": {"name": name, "nthreads": 1, **options}}

    scheduler = {
        "cls": Scheduler,
        # (inproc asks for a route to the internet, and warns where there is none.)
        "options": {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", "port": 0},
    }
    workers = {
        "fast": worker("fast", resources={"FAST": 1}),
        "a": worker("a"),
        "b": worker("b"),
    }
    with SpecCluster(workers=workers, scheduler=scheduler) as cluster, Client(cluster) as client:
        client.wait_for_workers(3)
        client.tasks = Tasks(cluster.scheduler)
        cluster.scheduler.add_plugin(client.tasks)
        yield client


@pytest.fixture(autouse=True)
def forget():
    ran_on.clear()
    failures.clear()


def arrays(function=noting):
    X = np.random.default_rng(7).normal(size=(N, P))
    y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
    lazy = da.from_array(X, chunks=(ROWS, P))
    if function is not None:
        lazy = lazy.map_blocks(function, dtype=float, meta=np.empty((0, 0)))
    return lazy, da.from_array(y, chunks=ROWS)


def linear():
    X, y = arrays()
    model = LogisticRegression(tol=1e-3).fit(X, y)
    model.score(X, y)
    return np.ravel(model.coef_)


def network():
    X, y = arrays()
    model = MLPClassifier((2,), max_iter=2, random_state=0, n_replicas=2, early_stopping=True)
    model.fit(X, y).score(X, y)
    return np.concatenate([np.ravel(weights) for weights in model.coefs_])


@pytest.fixture(scope="module")
def expected():
    """What is found without annotations."""
    with dask.config.set(scheduler="threads"):
        X, y = arrays(None)
        with pytest.warns(ConvergenceWarning):
            net = MLPClassifier(
                (2,), max_iter=2, random_state=0, n_replicas=2, early_stopping=True
            ).fit(X, y)
        return {
            linear: np.ravel(LogisticRegression(tol=1e-3).fit(X, y).coef_),
            network: np.concatenate([np.ravel(weights) for weights in net.coefs_]),
        }


FITS = pytest.mark.parametrize("fit", [linear, network])
IGNORE = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@FITS
@IGNORE
@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    ("annotations", "places"),
    [
        ({"resources": {"FAST": 1}}, {"fast"}),
        ({"workers": ["a"]}, {"a"}),
        ({"workers": "a", "resources": {}}, {"a"}),
        ({"workers": ["a", "fast"]}, {"a", "fast"}),
        ({"workers": ["a", "fast"], "resources": {"FAST": 1}}, {"fast"}),
        ({"workers": lambda _key: ["b"]}, {"b"}),
    ],
)
def test_tasks_run_where_the_user_wants_them(fit, annotations, places, expected):
    with dask.annotate(**annotations):
        np.testing.assert_array_equal(fit(), expected[fit])
    assert ran_on <= places
    assert ran_on


@FITS
@IGNORE
def test_addresses_and_nested_annotations_count_too(fit, mixed, expected):
    (address,) = (
        address
        for address, worker in mixed.scheduler_info(n_workers=-1)["workers"].items()
        if worker["name"] == "b"
    )
    with dask.annotate(workers=[address]), dask.annotate(priority=3):
        np.testing.assert_array_equal(fit(), expected[fit])
    assert ran_on == {"b"}


@FITS
@IGNORE
@pytest.mark.usefixtures("mixed")
def test_workers_that_are_only_preferred_are_no_restriction(fit, expected):
    with dask.annotate(workers=["b", "no such worker"], allow_other_workers=True):
        np.testing.assert_array_equal(fit(), expected[fit])
    assert "b" in ran_on


@FITS
@IGNORE
def test_priorities_and_retries_reach_the_scheduler(fit, mixed):
    mixed.tasks.seen.clear()
    with dask.annotate(priority=7, retries=2):
        fit()
    ours = [seen for key, seen in mixed.tasks.seen.items() if key.startswith(("logistic", "mlpcl"))]
    assert ours
    assert {priority for priority, _, _ in ours} == {-7}
    assert {retries for _, retries, _ in ours} == {2}
    mixed.tasks.seen.clear()
    fit()
    assert all((seen[0], seen[1]) == (0, 0) for seen in mixed.tasks.seen.values())


def test_annotations_reach_the_tasks_that_join_partials_on_workers(mixed, expected, monkeypatch):
    monkeypatch.setattr(cluster, "large_nbytes", lambda _n_bundles: 0)
    mixed.tasks.seen.clear()
    with dask.annotate(workers=["a"], priority=7, retries=2):
        np.testing.assert_array_equal(linear(), expected[linear])
    assert ran_on == {"a"}
    joins = [seen for key, seen in mixed.tasks.seen.items() if "-join-" in key]
    # They come before bundles that have not begun: two partials become one.
    assert {(priority, retries) for priority, retries, _ in joins} == {(-8, 2)}
    assert all(len(workers) == 1 for _, _, workers in joins)


@pytest.mark.usefixtures("mixed")
def test_a_block_that_fails_once_is_tried_again_where_the_user_says_so():
    X, y = arrays(failing_once)
    with pytest.raises(ZeroDivisionError, match="once"):
        Ridge().fit(X, y)
    failures.clear()
    with dask.annotate(retries=1):
        Ridge().fit(X, y)
    assert failures == [2]


def wait_to_go_on():
    return go_on.wait(60)


def test_other_tasks_of_the_client_go_on(mixed):
    other = mixed.submit(wait_to_go_on, pure=False, workers=["a"])
    with dask.annotate(resources={"FAST": 1}):
        linear()
    go_on.set()
    assert other.result()


@pytest.mark.usefixtures("mixed")
def test_restricted_workers_keep_what_they_read():
    with dask.annotate(resources={"FAST": 1}):
        X, y = arrays()
        model = LogisticRegression(tol=1e-4).fit(X, y)
    assert model.n_passes_ > 2
    assert model.history_[-1]["bytes_read"] == X.nbytes + 8 * N


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    "annotations", [{"resources": {"SLOW": 1}}, {"resources": {"FAST": 2}}, {"workers": ["c"]}]
)
def test_what_no_worker_can_take_is_an_error_and_not_a_wait_for_ever(annotations):
    wait = dask.config.set({"dlbd-estimators.wait-for-workers": 0.3})
    with wait, dask.annotate(**annotations), pytest.raises(NoWorkers) as error:
        Ridge().fit(*arrays())
    assert str(next(iter(annotations.values()))) in str(error.value)


def test_without_work_stealing_it_is_the_same(expected):
    with dask.config.set({"distributed.scheduler.work-stealing": False}), own() as client:
        with dask.annotate(workers=["a"]):
            np.testing.assert_array_equal(linear(), expected[linear])
        assert ran_on == {"a"}
        assert client.submit(int, 1, pure=False).result() == 1


@contextmanager
def own():
    workers = {name: {"cls": Worker, "options": {"name": name, "nthreads": 1}} for name in "ab"}
    scheduler = {
        "cls": Scheduler,
        # (inproc asks for a route to the internet, and warns where there is none.)
        "options": {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", "port": 0},
    }
    with SpecCluster(workers=workers, scheduler=scheduler) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


WORKERS = {
    "tcp://10.0.0.1:1": {"name": 0, "host": "10.0.0.1", "resources": {"GPU": 2}},
    "tcp://10.0.0.2:1": {"name": "x", "host": "10.0.0.2", "resources": {}},
    "tcp://10.0.0.2:2": {"name": "y", "host": "10.0.0.2", "resources": {"GPU": 1}},
}


@pytest.mark.parametrize(
    ("annotations", "chosen", "homes"),
    [
        ({}, [0, 1, 2], True),
        ({"priority": 1, "retries": 2}, [0, 1, 2], True),
        ({"resources": {"GPU": 1}}, [0, 2], False),
        ({"resources": {"GPU": 2}}, [0], False),
        ({"resources": {"TPU": 1}}, [], False),
        ({"workers": [0]}, [0], False),
        ({"workers": ["10.0.0.2"]}, [1, 2], False),
        ({"workers": ["10.0.0.2:1", "y"]}, [1, 2], False),
        ({"workers": ["tcp://10.0.0.1:1"]}, [0], False),
        ({"workers": ["nobody"]}, [], False),
        ({"workers": ["host-of-the-scheduler:1"]}, [0, 1, 2], False),
        ({"workers": ["x"], "allow_other_workers": True}, [1], True),
        ({"workers": ["nobody"], "allow_other_workers": True}, [0, 1, 2], True),
        ({"workers": ["10.0.0.2"], "resources": {"GPU": 1}}, [2], False),
        ({"workers": lambda _key: ["x"]}, [0, 1, 2], False),
        ({"resources": lambda _key: {"GPU": 1}}, [0, 1, 2], False),
    ],
)
def test_annotations_choose_workers(annotations, chosen, homes):
    addresses = list(WORKERS)
    expected = {addresses[i]: WORKERS[addresses[i]] for i in chosen}
    assert place(WORKERS, annotations) == Placement(expected, homes)
