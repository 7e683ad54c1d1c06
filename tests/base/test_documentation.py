"""The docstring of an estimator holds what its bases document, where it says nothing itself."""

from __future__ import annotations

import inspect
import re

import pytest

import dlbd_estimators
from dlbd_estimators import preprocessing
from dlbd_estimators.base.documentation import documented_by_bases

ESTIMATORS = [
    value
    for room in (dlbd_estimators, preprocessing)
    for value in (getattr(room, name) for name in room.__all__)
    if hasattr(value, "get_params")
]


def documented(cls, section):
    """Names in a table of the docstring, in their order."""
    table = re.search(
        rf"^{section}\n-+\n(.*?)(\n\n|\Z)", inspect.getdoc(cls), re.DOTALL | re.MULTILINE
    )
    return [] if table is None else re.findall(r"^(\w+) :", table[1], re.MULTILINE)


class Foreign:
    """Of another package.

    Parameters
    ----------
    tol : float
        Not ours.
    """


class Base:
    """Documents most.

    Parameters
    ----------
    tol : float, default=1.0
        Of the base.
    verbose : bool, default=False
        Of the base.
        Two lines.

    Attributes
    ----------
    coef_ : ndarray
        Of the base.

    Notes
    -----
    Not handed on.
    """

    __module__ = "dlbd_estimators.base"


class Derived(Base, Foreign):
    """Documents what it adds.

    More words.

    Parameters
    ----------
    alpha : float, default=2.0
        Its own.
    verbose : bool, default=True
        Its own.

    Attributes
    ----------
    dual_gap_ : float
        Its own.

    Examples
    --------
    >>> 1
    1
    """

    __module__ = "dlbd_estimators.base"

    def __init__(self, alpha=2.0, tol=1.0, verbose=True, unknown=None):
        """Have four parameters."""


def test_entries_come_from_the_first_class_that_has_them_in_the_order_of_the_signature():
    class Completed(Derived):
        __doc__ = Derived.__doc__
        __module__ = "dlbd_estimators.base"

    text = inspect.getdoc(documented_by_bases(Completed))
    assert text == inspect.cleandoc(
        """Documents what it adds.

        More words.

        Parameters
        ----------
        alpha : float, default=2.0
            Its own.
        tol : float, default=1.0
            Of the base.
        verbose : bool, default=True
            Its own.

        Attributes
        ----------
        dual_gap_ : float
            Its own.
        coef_ : ndarray
            Of the base.

        Examples
        --------
        >>> 1
        1
        """
    )


def test_a_class_may_leave_both_tables_to_its_base():
    @documented_by_bases
    class Same(Derived):
        """Only a summary."""

        __module__ = "dlbd_estimators.base"

    assert documented(Same, "Parameters") == ["alpha", "tol", "verbose"]
    assert documented(Same, "Attributes") == ["dual_gap_", "coef_"]


def test_without_docstrings_nothing_is_completed():
    @documented_by_bases
    class Bare(Base):
        __module__ = "dlbd_estimators.base"

    assert Bare.__doc__ is None


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_every_parameter_of_an_estimator_is_documented_in_the_order_of_the_signature(cls):
    assert documented(cls, "Parameters") == list(inspect.signature(cls).parameters)
