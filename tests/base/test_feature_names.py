"""Names that a Dask array tells of its columns reach the estimator, as a frame's do."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import storage
from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.model_selection import train_test_split
from dlbd_estimators.preprocessing import Blockwise, StandardScaler

RNG = np.random.default_rng(0)
VALUES = RNG.standard_normal((60, 3))
NAMES = ["age", "height", "weight"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("named") / "d"
    codes = (VALUES @ [1.0, -1.0, 0.5] > 0).astype(int)
    return storage.create_dataset(
        path, VALUES, codes, feature_names=NAMES, classes=["no", "yes"], block_nbytes=2**9,
        chunk_nbytes=2**9,
    )  # fmt: skip


def test_fit_keeps_the_names_and_predict_compares_them(data):
    model = LogisticRegression().fit(data.X, data.y)
    assert model.feature_names_in_.tolist() == NAMES
    assert model.feature_names_in_.dtype == object
    expected = model.predict(data.X).compute()
    np.testing.assert_array_equal(model.predict(data.X[:20]).compute(), expected[:20])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(data.X[:, ::-1])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(data.X[:, :2])
    # Arrays lose their names, and then tell nothing.
    np.testing.assert_array_equal(model.predict(data.X + 0).compute(), expected)
    np.testing.assert_array_equal(model.predict(data.X.compute()), expected)


def test_a_frame_is_compared_by_name(data):
    model = LogisticRegression().fit(data.X, data.y)
    frame = data.to_dask_dataframe()
    expected = model.predict(data.X).compute()
    np.testing.assert_array_equal(model.predict(frame[NAMES]).compute(), expected)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[NAMES[::-1]])
    by_frame = LogisticRegression().fit(frame[NAMES], frame["y"])
    np.testing.assert_allclose(by_frame.coef_, model.coef_, rtol=1e-9)
    assert by_frame.classes_.tolist() == ["no", "yes"]
    # A frame never loses them, so here their absence tells something.
    model.fit(frame[NAMES], frame["y"])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(VALUES)


def test_labels_reach_the_estimator(data):
    model = LogisticRegression().fit(data.X, data.labels)
    assert model.classes_.tolist() == ["no", "yes"]
    coded = LogisticRegression().fit(data.X, data.y)
    np.testing.assert_array_equal(model.coef_, coded.coef_)


def test_transformers_too(data):
    scaler = StandardScaler().fit(data.X)
    assert scaler.feature_names_in_.tolist() == NAMES
    assert scaler.get_feature_names_out().tolist() == NAMES
    with pytest.raises(ValueError, match="feature names should match"):
        scaler.transform(data.X[:, ::-1])
    model = make_pipeline(StandardScaler(), Ridge()).fit(data.X, data.y)
    assert model.feature_names_in_.tolist() == NAMES
    expected = model.predict(data.X[:5]).compute()
    np.testing.assert_array_equal(model.predict(data.X[:5].compute()), expected)
    assert isinstance(scaler.transform(VALUES), np.ndarray)
    in_place = VALUES.copy()
    assert scaler.transform(in_place, copy=False) is not None
    np.testing.assert_array_equal(in_place, scaler.transform(VALUES))


def test_transformers_of_any_kind_take_arrays(data):
    inner = FunctionTransformer(lambda rows: rows[:, :2])
    step = Blockwise(inner).fit(data.X)
    np.testing.assert_array_equal(step.transform(data.X).compute(), VALUES[:, :2])


def test_a_model_without_names_takes_an_array_with_names(data):
    plain = da.from_array(VALUES, chunks=(20, 3))
    model = Ridge().fit(plain, data.y)
    assert not hasattr(model, "feature_names_in_")
    np.testing.assert_array_equal(model.predict(data.X).compute(), model.predict(plain).compute())
    model.fit(data.X, data.y)
    assert model.feature_names_in_.tolist() == NAMES
    assert not hasattr(model.fit(plain, data.y), "feature_names_in_")


def test_parts_of_a_split_keep_the_names(data):
    train, test, y_train, _ = train_test_split(data.X, data.y, random_state=0)
    model = Ridge().fit(train, y_train)
    model.predict(test)
    model.predict(data.X)


class Named(da.Array):
    """Any Dask array may tell names; those that are none are passed over."""


@pytest.mark.parametrize("names", [["a", "b"], [1, 2, 3], None])
def test_names_that_are_none(names):
    plain = da.from_array(VALUES, chunks=(20, 3))
    X = Named(plain.dask, plain.name, plain.chunks, meta=plain._meta)
    X.feature_names = names
    assert not hasattr(Ridge().fit(X, plain[:, 0]), "feature_names_in_")


def test_a_whole_data_set_is_refused_with_what_to_give(data):
    model = Ridge()
    for wrong in (lambda: model.fit(data, data.y), lambda: model.fit(data.X, data),
                  lambda: make_pipeline(StandardScaler(), model).fit(data),
                  lambda: StandardScaler().fit(data)):  # fmt: skip
        with pytest.raises(TypeError, match=r"whole data set.*fit\(data\.X, data\.y"):
            wrong()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        model.fit(data)
    model.fit(data.X, data.y)
    with pytest.raises(TypeError, match=r"predict\(data\.X\)"):
        model.predict(data)
