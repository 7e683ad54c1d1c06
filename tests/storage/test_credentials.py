"""Credentials in URLs are shown nowhere: not in text forms, not in errors, not in reports."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import storage
from dlbd_estimators.engine import credentials as of_estimators
from storage.credentials import without_credentials
from storage.location import store_at

SECRET = "hunter2"


@pytest.mark.parametrize("hide", [without_credentials, of_estimators.without_credentials])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"s3://me:{SECRET}@bucket/d", "s3://***@bucket/d"),
        (f"s3://{SECRET}@bucket/d", "s3://***@bucket/d"),
        (f"s3://me:{SECRET}/and/more@bucket/d", "s3://***@bucket/d"),
        (f"s3://me:p@{SECRET}@bucket/d", "s3://***@bucket/d"),
        (f"https://host:8080/a@b?sig={SECRET}&x=1", "https://host:8080/a@b?***"),
        (f"simplecache::ftp://me:{SECRET}@host/d", "simplecache::ftp://***@host/d"),
        (f"'s3://me:{SECRET}@b/d' and s3://c/d?{SECRET}", "'s3://***@b/d' and s3://c/d?***"),
        (
            "abfss://box@account.dfs.core.windows.net/d",
            "abfss://box@account.dfs.core.windows.net/d",
        ),
        (f"abfss://box:{SECRET}@account/d", "abfss://***@account/d"),
        ("s3://bucket/d#1, me@example.com? yes", "s3://bucket/d#1, me@example.com? yes"),
        ("/data/a@b?c", "/data/a@b?c"),
    ],
)
def test_texts(hide, text, shown):
    assert hide(text) == shown
    assert SECRET not in hide(text)


def test_a_url_that_nothing_opens():
    for url in (f"nothing://me:{SECRET}@host/d", f"s3://me:{SECRET}@/", f"http://[{SECRET}@"):
        with pytest.raises(storage.UnsupportedURL) as caught:
            storage.open_dataset(url)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_store_that_does_not_answer(monkeypatch):
    monkeypatch.setattr("storage.objects.sync", _refuse)
    url = f"http://me:{SECRET}@127.0.0.1:9/d?token={SECRET}"
    store = store_at(url)
    with pytest.raises(storage.StoreUnreachable, match=r"\*\*\*@127\.0\.0\.1") as caught:
        store.write("key", [b""])
    assert SECRET not in str(caught.value)
    assert SECRET not in f"{store.location} {store!r} {store.opener!r}"


def _refuse(asked):
    asked.close()
    raise RuntimeError(f"no answer from http://me:{SECRET}@127.0.0.1:9/d")


def test_the_text_form_of_a_data_set():
    url = f"memory://me:{SECRET}@here"
    data = storage.create_dataset(
        url, np.eye(3), np.arange(3), source=f"copied from s3://me:{SECRET}@bucket/d"
    )
    assert data.url == url  # it opens the data set again
    assert SECRET not in repr(data)
    assert SECRET not in data.store.read_bytes("zarr.json", 10**6).decode()
    names = [str(key) for key in data.X.__dask_graph__()]
    assert SECRET not in " ".join(names)


def test_the_report_of_an_ingest(tmp_path):
    import fsspec

    with fsspec.open("memory://rows.csv", "w") as file:
        pd.DataFrame({"a": [1, 2], "b": [0, 1]}).to_csv(file, index=False)
    source = f"memory://rows.csv?token={SECRET}"
    with pytest.raises(FileNotFoundError, match=r"\?\*\*\*") as caught:
        storage.ingest(source, tmp_path / "d", target="b")
    assert SECRET not in str(caught.value)
