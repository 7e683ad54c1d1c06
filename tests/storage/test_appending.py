"""Appended rows: every version keeps its rows, whatever happens while the next one is written."""

from __future__ import annotations

import pickle
import shutil
from itertools import pairwise

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray
import zarr
from hypothesis import given
from hypothesis import strategies as st

import storage
from dlbd_estimators.linear_model import Ridge
from storage import appending
from tests.storage.strategies import as_input, as_weights, values

SMALL = {"chunk_nbytes": 200, "block_nbytes": 700}
X, Y = np.arange(600.0).reshape(200, 3), np.arange(200)


def rows_of(data):
    arrays = {"X": data.X, "y": data.y, "sample_weight": data.sample_weight}
    return {name: array.compute() for name, array in arrays.items() if array is not None}


@pytest.fixture
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def same(data, expected):
    for name, array in rows_of(data).items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_array_equal(array, expected[name][: data.n_samples])


def zarr_shows(path, expected):
    """Zarr alone shows whole versions only: all arrays have the same rows, and these are right."""
    group = zarr.open_group(path, mode="r")
    assert len({group[name].shape[0] for name in expected}) == 1
    for name, array in expected.items():
        np.testing.assert_array_equal(group[name][:], array[: group[name].shape[0]])
    return group["X"].shape[0]


@st.composite
def batches(draw):
    """Arrays in rows of several appends, each in any form of input."""
    sizes = draw(st.lists(st.integers(1, 60), min_size=2, max_size=4))
    n, p = sum(sizes), draw(st.integers(1, 4))
    arrays = {
        "X": draw(values((n, p), ("float32", "float64", "int64", "bool"))),
        "y": draw(values((n, *draw(st.sampled_from([(), (2,)]))), ("int32", "float64"))),
    }
    if draw(st.booleans()):
        arrays["sample_weight"] = draw(values((n,)).map(as_weights))
    cuts = np.cumsum([0, *sizes])
    parts = [
        [draw(as_input(array[start:stop])) for array in arrays.values()]
        for start, stop in pairwise(cuts)
    ]
    return arrays, sizes, parts


@pytest.mark.usefixtures("one_thread")
@given(batches())
def test_every_version_holds_the_rows_that_were_appended_up_to_it(tmp_path_factory, drawn):
    arrays, sizes, parts = drawn
    path = tmp_path_factory.mktemp("appended") / "d"
    opened = [storage.create_dataset(path, *parts[0], **SMALL)]
    for part in parts[1:]:
        opened.append(storage.append(opened[-1], *part))
    ends = np.cumsum(sizes).tolist()
    for number, (before, end) in enumerate(zip([0, *ends], ends, strict=False), 1):
        # What was opened before the later appends, and what is opened now.
        for data in (
            pickle.loads(pickle.dumps(opened[number - 1])),
            storage.open_dataset(path, version=number),
        ):
            assert (data.version, data.n_samples) == (number, end)
            same(data, arrays)
        assert data.verify().chunks == data.manifest.n_chunks
        about = opened[-1].versions[number - 1]
        assert (about.number, about.n_samples, about.n_added) == (number, end, end - before)
        new = opened[-1].since(number)
        assert new.n_samples == ends[-1] - end
        np.testing.assert_array_equal(new.X.compute(), arrays["X"][end:])
        np.testing.assert_array_equal(new.y.compute(), arrays["y"][end:])
    assert storage.open_dataset(path).version == len(sizes)
    assert zarr_shows(path, arrays) == ends[-1]


@pytest.fixture
def data(tmp_path):
    return storage.create_dataset(tmp_path / "d", X[:50], Y[:50], **SMALL)


def test_xarray_and_zarr_open_the_newest_version(data):
    storage.append(data, X[50:], Y[50:])
    assert zarr.open_group(data.path, mode="r", use_consolidated=False)["X"].shape == X.shape
    np.testing.assert_array_equal(xarray.open_zarr(data.path).X.values, X)


