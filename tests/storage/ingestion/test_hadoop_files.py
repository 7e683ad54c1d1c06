"""Raw files in HDFS: the same data set as from local files, and errors that name the URL."""

from __future__ import annotations

import re
import socket
import sys

import numpy as np
import pandas as pd
import pytest

import storage
from storage.ingestion import hadoop_files
from storage.ingestion.source_files import ListedFiles, found_paths
from tests.storage.ingestion.name_node import name_node

FRAME = pd.DataFrame({"x": np.arange(60) / 7, "y": np.arange(60)})
BROKEN = ("half", "short", "refused", "page")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    FRAME.to_parquet(folder / "rows.parquet")
    whole = FRAME.to_csv(index=False).encode()
    files = {
        f"/raw/part-{number}.csv": rows.to_csv(index=False).encode()
        for number, rows in enumerate((FRAME[:20], FRAME[20:40], FRAME[40:]))
    }
    files |= {f"/raw/{kind}.csv": whole for kind in BROKEN}
    files |= {"/raw/forbidden.csv": whole, "/locked/part.csv": whole, "/a b/ä.csv": whole}
    files["/raw/rows.parquet/part.parquet"] = (folder / "rows.parquet").read_bytes()
    files["/raw/rows.parquet/_SUCCESS"] = b""
    with name_node(files) as server:
        yield server


def ingested(source, folder, **options):
    return storage.ingest(source, folder / "d", target="y", overwrite=True, **options)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/raw/part-*.csv", {}),
        ("/raw/part-*.csv", {"partition_nbytes": 100}),
        ("/raw/rows.parquet", {}),
        ("/a b/ä.csv", {}),
    ],
)
def test_files_of_a_name_node(server, path, options, tmp_path):
    data = ingested(f"{server.url}{path}", tmp_path, **options)
    np.testing.assert_array_equal(data.X.compute()[:, 0], FRAME.x)
    np.testing.assert_array_equal(data.y.compute(), FRAME.y)


@pytest.mark.cluster
def test_workers_read_from_a_name_node(server, tmp_path, client):
    data = ingested(f"{server.url}/raw/part-*.csv", tmp_path, partition_nbytes=100)
    np.testing.assert_array_equal(data.y.compute(), FRAME.y)
    assert client.status == "running"


def test_the_user_of_the_url_is_passed_on(server, tmp_path):
    server.users.clear()
    ingested(server.url.replace("//", "//ada@") + "/raw/part-1.csv", tmp_path)
    assert server.users == {"ada"}


def test_a_changed_file_of_the_same_size_is_noticed(server):
    before = ListedFiles.at(*found_paths([f"{server.url}/raw/part-0.csv"])).identity
    server.times["/raw/part-0.csv"] += 1
    assert ListedFiles.at(*found_paths([f"{server.url}/raw/part-0.csv"])).identity != before


ERRORS = {
    "/raw/none.csv": (FileNotFoundError, r"no file is at"),
    "/raw/none-*.csv": (FileNotFoundError, r"no file is at"),
    "/none/*.csv": (FileNotFoundError, r"no file is at"),
    "/raw/forbidden.csv": (PermissionError, r"Permission denied: user=dr\.who.*webhdfs://USER@"),
    "/locked/*.csv": (PermissionError, r"Permission denied: user=dr\.who.*webhdfs://USER@"),
    "/raw/half.csv": (storage.StoreUnreachable, r"IncompleteRead\(\d+ bytes read, \d+ more"),
    "/raw/short.csv": (OSError, r"a node sent \d+ bytes instead of the bytes 0 to \d+"),
    "/raw/refused.csv": (OSError, r"a data node refused.*HTTP 500, Block bp-1 is missing"),
    "/raw/page.csv": (OSError, r"a data node refused.*HTTP 503, Service Unavailable"),
}


@pytest.mark.parametrize("path", ERRORS)
def test_errors_are_one_line_and_name_the_url(server, path, tmp_path):
    kind, problem = ERRORS[path]
    with pytest.raises(kind, match=problem) as error:
        ingested(f"{server.url}{path}", tmp_path)
    assert "\n" not in str(error.value)
    folder = path.rpartition("/")[0]
    assert f"{server.url}{folder if '*' in path else path}" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_name_node_that_is_not_there(tmp_path):
    url = f"webhdfs://127.0.0.1:{free_port()}/raw/part.csv"
    with pytest.raises(storage.StoreUnreachable, match=rf"^cannot read {url}: .*refused$"):
        ingested(url, tmp_path)


def test_a_name_node_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(hadoop_files, "_TIMEOUT_S", (0.1, 0.1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"webhdfs://127.0.0.1:{silent.getsockname()[1]}/raw/part.csv"
        with pytest.raises(storage.StoreUnreachable, match=rf"^cannot read {url}: timed out$"):
            ingested(url, tmp_path)


def test_a_missing_package_is_named(server, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "storage.ingestion.hadoop_files", None)
    with pytest.raises(storage.UnsupportedURL, match=r"cannot read .*: .*pip install requests"):
        ingested(f"{server.url}/raw/part-0.csv", tmp_path)


def test_urls_that_name_no_place(server, tmp_path):
    with pytest.raises(storage.UnsupportedURL, match=r"it names no host, as webhdfs://HOST"):
        ingested("webhdfs:///raw/part.csv", tmp_path)
    with pytest.raises(storage.UnsupportedURL, match=r"no \? and no #; as wildcards use \* or \["):
        ingested(f"{server.url}/raw/part-?.csv", tmp_path)
    other = server.url.replace("127.0.0.1", "localhost")
    with pytest.raises(storage.InvalidData, match="in several places"):
        ingested([f"{server.url}/raw/part-0.csv", f"{other}/raw/part-1.csv"], tmp_path)


@pytest.mark.parametrize("reason", ["Unable to load libjvm: a\nb", "Prior attempt to load libhdfs"])
def test_hdfs_without_java_names_the_way_through_http(tmp_path, monkeypatch, reason):
    def unable(*_, **__):
        raise OSError(reason)

    monkeypatch.setattr("pyarrow.fs.HadoopFileSystem", unable)
    with pytest.raises(storage.UnsupportedURL, match=r"webhdfs://HOST:PORT/PATH") as error:
        ingested("hdfs://127.0.0.1:9000/raw/part.csv", tmp_path)
    assert re.fullmatch(r"cannot read hdfs://127\.0\.0\.1:9000/raw/part\.csv: .*", str(error.value))
