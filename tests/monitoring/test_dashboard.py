"""Events reach the scheduler, and what may be missing there breaks no fit."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.monitoring import listening
from dlbd_estimators.monitoring.cluster import cluster_listener
from dlbd_estimators.monitoring.plugin import TOPIC

N_ROWS = 4_000


@pytest.fixture
def arrays(rng):
    X = rng.normal(size=(N_ROWS, 3))
    y = (X[:, 0] + rng.normal(size=N_ROWS) > 0).astype(int)
    return da.from_array(X, chunks=(500, 3)), da.from_array(y, chunks=500)


def messages(client):
    """What the scheduler was told, without the nonsense that one of the tests tells it."""
    told = [message for _, message in client.get_events(TOPIC)]
    return [each for each in told if isinstance(each, dict) and "fit" in each["fit_event"]]


def told(client, fits):
    """What the scheduler was told of some fits, by fit."""
    events = [message["fit_event"] for message in messages(client)]
    return {fit: [event for event in events if event["fit"] == fit] for fit in fits}


def states(client):
    def read(dask_scheduler):
        return {key: fit.state for key, fit in dask_scheduler.plugins["dlbd-estimators"].log}

    return client.run_on_scheduler(read)


def test_the_scheduler_is_told_what_listeners_are_told_in_order(client, arrays):
    heard = []
    with listening(heard.append):
        model = LogisticRegression().fit(*arrays)
    fit = heard[0]["fit"]
    assert told(client, [fit])[fit] == heard
    assert [event["number"] for event in heard] == list(range(len(heard)))
    assert heard[0]["n_workers"] == 2
    steps = [event for event in heard if event["event"] == "step"]
    assert [event["loss"] for event in steps] == [entry["loss"] for entry in model.history_]
    assert states(client)[fit] == "converged"


def fit_as_a_client(address, alpha, arrays):
    with Client(address) as client:
        return client.id, Ridge(alpha=alpha).fit(*arrays).coef_


def test_two_clients_fit_at_once(cluster, arrays):
    # In two processes: Dask's configuration, which names the client, is shared by all threads.
    with ProcessPoolExecutor(2, get_context("forkserver")) as pool:
        address = cluster.scheduler_address
        pending = {n: pool.submit(fit_as_a_client, address, n, arrays) for n in (1, 2)}
        found = {number: each.result() for number, each in pending.items()}
    with Client(cluster) as client:
        for number in (1, 2):
            own, coef = found[number]
            mine = [each["fit_event"] for each in messages(client) if each["client"] == own]
            assert [event["event"] for event in mine] == ["fit_started", "step", "fit_ended"]
            assert mine[0]["parameters"]["alpha"] == str(number)
            np.testing.assert_array_equal(coef, Ridge(alpha=number).fit(*arrays).coef_)


def test_a_fit_that_dies_is_told_of_with_its_error(client, arrays):
    X, y = arrays
    heard = []
    with listening(heard.append), pytest.raises(ValueError, match="NaN"):
        Ridge().fit(da.where(X > 3, np.nan, X), y)
    assert "NaN" in told(client, [heard[0]["fit"]])[heard[0]["fit"]][-1]["error"]
    assert states(client)[heard[0]["fit"]] == "failed"


def test_a_client_that_leaves_takes_its_fits_along(cluster, client, arrays):
    Ridge().fit(*arrays)  # the plugin is there
    with Client(cluster, set_as_default=False) as leaving:
        event = {
            "event": "fit_started", "fit": "left alone", "estimator": "Ridge", "time": 0.0,
            "max_steps": 1, "tol": 0.0,
        }  # fmt: skip
        leaving.log_event(TOPIC, {"fit_event": event, "client": leaving.id})
        assert states(client)["left alone"] == "running"
    assert states(client)["left alone"] == "lost"


def test_nonsense_under_the_topic_is_ignored(client, arrays):
    Ridge().fit(*arrays)
    before = states(client)
    for message in ("nonsense", {"fit_event": {}}, {"fit_event": {"event": "step"}, "client": "c"}):
        client.log_event(TOPIC, message)
    assert states(client) == before
    Ridge().fit(*arrays)
    assert len(set(states(client)) - set(before)) == 1  # the oldest may have been dropped for it


def test_one_setting_switches_all_of_it_off(arrays):
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
            protocol="tcp://",  # the default asks for a route to the internet, and warns without
        ) as cluster,
        Client(cluster) as client,
    ):
        with dask.config.set({"dlbd-estimators.dashboard": False}):
            Ridge().fit(*arrays)
        assert client.get_events(TOPIC) == ()
        assert TOPIC not in cluster.scheduler.plugins


def test_a_scheduler_without_a_dashboard_keeps_the_record(arrays):
    with (
        # (dashboard_address=None binds port 8787 all the same, which may be taken.)
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
        ) as cluster,
        Client(cluster) as client,
    ):
        Ridge().fit(*arrays)
        assert list(states(client).values()) == ["converged"]


#: What may be missing, or too old.
SPOILT = {
    "no bokeh": "sys.modules['bokeh'] = None",
    "old bokeh": "import bokeh; bokeh.__version__ = '2.4.0'",
    "no plugins": "from distributed import Scheduler; Scheduler.register_scheduler_plugin = None",
    "no prometheus": "sys.modules['prometheus_client'] = None",
}
FIT = """
import warnings
warnings.simplefilter("ignore")  # Dask's own, of a dashboard that it cannot start
from distributed import Client, LocalCluster
from dlbd_estimators import Ridge
with LocalCluster(n_workers=1, threads_per_worker=1, processes=False,
                  dashboard_address="127.0.0.1:0") as cluster, Client(cluster):
    X = da.random.default_rng(0).normal(size=(100, 2), chunks=(50, 2))
    print(Ridge().fit(X, X[:, 0]).n_passes_, flush=True)
