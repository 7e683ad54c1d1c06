"""An ingest into an object store that was killed continues, and no other writer damages it."""

from __future__ import annotations

import itertools
import os
import signal
import uuid
from unittest import mock

import dask
import numpy as np
import pandas as pd
import pytest
import zarr.storage
from distributed.utils import get_mp_context

import storage
from storage.claim import Claim, ClaimedFiles
from storage.location import store_at
from storage.manifest import MANIFEST
from storage.objects import Objects
from storage.work import Work
from tests.storage.cloud.killed_writer import Killed, ending_at, killed_at

N = 120
#: Four blocks, each of two chunks of X and one of y.
SIZES = {"chunk_nbytes": 240, "block_nbytes": 720, "partition_nbytes": 700}
COMPLETE = ["X", "ingest.json", "manifest.json", "y", "zarr.json"]
#: The changes to a store: the claim, three zarr.json, ingest.json, the chunks, the manifest, and
#: the end of the claim.
N_CHANGES = 1 + 3 + 1 + 12 + 1 + 1
WORK = Work("a" * 64, "0" * 32, "2026-01-01T00:00:00+00:00")


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=N), "b": rng.integers(0, 9, N), "y": np.arange(N)})
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def ingest(table, url, **options):
    with dask.config.set(scheduler="synchronous"):
        return storage.ingest(table, url, target="y", **(SIZES | options))


@pytest.fixture
def whole(table, tmp_path):
    folder = ingest(table, tmp_path / "whole").path
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("c.*")}


@pytest.fixture
def memory():
    return f"memory://{uuid.uuid4().hex}"


def names(url):
    return sorted(store_at(url).names())


def chunks(url):
    """Return the content of the chunks at a place, by their names."""
    store = store_at(url)
    keys = [f"{array}/{name}" for array in ("X", "y") for name in store.names_in(array)]
    return {key: store.read(key).tobytes() for key in keys if "/c." in key}


def block(key):
    """Return the block that a chunk belongs to."""
    array, name = key.split("/")
    return array, int(name.split(".")[1]) // (2 if array == "X" else 1)


def kill(number, table, url, **options):
    with pytest.raises(Killed), killed_at(number):
        ingest(table, url, **options)


def resume(table, url, whole):
    """Resume, and look at what is there before, at what is written, and at the end."""
    before = chunks(url)
    missing = {block(key) for key in whole.keys() - before.keys()}
    written, write = set(), ClaimedFiles.write

    def noted(self, key, *arguments, **options):
        written.add(key)
        write(self, key, *arguments, **options)

    with mock.patch.object(ClaimedFiles, "write", noted):
        data = ingest(table, url, resume=True)
    assert {key for key in written if "/c." in key} == {
        key for key in whole if block(key) in missing
    }
    data.verify()
    assert chunks(url) == whole
    assert names(url) == COMPLETE


def check_killed(number, table, url, whole):
    kill(number, table, url)
    if number == N_CHANGES:  # complete, but for the claim
        assert names(url) == sorted([*COMPLETE, "writing.json"])
        with pytest.raises(storage.DatasetExists, match="already at"):
            ingest(table, url, resume=True)
        storage.open_dataset(url).verify()
        assert chunks(url) == whole
        return
    with pytest.raises(storage.StorageError):
        storage.open_dataset(url)
    resume(table, url, whole)


def test_an_ingest_killed_at_each_change_resumes(table, whole):
    with killed_at(N_CHANGES + 1):
        ingest(table, f"memory://{uuid.uuid4().hex}")
    for number in range(1, N_CHANGES + 1):
        check_killed(number, table, f"memory://{uuid.uuid4().hex}", whole)


@pytest.mark.parametrize("number", [1, 2, 5, 13, N_CHANGES - 1, N_CHANGES])
def test_on_a_server(number, place, table, whole):
    check_killed(number, table, place, whole)