def test_old_chunks_are_not_written_again(data):
    full = [data.path / data.layouts["X"].key(chunk) for chunk in range(50 // 8)]
    before = [path.stat() for path in full]
    storage.append(data, X[50:], Y[50:])
    after = [path.stat() for path in full]
    assert [(each.st_ino, each.st_mtime_ns) for each in before] == [
        (each.st_ino, each.st_mtime_ns) for each in after
    ]


def test_chunks_have_the_size_for_the_expected_rows(tmp_path):
    planned = storage.create_dataset(tmp_path / "all", X, Y, **SMALL)
    data = storage.create_dataset(tmp_path / "d", X[:2], Y[:2], expected_rows=200, **SMALL)
    same(data, {"X": X, "y": Y})
    assert zarr_shows(data.path, {"X": X, "y": Y}) == 2
    assert repr(data)
    data.verify()
    for stop in (9, 200):
        data = storage.append(data, X[data.n_samples : stop], Y[data.n_samples : stop])
    for name, layout in planned.layouts.items():
        assert data.layouts[name].chunk_rows == layout.chunk_rows
    assert data.X.chunks == planned.X.chunks
    same(data, {"X": X, "y": Y})
    with pytest.raises(ValueError, match="expected_rows must be 1 or more, got 0"):
        storage.create_dataset(tmp_path / "e", X, Y, expected_rows=0)


def test_a_fit_in_batches_of_new_rows_is_the_fit_of_all_rows(data, rng):
    target = X @ [1.0, -2.0, 0.5] + rng.normal(size=200)
    data = storage.create_dataset(data.path, X[:50], target[:50], overwrite=True, **SMALL)
    model, seen = Ridge().partial_fit(data.X, data.y), data.version
    for start, stop in ((50, 61), (61, 200)):
        data = storage.append(data, X[start:stop], target[start:stop])
        new = data.since(seen)
        model.partial_fit(new.X, new.y)
        seen = data.version
    np.testing.assert_allclose(model.coef_, Ridge().fit(X, target).coef_, rtol=1e-10)


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
def test_workers_append_and_read_the_same_bytes(tmp_path, data):
    shutil.copytree(data.path, tmp_path / "here")
    there = storage.append(data, da.from_array(X[50:], chunks=(33, 2)), da.from_array(Y[50:]))
    here = storage.append(tmp_path / "here", X[50:], Y[50:])
    same(there, {"X": X, "y": Y})
    same(data, {"X": X, "y": Y})
    for name in ("X", "y"):
        entries = (each.manifest.arrays[name].checksums for each in (here, there))
        np.testing.assert_array_equal(*entries)


def test_of_two_appends_at_once_the_second_fails_and_changes_nothing(data, monkeypatch):
    write_arrays, seen = appending.write_arrays, []

    def overtaken(arrays, writers, **options):
        if not seen:
            seen.append("the other append begins")
            storage.append(data, X[50:90], Y[50:90])
        return write_arrays(arrays, writers, **options)

    monkeypatch.setattr(appending, "write_arrays", overtaken)
    with pytest.raises(storage.AppendConflict, match=r"committed first, as version 2.*again"):
        storage.append(data, X[50:60] + 1, Y[50:60])
    now = storage.open_dataset(data.path)
    assert now.n_samples == 90
    same(now, {"X": X, "y": Y})
    same(data, {"X": X, "y": Y})
    assert len(list(data.path.glob("version-2-*"))) == 1


def test_a_failed_append_removes_what_it_wrote(data):
    before = {path for path in data.path.rglob("*") if path.is_file()}
    late = da.from_array(Y[50:], chunks=40).map_blocks(_fail_late, dtype=np.int64)
    with pytest.raises(ZeroDivisionError) as caught:
        storage.append(data, X[50:], late)
    assert "Nothing was appended" in caught.value.__notes__[0]
    assert {path for path in data.path.rglob("*") if path.is_file()} == before
    same(storage.open_dataset(data.path), {"X": X, "y": Y})


def _fail_late(block):
    if block.size and block[-1] > 150:
        raise ZeroDivisionError
    return block


@pytest.mark.parametrize(
    ("key", "error"),
    [("versions/2.json", storage.MetadataCorrupt), ("y/c.1", storage.ChunkCorrupt)],
)
def test_damage_is_found(data, key, error):
    newer = storage.append(data, X[50:], Y[50:])
    path = newer.path / key
    content = path.read_bytes()
    path.unlink()  # a spare file may be the same file
    path.write_bytes(content[:30] + bytes([content[30] ^ 1]) + content[31:])
    with pytest.raises(storage.DatasetCorrupt) as caught:
        rows_of(storage.open_dataset(data.path))
    assert isinstance(caught.value, error)


def test_changed_metadata_of_a_newer_version_is_found(data):
    newer = storage.append(data, X[50:], Y[50:])
    path = newer.path / "zarr.json"
    path.write_bytes(path.read_bytes().replace(b'"x1"', b'"x9"'))
    for use in (newer.verify, data.verify, lambda: storage.open_dataset(data.path)):
        with pytest.raises(storage.MetadataCorrupt, match=r"zarr\.json.*changed"):
            use()


def test_what_cannot_be_appended(tmp_path, data):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    named = storage.create_dataset(tmp_path / "n", frame, Y % 2 == 1, classes=[False, True])
    weighted = storage.create_dataset(tmp_path / "w", X, Y, np.ones(200))
    small = storage.create_dataset(tmp_path / "s", X.astype(np.int8), Y)
    for place, arrays, error, problem in [
        (data, (X[:, :2], Y), ValueError, r"X has 2 columns, and that of .*/d has 3"),
        (data, (X, Y[:7]), ValueError, "X has 200, y has 7"),
        (data, (X[:0], Y[:0]), ValueError, "nothing to store"),
        (data, (X, Y, np.ones(200)), ValueError, "has no sample_weight"),
        (weighted, (X, Y), ValueError, "has sample_weight"),
        (data, (X, Y + 0.5), TypeError, r"y has dtype float64.*astype\('int64'\)"),
        (small, (X, Y), TypeError, "X has dtype float64"),
        (named, (frame[["b", "a", "c"]], Y % 2 == 1), ValueError, "'b' where .* has 'a'"),
        (data, (X, None), ValueError, "give X and y"),
        (tmp_path / "nothing", (X, Y), storage.DatasetNotFound, "nothing is there"),
        (storage.open_dataset(tmp_path / "n", columns=["a"]), (X, Y), ValueError, "some of its"),
    ]:
        with pytest.raises(error, match=problem):
            storage.append(place, *arrays)
    for place in (data, named, weighted, small):
        assert storage.open_dataset(place.path).version == 1
    coded = storage.create_dataset(tmp_path / "c", X, Y % 2, classes=["no", "yes"])
    with pytest.raises(ValueError, match="hold codes 0 to 2"):
        storage.append(coded, X, Y % 3)


def test_versions_that_do_not_exist(data):
    storage.append(data, X[50:], Y[50:])
    with pytest.raises(ValueError, match="versions 1 to 2, and no version 3"):
        storage.open_dataset(data.path, version=3)
    with pytest.raises(ValueError, match="only version 1, and no version 0"):
        data.since(0)
    with pytest.raises(TypeError, match="whole number"):
        storage.open_dataset(data.path, version="1")
    with pytest.raises(ValueError, match="newer than version 1"):
        storage.open_dataset(data.path, version=1).since(2)


def test_an_append_to_a_data_set_that_is_overwritten_meanwhile(data):
    def overwrite(block):
        storage.create_dataset(data.path, X + 1, Y, overwrite=True)
        return block

    late = da.from_array(Y[50:], chunks=150).map_blocks(overwrite, meta=np.empty(0, Y.dtype))
    with pytest.raises(storage.DatasetReplaced):
        storage.append(data, X[50:], late)
    now = storage.open_dataset(data.path)
    assert (now.version, now.n_samples) == (1, 200)
    same(now, {"X": X + 1, "y": Y})


def test_arrays_opened_before_an_overwrite_are_not_appended_to(data):
    storage.create_dataset(data.path, X[:50], Y[:50], overwrite=True)
    with pytest.raises(storage.DatasetReplaced):
        storage.append(data, X[50:], Y[50:])
    assert storage.open_dataset(data.path).version == 1
