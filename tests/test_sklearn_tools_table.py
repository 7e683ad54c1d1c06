"""Each of scikit-learn's tools on each kind of lazy data: the answer in memory, or an error.

The table is what README and docs/coming-from-scikit-learn.md say; a tool that begins to work, or
to load the data, changes it.
"""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn import model_selection

from dlbd_estimators.model_selection import KFold, ShuffleSplit
from tests import sklearn_tools as tools

N_ROWS, COLUMNS = 160, list("abcd")
KINDS = ["array", "unknown", "frame", "frame and array", "array and series", "zarr"]
#: For tools beside the most used ones.
SOME_KINDS = ["unknown", "frame and array", "zarr"]
NO_LENGTH = ["unknown", "frame", "frame and array"]
#: Scores and coefficients, of fits to 1e-10; calibrators stop at 1e-5 or so.
CLOSE = {"rtol": 1e-5, "atol": 1e-7}


def rows(target):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 4))
    number = X @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=N_ROWS)
    match target:
        case "number":
            return X, number
        case "numbers":
            return X, np.stack([number, X[:, 0] - number], axis=1)
        case "two classes":
            return X, (number > 0).astype(int)
        case "three classes":
            return X, np.digitize(number, [-1.0, 1.0])
    raise AssertionError(target)


def as_kind(kind, X, y):
    """X and y as lazy data, y always in other blocks where that is up to us."""
    series = dd.from_pandas(pd.DataFrame(y) if y.ndim == 2 else pd.Series(y), npartitions=5)
    frame = dd.from_pandas(pd.DataFrame(X, columns=COLUMNS), npartitions=5)
    array, target = da.from_array(X, chunks=(50, 4)), da.from_array(y, chunks=(45, *y.shape[1:]))
    match kind:
        case "array":
            return array, target
        case "unknown":
            return frame.to_dask_array(), series.to_dask_array()
        case "frame":
            return frame, series
        case "frame and array":
            return frame, da.from_array(y, chunks=(30, *y.shape[1:]))
        case "array and series":
            return array, series
        case "zarr":
            return stored(X, 50), stored(y, 45)
    raise AssertionError(kind)


def stored(values, n_rows):
    chunks = (n_rows, *values.shape[1:])
    array = zarr.create_array({}, shape=values.shape, dtype=values.dtype, chunks=chunks)
    array[:] = values
    return array


Y_ALONE = "y and sample_weight are lazy but X is in memory"
ERRORS = {
    **{(tools.feature_union, kind): (ValueError, "unknown shape") for kind in NO_LENGTH},
    **{(tools.selected_one_by_one, kind): (ValueError, Y_ALONE) for kind in KINDS},
    (tools.permuted, "frame and array"): (TypeError, "Scalar"),
    **{(tools.permuted, kind): (TypeError, Y_ALONE) for kind in ["unknown", "zarr"]},
}


@pytest.fixture
def loaded(monkeypatch):
    """Shapes of what is turned to a NumPy array in this process, with all columns of X."""
    shapes = []
    for cls in (da.Array, dd.DataFrame, zarr.Array):
        monkeypatch.setattr(cls, "__array__", noting(cls.__array__, shapes))
    return shapes


def noting(original, shapes):
    def __array__(self, *args, **options):  # noqa: N807 - NumPy's name
        if self.ndim == 2 and self.shape[1] == len(COLUMNS):
            shapes.append(self.shape)
        return original(self, *args, **options)

    return __array__


def check(tool, target, kind, cv, expected_cv=None):
    X, y = rows(target)
    expected = tool(X, y, cv if expected_cv is None else expected_cv)
    for found, known in zip(tool(*as_kind(kind, X, y), cv), expected, strict=True):
        np.testing.assert_allclose(np.asarray(found), known, **CLOSE)


@pytest.mark.parametrize(
    ("tool", "target", "kind"),
    [
        *((*each, kind) for each in tools.MOST_USED for kind in KINDS),
        *((*each, kind) for each in tools.LAZY for kind in SOME_KINDS),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_tools_give_what_they_give_in_memory(tool, target, kind, loaded):
    cv = model_selection.KFold(2, shuffle=True, random_state=0)
    if (tool, kind) in ERRORS:
        error, match = ERRORS[tool, kind]
        with pytest.raises(error, match=match):
            tool(*as_kind(kind, *rows(target)), cv)
        return
    check(tool, target, kind, cv)
    assert loaded == []


@pytest.mark.parametrize("kind", SOME_KINDS)
@pytest.mark.parametrize("tool", tools.LOADING, ids=lambda each: each.__name__)
@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:X does not have valid feature names")
def test_tools_that_load_the_data(tool, kind, loaded):
    cv = model_selection.KFold(2)
    if (tool, kind) in ERRORS:
        error, match = ERRORS[tool, kind]
        with pytest.raises(error, match=match):
            tool(*as_kind(kind, *rows("number")), cv)
        return
    check(tool, "number", kind, cv)
    assert loaded


SPLITTERS = {
    "3": 3,
    "KFold": model_selection.KFold(3),
    "ShuffleSplit": model_selection.ShuffleSplit(2, random_state=0),
    "our KFold": KFold(3),
    "our shuffled KFold": KFold(3, shuffle=True, random_state=0),
    "our ShuffleSplit": ShuffleSplit(2, test_size=0.3, random_state=0),
}


@pytest.mark.parametrize("kind", SOME_KINDS)
@pytest.mark.parametrize("cv", SPLITTERS)
@pytest.mark.parametrize(
    ("tool", "target"),
    [
        (tools.scores, "number"),
        (tools.predicted_probabilities, "three classes"),
        (tools.calibrated, "two classes"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_tools_take_every_splitter(tool, target, cv, kind, loaded):
    splitter = SPLITTERS[cv]
    if tool is tools.predicted_probabilities and "ShuffleSplit" in cv:
        with pytest.raises(ValueError, match="only works for partitions"):
            tool(*as_kind(kind, *rows(target)), splitter)
        return
    # Our rows depend on how X is cut.
    expected = list(splitter.split(*as_kind(kind, *rows(target)))) if "our" in cv else None
    check(tool, target, kind, splitter, expected)
    assert loaded == []
