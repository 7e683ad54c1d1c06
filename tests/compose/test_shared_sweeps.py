"""Steps of a ColumnTransformer read each block once for all of their statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn.compose
import sklearn.impute
import sklearn.preprocessing
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline, make_pipeline

from dlbd_estimators.compose import ColumnTransformer
from dlbd_estimators.engine import passes_together
from dlbd_estimators.exceptions import BlockTooLarge
from dlbd_estimators.preprocessing import (
    Blockwise,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    SimpleImputer,
    StandardScaler,
)
from tests.preprocessing.lazy_forms import counted

RNG = np.random.default_rng(3)
N = 60
NUMBERS = np.where(RNG.random((N, 4)) < 0.1, np.nan, RNG.normal(size=(N, 4)))
FRAME = pd.DataFrame(NUMBERS, columns=list("abcd")).assign(
    city=pd.Series(RNG.choice(["x", "y", None], N), dtype="str"),
    plan=pd.Series(RNG.choice(["p", "q"], N), dtype="str"),
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with dask.config.set(scheduler="sync"):
        yield


class Partition:
    """Reads the rows of a partition, and notes that it was read."""

    def __init__(self, frame: pd.DataFrame, loads: list[int]) -> None:
        self.frame, self.loads = frame, loads

    def __call__(self, number: int) -> pd.DataFrame:
        self.loads.append(number)
        return self.frame[number * 15 : number * 15 + 15]

    def __dask_tokenize__(self) -> Any:
        return id(self)


def counted_frame(loads: list[int], frame: pd.DataFrame = FRAME) -> Any:
    return dd.from_map(Partition(frame, loads), range(4), meta=frame[:0])


def filled(strategy: str = "mean", **parameters: Any) -> Any:
    return SimpleImputer(strategy=strategy, **parameters)


def state(transformer: Any) -> dict[str, Any]:
    """Return what a fit has set, in the steps of a pipeline too; without the number of passes."""
    if isinstance(transformer, Pipeline):
        return {name: state(step) for name, step in transformer.steps}
    found = {k: v for k, v in vars(transformer).items() if k.endswith("_")}
    return {k: v for k, v in found.items() if not k.startswith("_") and k != "n_passes_"}


def assert_same_bits(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_same_bits(value, other[key])
    elif isinstance(one, list):
        for pair in zip(one, other, strict=True):
            assert_same_bits(*pair)
    elif hasattr(one, "get_params"):
        assert_same_bits(state(one), state(other))
    else:
        np.testing.assert_array_equal(one, other)


def test_arrays_are_read_once_and_each_step_has_the_bits_of_a_fit_of_its_own() -> None:
    loads: list[int] = []
    X = counted(NUMBERS, 17, loads)
    chosen = {
        "pipeline": (make_pipeline(filled(), StandardScaler(), MinMaxScaler()), [0, 3]),
        "scaler": (MaxAbsScaler(), [1]),
        "overlap": (make_pipeline(Blockwise(sklearn.preprocessing.FunctionTransformer(np.cbrt)),
                                  StandardScaler()), [1, 2]),
        "counts": (filled("most_frequent"), [2, 0, 1]),
    }  # fmt: skip
    ours = ColumnTransformer([(name, *each) for name, each in chosen.items()]).fit(X)
    assert sorted(loads) == list(range(4))
    assert ours.n_passes_ == 1.0
    for name, (transformer, columns) in chosen.items():
        alone = sklearn.base.clone(transformer).fit(counted(NUMBERS, 17, [])[:, columns])
        assert_same_bits(state(ours.named_transformers_[name]), state(alone))


@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder(min_frequency=3)])
def test_frames_are_read_once(strategy: str, encoder: Any) -> None:
    loads: list[int] = []
    numbers, words = list("abcd"), ["city", "plan"]
    ours = ColumnTransformer(
        [
            ("numbers", make_pipeline(filled(), StandardScaler()), numbers),
            ("words", make_pipeline(filled(strategy, fill_value="?"), encoder), words),
        ]
    )
    result = ours.fit_transform(counted_frame(loads))
    assert sorted(loads) == list(range(4))
    assert ours.n_passes_ == 1.0
    theirs = sklearn.compose.ColumnTransformer(
        [
            ("numbers", make_pipeline(sklearn.impute.SimpleImputer(),
                                      sklearn.preprocessing.StandardScaler()), numbers),
            ("words", make_pipeline(
                sklearn.impute.SimpleImputer(strategy=strategy, fill_value="?"),
                getattr(sklearn.preprocessing, type(encoder).__name__)(**encoder.get_params())),
             words),
        ],
        sparse_threshold=0,
    )  # fmt: skip
    expected = theirs.fit_transform(FRAME)
    np.testing.assert_allclose(result.compute(), expected, rtol=1e-12, atol=1e-12)
    assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())
    assert ours.output_indices_ == theirs.output_indices_


def test_what_depends_on_other_statistics_takes_a_second_pass() -> None:
    loads: list[int] = []
    words = make_pipeline(OrdinalEncoder(), OneHotEncoder(sparse_output=False))
    two = make_pipeline(OrdinalEncoder(), StandardScaler())
    ours = ColumnTransformer([("words", words, ["city"]), ("two", two, ["plan"])])
    ours.fit(counted_frame(loads))
    assert sorted(loads) == sorted([*range(4)] * 2)
    assert ours.n_passes_ == 2.0
    # Strings of a data frame are of another dtype than those of an array, which were counted.
    framed = make_pipeline(filled("most_frequent"), OneHotEncoder(sparse_output=False))
    framed.set_output(transform="pandas")
    ours = ColumnTransformer([("words", framed, ["city"]), ("two", two, ["plan"])])
    ours.fit(counted_frame(loads := []))
    assert len(loads) == 4 * ours.n_passes_


@given(
    values=st.lists(st.sampled_from(["a", "b", "cc", "", None]), min_size=1, max_size=12),
    strategy=st.sampled_from(["most_frequent", "constant"]),
    keep=st.booleans(),
    indicator=st.booleans(),
)
@pytest.mark.filterwarnings("ignore:Skipping features without any observed values:UserWarning")
def test_categories_that_were_counted_are_those_that_a_pass_finds(
    values: list[str | None], strategy: str, keep: bool, indicator: bool
) -> None:
    """Words by their columns in two partitions: a column may have no value at all."""
    column = np.array([np.nan if each is None else each for each in values], dtype=object)
    table = np.stack([column, np.roll(column, 1), np.full(len(column), "b", dtype=object)], axis=1)
    X = da.from_array(table, chunks=(5, 3))
    imputer = filled(strategy, fill_value="b", keep_empty_features=keep, add_indicator=indicator)
    encoder = OrdinalEncoder(min_frequency=2, dtype=np.int64)
    ours = ColumnTransformer([("both", make_pipeline(imputer, encoder), [0, 1, 2])]).fit(X)
    together = ours.named_transformers_["both"]
    read = sklearn.base.clone(imputer).fit(X).transform(X)
    alone = sklearn.base.clone(encoder).fit(read)
    assert_same_bits(state(together[1]), state(alone))
    for ours_, theirs in zip(together[1].categories_, alone.categories_, strict=True):
        assert ours_.dtype == theirs.dtype
    has_indicators = indicator and None in values
    assert together[1].n_passes_ == float(has_indicators)


def test_other_objects_than_strings_take_a_pass() -> None:
    """1 and True are equal: which of them stands for both is for the encoder to say."""
    table = np.array([[True], [1], [0], [np.nan]], dtype=object)
    pipeline = make_pipeline(filled("most_frequent"), OrdinalEncoder())
    ours = ColumnTransformer([("both", pipeline, [0])]).fit(da.from_array(table, chunks=(2, 1)))
    assert ours.named_transformers_["both"][1].n_passes_ == 1.0


class Bounded(StandardScaler):
    """Fits in a way of its own."""

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        super().fit(X, y, sample_weight)
        self.mean_ = np.clip(self.mean_, -0.001, 0.001)
        return self


class Told:
    """Notes the tasks that begin."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    def setup(self, estimator: Any, context: Any) -> None: ...

    def on_fit_task_begin(self, estimator: Any, context: Any, **told: Any) -> None:
        self.tasks.append(type(estimator).__name__)

    def on_fit_task_end(self, estimator: Any, context: Any, **told: Any) -> bool:
        return False

    def teardown(self, estimator: Any, context: Any) -> None: ...


