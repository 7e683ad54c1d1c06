"""Data sets in an object store are the ones on a disk, and are never half-written.

``conftest.py`` describes the servers.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import threading

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from distributed.utils import get_mp_context
from zarr.storage import ObjectStore

import storage
from dlbd_estimators.linear_model import Ridge
from storage.claim import CLAIM, Claim, ClaimedFiles
from storage.objects import Objects
from storage.predictions import write_predictions
from storage.zarr_stores import AtURL

SMALL = {"chunk_nbytes": 2_000, "block_nbytes": 6_000}


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


def test_it_is_the_data_set_that_a_disk_has(place, rows, tmp_path):
    here, there = create(tmp_path / "d", rows), create(place, rows)
    for name in ("X", "y", "sample_weight"):
        np.testing.assert_array_equal(getattr(there, name).compute(), getattr(here, name).compute())
        assert getattr(there, name).chunks == getattr(here, name).chunks
        key = here.layouts[name].key(0)
        assert there.store.read(key).tobytes() == (here.path / key).read_bytes()
    mine = here.verify()
    for yours in (there.verify(), there.verify(decode=True)):
        assert (mine.chunks, mine.nbytes, mine.nan) == (yours.chunks, yours.nbytes, yours.nan)
    assert there.url == place
    assert place in repr(there)
    with pytest.raises(storage.UnsupportedURL, match="is no folder"):
        there.path  # noqa: B018 - asking is what is tested
    assert listed(place) == ["X", "manifest.json", "sample_weight", "y", "zarr.json"]
    some = storage.open_dataset(place, columns=["x3", 0])
    np.testing.assert_array_equal(some.X.compute(), rows[0][:, [3, 0]])


def test_zarr_alone_opens_it(place, rows):
    create(place, rows)
    group = zarr.open_group(files(place).for_zarr(), mode="r")
    assert sorted(name for name, _ in group.members()) == ["X", "sample_weight", "y"]
    np.testing.assert_array_equal(group["X"][:], rows[0])


@pytest.mark.cluster
def test_workers_write_and_read_it_and_a_fit_has_the_same_bits(place, rows, tmp_path, server):
    X, weights = np.nan_to_num(rows[0]), rows[2]
    lazy = [da.from_array(each, chunks=130) for each in (X, X @ np.arange(5.0), weights)]
    here = storage.create_dataset(tmp_path / "d", *lazy, **SMALL)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
            # Workers are forked from a process that may be older than these variables.
            env=server.environment,
        ) as cluster,
        Client(cluster),
    ):  # fmt: skip
        there = storage.create_dataset(place, *lazy, **SMALL)
        assert there.verify().chunks == here.verify().chunks
        found = Ridge().fit(there.X, there.y, there.sample_weight)
        expected = Ridge().fit(here.X, here.y, here.sample_weight)
    np.testing.assert_array_equal(found.coef_, expected.coef_)


def test_a_pickled_data_set_opens_and_holds_no_secret(place, rows, server):
    data = create(place, rows)
    pickled = pickle.dumps(data)
    assert server.environment[server.secret].encode() not in pickled
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
def test_damage_is_found(place, rows, change, problem):
    data = create(place, rows)
    key = data.layouts["X"].key(4)
    bad = change(data.store.read(key).tobytes())
    data.store.delete(key)
    if bad is not None:
        data.store.write(key, [bad])
    for read in (data.X.compute, data.verify):
        with pytest.raises(storage.DatasetCorrupt, match=rf"chunk 4 of array 'X'.*{problem}"):
            read()


def test_a_chunk_of_another_place_is_found(place, rows):
    data = create(place, rows)
    one, other = (data.layouts["X"].key(chunk) for chunk in (1, 2))
    data.store.write(one, [data.store.read(other).tobytes()])
    with pytest.raises(storage.ChunkCorrupt, match="belongs to another chunk, or to another"):
        data.X.compute()


def test_deleted_under_an_open_data_set(place, rows):
    data = create(place, rows)
    for name in ("manifest.json", data.layouts["X"].key(3)):
        files(place).delete(name)
    with pytest.raises(storage.DatasetReplaced, match="overwritten, moved or deleted"):
        data.X.compute()
    with pytest.raises(storage.DatasetIncomplete, match="half-written"):
        storage.open_dataset(place)


def test_nothing_there_and_something_else_there(place):
    with pytest.raises(storage.DatasetNotFound, match="nothing is there at all"):
        storage.open_dataset(place)
    files(place).write("notes.txt", [b"mine"])
    with pytest.raises(storage.NotADataset, match=r"is a place without zarr\.json"):
        storage.open_dataset(place)


def test_files_of_any_size(place):
    store = files(place)
    for size in (0, 1, 3, 12 * 2**20):  # the largest is sent in parts
        content = bytes(range(256)) * -(-size // 256)
        content = content[:size]
        store.write("w", [content])
        assert store.read("w").tobytes() == content
        assert store.read_start("w", 3) == content[:3]
        assert store.create(f"c{size}", content)
        assert not store.create(f"c{size}", b"other")
        assert store.read(f"c{size}").tobytes() == content
    store.delete("w")
    store.delete("w")
    with pytest.raises(FileNotFoundError, match="nothing is there"):
        store.read("w")


class TestNothingIsLost:
    def test_a_complete_data_set_is_never_replaced(self, place, rows):
        create(place, rows)
        for overwrite in (False, True):
            with pytest.raises(storage.DatasetExists, match="choose another place"):
                create(place, rows, overwrite=overwrite)
        storage.verify(place)

    @pytest.mark.parametrize("key", ["notes.txt", "X/notes.txt", "zarr.json"])
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_nor_is_anything_else(self, place, rows, key, overwrite):
        files(place).write(key, [b"{}"])
        with pytest.raises(storage.DatasetExists, match="holds something else"):
            create(place, rows, overwrite=overwrite)
        assert files(place).read(key).tobytes() == b"{}"

    def test_an_error_leaves_nothing(self, place, rows):
        def fail(_):
            raise ValueError("no such block")

        X = da.from_array(rows[0], chunks=(100, 5)).map_blocks(
            fail, dtype=float, meta=np.empty((0, 0))
        )
        with pytest.raises(ValueError, match="no such block") as caught:
            create(place, (X, rows[1]))
        assert "Nothing was stored" in caught.value.__notes__[0]
        assert files(place).names() == []

    def test_of_two_writers_the_second_fails_and_the_first_is_whole(self, place, rows, monkeypatch):
        seen = []
        write = ClaimedFiles.write

        def write_and_interfere(self, key, parts, **options):
            if key == "X/c.3.0" and not seen:
                seen.append(key)
                with pytest.raises(storage.DatasetExists, match="is being written"):
                    create(place, rows)
            write(self, key, parts, **options)

        monkeypatch.setattr(ClaimedFiles, "write", write_and_interfere)
        create(place, rows).verify()
        assert seen
        assert CLAIM not in listed(place)

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_data_set_that_comes_while_rows_are_counted_is_not_replaced(
        self, place, rows, overwrite, monkeypatch
    ):
        begin = Claim.begin

        def be_late(self, *arguments):
            monkeypatch.setattr(Claim, "begin", begin)
            create(place, (rows[0] + 1, *rows[1:]))
            begin(self, *arguments)

        monkeypatch.setattr(Claim, "begin", be_late)
        with pytest.raises(storage.DatasetExists, match="already at"):
            create(place, rows, overwrite=overwrite)
        data = storage.open_dataset(place)
        data.verify()
        np.testing.assert_array_equal(data.X.compute(), rows[0] + 1)

    def test_a_writer_whose_place_was_taken_writes_no_more(self, place, rows, monkeypatch):
        seen = []
        write = ClaimedFiles.write

        def write_and_interfere(self, key, parts, **options):
            write(self, key, parts, **options)
            if key == "X/c.3.0" and not seen:
                seen.append(key)
                create(place, (rows[0] + 1, *rows[1:]), overwrite=True)

        monkeypatch.setattr(ClaimedFiles, "write", write_and_interfere)
        with (
            dask.config.set(scheduler="synchronous"),
            pytest.raises(storage.DatasetExists, match="another writer has taken over"),
        ):
            create(place, [da.from_array(each, chunks=100) for each in rows])
        assert seen
        data = storage.open_dataset(place)
        data.verify()
        np.testing.assert_array_equal(data.X.compute(), rows[0] + 1)

    def test_killed_at_any_write_it_is_no_data_set_until_it_is_written_again(self, place):
        for n in range(20):
            url = f"{place}/{n}"
            arguments = (dict(os.environ), url, n)
            process = get_mp_context().Process(target=create_until_killed, args=arguments)
            process.start()
            process.join(60)
            if process.exitcode == 0:
                break
            assert process.exitcode == -signal.SIGKILL
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


def create_until_killed(environment, url, n_writes):
    """Write a data set; end this process at the write after so many."""
    os.environ.update(environment)  # its server may have been started before the object store
    left, lock = n_writes, threading.Lock()

    def counted(method):
        def write(self, key, *args, **options):
            nonlocal left
            with lock:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return method(self, key, *args, **options)

        return write

    Objects.write, Objects.create = counted(Objects.write), counted(Objects.create)
    storage.create_dataset(url, np.ones((30, 2)), np.ones(30), chunk_nbytes=160)


class TestWhatCannotBeReached:
    def test_wrong_credentials(self, place, rows, server, monkeypatch):
        monkeypatch.setenv(server.secret, server.wrong_secret)
        with pytest.raises(PermissionError, match=r"not allowed to .*check the credentials"):
            storage.open_dataset(place)
        with pytest.raises(PermissionError, match=r"not allowed to .*check the credentials"):
            create(place, rows)

    def test_no_server(self, place, server, monkeypatch):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            monkeypatch.setenv(server.address, f"http://127.0.0.1:{nobody.getsockname()[1]}")
            with pytest.raises(storage.StoreUnreachable, match=f"cannot read {place}"):
                storage.open_dataset(place)

    def test_no_bucket(self, place, server, rows):
        absent = place.replace(server.url, f"{server.url}-absent")
        with pytest.raises(storage.StorageError, match=r"NoSuchBucket|ContainerNotFound"):
            storage.open_dataset(absent)
        with pytest.raises(storage.StorageError, match=r"NoSuchBucket|ContainerNotFound"):
            create(absent, rows)

    def test_a_url_without_a_bucket(self, server):
        scheme = server.url.partition(":")[0]
        with pytest.raises(storage.UnsupportedURL, match=f"cannot open {scheme}://"):
            storage.open_dataset(f"{scheme}:///rows.zarr")


def test_a_store_of_zarr_is_taken_as_well(place, rows, server):
    store = files(place).for_zarr()
    assert isinstance(store, ObjectStore)
    data = create(store, rows)
    np.testing.assert_array_equal(storage.open_dataset(store).X.compute(), rows[0])
    with pytest.raises(storage.UnsupportedURL, match="no URL opens"):
        data.url  # noqa: B018 - asking is what is tested
    storage.verify(place)
    assert server.environment[server.secret] not in repr(data)


def test_predictions_are_written_by_workers(place, server, client):
    environment = server.environment
    rows = {"prediction": da.arange(50, chunks=20)}
    client.run(lambda: os.environ.update(environment))
    try:
        write_predictions(rows, place)
        write_predictions(rows, f"{place}.parquet")
    finally:
        client.run(lambda: [os.environ.pop(name, None) for name in environment])
    group = zarr.open_group(files(place).for_zarr(), mode="r")
    np.testing.assert_array_equal(group["prediction"][:], np.arange(50))
    assert listed(f"{place}.parquet") == [
        "_SUCCESS", "part.0.parquet", "part.1.parquet", "part.2.parquet"
    ]  # fmt: skip