"""
#: Each runs in a process of its own, which has what takes longest to import, and no more.
FORKING = """
import os, sys
import dask.array as da, pandas, sklearn.linear_model
assert not {"bokeh", "distributed", "prometheus_client"} & set(sys.modules)
for name, program in PROGRAMS.items():
    pid = os.fork()
    if not pid:
        exec(compile(program, name, "exec"), {"sys": sys, "da": da})
        os._exit(0)
    print(name, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_a_fit_needs_nothing_of_it(tmp_path):
    programs = {name: f"{spoil}\n{FIT}" for name, spoil in SPOILT.items()}
    program = tmp_path / "program.py"
    program.write_text(f"PROGRAMS = {programs!r}\n{FORKING}")
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.stdout == "".join(f"1.0\n{name} 0\n" for name in SPOILT), done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("client")
def test_a_fit_goes_on_while_its_scheduler_hears_nothing(arrays, monkeypatch):
    from dlbd_estimators.monitoring import cluster as module

    async def never(_):
        raise OSError("gone")

    monkeypatch.setattr(module._Sender, "_send", never)
    assert Ridge().fit(*arrays).n_passes_ == 1


@pytest.mark.usefixtures("client")
def test_prometheus_is_told(cluster, arrays):
    before = metric(cluster, "dlbd_steps_total") if TOPIC in cluster.scheduler.plugins else 0
    model = LogisticRegression().fit(*arrays)
    assert metric(cluster, "dlbd_steps_total") == before + len(model.history_)
    assert metric(cluster, 'dlbd_fits{state="converged"}') >= 1


def metric(cluster, name):
    address = cluster.dashboard_link.rsplit("/", 1)[0] + "/metrics"
    with urllib.request.urlopen(address) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + " "))


@pytest.mark.usefixtures("client")
def test_fits_in_this_process_are_no_business_of_a_scheduler():
    from dlbd_estimators.engine.threads import ThreadExecutor

    with ThreadExecutor(1) as executor:
        assert cluster_listener(executor) is None
