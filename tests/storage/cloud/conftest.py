"""The object store that tests of this folder share.

The variable DLBD_OBJECT_STORE selects its server: s3 (the default), azure or google. `make
test-stores` runs the tests with each of them.
"""

from __future__ import annotations

import itertools
import os

import pytest

from tests.storage.cloud.azure_server import azure_server
from tests.storage.cloud.google_server import google_server
from tests.storage.cloud.s3_server import s3_server

SERVERS = {"s3": s3_server, "azure": azure_server, "google": google_server}
_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    start = SERVERS[os.environ.get("DLBD_OBJECT_STORE") or "s3"]
    with start(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def place(server, monkeypatch):
    """A URL where nothing is, which this process and its children can reach."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return f"{server.url}/{next(_numbers)}/rows.zarr"
