"""Waits are read from Dask's configuration, and errors advise values that it accepts."""

import re

import dask
import pytest

from dlbd_estimators.engine.waits import Wait


@pytest.mark.parametrize("wait", list(Wait))
def test_the_advised_setting_is_accepted_and_longer(wait):
    name, value = re.search(r'set\(\{"(.*)": "(.*)"\}\)', wait.advice()).groups()
    before = wait.seconds()
    with dask.config.set({name: value}):
        assert wait.seconds() > before


@pytest.mark.parametrize("value", ["soon", -1, "-2 s", None, "5 parsecs"])
def test_a_value_that_is_no_time_is_named(value):
    with (
        dask.config.set({"dlbd-estimators.wait-for-workers": value}),
        pytest.raises(ValueError, match=re.escape(repr(value))),
    ):
        Wait.WORKERS.seconds()