def test_what_fits_otherwise_is_fitted_by_its_own_fit(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told()
    X = counted(NUMBERS, 17, [])
    steps = [
        ("own", Bounded(), [0]),
        ("told", StandardScaler().set_callbacks(told), [1]),
        ("printed", Pipeline([("filled", filled())], verbose=True), [2]),
        ("scaler", StandardScaler(), [3]),
        ("other", MaxAbsScaler(), [3]),
    ]
    ours = ColumnTransformer(steps).fit(X)
    assert abs(ours.named_transformers_["own"].mean_).max() <= 0.001
    assert told.tasks == ["StandardScaler"]
    assert "Processing filled" in capsys.readouterr().out
    assert ours.n_passes_ == 4.0


def test_a_pipeline_that_cannot_be_is_refused_as_scikit_learn_does() -> None:
    for steps in ([("a__b", StandardScaler())], [("same", StandardScaler())] * 2):
        with pytest.raises(ValueError, match=r"Estimator names|Names provided"):
            ColumnTransformer([("p", Pipeline(steps), [0])]).fit(counted(NUMBERS, 17, []))


def test_columns_that_have_no_room_together_are_read_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_room(*_: Any, **__: Any) -> Any:
        raise BlockTooLarge("Too large.")

    expected = ColumnTransformer([("a", StandardScaler(), [0]), ("b", MinMaxScaler(), [1])])
    expected.fit(counted(NUMBERS, 17, []))
    monkeypatch.setattr(passes_together, "reduce_each", no_room)
    ours = sklearn.base.clone(expected).fit(counted(NUMBERS, 17, []))
    assert ours.n_passes_ == 2.0
    for name in "ab":
        assert_same_bits(
            state(ours.named_transformers_[name]), state(expected.named_transformers_[name])
        )


def test_nothing_is_read_where_columns_cannot_be_chosen() -> None:
    loads: list[int] = []
    steps = [("fine", StandardScaler(), ["a"]), ("wrong", StandardScaler(), ["nowhere"])]
    with pytest.raises(ValueError, match="not columns"):
        ColumnTransformer(steps).fit(counted_frame(loads))
    assert loads == []
