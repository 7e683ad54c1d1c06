"""A cluster with TLS gives the same bits; one without TLS is refused where Dask requires it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import warnings
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.delayed import delayed
from distributed import Client, LocalCluster, Security
from sklearn.exceptions import ConvergenceWarning

import storage
from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.cli.workers import _ask, _certificates, connected, started
from dlbd_estimators.engine.encryption import check_encryption
from dlbd_estimators.engine.select import check_cluster
from dlbd_estimators.exceptions import UnencryptedCluster
from dlbd_estimators.metrics import r2_score
from dlbd_estimators.model_selection import train_test_split
from dlbd_estimators.monitoring import listening
from dlbd_estimators.monitoring.plugin import TOPIC
from dlbd_estimators.preprocessing import StandardScaler
from storage.predictions import write_predictions
from tests.faults import work

REQUIRED = {"distributed.comm.require-encryption": True}
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Dask's configuration of a certificate that signs itself."""
    folder = tmp_path_factory.mktemp("certificates")
    files = {"ca-file": folder / "cert.pem", "key": folder / "key.pem"}
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN=127.0.0.1 -keyout {files['key']} -out {files['ca-file']}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    role = {"cert": str(files["ca-file"]), "key": str(files["key"])}
    tls = {"ca-file": role["cert"], "client": role, "scheduler": role, "worker": role}
    return {f"distributed.comm.tls.{name}": value for name, value in tls.items()}


@pytest.fixture(scope="module")
def tls_cluster(certificates, tmp_path_factory):
    with dask.config.set({**certificates, **REQUIRED}):
        security = Security()
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        memory_limit="1GiB",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        local_directory=str(tmp_path_factory.mktemp("tls")),
        security=security,
    ) as cluster:
        yield cluster


@pytest.fixture
def tls_client(tls_cluster):
    with dask.config.set(REQUIRED), Client(tls_cluster) as client:
        addresses = [client.scheduler.address, *client.scheduler_info()["workers"]]
        assert all(address.startswith("tls://") for address in addresses)
        yield client


@needs_openssl
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "name",
    ["gram", "newton", "network, two replicas", "StandardScaler", "metrics", "train_test_split",
     "predict and score", "write"],
)  # fmt: skip
@pytest.mark.usefixtures("tls_client")
def test_the_same_bits_with_tls(name, tmp_path):
    work.assert_same_bits(work.run(name, tmp_path), work.expected(name, tmp_path))


@needs_openssl
def test_checkpoints_and_events_with_tls(tls_client, tmp_path):
    X, _, y = work.lazy()
    folder = str(tmp_path / "checkpoint")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        LogisticRegression(solver="lbfgs", max_iter=2, checkpoint=folder).fit(X, y)
    heard = []
    with listening(heard.append):
        resumed = LogisticRegression(solver="lbfgs", checkpoint=folder).fit(X, y)
    messages = [message["fit_event"] for _, message in tls_client.get_events(TOPIC)]
    assert [event for event in messages if event["fit"] == heard[0]["fit"]] == heard
    assert heard[-1]["event"] == "fit_ended"
    with dask.config.set(scheduler="threads"):
        whole = LogisticRegression(solver="lbfgs").fit(X, y)
    work.assert_same_bits(work.bits(resumed), work.bits(whole))


@needs_openssl
def test_commands_connect_with_configured_certificates(tls_cluster, certificates):
    address = tls_cluster.scheduler_address
    with (
        dask.config.set({**certificates, **REQUIRED}),
        connected(address),
    ):
        check_cluster()
    with pytest.raises(ValueError, match=r"needs certificates.*tls\.ca-file"):
        _certificates(address)
    with (
        dask.config.set({**certificates, "distributed.comm.tls.ca-file": "/nowhere.pem"}),
        pytest.raises(ValueError, match=r"certificates.*No such file"),
    ):
        _certificates(address)
    with (
        dask.config.set(REQUIRED),
        pytest.raises(ValueError, match="needs certificates"),
        started(1, "auto"),
    ):
        pass
    # Without the certificate, nobody is let in.
    with pytest.raises(TypeError, match="ssl_context"):
        asyncio.run(_ask(address, {}))


