"""Data sets in a real object store are the ones on a disk, and are never half-written."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from zarr.storage import ObjectStore

import storage
from dlbd_estimators.linear_model import Ridge
from storage.claim import CLAIM, Claim
from storage.objects import Objects
from storage.predictions import write_predictions
from storage.zarr_stores import AtURL

SMALL = {"chunk_nbytes": 2_000, "block_nbytes": 6_000}
ROOT = Path(storage.__file__).parents[1]


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(1_000, 5))
    X[7, 3] = np.nan
    return X, np.arange(1_000) % 3, rng.random(1_000)


def create(url, rows, **options):
    return storage.create_dataset(url, *rows, classes=["a", "b", "c"], **SMALL, **options)


def files(url):
    return Objects(AtURL(url))


def listed(url):
    return sorted(files(url).names())


def test_it_is_the_data_set_that_a_disk_has(s3, rows, tmp_path):
    here, there = create(tmp_path / "d", rows), create(s3, rows)
    for name in ("X", "y", "sample_weight"):
        np.testing.assert_array_equal(getattr(there, name).compute(), getattr(here, name).compute())
        assert getattr(there, name).chunks == getattr(here, name).chunks
        key = here.layouts[name].key(0)
        assert there.store.read(key).tobytes() == (here.path / key).read_bytes()
    mine, yours = here.verify(), there.verify()
    assert (mine.chunks, mine.nbytes, mine.nan) == (yours.chunks, yours.nbytes, yours.nan)
    assert there.url == s3
    assert s3 in repr(there)
    with pytest.raises(storage.UnsupportedURL, match="is no folder"):
        there.path  # noqa: B018 - asking is what is tested
    assert listed(s3) == ["X", "manifest.json", "sample_weight", "y", "zarr.json"]
    some = storage.open_dataset(s3, columns=["x3", 0])
    np.testing.assert_array_equal(some.X.compute(), rows[0][:, [3, 0]])


def test_zarr_alone_opens_it(s3, rows):
    create(s3, rows)
    group = zarr.open_group(files(s3).for_zarr(), mode="r")
    assert sorted(name for name, _ in group.members()) == ["X", "sample_weight", "y"]
    np.testing.assert_array_equal(group["X"][:], rows[0])


@pytest.mark.cluster
def test_workers_write_and_read_it_and_a_fit_has_the_same_bits(s3, rows, tmp_path, server):
    X, weights = np.nan_to_num(rows[0]), rows[2]
    lazy = [da.from_array(each, chunks=130) for each in (X, X @ np.arange(5.0), weights)]
    here = storage.create_dataset(tmp_path / "d", *lazy, **SMALL)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
            env=server,  # workers are forked from a server, which may be older than the variables
        ) as cluster,
        Client(cluster),
    ):  # fmt: skip
        there = storage.create_dataset(s3, *lazy, **SMALL)
        assert there.verify().chunks == here.verify().chunks
        found = Ridge().fit(there.X, there.y, there.sample_weight)
        expected = Ridge().fit(here.X, here.y, here.sample_weight)
    np.testing.assert_array_equal(found.coef_, expected.coef_)


def test_a_pickled_data_set_opens_and_holds_no_secret(s3, rows, server):
    data = create(s3, rows)
    pickled = pickle.dumps(data)
    assert server["AWS_SECRET_ACCESS_KEY"].encode() not in pickled
    np.testing.assert_array_equal(pickle.loads(pickled).X.compute(), rows[0])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda _: None, "the file is missing"),
        (lambda good: good[:-1], "bytes, the manifest says"),
        (lambda good: bytes([good[0] ^ 1]) + good[1:], "its checksum is"),
    ],
    ids=["deleted", "truncated", "flipped"],
)
def test_damage_is_found(s3, rows, change, problem):
    data = create(s3, rows)
    key = data.layouts["X"].key(4)
    bad = change(data.store.read(key).tobytes())
    data.store.delete(key)
    if bad is not None:
        data.store.write(key, [bad])
    for read in (data.X.compute, data.verify):
        with pytest.raises(storage.DatasetCorrupt, match=rf"chunk 4 of array 'X'.*{problem}"):
            read()


def test_a_chunk_of_another_place_is_found(s3, rows):
    data = create(s3, rows)
    one, other = (data.layouts["X"].key(chunk) for chunk in (1, 2))
    data.store.write(one, [data.store.read(other).tobytes()])
    with pytest.raises(storage.ChunkCorrupt, match="belongs to another chunk, or to another"):
        data.X.compute()


def test_deleted_under_an_open_data_set(s3, rows):
    data = create(s3, rows)
    for name in ("manifest.json", data.layouts["X"].key(3)):
        files(s3).delete(name)
    with pytest.raises(storage.DatasetReplaced, match="overwritten, moved or deleted"):
        data.X.compute()
    with pytest.raises(storage.DatasetIncomplete, match="half-written"):
        storage.open_dataset(s3)


def test_nothing_there_and_something_else_there(s3):
    with pytest.raises(storage.DatasetNotFound, match="nothing is there at all"):
        storage.open_dataset(s3)
    files(s3).write("notes.txt", [b"mine"])
    with pytest.raises(storage.NotADataset, match=r"is a place without zarr\.json"):
        storage.open_dataset(s3)


class TestNothingIsLost:
    def test_a_complete_data_set_is_never_replaced(self, s3, rows):
        create(s3, rows)
        for overwrite in (False, True):
            with pytest.raises(storage.DatasetExists, match="choose another place"):
                create(s3, rows, overwrite=overwrite)
        storage.verify(s3)

    @pytest.mark.parametrize("key", ["notes.txt", "X/notes.txt", "zarr.json"])
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_nor_is_anything_else(self, s3, rows, key, overwrite):
        files(s3).write(key, [b"{}"])
        with pytest.raises(storage.DatasetExists, match="holds something else"):
            create(s3, rows, overwrite=overwrite)
        assert files(s3).read(key).tobytes() == b"{}"

    def test_an_error_leaves_nothing(self, s3, rows):
        def fail(_):
            raise ValueError("no such block")

        X = da.from_array(rows[0], chunks=(100, 5)).map_blocks(
            fail, dtype=float, meta=np.empty((0, 0))
        )
        with pytest.raises(ValueError, match="no such block") as caught:
            create(s3, (X, rows[1]))
        assert "Nothing was stored" in caught.value.__notes__[0]
        assert files(s3).names() == []

    def test_of_two_writers_the_second_fails_and_the_first_is_whole(self, s3, rows, monkeypatch):
        seen = []
        write = Objects.write

        def write_and_interfere(self, key, parts, **options):
            if key == "X/c.3.0" and not seen:
                seen.append(key)
                with pytest.raises(storage.DatasetExists, match="is being written"):
                    create(s3, rows)
            write(self, key, parts, **options)

        monkeypatch.setattr(Objects, "write", write_and_interfere)
        create(s3, rows).verify()
        assert seen
        assert CLAIM not in listed(s3)

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_data_set_that_comes_while_rows_are_counted_is_not_replaced(
        self, s3, rows, overwrite, monkeypatch
    ):
        begin = Claim.begin

        def be_late(self, *arguments):
            monkeypatch.setattr(Claim, "begin", begin)
            create(s3, (rows[0] + 1, *rows[1:]))
            begin(self, *arguments)

        monkeypatch.setattr(Claim, "begin", be_late)
        with pytest.raises(storage.DatasetExists, match="already at"):
            create(s3, rows, overwrite=overwrite)
        data = storage.open_dataset(s3)
        data.verify()
        np.testing.assert_array_equal(data.X.compute(), rows[0] + 1)

    def test_a_writer_whose_place_was_taken_writes_no_more(self, s3, rows, monkeypatch):
        seen = []
        write = Objects.write

        def write_and_interfere(self, key, parts, **options):
            write(self, key, parts, **options)
            if key == "X/c.3.0" and not seen:
                seen.append(key)
                create(s3, (rows[0] + 1, *rows[1:]), overwrite=True)

        monkeypatch.setattr(Objects, "write", write_and_interfere)
        with (
            dask.config.set(scheduler="synchronous"),
            pytest.raises(storage.DatasetExists, match="is being written"),
        ):
            create(s3, [da.from_array(each, chunks=100) for each in rows])
        assert seen
        data = storage.open_dataset(s3)
        data.verify()
        np.testing.assert_array_equal(data.X.compute(), rows[0] + 1)

    def test_killed_at_any_write_it_is_no_data_set_until_it_is_written_again(self, s3):
        script = """
