"""Plain arrays skip scikit-learn's checks, and nothing else about them changes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.validation import check_array, validate_data

from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.base.sparse_input import features_in_memory
from dlbd_estimators.base.validation import training_data

ROWS = np.arange(12.0).reshape(4, 3)
FEATURES = {
    "float64": ROWS,
    "float32": ROWS.astype("f4"),
    "float16": ROWS.astype("f2"),
    "big_endian": ROWS.astype(">f8"),
    "integers": ROWS.astype(int),
    "booleans": ROWS > 3,
    "objects": ROWS.astype(object),
    "fortran": np.asfortranarray(ROWS),
    "strided": np.tile(ROWS, (2, 2))[::2, ::2],
    "nan": np.where(ROWS > 9, np.nan, ROWS),
    "subclass": ROWS.view(np.memmap),
    "list": ROWS.tolist(),
    "complex": ROWS * 1j,
    "text": ROWS.astype(str),
    "one_axis": ROWS[0],
    "three_axes": ROWS[None],
    "no_rows": ROWS[:0],
    "no_columns": ROWS[:, :0],
}
TARGETS = {
    **{name: rows[:, 0] for name, rows in FEATURES.items() if np.ndim(rows) == 2 and np.size(rows)
       and not isinstance(rows, list)},
    "empty": ROWS[:0, 0],
    "list": [0, 1, 1, 0],
    "column": ROWS[:, :1],
    "scalar": np.float64(3.0),
}  # fmt: skip


def outcome(function, *arguments):
    """Return the result of a call, or its error."""
    try:
        return function(*arguments)
    except (TypeError, ValueError) as error:
        return type(error), str(error)


def assert_same(found, expected, given):
    if isinstance(expected, tuple):
        assert found == expected
        return
    np.testing.assert_array_equal(found, expected, strict=True)
    assert (found is given) == (expected is given)
    assert found.strides == expected.strides


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_those_of_scikit_learn(name):
    found_by, expected_by = Ridge(), Ridge()
    for model in (found_by, expected_by):  # as after a fit of a frame
        model.feature_names_in_, model.n_features_in_ = np.array(["a"], dtype=object), 1
    options = {"dtype": [np.float64, np.float32], "ensure_all_finite": False}

    def expected(X):
        return validate_data(expected_by, X, accept_sparse=["csr", "csc", "coo"], **options)

    def found(X):
        return features_in_memory(found_by, X, reset=True, ensure_all_finite=False)

    X = FEATURES[name]
    assert_same(outcome(found, X), outcome(expected, X), X)
    assert vars(found_by) == vars(expected_by)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("classify", [True, False])
def test_targets_are_those_of_scikit_learn(name, classify):
    y = TARGETS[name]
    if name in ("column", "scalar") and classify:
        pytest.skip("scikit-learn warns of a column, and refuses a scalar by another function")

    def expected(y):
        return check_array(
            np.asarray(y).ravel() if classify else y,
            dtype=None if classify else "numeric",
            ensure_2d=False,
            ensure_all_finite=False,
            input_name="y",
        )

    def found(y):
        model = LogisticRegression() if classify else Ridge()
        rows = np.ones((np.size(y) or 1, 2))
        return training_data(model, rows, y, None, classify=classify).blocks.loader.y

    result, reference = outcome(found, y), outcome(expected, y)
    if isinstance(reference, tuple):
        assert result == reference
    else:
        np.testing.assert_array_equal(result, reference, strict=True)
