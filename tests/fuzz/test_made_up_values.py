"""Models and checkpoints with right checksums, and arrays and counters that no fit writes."""

from __future__ import annotations

import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

import dlbd_estimators
from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.compose import ColumnTransformer
from dlbd_estimators.engine.checkpoint import CheckpointFolder
from dlbd_estimators.engine.packed_file import MODEL, pack, unpack
from dlbd_estimators.exceptions import CheckpointDamaged, ModelDamaged
from dlbd_estimators.linear_model import Lasso, LogisticRegressionCV, RidgeCV
from dlbd_estimators.neural_network import MLPRegressor
from dlbd_estimators.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from tests.fuzz import cases
from tests.fuzz.made_up import with_wrong_values

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
NUMBERS = X @ [1.0, -1.0, 0.5] + 0.3 * RNG.normal(size=60)
CLASSES = (NUMBERS > 0).astype(int)
MANY = np.digitize(NUMBERS, [-0.5, 0.5])
TEXTS = np.array([["a", "x"], ["b", "y"], ["a", "z"]] * 20, object)
LAZY = [da.from_array(each, chunks=(20, *each.shape[1:])) for each in (X, CLASSES)]

#: Estimators, their data, and whether a resumed fit has the bits of one that never stopped.
FITS = {
    "gram": (Ridge(), X, NUMBERS, False),
    "lbfgs": (LogisticRegression(solver="lbfgs"), X, CLASSES, False),
    "newton": (LogisticRegression(solver="newton"), X, MANY, False),
    "newton_cg": (LogisticRegression(solver="newton-cg"), X, MANY, False),
    "gradient_descent": (LogisticRegression(solver="gradient_descent"), X, CLASSES, False),
    "coordinate_descent": (Lasso(0.01), X, NUMBERS, False),
    "proximal_newton": (
        LogisticRegression(solver="proximal_newton", l1_ratio=0.5), X, CLASSES, False,
    ),
    "working_set": (LogisticRegression(solver="working_set", l1_ratio=0.5), X, CLASSES, False),
    "RidgeCV": (RidgeCV([0.1, 1.0], cv=3), X, NUMBERS, False),
    "LogisticRegressionCV": (
        LogisticRegressionCV(
            Cs=[0.1, 1.0], cv=3, scoring="neg_log_loss", l1_ratios=(0.0,),
            use_legacy_attributes=False,
        ),
        X, CLASSES, False,
    ),
    "network": (
        MLPClassifier((2,), max_iter=4, random_state=0, early_stopping=True), X, CLASSES, True,
    ),
    "network, lbfgs": (
        MLPRegressor(hidden_layer_sizes=(2,), max_iter=4, solver="lbfgs", random_state=0),
        X, NUMBERS, True,
    ),
    "network, replicas": (
        MLPClassifier((2,), max_iter=2, n_replicas=2, solver="sgd", random_state=0), *LAZY, True,
    ),
}  # fmt: skip
MODELS = {
    "Ridge": (Ridge(), X, np.c_[NUMBERS, NUMBERS], "predict"),
    "LogisticRegression": (LogisticRegression(), X, MANY, "predict_proba"),
    "MLPClassifier": (
        MLPClassifier((2,), max_iter=2, random_state=0), X, MANY, "predict_proba",
    ),
    "pipeline": (make_pipeline(StandardScaler(), Lasso(0.01)), X, NUMBERS, "predict"),
    "MinMaxScaler": (MinMaxScaler(), X, None, "transform"),
    "OneHotEncoder": (OneHotEncoder(drop="first", min_frequency=21), TEXTS, None, "transform"),
    "OrdinalEncoder": (OrdinalEncoder(), TEXTS, None, "transform"),
    "ColumnTransformer": (
        ColumnTransformer([("scaled", StandardScaler(), [0, 1]), ("shifted", MinMaxScaler(), [2])]),
        X, None, "transform",
    ),
}  # fmt: skip


def learned(model):
    """Return what a fit has found, as a list of arrays of floats."""
    values = (getattr(model, name, []) for name in ("coef_", "intercept_", "coefs_", "intercepts_"))
    return [
        np.asarray(array, float)
        for value in values
        for array in (value if isinstance(value, list) else [value])
    ]


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """For each estimator: its folder, the bytes of all its checkpoints, and what it finds."""
    made = {}
    write = CheckpointFolder.write
    for name, (estimator, features, y, _) in FITS.items():
        saved = {}

        def keep(folder, number, *content, saved=saved):
            write(folder, number, *content)
            path = Path(folder.url) / f"{number:08}.checkpoint"
            saved[path] = path.read_bytes()

        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patch.setattr(CheckpointFolder, "write", keep)
            folder = tmp_path_factory.mktemp("fit")
            made[name] = (
                saved,
                learned(estimator.set_params(checkpoint=str(folder)).fit(features, y)),
            )
    return made


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """For each model: the facts and arrays of its file, and what it makes of the data."""
    made, path = {}, tmp_path_factory.mktemp("models") / "m.model"
    for name, (model, features, y, method) in MODELS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dlbd_estimators.save(model.fit(features, y), path)
        made[name] = unpack(path.read_bytes(), MODEL), result(model, features, method)
    return made


def result(model, features, method):
    found = getattr(model, method)(features)
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found)


@pytest.mark.filterwarnings("ignore")
def test_fits_do_not_resume_from_values_that_no_fit_writes(fits):
    n_refused = 0
    for case, random in cases(300):
        name = random.choice([*FITS])
        estimator, features, y, exact = FITS[name]
        saved, truth = fits[name]
        path = random.choice([*saved])
        facts, arrays, change = with_wrong_values(random, *unpack(saved[path]))
        for other in path.parent.glob("*.checkpoint"):
            other.unlink()
        path.write_bytes(b"".join(pack(facts, arrays)))
        try:
            found = learned(estimator.fit(features, y))
        except CheckpointDamaged:
            n_refused += 1
            continue
        except Exception as error:
            error.add_note(f"{case}: {name}, {path.name}, {change}")
            raise
        for one, other in zip(found, truth, strict=True):
            tolerance = 0.0 if exact else 1e-5 * np.abs(other).max()
            np.testing.assert_allclose(
                one, other, rtol=0, atol=tolerance, err_msg=f"{case}: {name}, {path.name}, {change}"
            )
    assert n_refused


@pytest.mark.filterwarnings("ignore")
def test_models_with_values_that_no_fit_returns_are_not_loaded(models, tmp_path):
    path, n_refused = tmp_path / "m.model", 0
    for case, random in cases(1240):
        name = random.choice([*MODELS])
        _, features, _, method = MODELS[name]
        (facts, arrays), truth = models[name]
        changed, changed_arrays, change = with_wrong_values(random, facts, arrays)
        path.write_bytes(b"".join(pack(changed, changed_arrays, MODEL)))
        try:
            loaded = dlbd_estimators.load(path)
        except ModelDamaged:
            n_refused += 1
            continue
        except Exception as error:
            error.add_note(f"{case}: {name}, {change}")
            raise
        # The rest concerns what no prediction uses, such as counts of steps.
        np.testing.assert_array_equal(
            result(loaded, features, method), truth, err_msg=f"{case}: {name}, {change}"
        )
    assert n_refused
