"""A test's time limit that Hypothesis does not take for one more failing example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


class OutOfTime(BaseException):
    """A test has taken longer than it may.

    pytest-timeout fails the test by an exception that Hypothesis takes for the test's own. It then
    runs the test again to look for a smaller example, and no alarm is left to end what hangs again.
    What is neither an ``Exception`` nor pytest's goes straight through.
    """


class Alarm:
    """A signal handler that ends a test, and Hypothesis with it.

    Parameters
    ----------
    fail : callable
        The handler of pytest-timeout, which prints what all threads do and fails the test.
    """

    def __init__(self, fail: Callable[[int, Any], None]) -> None:
        self.fail = fail

    def __call__(self, number: int, frame: Any) -> None:
        __tracebackhide__ = True
        try:
            self.fail(number, frame)
        except pytest.fail.Exception as error:
            raise OutOfTime(error.msg) from None
