"""Data that are bad in one late block, or change while a fit reads them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import dask
import dask.array as da
import numpy as np
import pytest

import storage
from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.exceptions import NonFiniteValues
from tests.faults.work import N_BLOCKS, ROWS, WORK, N, P, Reads, Rows, data, lazy

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

#: Work that skips NaN, as scikit-learn's classes do.
SKIPS_NAN = {"StandardScaler", "MinMaxScaler", "SimpleImputer", "ColumnTransformer"}
#: Work that reads no rows of a fit: Dask's own functions, or one column.
READS_OTHERWISE = {
    "encoders",
    "metrics",
    "train_test_split",
    "predict and score",
    "report",
}
FITS = [
    name
    for name in WORK
    if name not in SKIPS_NAN | READS_OTHERWISE and not name.startswith("write")
]


@pytest.mark.parametrize("name", FITS)
def test_a_nan_in_the_last_block_but_one_is_named(name, tmp_path):
    X, y, labels = lazy()
    row = N - ROWS - 5
    is_bad = (da.arange(N, chunks=ROWS) == row)[:, None] & (da.arange(P) == 1)
    place = "" if name == "centred rows" else rf" at row {ROWS - 5} of block {N_BLOCKS - 2} "
    with (
        dask.config.set(scheduler="threads"),
        pytest.raises(NonFiniteValues, match=f"NaN{place}"),
    ):
        WORK[name](Rows(da.where(is_bad, np.nan, X), y, labels, tmp_path))


@pytest.mark.parametrize(
    "model",
    [
        *(LogisticRegression(solver=name) for name in ("newton", "newton-cg", "lbfgs")),
        LogisticRegression(),
        MLPClassifier((4,), max_iter=2, random_state=0),
        MLPClassifier((4,), max_iter=2, random_state=0, n_replicas=3),
    ],
    ids=lambda model: f"{type(model).__name__}-{model.solver}-{getattr(model, 'n_replicas', '')}",
)
def test_a_label_that_only_one_block_has_is_a_class(model):
    X, _, labels = data()
    labels[-ROWS - 3 :] = 7
    labels[-ROWS:] = 1
    lazily = [da.from_array(each, chunks=(ROWS, *each.shape[1:])) for each in (X, labels)]
    with dask.config.set(scheduler="threads"):
        model.fit(*lazily)
        assert model.classes_.tolist() == [0, 1, 7]
        assert model.predict_proba(lazily[0]).compute().shape == (N, 3)
    if isinstance(model, LogisticRegression):
        whole = LogisticRegression(tol=1e-10).fit(X, labels)
        np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-4, atol=1e-5)


SIZES = {"chunk_nbytes": ROWS * P * 8, "block_nbytes": ROWS * (P + 1) * 8}
MODELS = {
    "gram": Ridge,
    "lbfgs": lambda: Ridge(solver="lbfgs"),
    "network": lambda: MLPClassifier((4,), max_iter=3, random_state=0),
}


def stored(path, shift=0.0, **options):
    X, _, labels = data()
    target = labels if shift == 0 else 1 - labels
    return storage.create_dataset(path, X + shift, target, **SIZES, **options)


class _Chunk(NamedTuple):
    """The file of a chunk, the file of another one, and the content of an earlier writing."""

    file: Path
    other: Path
    earlier: bytes


def _missing(chunk):
    chunk.file.unlink()


def _truncated(chunk):
    chunk.file.write_bytes(chunk.file.read_bytes()[:-7])


def _flipped(chunk):
    content = bytearray(chunk.file.read_bytes())
    content[len(content) // 2] ^= 16
    chunk.file.write_bytes(content)


def _swapped(chunk):
    content = chunk.file.read_bytes()
    chunk.file.write_bytes(chunk.other.read_bytes())
    chunk.other.write_bytes(content)


def _of_an_earlier_writing(chunk):
    chunk.file.write_bytes(chunk.earlier)


DAMAGES = [_missing, _truncated, _flipped, _swapped, _of_an_earlier_writing]


def fit_to_damaged(damage, name, folder):
    early = stored(folder / "rows", shift=1.0)
    earlier = (early.path / early.layouts["X"].key(9)).read_bytes()
    rows = stored(folder / "rows", overwrite=True)
    file, other = (rows.path / rows.layouts["X"].key(chunk) for chunk in (9, 4))
    damage(_Chunk(file, other, earlier))
    model = MODELS[name]()
    with pytest.raises(storage.ChunkCorrupt, match=r"chunk (4|9) of array 'X'"):
        model.fit(rows.X, rows.y)
    assert not hasattr(model, "n_iter_")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__[1:])
def test_a_damaged_chunk_ends_a_fit_and_is_named(damage, name, tmp_path):
    with dask.config.set(scheduler="threads"):
        fit_to_damaged(damage, name, tmp_path)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("name", MODELS)
def test_a_damaged_chunk_is_named_from_afar(name, tmp_path):
    fit_to_damaged(_flipped, name, tmp_path)


class _Changes(Reads):
    """Deletes or overwrites a data set at one of the reads."""

    def __init__(self, folder, number, change):
        super().__init__(folder)
        self.number, self.change = number, change

    def act(self, number):
        if number == self.number:
            self.change()


@pytest.mark.parametrize("change", ["deleted", "overwritten"])
@pytest.mark.parametrize("number", [N_BLOCKS // 2, 2 * N_BLOCKS + 3])
@pytest.mark.parametrize("name", ["lbfgs", "network"])
def test_a_data_set_that_changes_during_a_fit_ends_it(name, number, change, tmp_path):
    rows = stored(tmp_path / "rows")

    def act():
        if change == "deleted":
            shutil.rmtree(rows.path)
        else:
            stored(rows.path, shift=1.0, overwrite=True)

    model = MODELS[name]()
    read = _Changes(tmp_path / "reads", number, act)
    with (
        dask.config.set({"scheduler": "threads", "dlbd-estimators.cache-share": 0.0}),
        pytest.raises(storage.DatasetReplaced, match=re.escape(str(rows.path))),
    ):
        model.fit(rows.X.map_blocks(read, meta=np.empty((0, 0))), rows.y)
    assert not hasattr(model, "coef_")
    assert not hasattr(model, "coefs_")
