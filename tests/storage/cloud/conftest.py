"""The S3 server that tests of this folder share."""

from __future__ import annotations

import itertools

import pytest

from tests.storage.cloud.s3_server import BUCKET, s3_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as environment:
        yield environment


@pytest.fixture
def s3(server, monkeypatch):
    """A URL of a place in S3 where nothing is, which this process and its children can reach."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{next(_numbers)}/rows.zarr"
