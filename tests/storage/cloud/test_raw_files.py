"""Raw files in an object store and on a web server: the same data set as from local files."""

from __future__ import annotations

import functools
import http.server
import os
import threading

import numpy as np
import obstore
import pandas as pd
import pytest
from obstore.store import from_url

import storage
from storage.errors import UnsupportedURL
from storage.ingestion.sources import source_of

FRAME = pd.DataFrame({"x": np.arange(300) / 7, "kind": ["a", "b", "c"] * 100, "y": [0, 1, 1] * 100})


def write_files(folder):
    for number in range(3):
        part = FRAME.iloc[100 * number : 100 * number + 100]
        part.to_csv(folder / f"{number}.csv", index=False)
        part.to_parquet(folder / f"{number}.parquet")
        part.reset_index(drop=True).to_feather(folder / f"{number}.arrow")
    FRAME.to_csv(folder / "all.csv.gz", index=False)
    return folder


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "raw").mkdir()
    return write_files(tmp_path / "raw")


@pytest.fixture
def remote(place, raw):
    """A folder in the object store with the same files."""
    url = place.removesuffix("/rows.zarr") + "/raw"
    store = from_url(url, client_options={"allow_http": True})
    for file in raw.iterdir():
        obstore.put(store, file.name, file.read_bytes())
    return url


def ingested(source, folder, **options):
    data = storage.ingest(source, folder / "d", target="y", overwrite=True, **options)
    return data.X.compute(), data.y.compute(), data.quality.columns


def same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[2] == expected[2]


@pytest.mark.parametrize("name", ["*.csv", "all.csv.gz", "*.parquet", "*.arrow", "1.csv"])
def test_files_of_an_object_store(remote, raw, tmp_path, name):
    expected = ingested(raw / name, tmp_path)
    same(ingested(f"{remote}/{name}", tmp_path), expected)
    if name == "*.csv":  # in blocks that begin inside the files
        expected = ingested(raw / name, tmp_path, partition_nbytes=400)
        same(ingested(f"{remote}/{name}", tmp_path, partition_nbytes=400), expected)


def test_a_folder_of_an_object_store_with_and_without_a_slash_at_its_end(remote, raw, tmp_path):
    store = from_url(f"{remote}/table", client_options={"allow_http": True})
    for number in range(3):
        obstore.put(store, f"{number}.parquet", (raw / f"{number}.parquet").read_bytes())
    expected = ingested(raw / "*.parquet", tmp_path)
    for url in (f"{remote}/table", f"{remote}/table/"):
        same(ingested(url, tmp_path), expected)


def test_workers_of_a_cluster_read_an_object_store(remote, raw, tmp_path, server, client):
    expected = ingested(raw / "*.parquet", tmp_path)
    client.run(_set_environment, server.environment)
    try:
        same(ingested(f"{remote}/*.parquet", tmp_path), expected)
    finally:
        client.run(_unset_environment, [*server.environment])


def _set_environment(values):
    os.environ.update(values)


def _unset_environment(names):
    for name in names:
        os.environ.pop(name, None)


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_a_file_that_is_deleted_during_an_ingest_is_named(remote, kind):
    source = source_of(f"{remote}/1.{kind}", None, 2**20)
    obstore.delete(from_url(remote, client_options={"allow_http": True}), f"1.{kind}")
    with pytest.raises(FileNotFoundError, match=rf"no file is at .*raw/1\.{kind}"):
        source.loaded(source.names)


def test_what_is_not_there_or_not_allowed(remote, tmp_path, server, monkeypatch):
    for name in ("none.csv", "*.tsv"):
        with pytest.raises(FileNotFoundError, match=r"no file is at .*/raw/"):
            storage.ingest(f"{remote}/{name}", tmp_path / "d", target="y")
    monkeypatch.setenv(server.secret, server.wrong_secret)
    with pytest.raises(PermissionError, match="check the credentials"):
        storage.ingest(f"{remote}/0.csv", tmp_path / "d", target="y")
    assert not (tmp_path / "d").exists()


@pytest.fixture
def web(raw):
    class Ranges(http.server.SimpleHTTPRequestHandler):
        """Sends parts of files, as most web servers do, but not of files called plain."""

        def log_message(self, *_):
            pass

        def do_GET(self):
            wanted = self.headers.get("Range")
            if wanted is None or "plain" in self.path:
                super().do_GET()
                return
            content = (raw / self.path.lstrip("/")).read_bytes()
            first, last = wanted.removeprefix("bytes=").split("-")
            part = content[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Length", str(len(part)))
            stop = int(first) + len(part) - 1
            self.send_header("Content-Range", f"bytes {first}-{stop}/{len(content)}")
            self.end_headers()
            self.wfile.write(part)

    (raw / "plain.csv").write_bytes((raw / "0.csv").read_bytes())
    handler = functools.partial(Ranges, directory=str(raw))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def test_files_of_a_web_server(web, raw, tmp_path):
    names = ["0.csv", "1.csv", "2.csv"]
    expected = ingested([raw / name for name in names], tmp_path)
    same(ingested([f"{web}/{name}" for name in names], tmp_path), expected)
    same(ingested(f"{web}/all.csv.gz", tmp_path), ingested(raw / "all.csv.gz", tmp_path))
    for url, match in (
        (f"{web}/*.csv", "a web server has no list of its files"),
        (f"{web}/0.csv?token=1", r"a URL with a query needs aiohttp"),
        ("nowhere://bucket/a.csv", "cannot read nowhere://bucket/a.csv: Protocol not known"),
    ):
        with pytest.raises(UnsupportedURL, match=match):
            storage.ingest(url, tmp_path / "new", target="y")
    with pytest.raises(OSError, match="the server does not send parts of files"):
        storage.ingest(f"{web}/plain.csv", tmp_path / "new", target="y")
    with pytest.raises(FileNotFoundError, match="no file is at http"):
        storage.ingest(f"{web}/9.csv", tmp_path / "new", target="y")
    with pytest.raises(storage.InvalidData, match="in several places"):
        storage.ingest([f"{web}/0.csv", str(raw / "1.csv")], tmp_path / "new", target="y")
