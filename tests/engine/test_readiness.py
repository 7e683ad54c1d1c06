"""Before the first pass, a lack of workers or of packages on them is named, not waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import storage
from dlbd_estimators import MLPRegressor, Ridge
from dlbd_estimators.engine import readiness
from dlbd_estimators.engine.readiness import check_packages, modules_of
from dlbd_estimators.engine.select import check_cluster
from dlbd_estimators.exceptions import MissingPackage, NoWorkers

pytestmark = pytest.mark.timeout(120)

#: Where there is a file of this name on the path, Python runs it when it starts.
BLOCK_IMPORTS = """
import os, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in os.environ["BLOCKED"].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def lazy():
    X = np.random.default_rng(7).normal(size=(60, 3))
    return da.from_array(X, chunks=(20, 3)), da.from_array(X.sum(axis=1), chunks=20)


@contextmanager
def process(directory, kind, *arguments, without=""):
    """A Dask process that cannot import some packages."""
    (directory / "sitecustomize.py").write_text(BLOCK_IMPORTS)
    path = os.pathsep.join([str(directory), *(entry for entry in sys.path if entry)])
    with (
        (directory / f"{kind}.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *arguments],
            env={**os.environ, "PYTHONPATH": path, "BLOCKED": without, "PYTHONSAFEPATH": "1"},
            cwd=directory,
            stdout=log,
            stderr=log,
        ) as running,
    ):
        try:
            yield
        finally:
            running.terminate()


def worker(directory, scheduler, *, without=""):
    return process(directory, "worker", scheduler, "--nthreads=1", "--no-nanny", without=without)


@contextmanager
def no_workers():
    with (
        LocalCluster(
            n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def address_of(client):
    client.wait_for_workers(1, timeout=60)
    (address,) = client.scheduler_info(n_workers=-1)["workers"]
    return address


def test_a_worker_without_the_package_is_named(tmp_path):
    without = "dlbd_estimators"
    with no_workers() as client, worker(tmp_path, client.scheduler.address, without=without):
        address = address_of(client)
        for model in (Ridge(), MLPRegressor(max_iter=1)):
            with pytest.raises(MissingPackage) as error:
                model.fit(*lazy())
            assert f"{address}: dlbd_estimators" in str(error.value)
            assert isinstance(error.value, ImportError)


def test_a_worker_without_what_reads_the_data_is_named(tmp_path):
    X, y = (array.compute() for array in lazy())
    data = storage.create_dataset(tmp_path / "d", X, y, chunk_nbytes=2**9, block_nbytes=2**9)
    with no_workers() as client, worker(tmp_path, client.scheduler.address, without="storage"):
        address = address_of(client)
        Ridge().fit(*lazy())  # needs no storage
        with pytest.raises(MissingPackage, match=rf"{address}: .*No module named 'storage'"):
            Ridge().fit(data.X, data.y)


def test_a_scheduler_without_the_package_is_named(tmp_path):
    file = tmp_path / "scheduler.json"
    arguments = ("--port=0", "--host=127.0.0.1", f"--scheduler-file={file}")
    with process(tmp_path, "scheduler", *arguments, without="dlbd_estimators"):
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with Client(scheduler_file=str(file)) as client, worker(tmp_path, client.scheduler.address):
            address_of(client)
            with pytest.raises(MissingPackage, match="the scheduler: dlbd_estimators"):
                Ridge().fit(*lazy())


def test_without_workers_there_is_an_error():
    with no_workers() as client, dask.config.set({"dlbd-estimators.wait-for-workers": "0.2 s"}):
        for model in (Ridge(), MLPRegressor(max_iter=1)):
            with pytest.raises(NoWorkers, match=r"no worker, and none has come in 0\.2 s") as error:
                model.fit(*lazy())
            assert isinstance(error.value, TimeoutError)
        with pytest.raises(NoWorkers):
            check_cluster()
        assert client.processing() == {}
        assert not client.futures


def test_only_a_cluster_is_asked():
    check_cluster()
    with no_workers(), dask.config.set(scheduler="threads"):
        check_cluster()
        Ridge().fit(*lazy())


def test_workers_that_come_late_are_waited_for():
    with no_workers() as client:
        # There is demand, so the cluster grows.
        client.cluster.adapt(minimum=0, maximum=1, interval="500 ms")
        model = Ridge(alpha=0).fit(*lazy())
    np.testing.assert_allclose(model.coef_, 1.0)


@pytest.mark.parametrize("value", ["soon", -1, None, "nan"])
def test_a_time_that_is_none_is_refused(value):
    with (
        no_workers(),
        dask.config.set({"dlbd-estimators.wait-for-workers": value}),
        pytest.raises(ValueError, match=r"wait-for-workers must be a time such as"),
    ):
        Ridge().fit(*lazy())


class Asked:
    """Counts what a client runs on workers."""

    def __init__(self, client, monkeypatch):
        self.workers = []
        run = client.run

        def counted(function, *args, **kwargs):
            if function is exec:
                self.workers += kwargs["workers"]
            return run(function, *args, **kwargs)

        monkeypatch.setattr(client, "run", counted)


def test_each_worker_is_asked_once_a_client(client, monkeypatch):
    asked = Asked(client, monkeypatch)
    Ridge().fit(*lazy())
    assert set(asked.workers) == set(client.scheduler_info(n_workers=-1)["workers"])
    asked.workers.clear()
    model = Ridge().fit(*lazy())
    model.score(*lazy())
    assert asked.workers == []


async def stand_still_until(file):
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)  # on purpose: the whole event loop


def test_a_worker_that_does_not_answer_holds_nothing_up(client, monkeypatch, tmp_path):
    monkeypatch.setattr(readiness, "_PATIENCE", 3.0)
    workers = client.scheduler_info(n_workers=-1)["workers"]
    held, other = workers
    client.run(stand_still_until, tmp_path / "end", workers=[held], wait=False)
    try:
        with pytest.raises(MissingPackage) as error:
            check_packages(client, workers, ["no_such_package"])
        assert f"{other}: no_such_package" in str(error.value)
        assert held not in str(error.value)
        monkeypatch.setattr(readiness, "_PATIENCE", 0.3)  # no answer is needed
        check_packages(client, workers, ["numpy"])
    finally:
        (tmp_path / "end").touch()
    client.run(int)  # until it answers again


def by_name(block):
    return block


def test_modules_are_those_that_unpickling_imports():
    large = np.zeros((1000, 1000))
    assert {"tests.engine.test_readiness", "dlbd_estimators"} <= modules_of([by_name, large])
    assert modules_of(Path()) == {"dlbd_estimators"}  # the standard library is everywhere
    assert "numpy" in {name.split(".")[0] for name in modules_of(np.float64)}


def test_what_is_pickled_by_value_needs_no_module():
    namespace = {"__name__": "not_a_module"}
    exec("def function(block): return block", namespace)
    assert modules_of(namespace["function"]) == {"dlbd_estimators"}
    assert modules_of(lambda block: block) == {"dlbd_estimators"}
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        assert modules_of(by_name) == {"dlbd_estimators"}
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_what_cannot_be_pickled_has_an_error_of_its_own_later():
    assert modules_of(x for x in ()) == {"dlbd_estimators"}
