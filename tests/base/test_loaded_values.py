"""Files of models with right checksums whose values do not fit together; found by mutation."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import dlbd_estimators
from dlbd_estimators import LogisticRegression, MLPClassifier
from dlbd_estimators.engine.packed_file import MODEL, pack, unpack
from dlbd_estimators.exceptions import ModelDamaged
from dlbd_estimators.preprocessing import OneHotEncoder, StandardScaler
from dlbd_estimators.solvers.random_states import freeze, thaw

X = np.random.default_rng(0).normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)


def network():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLPClassifier((2,), max_iter=1, random_state=0).fit(X, Y)


@pytest.fixture
def loaded(tmp_path):
    """Save a model, change the facts and arrays of its file, and load it again."""

    def load(model, change):
        path = tmp_path / "m.model"
        dlbd_estimators.save(model, path)
        facts, arrays = unpack(path.read_bytes(), MODEL)
        facts = change(facts, arrays) or facts
        path.write_bytes(b"".join(pack(facts, arrays, MODEL)))
        return dlbd_estimators.load(path)

    return load


def replaced(old, new):
    """Change a text in the JSON of the facts, where it must be found once."""

    def change(facts, _):
        text = json.dumps(facts)
        assert text.count(old) == 1, text
        return json.loads(text.replace(old, new))

    return change


def in_array(kind, size, value):
    """Set the first entry of the only array of this kind and size."""

    def change(_, arrays):
        [found] = [each for each in arrays if each.dtype.kind == kind and each.size == size]
        found.flat[0] = value

    return change


def test_indices_of_a_sparse_matrix_stay_inside_it(loaded):
    model = LogisticRegression().fit(X, Y).sparsify()
    assert loaded(model, lambda *_: None).coef_.shape == (1, 3)
    positions = len(model.coef_.indices)

    def change(_, arrays):
        for array in arrays:
            if array.dtype == model.coef_.indices.dtype and array.shape == (positions,):
                array[-1] = 10**6
                return
        raise AssertionError

    with pytest.raises(ModelDamaged, match="indices"):
        loaded(model, change)


@pytest.mark.parametrize("outputs", ["[-1, 2]", "[2, 9007199254740992]", "[true, 2]", "[2]"])
def test_columns_of_a_one_hot_matrix_stay_inside_it(loaded, outputs):
    encoder = OneHotEncoder(sparse_output=False).fit(np.array([["a", "x"], ["b", "y"]], object))
    change = replaced(
        '"_n_features_outs": {"list": [2, 2]}', f'"_n_features_outs": {{"list": {outputs}}}'
    )
    with pytest.raises(ModelDamaged, match="columns, not"):
        loaded(encoder, change)


@pytest.mark.parametrize(
    ("model", "change", "match"),
    [
        (LogisticRegression().fit(X, Y), in_array("f", 3, np.nan), "coef_ is not an array of fin"),
        (LogisticRegression().fit(X, Y), replaced('"classes_": {"array": 0}', '"classes_": {"array": -3}'), "-3 is not the number"),  # noqa: E501
        (LogisticRegression().fit(X, Y), replaced('"n_features_in_": 3', '"n_features_in_": -3'), "not a count"),  # noqa: E501
        (LogisticRegression().fit(X, Y), replaced('"C": 1.0, ', ""), "no attribute 'C'"),
        (LogisticRegression().fit(X, np.where(Y, 2, 5)), in_array("i", 2, 5), "not distinct"),
        (StandardScaler().fit(X), replaced('"n_features_in_": 3', '"n_features_in_": 4'), "for 4 features"),  # noqa: E501
        (network(), in_array("f", 6, np.inf), "finite"),
    ],
    ids=["NaN", "array", "count", "parameter", "classes", "length", "layer"],
)  # fmt: skip
def test_what_no_fit_returns_is_refused(loaded, model, change, match):
    with pytest.raises(ModelDamaged, match=match):
        loaded(model, change)


@pytest.mark.parametrize("position", [-1, 625, True])
def test_a_generator_has_a_position(position):
    def with_position(pairs):
        return tuple(
            (
                name,
                with_position(value)
                if isinstance(value, tuple)
                else position
                if name == "pos"
                else value,
            )
            for name, value in pairs
        )

    frozen = freeze(np.random.RandomState(0))
    assert thaw(frozen).random() == np.random.RandomState(0).random()
    with pytest.raises(ValueError, match="no such state"):
        thaw(with_position(frozen))


def test_the_numbers_of_a_generator_have_their_type():
    frozen = dict(freeze(np.random.RandomState(0)))
    inner = dict(frozen["state"])
    inner["key"] = inner["key"].astype(np.int64)
    frozen["state"] = tuple(inner.items())
    with pytest.raises(ValueError, match="no such state"):
        thaw(tuple(frozen.items()))
