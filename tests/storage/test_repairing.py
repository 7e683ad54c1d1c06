"""Damaged chunks are written again from the rows, and only if exactly their bytes result."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import storage
from tests.storage.strategies import as_input
from tests.storage.test_appending import SMALL, X, Y, same

EXPECTED = {"X": X, "y": Y}


def damage(path, *, missing):
    content = path.read_bytes()
    path.unlink()  # a spare file may be the same file
    if not missing:
        path.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@settings(max_examples=12)
@given(st.data())
def test_any_damaged_chunks_get_their_bytes_back(tmp_path_factory, draw):
    path = tmp_path_factory.mktemp("repair") / "d"
    data = storage.create_dataset(path, X[:50], Y[:50], **SMALL)
    if draw.draw(st.booleans()):
        data = storage.append(data, X[50:], Y[50:])
    before = tree(path)
    keys = [layout.key(i) for layout in data.layouts.values() for i in range(layout.n_chunks)]
    bad = draw.draw(st.sets(st.sampled_from(keys), min_size=1, max_size=5))
    for key in bad:
        damage(path / key, missing=draw.draw(st.booleans()))
    n = data.n_samples
    arrays = [draw.draw(as_input(array[:n])) for array in (X, Y)]
    repaired = storage.repair(path, *arrays)
    # The last chunk of the newest version may still have a spare file, which is read instead.
    spare = {layout.key(layout.n_chunks - 1) for layout in data.layouts.values()}
    assert bad - spare <= {*repaired} <= bad
    after = tree(path)
    assert after.keys() - {path / key for key in spare} == before.keys() - {
        path / key for key in spare
    }
    assert all(after[path / key] == before[path / key] for key in repaired)
    assert storage.open_dataset(path).verify().chunks == len(keys)
    same(storage.open_dataset(path), EXPECTED)


@pytest.fixture
def data(tmp_path):
    return storage.create_dataset(tmp_path / "d", X[:50], Y[:50], **SMALL)


def test_other_rows_change_nothing(data):
    damage(data.path / "X/c.2.0", missing=False)
    before = tree(data.path)
    with pytest.raises(storage.InvalidData, match=r"differ in 1 of 1 .*chunk 2 of array 'X'"):
        storage.repair(data, X[:50] + 1, Y[:50])
    with pytest.raises(ValueError, match=r"X has 49 rows where .* has 50"):
        storage.repair(data, X[:49], Y[:49])
    with pytest.raises(ZeroDivisionError):
        storage.repair(data, da.from_array(X[:50]).map_blocks(_fail, meta=X[:0]), Y[:50])
    assert tree(data.path) == before


def _fail(_):
    raise ZeroDivisionError


def test_the_last_chunk_of_an_old_version_is_repaired_beside_the_newer_one(data):
    newer = storage.append(data, X[50:], Y[50:])
    damage(data.path / "version-1/X.c.6.0", missing=True)
    with pytest.raises(storage.ChunkCorrupt):
        data.X.compute()
    assert storage.repair(data, X[:50], Y[:50]) == ("X/c.6.0",)
    for each in (data, newer):
        same(each, EXPECTED)
        each.verify()


def test_raw_rows_of_all_versions_repair_an_ingest(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"c": rng.choice(["a", "b"], 60), "v": rng.random(60), "y": range(60)})
    frame.loc[7, "v"] = None
    columns = {"v": storage.Column(missing="impute")}
    data = storage.ingest(
        frame[:40], tmp_path / "d", target="y", columns=columns, chunk_nbytes=240, block_nbytes=999
    )
    data = storage.append(data, frame[40:])
    before = data.X.compute()
    for key in ("X/c.0.0", "X/c.5.0", "y/c.0"):
        damage(data.path / key, missing=key == "y/c.0")
    assert storage.repair(data, frame) == ("X/c.0.0", "X/c.5.0", "y/c.0")
    np.testing.assert_array_equal(data.X.compute(), before)
    assert storage.repair(data, frame) == ()


def test_damaged_metadata_is_not_repaired(data):
    (data.path / "zarr.json").write_text("{}")
    with pytest.raises(storage.StorageError):
        storage.repair(data, X[:50], Y[:50])
