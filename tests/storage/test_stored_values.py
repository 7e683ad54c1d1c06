"""The manifest lists the number of stored values of sparse rows; older manifests do not."""

from __future__ import annotations

import json
from copy import copy

import numpy as np
import pytest
from click.testing import CliRunner

import storage
from storage.command_line import info
from tests.storage.edited_metadata import signed_manifest, without_numbers_of_values
from tests.storage.test_sparse import rows_like, same

X = rows_like(40, 6)
SIZES = {"chunk_nbytes": 200, "block_nbytes": 400}


def edit_manifest(data, change):
    path = data.path / "manifest.json"
    path.write_bytes(change(path.read_bytes()))


@pytest.fixture
def data(tmp_path):
    return storage.create_dataset(tmp_path / "d", X, np.zeros(40), **SIZES)


@pytest.fixture
def older(data):
    """A data set as releases before this field have written it."""
    before = (data.path / "manifest.json").stat().st_size
    edit_manifest(data, without_numbers_of_values)
    assert (data.path / "manifest.json").stat().st_size < before
    return storage.open_dataset(data.path)


def facts(data):
    return json.loads(CliRunner().invoke(copy(info), [str(data.path), "--json"]).output)


def test_a_data_set_shows_how_dense_it_is(data):
    assert f"{X.nnz} stored, {100 * X.nnz / 240:.3g} % of all" in repr(data)
    assert facts(data)["nnz"] == X.nnz


def test_an_older_data_set_is_read_without_sizes(older):
    same(older.X.compute(), X)
    assert older.verify(decode=True).chunks == older.manifest.n_chunks
    assert older.manifest.nnz is None
    assert not hasattr(older.X, "max_block_nnz")
    assert " stored, " not in repr(older)
    assert facts(older)["nnz"] is None


def test_rows_appended_to_an_older_data_set_do_not_make_its_sizes_known(older):
    newer = storage.append(older, X[:9], np.zeros(9))
    same(newer.X[40:].compute(), X[:9])
    assert newer.manifest.nnz is None
    assert b'"nnz": ' in (newer.path / "versions" / "2.json").read_bytes()
    newer.verify()


def test_chosen_columns_and_dense_rows_have_no_numbers(data, tmp_path):
    assert not hasattr(storage.open_dataset(data.path, columns=[1, 2]).X, "max_block_nnz")
    dense = storage.create_dataset(tmp_path / "dense", X.toarray(), np.zeros(40))
    assert dense.manifest.nnz is None
    assert b"nnz" not in (dense.path / "manifest.json").read_bytes()


def test_an_older_data_set_is_repaired(tmp_path):
    (tmp_path / "rows.svm").write_text("".join(f"{i} 1:{i} 3:1\n" for i in range(40)))
    data = storage.ingest(tmp_path / "rows.svm", tmp_path / "d", **SIZES)
    before = data.X.compute()
    edit_manifest(data, without_numbers_of_values)
    (data.path / "X" / "c.1").unlink()
    storage.repair(data.path, tmp_path / "rows.svm")
    same(storage.open_dataset(data.path).X.compute(), before)


def changed(old, new):
    return lambda manifest: signed_manifest(manifest.replace(old, new, 1))


def test_a_wrong_number_is_found_by_decoding(data):
    first = data.manifest.arrays["X"].nnz[0]
    edit_manifest(data, changed(b'"nnz": %d}' % first, b'"nnz": %d}' % (first + 1)))
    with pytest.raises(storage.DatasetCorrupt, match=r"holds \d+ values, the manifest says \d+"):
        storage.verify(data.path, decode=True)
    storage.verify(data.path)  # the files are those that the manifest lists


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        (b'"nnz": 99999999}', "a chunk of X is too short to hold its values"),
        (b'"nnz": 9999999999999999999}', "the number of a chunk is too long"),
        (b'"nnz": -1}', "a wrong digit"),
        (b'"other": 1, "nnz": 1}', "a wrong number of fields"),
    ],
)
def test_impossible_numbers_are_refused(data, new, problem):
    old = b'"nnz": %d}' % data.manifest.arrays["X"].nnz[0]
    edit_manifest(data, changed(old, new))
    with pytest.raises(storage.MetadataCorrupt, match=problem):
        storage.open_dataset(data.path)
