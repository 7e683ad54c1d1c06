"""Lazy data of libraries that are being imported meanwhile."""

from __future__ import annotations

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
