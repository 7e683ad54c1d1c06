"""Calculations on several threads give what they give one after the other."""

from __future__ import annotations

import threading

import dask
import numpy as np
import pytest

from dlbd_estimators.engine.parallel import call_in_threads


@pytest.mark.parametrize(("config", "several"), [
    ({"num_workers": 3}, True), ({"num_workers": 1}, False), ({"scheduler": "synchronous"}, False),
], ids=str)  # fmt: skip
def test_results_are_in_the_order_of_the_items(config, several):
    both = threading.Barrier(2, timeout=20)
    threads = set()

    def square(number):
        threads.add(threading.get_ident())
        if several and number < 2:
            both.wait()  # only a second thread can end this wait
        return number**2

    with dask.config.set(config):
        assert call_in_threads(square, range(6)) == [0, 1, 4, 9, 16, 25]
        assert call_in_threads(square, []) == []
    assert (len(threads) > 1) == several
    assert (threads == {threading.get_ident()}) == (not several)


def test_settings_of_numpy_hold_on_all_threads():
    with dask.config.set(num_workers=3), np.errstate(over="ignore"):
        found = call_in_threads(np.exp, [np.array([1000.0])] * 3)  # a warning would be an error
    np.testing.assert_array_equal(found, np.full((3, 1), np.inf))


def test_an_error_reaches_the_caller():
    with dask.config.set(num_workers=2), pytest.raises(ZeroDivisionError):
        call_in_threads(lambda number: 1 / number, [1, 0, 2])
