"""ColumnTransformer of lazy data against scikit-learn's of the same rows in memory."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn.compose
import sklearn.preprocessing
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_selector
from sklearn.pipeline import make_pipeline

from dlbd_estimators import preprocessing
from dlbd_estimators.compose import ColumnTransformer, make_column_transformer
from dlbd_estimators.exceptions import BadBlock

RNG = np.random.default_rng(7)
N = 40
FRAME = pd.DataFrame(
    {
        "city": pd.Series(RNG.choice(["a", "b", "cc"], N), dtype="str"),
        "plan": pd.Categorical(RNG.choice(["x", "y"], N)),
        "visits": RNG.integers(0, 9, N),
        "age": RNG.normal(size=N),
        "income": RNG.normal(size=N) * 10,
    }
)
ARRAY = RNG.normal(size=(N, 5))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """What is tested does not depend on threads, and little data is quicker without."""
    with dask.config.set(scheduler="sync"):
        yield


def lazy_frame(frame: pd.DataFrame = FRAME) -> Any:
    """Partitions of several lengths, two of them with no rows."""
    parts = [frame[:0], frame[:11], frame[11:12], frame[:0], frame[12:]]
    return dd.from_map(lambda i: parts[i], range(len(parts)), meta=frame[:0])


def lazy_array() -> Any:
    return da.from_array(ARRAY, chunks=(13, 2))


def unknown_rows() -> Any:
    array = lazy_array()
    return array[array[:, 0] > -100]


Steps = Callable[[Any], list[Any]]


def scale(of: Any) -> Any:
    return of.StandardScaler()


def encode(of: Any) -> Any:
    return of.OneHotEncoder(sparse_output=False)


def twice(of: Any) -> Any:
    return make_pipeline(of.OrdinalEncoder(), of.OneHotEncoder(sparse_output=False))


def ending_in_e(X: Any) -> list[str]:
    return [name for name in X.columns if name.endswith("e")]


FRAME_STEPS: dict[str, Steps] = {
    "names": lambda of: [
        ("n", scale(of), ["age", "visits"]),
        ("c", encode(of), ["plan", "city"]),
    ],
    "positions": lambda of: [("n", scale(of), [-1, 2]), ("c", encode(of), [0])],
    "slices": lambda of: [("n", scale(of), slice("visits", "income")), ("c", encode(of), [1])],
    "masks": lambda of: [("n", scale(of), [False, False, True, False, True])],
    "selectors": lambda of: [
        ("c", encode(of), make_column_selector(dtype_include="category")),
        ("n", scale(of), make_column_selector(dtype_include="number")),
    ],
    "callables": lambda of: [("n", scale(of), ending_in_e)],
    "drop and pass": lambda of: [
        ("c", encode(of), ["city"]),
        ("no", "drop", ["plan"]),
        ("as is", "passthrough", ["visits"]),
    ],
    "nothing chosen": lambda of: [("none", scale(of), []), ("n", scale(of), ["age"])],
    "overlap": lambda of: [("n", scale(of), ["age"]), ("again", "passthrough", ["age"])],
    "pipeline": lambda of: [("p", twice(of), ["city", "plan"]), ("n", scale(of), ["age"])],
}
ARRAY_STEPS: dict[str, Steps] = {
    "positions": lambda of: [("n", scale(of), [3, 0]), ("one", "passthrough", [4])],
    "slice": lambda of: [("n", scale(of), slice(1, 4))],
    "mask": lambda of: [("n", scale(of), np.array([True, False, True, False, True]))],
}


def check(steps: Steps, lazy: Any, memory: Any, **parameters: Any) -> None:
    theirs = sklearn.compose.ColumnTransformer(steps(sklearn.preprocessing), **parameters)
    ours = ColumnTransformer(steps(preprocessing), **parameters)
    expected = np.asarray(theirs.fit_transform(memory))
    result = ours.fit_transform(lazy)
    assert isinstance(result, da.Array)
    assert result.numblocks[1] == 1
    assert result.shape[1] == expected.shape[1]
    close(result.compute(), expected)
    close(ours.transform(lazy).compute(), expected)
    close(np.asarray(ours.transform(memory)), expected)
    assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())
    assert ours.output_indices_ == theirs.output_indices_
    assert ours.n_features_in_ == theirs.n_features_in_
    assert list(getattr(ours, "feature_names_in_", [])) == list(
        getattr(theirs, "feature_names_in_", [])
    )
    assert list(ours.named_transformers_) == list(theirs.named_transformers_)
    for (name, mine, chosen), (other, their, columns) in zip(
        ours.transformers_, theirs.transformers_, strict=True
    ):
        assert name == other
        assert type(mine).__name__ == type(their).__name__
        assert np.array_equal(chosen, columns) or chosen == columns
    # Nothing of the data, and none of what stood in for the steps, is kept.
    again = pickle.loads(pickle.dumps(ours))
    close(again.transform(lazy).compute(), expected)
    close(
        ColumnTransformer(**theirs.get_params(deep=False)).fit(memory).transform(memory), expected
    )


def close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    if ours.dtype == object:
        pd.testing.assert_frame_equal(
            pd.DataFrame(ours).infer_objects(), pd.DataFrame(theirs).infer_objects()
        )
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("remainder", ["drop", "passthrough"])
@pytest.mark.parametrize("steps", FRAME_STEPS)
def test_frame(steps: str, remainder: str) -> None:
    check(FRAME_STEPS[steps], lazy_frame(), FRAME, remainder=remainder)


@pytest.mark.parametrize("remainder", ["drop", "passthrough"])
@pytest.mark.parametrize("lazy", [lazy_array, unknown_rows])
@pytest.mark.parametrize("steps", ARRAY_STEPS)
def test_array(steps: str, lazy: Any, remainder: str) -> None:
    check(ARRAY_STEPS[steps], lazy(), ARRAY, remainder=remainder)


@pytest.mark.parametrize("first", ["frame", "array"])
def test_known_chunk_lengths_stay_known_whatever_the_steps_make(first: str) -> None:
    scaled = [preprocessing.StandardScaler() for _ in range(2)]
    scaled[first == "array"].set_output(transform="pandas")
    ours = ColumnTransformer([("a", scaled[0], [0, 1]), ("b", scaled[1], [3])])
    result = ours.fit_transform(lazy_array())
    assert result.chunks == (lazy_array().chunks[0], (3,))
    assert ours.transform(lazy_array()).chunks == result.chunks
    expected = sklearn.preprocessing.StandardScaler().fit_transform(ARRAY[:, [0, 1, 3]])
    close(result.compute(), expected)
    assert np.isnan(ours.transform(unknown_rows()).shape[0])


class Shortened(TransformerMixin, BaseEstimator):
    """Leaves out rows, and makes a frame, which does not say so."""

    def fit(self, X: Any, y: Any = None) -> Any:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        return dd.from_dask_array(X).map_partitions(lambda block: block[1:])


def test_a_step_that_leaves_rows_out_unseen_is_an_error_of_its_block() -> None:
    result = ColumnTransformer([("a", Shortened(), [0, 1])]).fit_transform(lazy_array())
    with pytest.raises(BadBlock, match=r"returned \d+ rows for a block of \d+ rows\. It must"):
        result.compute()


def test_remainder_is_a_transformer() -> None:
    theirs = sklearn.compose.ColumnTransformer(
        [("one", "passthrough", [2])], remainder=scale(sklearn.preprocessing)
    ).fit_transform(ARRAY)
    ours = ColumnTransformer([("one", "passthrough", [2])], remainder=scale(preprocessing))
    close(ours.fit_transform(lazy_array()).compute(), theirs)


def test_weights() -> None:
    check(FRAME_STEPS["names"], lazy_frame(), FRAME, transformer_weights={"n": 3.0})


@pytest.mark.parametrize("verbose", [False, "{feature_name}@{transformer_name}"])
def test_names(verbose: Any) -> None:
    check(FRAME_STEPS["names"], lazy_frame(), FRAME, verbose_feature_names_out=verbose)


@pytest.mark.parametrize("steps", ["names", "drop and pass", "pipeline"])
def test_data_frame_output(steps: str) -> None:
    expected = (
        sklearn.compose.ColumnTransformer(
            FRAME_STEPS[steps](sklearn.preprocessing), remainder="passthrough"
        )
        .set_output(transform="pandas")
        .fit_transform(FRAME)
    )
    ours = ColumnTransformer(FRAME_STEPS[steps](preprocessing), remainder="passthrough")
    result = ours.set_output(transform="pandas").fit_transform(dd.from_pandas(FRAME, npartitions=3))
    assert isinstance(result, dd.DataFrame)
    strings = {name: "str" for name, dtype in result.dtypes.items() if dtype == "string"}
    pd.testing.assert_frame_equal(result.compute().astype(strings), expected, rtol=1e-12)


def test_data_frame_output_of_an_array() -> None:
    ours = ColumnTransformer([("n", scale(preprocessing), [1])], remainder="passthrough")
    result = ours.set_output(transform="pandas").fit_transform(lazy_array())
    assert list(result.columns) == list(ours.get_feature_names_out())
    np.testing.assert_allclose(result.compute()["remainder__x4"], ARRAY[:, 4])


def test_data_frame_output_by_configuration() -> None:
    with sklearn.config_context(transform_output="pandas"):
        expected = sklearn.compose.ColumnTransformer(
            FRAME_STEPS["pipeline"](sklearn.preprocessing)
        ).fit_transform(FRAME)
        ours = ColumnTransformer(FRAME_STEPS["pipeline"](preprocessing))
        result = ours.fit_transform(dd.from_pandas(FRAME, npartitions=3))
        assert list(ours["p"][1].feature_names_in_) == ["city", "plan"]
    pd.testing.assert_frame_equal(result.compute(), expected, rtol=1e-12)


def test_all_dropped() -> None:
    for lazy in (lazy_frame(), lazy_array()):
        result = ColumnTransformer([("no", "drop", [0])]).fit_transform(lazy)
        assert result.compute().shape == (N, 0)


def test_transform_takes_columns_by_name() -> None:
    ours = ColumnTransformer(FRAME_STEPS["names"](preprocessing)).fit(lazy_frame())
    expected = ours.transform(lazy_frame()).compute()
    other = FRAME[FRAME.columns[::-1]].assign(more=1)
    close(ours.transform(lazy_frame(other)).compute(), expected)
    with pytest.raises(ValueError, match=r"columns are missing: \{'age'\}"):
        ours.transform(lazy_frame(FRAME.drop(columns="age")))


def test_transform_computes_nothing_and_reads_once() -> None:
    loaded: list[int] = []

    def load(i: int) -> pd.DataFrame:
        loaded.append(i)
        return FRAME

    lazy = dd.from_map(load, range(3), meta=FRAME[:0])
    ours = ColumnTransformer(FRAME_STEPS["names"](preprocessing)).fit(FRAME)
    result = ours.transform(lazy)
    assert loaded == []
    result.compute(scheduler="sync")
    assert sorted(loaded) == [0, 1, 2]


def test_passes_are_counted_once_for_all_steps() -> None:
    ours = ColumnTransformer(FRAME_STEPS["pipeline"](preprocessing)).fit(lazy_frame())
    assert ours.n_passes_ == 2.0
    assert not hasattr(ours.fit(FRAME), "n_passes_")


def test_make_column_transformer() -> None:
    ours = make_column_transformer((scale(preprocessing), ["age"]), remainder="passthrough")
    assert isinstance(ours, ColumnTransformer)
    assert [name for name, *_ in ours.transformers] == ["standardscaler"]
    assert ours.remainder == "passthrough"


class Computes(TransformerMixin, BaseEstimator):
    """A stranger that loads what it is given."""

    def fit(self, X: Any, y: Any = None) -> Computes:
        return self

    def transform(self, X: Any) -> Any:
        return np.asarray(X)


class DropsRows(Computes):
    def transform(self, X: Any) -> Any:
        return X.to_dask_array().blocks[:1]


class TestErrors:
    @pytest.mark.parametrize(
        ("step", "instead"),
        [
            (sklearn.preprocessing.StandardScaler(), "preprocessing.StandardScaler"),
            (sklearn.preprocessing.QuantileTransformer(), "Blockwise"),
            (sklearn.preprocessing.FunctionTransformer(), "Blockwise"),
            (sklearn.compose.ColumnTransformer([]), "compose.ColumnTransformer"),
            (make_pipeline(preprocessing.StandardScaler(), sklearn.preprocessing.Normalizer()),
             "Blockwise"),
        ],
    )  # fmt: skip
    def test_eager_step(self, step: Any, instead: str) -> None:
        def load(i: int) -> pd.DataFrame:
            raise AssertionError(f"partition {i} was loaded")

        lazy = dd.from_map(load, range(2), meta=FRAME[:0])
        fine = ("fine", preprocessing.StandardScaler(), ["income"])
        with pytest.raises(TypeError, match=f"Step 'eager.*{instead}"):
            ColumnTransformer([fine, ("eager", step, ["age"])]).fit(lazy)
        with pytest.raises(TypeError, match=f"Step 'remainder.*{instead}"):
            ColumnTransformer([fine], remainder=step).fit(lazy)

    def test_eager_step_fitted_in_memory(self) -> None:
        steps = [("eager", sklearn.preprocessing.StandardScaler(), ["age"])]
        with pytest.raises(TypeError, match="Step 'eager'"):
            ColumnTransformer(steps).fit(FRAME).transform(lazy_frame())

    def test_result_that_is_not_lazy(self) -> None:
        with pytest.raises(TypeError, match="Step 'odd' returned a ndarray for lazy data"):
            ColumnTransformer([("odd", Computes(), ["age"])]).fit(lazy_frame())

    def test_other_rows(self) -> None:
        with pytest.raises(ValueError, match="Step 'odd' changed the rows"):
            ColumnTransformer([("odd", DropsRows(), ["age"])]).fit(lazy_frame())

    @pytest.mark.parametrize(
        ("columns", "message"),
        [("age", "1D data passed"), (["nope"], "not columns"), ([9], "all features must be in")],
    )
    def test_columns(self, columns: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ColumnTransformer([("n", scale(preprocessing), columns)]).fit(lazy_frame())

    @pytest.mark.parametrize(
        "steps", [[("n", 3, ["age"])], [("n", "pass", ["age"])], [("n", 3)], "no"]
    )
    def test_steps(self, steps: Any) -> None:
        with pytest.raises((TypeError, ValueError)) as theirs:
            sklearn.compose.ColumnTransformer(steps).fit(FRAME)
        with pytest.raises(theirs.type):
            ColumnTransformer(steps).fit(lazy_frame())

    def test_routed_parameters(self) -> None:
        ours = ColumnTransformer(FRAME_STEPS["names"](preprocessing))
        with pytest.raises(ValueError, match="cannot be routed"):
            ours.fit(lazy_frame(), sample_weight=[1.0])
