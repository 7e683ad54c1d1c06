"""Whole pipelines leave for scikit-learn, skops and ONNX, and predict the same there."""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import sklearn.compose
import sklearn.impute
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.callback import ProgressBar
from sklearn.compose import make_column_selector
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from skops import io

from dlbd_estimators import LogisticRegression, MLPClassifier, MLPRegressor, Ridge, to_sklearn
from dlbd_estimators.compose import ColumnTransformer, make_column_transformer
from dlbd_estimators.model_selection import KFold
from dlbd_estimators.preprocessing import (
    Blockwise,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    SimpleImputer,
    StandardScaler,
)

# Few steps: predictions do not depend on where fits end.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 300
RNG = np.random.default_rng(3)
NUMBERS, CATEGORIES = ["age", "income"], ["city", "plan"]
FRAME = pd.DataFrame(
    {
        # Whole numbers, which ONNX's float32 holds as they are.
        "age": RNG.integers(18, 90, N).astype(float),
        "city": RNG.choice(["Aarhus", "Bergen", "Cadiz"], N),
        "income": RNG.integers(10, 100, N).astype(float),
        "plan": RNG.choice(["basic", "family"], N),
    }
)
ODDS = 0.05 * (FRAME["age"] - 50) + (FRAME["plan"] == "family")
LABELS = pd.Series(np.where(ODDS + RNG.logistic(size=N) > 0, "stays", "leaves"), name="y")
FRAME.loc[::7, "age"] = np.nan
FRAME.loc[3::11, "income"] = np.nan
MODELS = {
    "logistic": LogisticRegression(),
    "ridge": Ridge(),
    "classifier": MLPClassifier((4,), max_iter=5, random_state=0),
    "regressor": MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0),
}


def mixed(model):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [
            ("numbers", numbers, NUMBERS),
            ("categories", OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
        ]
    )
    return make_pipeline(columns, model)


def fitted(name):
    model = mixed(MODELS[name])
    y = ODDS.rename("y") if name in ("ridge", "regressor") else LABELS
    return model.fit(dd.from_pandas(FRAME, npartitions=3), dd.from_pandas(y, npartitions=3))


def parts_of(value, met=None):
    """Every object that an estimator holds."""
    met = {} if met is None else met
    if id(value) not in met:
        met[id(value)] = value
        inner = (
            value.values()
            if isinstance(value, dict)
            else vars(value).values()
            if isinstance(value, BaseEstimator)
            else value
            if isinstance(value, list | tuple)
            else ()
        )
        for each in inner:
            parts_of(each, met)
    return list(met.values())


def assert_left(model):
    """Nothing of this package is in it, and only scikit-learn's classes are estimators."""
    for part in parts_of(model):
        assert not type(part).__module__.startswith("dlbd_estimators"), part


def outputs(model, X):
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    return getattr(model, method)(X)


