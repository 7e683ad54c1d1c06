"""The target changes in one step, and only when it may."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
import zarr

import storage
from storage import resuming, staging
from storage.local_files import LocalFiles
from storage.manifest import MANIFEST
from storage.work import Work
from tests.storage.killed_writer import Killed, killed_at

X, Y = np.arange(200.0).reshape(100, 2), np.arange(100.0)
WORK = Work("", "0" * 32, "")


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def old(tmp_path):
    return storage.create_dataset(tmp_path / "d", X, Y, chunk_nbytes=500, block_nbytes=1000)


def test_taken_target_is_refused(old):
    before = tree(old.path)
    with pytest.raises(storage.DatasetExists, match="overwrite=True"):
        storage.create_dataset(old.path, X + 1, Y)
    assert tree(old.path) == before


def test_a_folder_that_was_killed_before_it_had_a_lock_is_removed(tmp_path):
    with pytest.raises(Killed), killed_at(3):  # the rename of the new folder
        storage.create_dataset(tmp_path / "d", X, Y)
    [left] = tmp_path.iterdir()
    assert left.suffix == ".starting"
    storage.create_dataset(tmp_path / "d", X, Y)
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


def test_a_folder_that_another_writer_takes_for_left_behind_is_made_again(tmp_path, monkeypatch):
    lock, seen = resuming.lock, []

    def meanwhile(folder):
        if not seen:
            seen.append(folder)
            assert [*resuming.leftovers(tmp_path / "d")] == []
            assert not folder.exists()
        descriptor = lock(folder)
        if len(seen) == 1:  # it is locked, but has no name yet
            seen.append(folder)
            assert [*resuming.leftovers(tmp_path / "d")] == []
        return descriptor

    monkeypatch.setattr(resuming, "lock", meanwhile)
    data = storage.create_dataset(tmp_path / "d", X, Y)
    np.testing.assert_array_equal(data.X.compute(), X)
    assert len(seen) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


def test_overwrite_replaces(old):
    new = storage.create_dataset(old.path, X + 1, Y, overwrite=True)
    np.testing.assert_array_equal(new.X.compute(), X + 1)
    assert [entry.name for entry in old.path.parent.iterdir()] == ["d"]


def test_old_data_stays_readable_until_the_new_is_complete(old):
    looked = []

    def look(block):
        looked.append(np.array_equal(storage.open_dataset(old.path).X.compute(), X))
        return block + 1

    lazy = da.from_array(X, chunks=(30, 2)).map_blocks(look, meta=np.empty((0, 0)))
    new = storage.create_dataset(old.path, lazy, Y, overwrite=True)
    assert len(looked) == 4
    assert all(looked)
    np.testing.assert_array_equal(new.X.compute(), X + 1)


def test_arrays_opened_before_an_overwrite_never_show_the_new_rows(old):
    # Same shape, same chunks: nothing but the identity tells them apart.
    storage.create_dataset(old.path, X + 1, Y, chunk_nbytes=500, block_nbytes=1000, overwrite=True)
    with pytest.raises(storage.DatasetReplaced, match="open it again"):
        old.X.compute()


def test_reading_while_overwriting_gives_whole_data_sets_only(old):
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            try:
                values = storage.open_dataset(old.path).X.compute(scheduler="synchronous")
            except storage.DatasetReplaced as error:
                seen.add(type(error))
                continue
            difference = values - X
            seen.add(difference[0, 0] if (difference == difference[0, 0]).all() else "mixed")

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for shift in range(1, 20):
            storage.create_dataset(old.path, X + shift, Y, overwrite=True, chunk_nbytes=500,
                                   block_nbytes=1000)  # fmt: skip
    finally:
        stop.set()
        reader.join()
    assert "mixed" not in seen
    assert any(isinstance(each, float) for each in seen)


def a_file(path):
    path.write_text("mine")


def a_folder_with_files(path):
    path.mkdir()
    (path / "thesis.txt").write_text("mine")


def a_plain_group(path):
    zarr.create_group(path)["a"] = np.ones(3)


def a_dataset_with_notes(path):
    storage.create_dataset(path, X, Y)
    (path / "notes.txt").write_text("mine")


def a_dangling_link(path):
    path.parent.joinpath("elsewhere").write_text("mine")
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize(
    "make", [a_file, a_folder_with_files, a_plain_group, a_dataset_with_notes, a_dangling_link]
)
def test_overwrite_never_replaces_what_is_no_data_set(tmp_path, make):
    make(tmp_path / "d")
    before = tree(tmp_path)
    with pytest.raises(FileExistsError, match=r"not a data set|notes\.txt"):
        storage.create_dataset(tmp_path / "d", X, Y, overwrite=True)
    assert tree(tmp_path) == before


def test_half_written_data_set_can_be_overwritten(old):
    (old.path / "manifest.json").unlink()
    new = storage.create_dataset(old.path, X + 1, Y, overwrite=True)
    np.testing.assert_array_equal(new.X.compute(), X + 1)


def test_empty_folder_and_missing_parents_are_fine(tmp_path):
    (tmp_path / "empty").mkdir()
    for target in ("empty", "a/b/c"):
        data = storage.create_dataset(tmp_path / target, X, Y)
        assert data.n_samples == 100


def test_link_to_a_data_set_is_followed(old, tmp_path):
    (tmp_path / "link").symlink_to(old.path)
    storage.create_dataset(tmp_path / "link", X + 1, Y, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    np.testing.assert_array_equal(storage.open_dataset(old.path).X.compute(), X + 1)


def test_two_writers_of_one_target_do_not_mix(tmp_path):
    mine = staging.Staging(LocalFiles(str(tmp_path / "d")), overwrite=False)
    mine.begin(WORK)
    (mine.folder / "zarr.json").write_text("{}")
    storage.create_dataset(tmp_path / "d", X, Y)
    with pytest.raises(storage.DatasetExists):
        mine.commit(b"{}")
    mine.discard()
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]
    np.testing.assert_array_equal(storage.open_dataset(tmp_path / "d").X.compute(), X)


@pytest.mark.parametrize("make", [a_file, a_folder_with_files, a_dataset_with_notes])
def test_what_appears_while_we_write_is_not_replaced_either(tmp_path, make):
    mine = staging.Staging(LocalFiles(str(tmp_path / "d")), overwrite=True)
    mine.begin(WORK)
    (mine.folder / MANIFEST).touch()  # the only file that a commit makes
    make(tmp_path / "d")
    before = tree(tmp_path)
    with pytest.raises(storage.DatasetExists):
        mine.commit(b"")
    assert tree(tmp_path) == before


class TestWithoutExchange:
    @pytest.fixture(autouse=True)
    def _old_kernel(self, monkeypatch):
        monkeypatch.setattr(staging, "_exchange_in_one_step", lambda *_: False)

    def test_two_renames_do_as_well(self, old):
        new = storage.create_dataset(old.path, X + 1, Y, overwrite=True)
        np.testing.assert_array_equal(new.X.compute(), X + 1)
        assert [entry.name for entry in old.path.parent.iterdir()] == ["d"]

    def test_old_data_comes_back_when_the_second_rename_fails(self, old, monkeypatch):
        rename = staging.Path.rename

        def refuse(self, target):
            if self.suffix == ".writing" and target.name == "d" and not target.exists():
                raise OSError(5, "Input/output error")
            return rename(self, target)

        monkeypatch.setattr(staging.Path, "rename", refuse)
        with pytest.raises(OSError, match="Input/output"):
            storage.create_dataset(old.path, X + 1, Y, overwrite=True)
        monkeypatch.undo()
        np.testing.assert_array_equal(storage.open_dataset(old.path).X.compute(), X)
        assert [entry.name for entry in old.path.parent.iterdir()] == ["d"]