class Marks:
    """Leaves a file behind where a block is read."""

    def __init__(self, folder):
        self.file = Path(folder) / "read"

    def __call__(self, block):
        self.file.touch()
        return block


def _stored(folder):
    X, y, _ = work.data()
    with dask.config.set({"distributed.comm.require-encryption": None}):
        return storage.create_dataset(folder / "stored", X, y)


def _ingest(folder):
    frame = pd.DataFrame({"a": np.arange(20.0), "b": np.arange(20.0)})
    rows = delayed(Marks(folder))(frame)
    return storage.ingest(dd.from_delayed([rows], meta=frame), folder / "i", target="b")


#: Each function of this package that sends work to a cluster.
ENTRIES = {
    "a linear model": lambda rows: Ridge().fit(rows.X, rows.y),
    "a classifier": lambda rows: LogisticRegression().fit(rows.X, rows.labels),
    "a network": lambda rows: MLPClassifier((2,), max_iter=1).fit(rows.X, rows.labels),
    "partial_fit": lambda rows: StandardScaler().partial_fit(rows.X),
    "shared parts": lambda rows: Ridge().fit(rows.X - rows.X.mean(axis=0), rows.y),
    "statistics": lambda rows: StandardScaler().fit(rows.X),
    "a metric": lambda rows: r2_score(rows.y, rows.X[:, 0]),
    "a split": lambda rows: train_test_split(rows.X, stratify=rows.X[:, 0] > 0),
    "a score": lambda rows: Ridge().fit(*work.data()[:2]).score(rows.X, rows.y),
    "a check": lambda _: check_cluster(),
    "writing": lambda rows: storage.create_dataset(rows.folder / "d", rows.X, rows.y),
    "ingestion": lambda rows: _ingest(rows.folder),
    "verification": lambda rows: _stored(rows.folder).verify(),
    "shuffling": lambda rows: storage.shuffle(_stored(rows.folder), rows.folder / "s", seed=0),
    "predictions as Zarr": lambda rows: write_predictions(
        {"p": rows.X[:, 0]}, str(rows.folder / "p.zarr")
    ),
    "predictions": lambda rows: write_predictions({"p": rows.X[:, 0]}, str(rows.folder / "p.pq")),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_cluster_without_tls_is_refused(name, client, tmp_path):
    rows = work.Rows(*work.lazy(Marks(tmp_path)), tmp_path)
    tasks = len(client.cluster.scheduler.tasks)
    with (
        dask.config.set(REQUIRED),
        pytest.raises(RuntimeError, match=r"encryption is true.*No data was sent") as error,
    ):
        ENTRIES[name](rows)
    assert isinstance(error.value, UnencryptedCluster | storage.UnencryptedCluster)
    assert client.scheduler.address in str(error.value)
    assert not (tmp_path / "read").exists()
    assert len(client.cluster.scheduler.tasks) == tasks
    # In this process, nothing is sent.
    with dask.config.set(REQUIRED, scheduler="threads"):
        assert np.isfinite(Ridge().fit(*work.data()[:2]).coef_).all()


def test_each_address_counts():
    with dask.config.set(REQUIRED):
        check_encryption("inproc://127.0.0.1/1/1", ["inproc://127.0.0.1/1/4"])
        check_encryption("tls://a:1", ["tls://a:2", "wss://b:3"])
        with pytest.raises(UnencryptedCluster, match=r"1 of the workers of tls://a:1.*tcp://c:4"):
            check_encryption("tls://a:1", ["tls://a:2", "tcp://c:4"])
        for plain in ("tcp://a:1", "ws://a:1", "ucx://a:1", "a:1", "TLS", ""):
            with pytest.raises(UnencryptedCluster, match="scheduler"):
                check_encryption(plain)
    check_encryption("tcp://a:1", ["tcp://a:2"])