def test_in_a_store_of_zarr(table, whole):
    check_killed(13, table, zarr.storage.MemoryStore(), whole)


def test_a_resumed_ingest_that_is_killed_at_each_change_resumes_again(table, whole):
    for number in itertools.count(1):
        url = f"memory://{uuid.uuid4().hex}"
        kill(9, table, url)
        left = set(chunks(url))
        missing = {block(key) for key in whole.keys() - left}
        n_kept = sum(block(key) not in missing for key in left)
        try:
            with killed_at(number):
                ingest(table, url, resume=True)
        except Killed:
            if MANIFEST not in names(url):
                resume(table, url, whole)
            continue
        break
    # The end of the first claim is one more change, and the chunks of complete blocks were there:
    # three or four, because Dask's order of blocks differs between runs.
    assert number - (N_CHANGES + 2 - n_kept) in (0, 1)
    assert names(url) == COMPLETE


@pytest.mark.cluster
def test_workers_check_and_write_chunks(place, table, whole, server, client):
    kill(13, table, place)
    environment = server.environment
    client.run(lambda: os.environ.update(environment))
    try:
        storage.ingest(table, place, target="y", resume=True, **SIZES).verify()
    finally:
        client.run(lambda: [os.environ.pop(name, None) for name in environment])
    assert chunks(place) == whole
    assert names(place) == COMPLETE


def test_a_damaged_chunk_is_written_again(memory, table, whole):
    kill(N_CHANGES - 1, table, memory)
    store = store_at(memory)
    for key, bad in (("X/c.2.0", b""), ("X/c.5.0", b"x" * 99), ("y/c.3", whole["y/c.3"][:-1])):
        store.write(key, [bad])
    content = bytearray(whole["X/c.7.0"])
    content[20] ^= 1
    store.write("X/c.7.0", [bytes(content)])
    ingest(table, memory, resume=True).verify()
    assert chunks(memory) == whole


class TestOtherWork:
    @pytest.mark.parametrize("change", ["rows", "dtype", "chunk_nbytes", "target"])
    def test_it_is_refused_and_what_is_there_stays(self, change, memory, table):
        kill(13, table, memory)
        before, options = chunks(memory), {}
        if change == "rows":
            lines = table.read_text().splitlines()
            table.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
        else:
            options = {"dtype": {"dtype": "float32"}, "chunk_nbytes": {"chunk_nbytes": 120}}.get(
                change, {"features": ["b"]}
            )
        with pytest.raises(storage.DatasetExists, match=r"cannot be continued.*overwrite=True"):
            ingest(table, memory, resume=True, **options)
        assert chunks(memory) == before
        assert "writing.json" in names(memory)
        data = ingest(table, memory, resume=True, overwrite=True, **options)
        data.verify()
        frame = pd.read_csv(table)
        np.testing.assert_allclose(
            data.X.compute(), frame[list(data.feature_names)], rtol=1e-6, atol=1e-6
        )
        assert names(memory) == COMPLETE

    def test_a_claim_that_was_damaged(self, memory, table):
        for number, claim in enumerate([b"", b"{}", b"[1]", b"\xff", b'{"signature": 3}']):
            url = f"{memory}/{number}"
            kill(9, table, url)
            store_at(url).write("writing.json", [claim])
            with pytest.raises(storage.DatasetExists, match="cannot be continued"):
                ingest(table, url, resume=True)

    def test_what_replaced_other_files_is_not_continued(self, memory, table):
        # A chunk of the first writer that comes late would be taken for one of the second.
        kill(9, table, memory)
        kill(12, table, memory, overwrite=True, dtype="float32")
        with pytest.raises(storage.DatasetExists, match="it had replaced another one"):
            ingest(table, memory, resume=True, dtype="float32")
        ingest(table, memory, overwrite=True, dtype="float32").verify()
        assert names(memory) == COMPLETE

    def test_nothing_there_and_a_complete_data_set(self, memory, table):
        ingest(table, memory, resume=True).verify()
        with pytest.raises(storage.DatasetExists, match="already at"):
            ingest(table, memory, resume=True)
        storage.open_dataset(memory).verify()


