"""Pickles carry the versions that wrote them, and warn where others load them."""

from __future__ import annotations

import copy
import io
import pickle
import threading
import warnings
from pathlib import Path

import cloudpickle
import dask.array as da
import joblib
import numpy as np
import pytest
import sklearn
import sklearn.exceptions
from sklearn.pipeline import make_pipeline

from dlbd_estimators import InconsistentVersionWarning, LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.base import versions
from dlbd_estimators.compose import ColumnTransformer
from dlbd_estimators.preprocessing import Blockwise, StandardScaler

X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)
MODELS = {
    "ridge": Ridge(),
    "logistic": LogisticRegression(),
    "network": MLPClassifier((2,), solver="lbfgs", alpha=1.0),
    "scaler": StandardScaler(),
    "blockwise": Blockwise(StandardScaler().fit(X)),
    "columns": ColumnTransformer([("a", StandardScaler(), [0])], remainder="passthrough"),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
}


def written(model, monkeypatch, *, ours=None, theirs=None):
    """A pickle by other versions."""
    with monkeypatch.context() as patch:
        if ours:
            patch.setattr(versions, "__version__", ours)
        if theirs:
            patch.setattr(sklearn, "__version__", theirs)
        return pickle.dumps(model)


@pytest.mark.parametrize("case", MODELS)
def test_the_same_version_says_nothing(case):
    model = sklearn.base.clone(MODELS[case]).fit(da.from_array(X, chunks=(20, 3)), Y)
    before = dict(vars(model))
    for loaded in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        method = "predict" if hasattr(model, "predict") else "transform"
        np.testing.assert_array_equal(getattr(loaded, method)(X), getattr(model, method)(X))
        assert set(vars(loaded)) == set(vars(model))
    assert vars(model) == before


@pytest.mark.parametrize("case", [each for each in MODELS if each != "pipeline"])
def test_another_version_warns_at_the_line_that_loads(case, monkeypatch):
    text = written(MODELS[case], monkeypatch, ours="0.0.7")
    with pytest.warns(InconsistentVersionWarning) as caught:
        pickle.loads(text)
    warning = caught[0]
    name = type(MODELS[case]).__name__
    assert f"{name} was saved by dlbd_estimators 0.0.7" in str(caught[-1].message)
    assert Path(warning.filename) == Path(__file__)
    assert "pickle.loads(text)" in Path(__file__).read_text().splitlines()[warning.lineno - 1]


def test_each_step_of_a_pipeline_warns(monkeypatch):
    text = written(MODELS["pipeline"], monkeypatch, ours="9.1")
    with pytest.warns(InconsistentVersionWarning) as caught:
        pickle.loads(text)
    assert [each.message.estimator_name for each in caught] == [
        "StandardScaler",
        "LogisticRegression",
    ]


LOADERS = {
    "pickle": pickle.load,
    "in Python": lambda file: pickle._Unpickler(file).load(),
    "joblib": joblib.load,
    "cloudpickle": cloudpickle.load,
}


@pytest.mark.parametrize("loader", LOADERS)
def test_every_loader_points_to_the_user(loader, monkeypatch):
    file = io.BytesIO(written(Ridge(), monkeypatch, ours="0.0.7"))
    with pytest.warns(InconsistentVersionWarning) as caught:
        LOADERS[loader](file)
    assert Path(caught[0].filename) == Path(__file__)


def test_another_scikit_learn_warns_too(monkeypatch):
    text = written(StandardScaler(), monkeypatch, theirs="1.0.2")
    with pytest.warns(sklearn.exceptions.InconsistentVersionWarning, match=r"scikit-learn 1\.0\.2"):
        pickle.loads(text)


def test_a_pickle_without_versions_warns():
    state = vars(Ridge(alpha=3.0))
    model = Ridge()
    with pytest.warns(InconsistentVersionWarning, match="unknown version"):
        model.__setstate__(state)
    assert model.alpha == 3.0


def test_a_filter_for_scikit_learns_warning_is_one_for_ours(monkeypatch):
    text = written(Ridge(alpha=2.0), monkeypatch, ours="0.0.7")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.InconsistentVersionWarning)
        assert pickle.load(io.BytesIO(text)).alpha == 2.0
    with warnings.catch_warnings():
        warnings.simplefilter("error", sklearn.exceptions.InconsistentVersionWarning)
        with pytest.raises(sklearn.exceptions.InconsistentVersionWarning) as raised:
            pickle.loads(text)
    assert raised.value.original_sklearn_version == sklearn.__version__
    assert raised.value.original_version == "0.0.7"


class Save:
    """Pickles the model after every step; cannot be pickled itself."""

    def __init__(self):
        self.saved, self.lock = [], threading.Lock()

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "iteration":
            self.saved.append(pickle.dumps(fitted_estimator.set_callbacks()))


def test_a_callback_can_save_the_model():
    save = Save()
    model = LogisticRegression(solver="lbfgs").set_callbacks(save).fit(X, Y)
    assert len(save.saved) == model.n_iter_
    np.testing.assert_array_equal(pickle.loads(save.saved[-1]).coef_, model.coef_)