import os, signal, sys, threading
import numpy as np, storage
from storage.objects import Objects
from storage.predictions import write_predictions
left, lock = [int(sys.argv[2])], threading.Lock()
def counted(method):
    def write(self, key, *args, **options):
        with lock:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(self, key, *args, **options)
    return write
Objects.write, Objects.create = counted(Objects.write), counted(Objects.create)
storage.create_dataset(sys.argv[1], np.ones((30, 2)), np.ones(30), chunk_nbytes=160)
"""
        for n in range(20):
            url = f"{s3}/{n}"
            ended = subprocess.run(
                [sys.executable, "-c", script, url, str(n)],
                cwd=ROOT, check=False, timeout=60, capture_output=True, text=True,
            )  # fmt: skip
            if ended.returncode == 0:
                break
            assert ended.returncode == -signal.SIGKILL, ended.stderr
            with pytest.raises(storage.StorageError) as caught:
                storage.open_dataset(url)
            assert isinstance(caught.value, (FileNotFoundError, ValueError))
            if files(url).names():
                with pytest.raises(storage.DatasetExists, match="its writing was stopped"):
                    storage.create_dataset(url, np.zeros((30, 2)), np.ones(30))
            data = storage.create_dataset(url, np.zeros((30, 2)), np.ones(30), overwrite=True)
            assert data.verify().nan == {"X": 0, "y": 0}
            assert data.X.sum().compute() == 0
        assert n > 4
        storage.verify(url)


class TestWhatCannotBeReached:
    def test_wrong_credentials(self, s3, rows, monkeypatch):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(PermissionError, match=r"not allowed to .*check the credentials"):
            storage.open_dataset(s3)
        with pytest.raises(PermissionError, match=r"not allowed to .*check the credentials"):
            create(s3, rows)

    def test_no_server(self, s3, monkeypatch):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
            with pytest.raises(storage.StoreUnreachable, match=f"cannot read {s3}"):
                storage.open_dataset(s3)

    def test_a_url_without_a_bucket(self, s3):
        with pytest.raises(storage.UnsupportedURL, match="cannot open s3://"):
            storage.open_dataset("s3:///rows.zarr")


def test_a_store_of_zarr_is_taken_as_well(s3, rows):
    store = files(s3).for_zarr()
    assert isinstance(store, ObjectStore)
    data = create(store, rows)
    np.testing.assert_array_equal(storage.open_dataset(store).X.compute(), rows[0])
    with pytest.raises(storage.UnsupportedURL, match="no URL opens"):
        data.url  # noqa: B018 - asking is what is tested
    storage.verify(s3)
    assert os.environ["AWS_ACCESS_KEY_ID"] not in repr(data)


def test_predictions_are_written_by_workers(s3, server, client):
    rows = {"prediction": da.arange(50, chunks=20)}
    client.run(lambda: os.environ.update(server))
    try:
        write_predictions(rows, s3)
        write_predictions(rows, f"{s3}.parquet")
    finally:
        client.run(lambda: [os.environ.pop(name, None) for name in server])
    group = zarr.open_group(files(s3).for_zarr(), mode="r")
    np.testing.assert_array_equal(group["prediction"][:], np.arange(50))
    assert listed(f"{s3}.parquet") == [
        "_SUCCESS", "part.0.parquet", "part.1.parquet", "part.2.parquet"
    ]  # fmt: skip