@pytest.mark.parametrize("name", MODELS)
def test_mixed_columns(name):
    ours = fitted(name)
    left = to_sklearn(ours)
    assert_left(left)
    np.testing.assert_allclose(outputs(left, FRAME), outputs(ours, FRAME), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(left[0].get_feature_names_out(), ours[0].get_feature_names_out())
    left.fit(FRAME, ODDS if name in ("ridge", "regressor") else LABELS)  # all of it is there


@pytest.mark.parametrize("name", MODELS)
def test_skops(name, tmp_path):
    ours = fitted(name)
    io.dump(to_sklearn(ours), tmp_path / "model.skops")
    # skops knows no dtype, which an imputer of scikit-learn's keeps; nothing else is asked for.
    untrusted = io.get_untrusted_types(file=tmp_path / "model.skops")
    io.dump(sklearn.impute.SimpleImputer().fit(FRAME[NUMBERS]), tmp_path / "imputer.skops")
    assert untrusted == io.get_untrusted_types(file=tmp_path / "imputer.skops") == ["numpy.dtype"]
    loaded = io.load(tmp_path / "model.skops", trusted=untrusted)
    np.testing.assert_allclose(outputs(loaded, FRAME), outputs(ours, FRAME), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", MODELS)
def test_onnx(name):
    ours = fitted(name)
    classifier = hasattr(ours, "predict_proba")
    types = [
        (each, (FloatTensorType if each in NUMBERS else StringTensorType)([None, 1]))
        for each in FRAME
    ]
    graph = to_onnx(
        to_sklearn(ours),
        initial_types=types,
        options={"zipmap": False} if classifier else None,
    )
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {
        each: FRAME[[each]].to_numpy(np.float32 if each in NUMBERS else object) for each in FRAME
    }
    found = session.run(None, feeds)
    if classifier:
        np.testing.assert_allclose(found[1], ours.predict_proba(FRAME), atol=1e-5)
        np.testing.assert_array_equal(found[0], ours.predict(FRAME))
    else:
        expected = ours.predict(FRAME)
        np.testing.assert_allclose(found[0].reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)


def test_a_column_transformer_by_itself():
    X = dd.from_pandas(FRAME, npartitions=4)
    ours = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OrdinalEncoder(), CATEGORIES),
        ("drop", []),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    with pytest.raises(NotFittedError):
        ours.to_sklearn()
    ours.fit(X)
    left = ours.to_sklearn()
    assert type(left) is sklearn.compose.ColumnTransformer
    assert_left(left)
    assert not hasattr(left, "n_passes_")
    assert left.transformers_[0][1] is left.named_transformers_["standardscaler"]
    np.testing.assert_array_equal(left.transform(FRAME), ours.transform(FRAME))
    np.testing.assert_array_equal(left.get_feature_names_out(), ours.get_feature_names_out())
    left.transformers_[0][1].mean_[:] = 0.0  # nothing is shared
    assert ours.transformers_[0][1].mean_[0] != 0.0
    in_memory = sklearn.base.clone(ours).fit(FRAME).to_sklearn()
    np.testing.assert_allclose(in_memory.transform(FRAME), ours.transform(FRAME), rtol=1e-13)


def test_chosen_containers_stay_chosen():
    ours = mixed(Ridge())[0].set_params(categories__sparse_output=False)
    ours.set_output(transform="pandas").fit(dd.from_pandas(FRAME, npartitions=2))
    pd.testing.assert_frame_equal(ours.to_sklearn().transform(FRAME), ours.transform(FRAME))


class Doubled(TransformerMixin, BaseEstimator):
    """Someone's own, around one of ours."""

    def __init__(self, inner):
        self.inner = inner

    def fit(self, X, y=None):
        self.inner_ = sklearn.base.clone(self.inner).fit(X)
        return self

    def transform(self, X):
        return 2 * self.inner_.transform(X)


def numbers():
    X = RNG.normal(size=(N, 3))
    return X, (X[:, 0] > 0).astype(int)


NESTED = {
    "pipelines": lambda: make_pipeline(
        make_pipeline(SimpleImputer(), make_pipeline(StandardScaler())), "passthrough", Ridge()
    ),
    "union": lambda: make_pipeline(
        FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler())]), Ridge()
    ),
    "blockwise": lambda: make_pipeline(
        Blockwise(PolynomialFeatures(degree=2)), Blockwise(StandardScaler()), LogisticRegression()
    ),
    "voting": lambda: VotingClassifier(
        [("a", LogisticRegression()), ("b", make_pipeline(StandardScaler(), LogisticRegression()))],
        voting="soft",
    ),
    "calibrated": lambda: CalibratedClassifierCV(LogisticRegression(), cv=KFold(3)),
    "search": lambda: GridSearchCV(
        Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]),
        {"model__C": [0.1, 1.0], "scale": [StandardScaler(), MinMaxScaler(), None]},
        cv=KFold(3, shuffle=True, random_state=0),
    ),
    "own": lambda: make_pipeline(Doubled(StandardScaler()), Ridge()),
}


@pytest.mark.parametrize("case", NESTED)
def test_nested(case):
    X, y = numbers()
    ours = NESTED[case]().fit(X, y)
    left = to_sklearn(ours)
    assert_left(left)
    np.testing.assert_allclose(outputs(left, X), outputs(ours, X), rtol=1e-12, atol=1e-14)
    sklearn.base.clone(left).fit(X, y)  # what was not fitted has left, too


def test_of_a_user_s_function_nothing_is_asked():
    X, y = numbers()
    lazy = da.from_array(X, chunks=(100, 3)), da.from_array(y, chunks=100)
    ours = make_pipeline(StandardScaler(), LogisticRegression()).fit(*lazy)
    np.testing.assert_allclose(to_sklearn(ours).predict_proba(X), ours.predict_proba(X), atol=1e-14)


def test_callbacks_stay_here():
    X, y = numbers()
    ours = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    ours[-1].set_callbacks(ProgressBar())
    assert not [name for name in vars(to_sklearn(ours)[-1]) if "callback" in name]


def test_what_cannot_leave_is_named():
    X, y = numbers()
    with pytest.raises(NotFittedError):
        to_sklearn(mixed(Ridge()))
    with pytest.raises(TypeError, match="got ndarray"):
        to_sklearn(X)

    ours = make_pipeline(StandardScaler(), Ridge()).fit(X, y)
    ours.memory = to_sklearn  # anything of this package
    with pytest.raises(TypeError, match=r"^Pipeline\.memory is <function to_sklearn.*namesake"):
        to_sklearn(ours)