class TestTwoWriters:
    @pytest.mark.parametrize(
        "late", ["zarr.json", "X/zarr.json", "ingest.json", "X/c.0.0", "X/c.7.0", "y/c.1"]
    )
    @pytest.mark.parametrize("end", ["complete", "killed"])
    def test_a_file_of_a_living_writer_that_arrives_late_changes_nothing(
        self, late, end, memory, table, whole
    ):
        """The first writer has just seen its claim when another one takes the place over."""
        create, seen = Objects.create, []

        def interfered(self, key, content):
            if seen and self.number == 1:
                seen.append(key)
            if key == late and not seen:
                seen.append(self.number)
                if end == "killed":
                    # When ingest.json is written, all chunks are there: few changes are left.
                    kill(3 if late == "ingest.json" else 8, table, memory, resume=True)
                else:
                    ingest(table, memory, resume=True)
            return create(self, key, content)

        with (
            mock.patch.object(Objects, "create", interfered),
            pytest.raises(storage.DatasetExists, match="another writer has taken over") as caught,
        ):
            ingest(table, memory)
        assert seen == [1]  # and no file was written after the late one
        assert any("of another writer" in note for note in caught.value.__notes__)
        if end == "killed":
            ingest(table, memory, resume=True)
        storage.open_dataset(memory).verify()
        assert chunks(memory) == whole
        assert names(memory) == COMPLETE

    @pytest.mark.parametrize("late", ["zarr.json", "ingest.json", "X/c.0.0", "y/c.1"])
    @pytest.mark.parametrize("before", [True, False])
    def test_a_late_file_of_other_work_changes_nothing(self, late, before, memory, table):
        """It arrives before the new writer has written anything, or when that is complete."""
        create, write, seen = Objects.create, ClaimedFiles.write, []

        def interfered(self, key, content):
            if key == late and not seen:
                seen.append(key)

                def arrive(new, *arguments, **options):
                    if before and len(seen) == 1:
                        seen.append("arrived")
                        assert create(self, key, content)
                    write(new, *arguments, **options)

                with mock.patch.object(ClaimedFiles, "write", arrive):
                    ingest(table, memory, overwrite=True, dtype="float32")
            return create(self, key, content)

        with (
            mock.patch.object(Objects, "create", interfered),
            pytest.raises(storage.DatasetExists, match="another writer has taken over"),
        ):
            ingest(table, memory)
        assert len(seen) == 1 + before
        data = storage.open_dataset(memory)
        data.verify()
        frame = pd.read_csv(table)
        np.testing.assert_array_equal(data.X.compute(), frame[["a", "b"]].astype("float32"))
        np.testing.assert_array_equal(data.y.compute(), frame["y"])
        assert names(memory) == COMPLETE

    @pytest.mark.parametrize("before", [True, False])
    def test_a_manifest_that_arrives_late_is_the_same(self, before, memory, table, whole):
        """It arrives before the new writer has written anything, or when that is complete."""
        create, write, seen = Objects.create, ClaimedFiles.write, []

        def interfered(self, key, content):
            if key == MANIFEST and not seen:
                seen.append(key)

                def arrive(new, *arguments, **options):
                    if before and len(seen) == 1:
                        seen.append("arrived")
                        assert create(self, key, content)
                    write(new, *arguments, **options)

                with mock.patch.object(ClaimedFiles, "write", arrive):
                    ingest(table, memory, resume=True)
            return create(self, key, content)

        with mock.patch.object(Objects, "create", interfered):
            ingest(table, memory).verify()
        assert len(seen) == 1 + before
        assert chunks(memory) == whole
        assert names(memory) == COMPLETE

    def test_of_two_that_resume_at_once_one_fails(self, memory, table, whole):
        kill(13, table, memory)
        one, other = (Claim(store_at(memory), overwrite=False, resume=True) for _ in range(2))
        store_at(memory).write("writing.json", [WORK.to_bytes()])
        create, seen = Objects.create, []

        def interfered(self, key, content):
            if key == "writing-2.json" and not seen:
                seen.append(key)
                assert other.begin(WORK) == WORK
            return create(self, key, content)

        with (
            mock.patch.object(Objects, "create", interfered),
            pytest.raises(storage.DatasetExists, match="is being written"),
        ):
            one.begin(WORK)
        assert seen
        assert not one.discard()
        other.store.check()
        assert [name for name in names(memory) if name.startswith("writing")] == ["writing-2.json"]
        before = chunks(memory)
        assert len(before) > 5
        assert before.items() <= whole.items()

    def test_one_that_resumes_too_late_leaves_the_complete_data_set(self, memory, table, whole):
        kill(13, table, memory)
        create, seen = Objects.create, []

        def interfered(self, key, content):
            if key == "writing-2.json" and not seen:
                seen.append(key)
                ingest(table, memory, resume=True)
            return create(self, key, content)

        with (
            mock.patch.object(Objects, "create", interfered),
            pytest.raises(storage.DatasetExists),
        ):
            ingest(table, memory, resume=True)
        storage.open_dataset(memory).verify()
        assert chunks(memory) == whole
        assert names(memory) == COMPLETE

    def test_nobody_continues_while_files_are_removed(self, memory, table):
        delete, seen = Objects.delete, []

        def interfered(self, key):
            if key == "X" and not seen:
                try:
                    seen.append(ingest(table, memory, resume=True))
                except OSError as error:  # raised here, it would be suppressed
                    seen.append(error)
            delete(self, key)

        def broken(*_):
            raise OSError("no commit")

        with (
            mock.patch.object(Objects, "delete", interfered),
            mock.patch.object(Claim, "commit", broken),
            pytest.raises(OSError, match="no commit") as caught,
        ):
            ingest(table, memory)
        [refused] = seen
        assert isinstance(refused, storage.DatasetExists)
        assert "cannot be continued" in str(refused)
        assert any("was removed" in note for note in caught.value.__notes__)
        assert names(memory) == []


