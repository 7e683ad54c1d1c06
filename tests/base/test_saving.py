"""A model that was saved and loaded is the same, bit for bit; what cannot be saved is refused."""

from __future__ import annotations

import errno
import os
import pickle
import warnings
from dataclasses import fields, is_dataclass

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import sklearn.preprocessing
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_selector
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import dlbd_estimators
from dlbd_estimators import (
    ElasticNetCV,
    InconsistentVersionWarning,
    Lasso,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MLPClassifier,
    MLPRegressor,
    Ridge,
    RidgeClassifierCV,
    RidgeCV,
    load,
    save,
)
from dlbd_estimators.base import saving, versions
from dlbd_estimators.base.saved_values import ValueDecoder, ValueEncoder
from dlbd_estimators.compose import ColumnTransformer
from dlbd_estimators.engine.packed_file import MODEL, pack
from dlbd_estimators.exceptions import ModelDamaged
from dlbd_estimators.model_selection import GridSearchCV, KFold
from dlbd_estimators.preprocessing import (
    Blockwise,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    SimpleImputer,
    StandardScaler,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
NAMES = np.array(["a bird", "cat"])[(X[:, 0] > 0).astype(int)]
FRAME = pd.DataFrame(
    {
        "a": np.where(RNG.random(60) < 0.1, np.nan, X[:, 0]),
        "b": X[:, 1],
        "plan": RNG.choice(["basic", "family"], 60),
        "size": RNG.integers(0, 3, 60),
    }
)
COLUMNS = ColumnTransformer(
    [
        ("numbers", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["a"]),
        ("categories", OneHotEncoder(handle_unknown="ignore", dtype=np.float32), ["plan"]),
        ("sizes", OrdinalEncoder(), make_column_selector("size")),
    ],
    remainder="passthrough",
)

#: Of arrays, then of frames.
ARRAYS = {
    "linear": (LinearRegression(), X[:, 0]),
    "ridge": (Ridge(alpha=[0.3, 1.0]), X[:, :2]),
    "ridge of a RandomState": (Ridge(random_state=np.random.RandomState(3)), X[:, 0]),
    "lasso": (Lasso(alpha=0.1, tol=np.float32(1e-5)), X[:, 0]),
    "elastic net, strengths": (ElasticNetCV(cv=2, alphas=4), X[:, 0]),
    "ridge, strengths": (RidgeCV(cv=KFold(2)), X[:, 0]),
    "ridge, classes": (RidgeClassifierCV(), NAMES),
    "logistic": (LogisticRegression(class_weight={"cat": 2.0, "a bird": 1.0}), NAMES),
    "logistic, strengths": (LogisticRegressionCV(Cs=2, cv=2, use_legacy_attributes=False), NAMES),
    "network": (MLPClassifier((2,), max_iter=2, random_state=0, early_stopping=True), NAMES),
    "network, L-BFGS": (MLPClassifier((2,), solver="lbfgs", max_iter=3), NAMES),
    "network, counts": (
        MLPRegressor(loss="poisson", hidden_layer_sizes=(2,), max_iter=2, activation="tanh"),
        np.arange(60.0),
    ),
    "network, numbers": (MLPRegressor(hidden_layer_sizes=(), max_iter=2), X[:, :2]),
    "scaler": (StandardScaler().set_output(transform="pandas"), None),
    "largest": (MaxAbsScaler(), None),
    "range": (MinMaxScaler(clip=True), None),
    "pipeline": (make_pipeline(StandardScaler(), LogisticRegression()), NAMES),
}
FRAMES = {
    "columns": (COLUMNS, None),
    "encoder": (OneHotEncoder(drop="first", min_frequency=2, sparse_output=False), None),
    "imputer": (SimpleImputer(strategy="most_frequent"), None),
    "columns and a model": (make_pipeline(COLUMNS, LogisticRegression()), NAMES),
}


def fitted(name, lazy):
    model, y = (ARRAYS | FRAMES)[name]
    rows = X
    if name in FRAMES:
        rows = FRAME if isinstance(model, type(COLUMNS)) or y is not None else FRAME[["plan"]]
    if lazy:
        rows = da.from_array(X, chunks=(25, 3)) if rows is X else dd.from_pandas(rows, 3)
        y = y if y is None else da.from_array(y, chunks=25)
        if rows is not X and isinstance(rows, dd.DataFrame) and y is not None:
            rows, y = dd.from_pandas(FRAME, 3), dd.from_pandas(pd.Series(ARRAYS["logistic"][1]), 3)
    return clone(model).fit(rows, y) if y is not None else clone(model).fit(rows)


def same(one, other):
    """Whether two values have the same types, structure and bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            return False
        if one.dtype == object:
            return all(map(same, one.flat, other.flat))
        # A product may depend on how numbers lie in memory.
        order = one.flags.f_contiguous == other.flags.f_contiguous or one.dtype.kind not in "biuf"
        return order and one.tobytes() == other.tobytes()
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same([*one.items()], [*other.items()])
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, np.random.RandomState):
        return same(one.get_state(legacy=False), other.get_state(legacy=False))
    if isinstance(one, BaseEstimator | KFold | make_column_selector) or hasattr(one, "layers"):
        return same(vars(one), vars(other))
    return one is other or repr(one) == repr(other)


def predictions(model, rows):
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        if hasattr(model, method):
            yield np.asarray(getattr(model, method)(rows))


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", [*ARRAYS, *FRAMES])
def test_a_loaded_model_is_the_one_that_was_saved(name, lazy, tmp_path):
    model = fitted(name, lazy)
    before = pickle.dumps(model)
    save(model, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert same(vars(model), vars(loaded))
    assert pickle.dumps(model) == before
    rows = X if name in ARRAYS else FRAME[list(model.feature_names_in_)]
    assert [*predictions(model, rows)]
    for one, other in zip(predictions(model, rows), predictions(loaded, rows), strict=True):
        assert same(one, other)
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("model", [
    Ridge(), LogisticRegression(),
    MLPClassifier((2,), max_iter=2, random_state=0), Lasso(),
], ids=repr)  # fmt: skip
def test_a_loaded_model_goes_on_learning(model, tmp_path):
    y = X[:, 0] if isinstance(model, Ridge | Lasso) else (X[:, 0] > 0).astype(int)
    classes = {} if isinstance(model, Ridge | Lasso) else {"classes": [0, 1]}
    model = clone(model).partial_fit(X[:30], y[:30], **classes)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    for each in (model, loaded):
        each.partial_fit(X[30:], y[30:])
        for record in each.history_:
            record.pop("seconds")
    assert same(vars(model), vars(loaded))


def test_sparse_coefficients_stay_sparse(tmp_path):
    model = LogisticRegression(l1_ratio=1.0, C=0.1).fit(X, NAMES).sparsify()
    model.save(tmp_path / "model")
    found = load(tmp_path / "model")
    assert scipy.sparse.issparse(found.coef_)
    assert (found.decision_function(X) == model.decision_function(X)).all()


# ---- values

KEYS = st.one_of(st.integers(), st.text(max_size=3), st.integers(0, 9).map(np.int64))
DTYPES = st.one_of(
    npst.floating_dtypes(), npst.integer_dtypes(), npst.unsigned_integer_dtypes(),
    npst.boolean_dtypes(), npst.unicode_string_dtypes(max_len=3), npst.datetime64_dtypes(),
    npst.timedelta64_dtypes(),
)  # fmt: skip
NUMPY = npst.arrays(DTYPES, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), NUMPY,
    NUMPY.map(np.asfortranarray), npst.array_shapes(max_dims=1).map(lambda s: slice(*s)),
    st.sampled_from([pd.NA, float, np.float32, object, np.dtype("f4"), np.float64(-0.0)]),
    st.just(np.str_("a")),
)  # fmt: skip


def as_objects(values):
    array = np.empty(len(values), object)
    for i, value in enumerate(values):
        array[i] = value
    return array


@given(
    st.recursive(
        ATOMS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(KEYS, inner, max_size=3),
            st.lists(inner, max_size=3).map(as_objects),
        ),
        max_leaves=6,
    )
)
def test_any_value_comes_back(value):
    facts = ValueEncoder(saving._name_of)
    held = facts.of(value, "it")
    parts = b"".join(bytes(part) for part in pack(held, facts.arrays, MODEL))
    held, arrays = dlbd_estimators.base.saving.unpack(parts, MODEL)
    assert same(ValueDecoder(arrays, saving._class_of).of(held), value)


def test_an_estimator_that_stands_at_two_places_is_one(tmp_path):
    scaler = StandardScaler()
    save(make_pipeline(scaler, scaler), tmp_path / "model")
    (_, one), (_, other) = load(tmp_path / "model").steps
    assert one is other


# ---- what cannot be saved

REFUSED = {
    "a function": (make_pipeline(Blockwise(sklearn.preprocessing.FunctionTransformer(np.log1p))),
                   r"Pipeline\.steps\['blockwise'\]\.transformer\.func is <ufunc 'log1p'>"),
    "an estimator": (make_pipeline(StandardScaler(), LinearSVC()),
                     r"Pipeline\.steps\['linearsvc'\] is LinearSVC\(\)"),
    "only that": (LinearSVC(), "The model to save is LinearSVC"),
    "a lambda": (RidgeCV(scoring=lambda *_: 0.0), r"RidgeCV\.scoring is <function"),
    "complex numbers": (Ridge(alpha=np.array([1j])), r"Ridge\.alpha is array\("),
    "lazy data": (Ridge(alpha=da.ones(3)), r"Ridge\.alpha is dask\.array"),
    "no model": ({"C": 1.0}, "The model to save is {'C': 1.0}"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_file_cannot_hold_is_named_with_what_to_do(case, tmp_path):
    model, words = REFUSED[case]
    (tmp_path / "model").write_text("before")
    with pytest.raises(TypeError, match=words) as error:
        save(model, tmp_path / "model")
    assert "skops.io.dump" in str(error.value)
    assert (tmp_path / "model").read_text() == "before"


def test_a_search_says_which_part_of_it_to_save(tmp_path):
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2).fit(X, X[:, 0])
    with pytest.raises(TypeError, match="Save best_estimator_"):
        save(search, tmp_path / "model")
    save(search.best_estimator_, tmp_path / "model")
    assert (load(tmp_path / "model").predict(X) == search.predict(X)).all()


def test_a_subclass_of_a_user_is_refused(tmp_path):
    class Mine(Ridge):
        pass

    with pytest.raises(TypeError, match="The model to save is Mine"):
        Mine().save(tmp_path / "model")


# ---- files


def test_a_full_disk_leaves_the_file_before(tmp_path, monkeypatch):
    Ridge(alpha=1.0).save(tmp_path / "model")

    def full(fd):
        raise OSError(28, f"No space for {fd}")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Ridge(alpha=2.0).save(tmp_path / "model")
    monkeypatch.undo()
    assert load(tmp_path / "model").alpha == 1.0
    assert os.listdir(tmp_path) == ["model"]


def test_an_error_of_the_disk_names_the_file_that_was_given(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as error:
        Ridge().save(tmp_path / "folder")
    assert str(error.value).endswith(f"{str(tmp_path / 'folder')!r}")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as error:
        Ridge().save(tmp_path / "model")
    assert error.value.filename == str(tmp_path / "model")


@given(st.data())
def test_a_damaged_file_is_an_error_that_says_so(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "model"
    Ridge(alpha=X[:9, 0]).save(path)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    broken = data.draw(st.sampled_from([
        whole[:place], whole + b"0",
        whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
    ]))  # fmt: skip
    path.write_bytes(broken)
    with pytest.raises(ModelDamaged, match="cannot be loaded as a model"):
        load(path)


def test_what_is_no_file_of_a_model(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere" / "model")
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load(tmp_path)
    (tmp_path / "pickle").write_bytes(pickle.dumps(Ridge()))
    with pytest.raises(ModelDamaged, match="does not begin as a model"):
        load(tmp_path / "pickle")


FORGED = {
    "a class of another package": {"object": "subprocess.Popen", "holds": {}},
    "what is not public": {"object": "dlbd_estimators.engine.Executor", "holds": {}},
    "what is no public name": {"object": "dlbd_estimators.linear_model.ridge", "holds": {}},
    "a public function": {"object": "dlbd_estimators.linear_model.lasso_path", "holds": {}},
    "a function of NumPy": {"random_state": {"tuple": [{"tuple": ["bit_generator", "test"]}]}},
    "a type": {"type": "subprocess.Popen"},
    "another missing value": {"missing": "os.system"},
    "no array": {"array": 3},
    "an unknown kind": {"code": "1 + 1"},
    "nothing": {},
    "state that no class keeps": {
        "object": "dlbd_estimators.linear_model.Ridge", "holds": {"coef_": {"kept": {}}},
    },
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_a_file_names_nothing_but_what_is_in_the_list(case, tmp_path):
    facts = {"dlbd_estimators": versions.__version__, "sklearn": sklearn.__version__}
    parts = pack({**facts, "model": FORGED[case]}, [], MODEL)
    (tmp_path / "model").write_bytes(b"".join(parts))
    with pytest.raises(ModelDamaged, match="no generator" if "NumPy" in case else "cannot be"):
        load(tmp_path / "model")


def test_another_version_warns_at_the_line_that_loads(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(versions, "__version__", "0.0.7")
        make_pipeline(StandardScaler(), Ridge()).fit(X, X[:, 0])
        save(make_pipeline(StandardScaler(), Ridge()), tmp_path / "model")
    with pytest.warns(
        InconsistentVersionWarning, match=r"saved by dlbd_estimators 0\.0\.7"
    ) as seen:
        load(tmp_path / "model")
    assert [each.filename for each in seen] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Ridge().save(tmp_path / "model")
        load(tmp_path / "model")


def test_a_url_of_fsspec():
    import fsspec

    Ridge(alpha=3.0).save("memory://models/ridge")
    assert load("memory://models/ridge").alpha == 3.0
    with pytest.raises(FileNotFoundError):
        load("memory://models/lasso")
    fsspec.filesystem("memory").rm("/models", recursive=True)
