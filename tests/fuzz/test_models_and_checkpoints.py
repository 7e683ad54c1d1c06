"""Saved models and checkpoints with mutated files."""

from __future__ import annotations

import hashlib
import json
import struct
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline

import dlbd_estimators
from dlbd_estimators.base.saved_checkpoint import SavedCheckpoint
from dlbd_estimators.engine.packed_file import CHECKPOINT, MODEL, pack, unpack
from dlbd_estimators.exceptions import CheckpointDamaged, ModelDamaged
from dlbd_estimators.preprocessing import OneHotEncoder, StandardScaler
from dlbd_estimators.solvers.random_states import Frozen, freeze, thaw
from dlbd_estimators.solvers.saving import from_facts, to_facts
from tests.fuzz import cases
from tests.fuzz.mutations import mutated_bytes, mutated_text

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
Y = (X[:, 0] > 0).astype(int)
LENGTHS = struct.Struct("<QQ")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    fitted = [
        make_pipeline(StandardScaler(), dlbd_estimators.LogisticRegression()).fit(X, Y),
        OneHotEncoder(handle_unknown="ignore").fit(np.array([["a", "x"], ["b", "y"]], object)),
    ]
    for number, model in enumerate(fitted):
        dlbd_estimators.save(model, folder / f"{number}.model")
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The last checkpoints of fits that stopped after a step, with the fits that resume."""
    fits = []
    for estimator in (
        dlbd_estimators.LogisticRegression(solver="lbfgs", max_iter=2),
        dlbd_estimators.MLPClassifier((2,), max_iter=1, random_state=0),
    ):
        folder = tmp_path_factory.mktemp("fit")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.set_params(checkpoint=str(folder)).fit(X, Y)
        last = max(path for path in folder.rglob("*.checkpoint"))
        fits.append((estimator.set_params(max_iter=3), last, last.read_bytes()))
    return fits


def mutated(random, content, kind):
    """Mutate bytes; or the header or the arrays, with right lengths and a right checksum."""
    if random.random() < 0.3:
        return mutated_bytes(random, content)
    header_length, _ = LENGTHS.unpack_from(content, len(kind.line))
    header, arrays = content[kind.start :][:header_length], content[kind.start + header_length :]
    if random.random() < 0.1:
        arrays = mutated_bytes(random, arrays)
    else:
        header = mutated_text(random, json.loads(header))
    digest = hashlib.sha256(header + arrays).digest()
    return kind.line + LENGTHS.pack(len(header), len(arrays)) + digest + header + arrays


@pytest.mark.filterwarnings("ignore")
def test_models(models, tmp_path):
    path = tmp_path / "m.model"
    n_loaded = 0
    for case, random in cases(600):
        content = random.choice(models)
        path.write_bytes(mutated(random, content, MODEL))
        try:
            loaded = dlbd_estimators.load(path)
        except ModelDamaged:
            continue
        except Exception as error:
            error.add_note(case)
            raise
        assert isinstance(loaded, BaseEstimator), case
        n_loaded += 1
    assert n_loaded


@pytest.mark.filterwarnings("ignore")
def test_contents_of_checkpoints(checkpoints):
    n_valid = 0
    for case, random in cases(200):
        _, _, content = random.choice(checkpoints)
        try:
            facts, arrays = unpack(mutated(random, content, CHECKPOINT))
            SavedCheckpoint.of(facts, arrays)
            n_valid += 1
        except CheckpointDamaged:
            continue
        except Exception as error:
            error.add_note(case)
            raise
    assert n_valid


@pytest.mark.filterwarnings("ignore")
def test_fits_do_not_resume_from_damaged_bytes(checkpoints):
    for case, random in cases(60):
        estimator, path, content = random.choice(checkpoints)
        for other in path.parent.iterdir():
            other.unlink()
        damaged = mutated_bytes(random, content)
        if damaged == content:
            continue
        path.write_bytes(damaged)
        try:
            with pytest.raises(CheckpointDamaged):
                estimator.fit(X, Y)
        except Exception as error:
            error.add_note(case)
            raise


def test_a_model_is_an_estimator(tmp_path):
    """Found by mutation: a file may hold a valid value that is no model."""
    path = tmp_path / "m.model"
    facts = {"dlbd_estimators": "1", "sklearn": "1", "model": "dlbd_estimators.linear_model.Ridge"}
    path.write_bytes(b"".join(pack(facts, [], MODEL)))
    with pytest.raises(ModelDamaged, match="a str, not a model"):
        dlbd_estimators.load(path)


@pytest.mark.parametrize("change", [{"state": None}, {"bit_generator": []}, {"state": {"key": 1}}])
def test_a_random_state_is_one(change):
    """Found by mutation: the state of a generator that no generator has."""
    arrays = []
    facts = to_facts(freeze(np.random.RandomState(0)), arrays)
    assert thaw(from_facts(facts, arrays, Frozen)).random() == np.random.RandomState(0).random()
    names = {pair["tuple"][0]: pair["tuple"] for pair in facts["tuple"]}
    for name, value in change.items():
        names[name][1] = to_facts(tuple(value.items()) if isinstance(value, dict) else value, [])
    with pytest.raises(ValueError, match=r"generator|represent|not a value"):
        from_facts(facts, arrays, Frozen)
