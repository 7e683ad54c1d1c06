"""Every store that zarr opens is taken: in memory, zipped, of the web; what cannot be is said."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import pickle
import shutil
import socket
import sys
import threading

import dask.array as da
import numpy as np
import pytest
import zarr.storage
from obstore.store import from_url

import storage
from storage.local_files import LocalFiles
from storage.zarr_stores import AtURL, UserStore

X, Y = np.arange(600.0).reshape(200, 3), np.arange(200) % 2
SMALL = {"chunk_nbytes": 480, "block_nbytes": 2_000}


def same(data):
    np.testing.assert_array_equal(data.X.compute(scheduler="threads"), X)
    np.testing.assert_array_equal(data.y.compute(scheduler="threads"), Y)
    assert data.verify().nan == {"X": 0, "y": 0}


@pytest.fixture
def folder(tmp_path):
    return storage.create_dataset(tmp_path / "d", X, Y, **SMALL).path


class TestMemory:
    def test_a_url_names_the_same_place_in_all_of_the_process(self):
        same(storage.create_dataset("memory://test-one", da.from_array(X, chunks=30), Y, **SMALL))
        same(storage.open_dataset("memory://test-one"))
        same(pickle.loads(pickle.dumps(storage.open_dataset("memory://test-one"))))
        with pytest.raises(storage.DatasetNotFound):
            storage.open_dataset("memory://test-two")
        with pytest.raises(storage.DatasetExists, match="cannot be replaced in one step"):
            storage.create_dataset("memory://test-one", X, Y, overwrite=True)

    def test_a_store_of_zarr(self):
        store = zarr.storage.MemoryStore()
        same(storage.create_dataset(store, X, Y, **SMALL))
        same(storage.open_dataset(store))
        assert sorted(name for name, _ in zarr.open_group(store, mode="r").members()) == ["X", "y"]

    @pytest.mark.usefixtures("client")
    def test_workers_of_other_processes_are_refused_and_told_why(self):
        data = storage.create_dataset("memory://test-three", X, Y, **SMALL)  # rows of this process
        with pytest.raises(Exception, match="lives in the memory of process") as caught:
            data.X.compute()
        chain = [caught.value, caught.value.__cause__]
        assert any(isinstance(each, storage.UnsupportedURL) for each in chain)


def test_a_local_store_of_zarr_is_the_folder(folder):
    data = storage.open_dataset(zarr.storage.LocalStore(folder))
    assert data.store == LocalFiles(str(folder))
    same(data)


def test_a_zip_file_can_be_read(folder, tmp_path):
    shutil.make_archive(str(tmp_path / "rows"), "zip", folder)
    with contextlib.closing(zarr.storage.ZipStore(tmp_path / "rows.zip", mode="r")) as store:
        same(storage.open_dataset(store))
        with pytest.raises(storage.UnsupportedURL, match="no data set can be written there"):
            storage.create_dataset(store, X, Y)


def test_a_store_of_fsspec(folder):
    same(storage.open_dataset(zarr.storage.FsspecStore.from_url(f"file://{folder}")))


class Faults:
    """What a server does wrong, by the path that is asked for: each entry is one answer."""

    def __init__(self):
        self.by_path = {}
        self.seen = []

    def next_for(self, path):
        waiting = self.by_path.get(path.rpartition("/d/")[2], [])
        if not waiting:
            return None
        self.seen.append(waiting[0])
        return waiting.pop(0)


class TestTheWeb:
    @pytest.fixture
    def faults(self):
        return Faults()

    @pytest.fixture
    def site(self, folder, faults):
        class Quiet(http.server.SimpleHTTPRequestHandler):
            """Gives the range of a file that is asked for, as servers of large files do."""

            def log_message(self, *_):
                pass

            def do_GET(self):
                fault = faults.next_for(self.path)
                if fault == "busy":
                    self.send_error(503)
                    return
                if fault == "half":
                    body = folder.joinpath(self.path.partition("/d/")[2]).read_bytes()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.send_header("ETag", '"1"')  # so that a client may go on where it ended
                    self.end_headers()
                    self.wfile.write(body[: len(body) // 2])
                    self.close_connection = True
                    return
                asked = self.headers.get("Range")
                if asked is None:
                    super().do_GET()
                    return
                first, last = map(int, asked.removeprefix("bytes=").split("-"))
                whole = folder.joinpath(self.path.partition("/d/")[2]).read_bytes()
                part = whole[first : last + 1]
                self.send_response(206)
                self.send_header("Content-Length", str(len(part)))
                self.send_header("ETag", '"1"')
                self.send_header(
                    "Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(whole)}"
                )
                self.end_headers()
                self.wfile.write(part)

        handler = functools.partial(Quiet, directory=folder.parent)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()

    def test_it_can_be_read(self, site):
        same(storage.open_dataset(f"{site}/d"))
        same(storage.open_dataset(f"{site}/d/"))

    def test_it_cannot_be_written(self, site):
        with pytest.raises(storage.UnsupportedURL, match="no data set can be written there"):
            storage.create_dataset(f"{site}/new", X, Y)

    def test_nothing_there(self, site):
        with pytest.raises(storage.DatasetNotFound, match="nothing is there at all"):
            storage.open_dataset(f"{site}/new")

    def test_damage_is_found(self, site, folder):
        path = folder / "X" / "c.2.0"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(storage.ChunkCorrupt, match=r"chunk 2 of array 'X'.*the manifest says"):
            storage.open_dataset(f"{site}/d").X.compute()

    @pytest.mark.parametrize("kind", ["busy", "half"])
    def test_a_fault_that_passes_is_not_noticed(self, site, faults, kind):
        faults.by_path = {"X/c.2.0": [kind], "manifest.json": [kind]}
        same(storage.open_dataset(f"{site}/d"))
        assert faults.seen == [kind] * 2

    @pytest.mark.parametrize("kind", ["busy", "half"])
    def test_a_fault_that_stays_is_an_error_that_names_the_file(self, site, faults, kind):
        data = storage.open_dataset(f"{site}/d")
        faults.by_path = {"X/c.2.0": [kind] * 1_000}
        with pytest.raises(OSError, match=r"X/c\.2\.0"):
            data.X.compute()


def test_without_obstore_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(storage.UnsupportedURL, match=r"pip install 'dlbd-estimators\[cloud\]'"):
        storage.open_dataset("gs://bucket/never-opened-before")


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("s3://bucket/x", "AWS_ENDPOINT_URL"),
        ("s3://bucket/x", "AWS_ENDPOINT_URL_S3"),
        ("gs://bucket/x", "GOOGLE_BASE_URL"),
        ("az://bucket/x", "AZURE_STORAGE_ENDPOINT"),
        ("abfs://bucket/x", "AZURE_ENDPOINT"),
    ],
)
def test_a_server_without_encryption_is_reached_only_if_its_address_asks_for_it(
    url, variable, monkeypatch
):
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    for address, allowed in (("http://127.0.0.1:1", True), ("https://127.0.0.1:1", False)):
        monkeypatch.setenv(variable, address)
        client = AtURL(url).open().store.client_options
        assert client["allow_http"] in (allowed, str(allowed).lower())


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """The address of a server that does not exist, and an environment without settings."""
    monkeypatch.setenv("HOME", str(tmp_path))  # Google's tools put credentials there
    for name in [*os.environ]:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{nobody.getsockname()[1]}"


def both_ways(url, error, match):
    with pytest.raises(error, match=match):
        storage.open_dataset(url)
    with pytest.raises(error, match=match):
        storage.create_dataset(url, X, Y)


@pytest.mark.parametrize("url", ["s3://bucket/rows", "gs://bucket/rows", "az://bucket/rows"])
def test_without_credentials_it_says_so(url, nobody, monkeypatch):
    # The services that give a machine in a cloud its credentials.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://{nobody}")
    monkeypatch.setenv("GCE_METADATA_HOST", nobody)
    monkeypatch.setenv("GCE_METADATA_IP", nobody)
    monkeypatch.setenv("AZURE_MSI_ENDPOINT", f"http://{nobody}/metadata/identity")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    both_ways(url, PermissionError, "no credentials are in the environment.*SKIP_SIGNATURE")


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("s3://bucket/rows", "AWS_ENDPOINT_URL"),
        ("gs://bucket/rows", "GOOGLE_BASE_URL"),
        ("az://bucket/rows", "AZURE_STORAGE_ENDPOINT"),
    ],
)
def test_an_address_without_http_is_refused(url, variable, nobody, monkeypatch, capfd):
    monkeypatch.setenv(variable, nobody)
    both_ways(url, storage.UnsupportedURL, f"{variable} is '{nobody}', and must begin with http")
    assert capfd.readouterr().err == ""  # a panic of obstore is printed


@pytest.mark.usefixtures("nobody")
def test_a_server_whose_name_is_wrong(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://no-such-host.invalid:9000")
    both_ways("s3://bucket/rows", storage.StoreUnreachable, "no-such-host.*can be reached from")


def test_a_store_of_azure_without_a_text_form_has_a_name(monkeypatch, capfd):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    store = zarr.storage.ObjectStore(from_url("az://bucket/x"))
    assert UserStore(store).name in ("ObjectStore", "object_store://AzureStore")
    capfd.readouterr()  # the panic is printed
