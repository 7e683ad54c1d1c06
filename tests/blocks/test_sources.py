"""Lazy data of libraries that are being imported meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

from dlbd_estimators.blocks.sources import is_lazy


@pytest.mark.parametrize("name", ["dask.dataframe", "polars", "xarray", "zarr"])
def test_a_library_that_another_thread_is_importing_has_no_objects_yet(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, ModuleType(name))  # as it is before its first line
    assert not is_lazy(np.ones(3))
    assert not is_lazy([np.ones(3)])


def test_array_expressions_of_dask_are_refused_with_advice():
    code = """
import dask.array as da
from dlbd_estimators import Ridge
X = da.ones((4, 2))
try:
    Ridge().fit(X, X[:, 0])
except TypeError as error:
    print(error)
"""
    settings = {**os.environ, "DASK_ARRAY__QUERY_PLANNING": "True"}
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    assert printed.stdout.startswith("X is an array expression of Dask")
    assert "DASK_ARRAY__QUERY_PLANNING" in printed.stdout
