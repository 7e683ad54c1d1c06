"""Data sets at ``gs://``: commits are conditional, and listings may have several pages.

All tests of object stores run on this server with DLBD_OBJECT_STORE=google.
"""

from __future__ import annotations

import numpy as np
import pytest

import storage
from storage.objects import Objects
from storage.zarr_stores import AtURL
from tests.storage.cloud.google_server import google_server
from tests.storage.cloud.test_appending import SMALL, X, Y, appended


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with google_server(tmp_path_factory.mktemp("google")) as server:
        yield server


@pytest.fixture(autouse=True)
def _environment(google, monkeypatch):
    for name, value in google.environment.items():
        monkeypatch.setenv(name, value)


def test_versions_of_a_data_set(google):
    data = appended(f"{google.url}/a/rows.zarr")
    assert len(data.store.names_in("X")) > 5  # more than a page


def test_a_file_is_created_once(google):
    files = Objects(AtURL(f"{google.url}/b"))
    assert files.create("manifest.json", b"first")
    assert not files.create("manifest.json", b"second")
    assert files.read("manifest.json").tobytes() == b"first"
    storage.create_dataset(f"{google.url}/c", X, Y, **SMALL)
    with pytest.raises(storage.DatasetExists, match="already at gs://"):
        storage.create_dataset(f"{google.url}/c", X, Y)
    np.testing.assert_array_equal(storage.open_dataset(f"{google.url}/c").X.compute(), X)


def test_errors_name_the_reason(google, monkeypatch):
    with pytest.raises(storage.StoreUnreachable, match=r"404 Not Found: NoSuchBucket\)"):
        storage.create_dataset("gs://absent/rows.zarr", X, Y)
    monkeypatch.setenv(google.secret, google.wrong_secret)
    with pytest.raises(PermissionError, match=r"AuthenticationRequired\): check the credentials"):
        storage.create_dataset(f"{google.url}/d", X, Y)
