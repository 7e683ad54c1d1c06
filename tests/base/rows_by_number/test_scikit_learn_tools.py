"""What stands in front of scikit-learn's functions, and what passes through it untouched."""

from __future__ import annotations

import subprocess
import sys

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn.model_selection
import sklearn.utils
from scipy import sparse
from sklearn.utils import multiclass, validation

from dlbd_estimators import Ridge
from dlbd_estimators.base.lazy_predictions import Predictions
from dlbd_estimators.base.rows_by_number import scikit_learn_tools

WRAPPED = {
    "indexable": validation,
    "_check_method_params": validation,
    "_num_samples": validation,
    "check_classification_targets": multiclass,
}


@pytest.mark.parametrize("name", WRAPPED)
def test_scikit_learn_has_the_function_and_it_is_wrapped_once(name):
    wrapper = getattr(WRAPPED[name], name)
    assert wrapper._takes_lazy_data
    assert not hasattr(wrapper.__wrapped__, "_takes_lazy_data")
    scikit_learn_tools.install()
    assert getattr(WRAPPED[name], name) is wrapper
    assert {(home.__name__, each) for home, each in scikit_learn_tools._WRAPPERS} == {
        (home.__name__, each) for each, home in WRAPPED.items()
    }


def test_every_module_of_scikit_learn_sees_it():
    assert sklearn.utils.indexable is validation.indexable
    for path, module in list(sys.modules.items()):
        if path.split(".")[0] == "sklearn":
            for name, home in WRAPPED.items():
                assert vars(module).get(name) in (None, getattr(home, name)), path


def test_a_scikit_learn_without_the_function_is_left_alone(monkeypatch):
    monkeypatch.delattr(validation, "_num_samples")
    scikit_learn_tools.install()
    assert not hasattr(validation, "_num_samples")


def test_whatever_is_not_lazy_passes_untouched():
    values = [np.arange(3), pd.Series([1, 2, 3]), [1, 2, 3], None, ("a", "b", "c")]
    assert all(a is b for a, b in zip(sklearn.utils.indexable(*values), values, strict=True))
    assert isinstance(sklearn.utils.indexable(sparse.coo_array(np.eye(3)))[0], sparse.csr_array)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        sklearn.utils.indexable([1], [1, 2])
    params = {"weight": np.arange(3), "other": "text"}
    chosen = validation._check_method_params(np.eye(3), params, indices=[2, 0])
    assert chosen["weight"].tolist() == [2, 0]
    assert chosen["other"] == "text"


def test_importing_the_package_imports_no_scikit_learn():
    # Workers import it.
    code = (
        "import sys, dlbd_estimators; sys.exit(any(m.startswith('sklearn') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=240).returncode == 0


@pytest.fixture
def unknown():
    frame = pd.DataFrame(np.arange(20.0).reshape(10, 2))
    lazy = dd.from_pandas(frame, npartitions=3)
    model = Ridge().fit(frame.to_numpy(), frame[0].to_numpy())
    return model.predict(lazy.to_dask_array()), model.predict(lazy.to_dask_array()).compute()


def test_predictions_of_unknown_length_do_what_tools_do_with_them(unknown):
    lazy, known = unknown
    assert isinstance(lazy, Predictions)
    assert np.isnan(lazy.shape[0])
    column = lazy.reshape(-1, 1)
    assert isinstance(column, da.Array)
    np.testing.assert_array_equal(column, known[:, None])
    np.testing.assert_array_equal(lazy.reshape((2, 5)), known.reshape(2, 5))
    joined = np.concatenate([lazy, lazy[:]])
    assert isinstance(joined, da.Array)
    np.testing.assert_array_equal(joined[[12, 3]], known[[2, 3]])
    np.testing.assert_array_equal(np.hstack([column, column]), np.hstack([known[:, None]] * 2))
    assert len(lazy) == 10
    np.testing.assert_array_equal(lazy[[7, 1]], known[[7, 1]])
    assert np.isnan(lazy.shape[0])


def test_predictions_go_into_arrays_in_memory(unknown):
    lazy, known = unknown
    largest = np.full(10, 5.0)
    assert np.maximum(largest, np.ravel(lazy), out=largest) is largest
    np.testing.assert_array_equal(largest, np.maximum(5.0, known))
    assert isinstance(lazy + 1, da.Array)