def test_a_commit_whose_answer_is_lost_keeps_the_data_set(memory, table, whole):
    create = Objects.create

    def lost(self, key, content):
        found = create(self, key, content)
        if key == MANIFEST:
            raise storage.StoreUnreachable("no answer")
        return found

    with (
        mock.patch.object(Objects, "create", lost),
        pytest.raises(storage.StoreUnreachable) as caught,
    ):
        ingest(table, memory)
    assert any("of a data set that is complete" in note for note in caught.value.__notes__)
    storage.open_dataset(memory).verify()
    assert chunks(memory) == whole
    assert names(memory) == COMPLETE


def ingest_until_killed(environment, number, table, url):
    os.environ.update(environment)  # its server may have been started before the object store
    with ending_at(number, lambda: os.kill(os.getpid(), signal.SIGKILL)):
        ingest(table, url)


@pytest.mark.slow_fault
@pytest.mark.timeout(900)
def test_a_process_killed_at_each_change_on_a_server_resumes(place, table, whole):
    for number in range(1, N_CHANGES + 2):
        url = f"{place}/{number}"
        process = get_mp_context().Process(
            target=ingest_until_killed, args=(dict(os.environ), number, str(table), url)
        )
        process.start()
        process.join(120)
        if number > N_CHANGES:
            assert process.exitcode == 0
        else:
            assert process.exitcode == -signal.SIGKILL
        if number < N_CHANGES:
            with pytest.raises(storage.StorageError):
                storage.open_dataset(url)
            resume(table, url, whole)
        storage.open_dataset(url).verify()
        assert chunks(url) == whole
