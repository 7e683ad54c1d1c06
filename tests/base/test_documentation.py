"""Docstrings hold what a class shares with its bases, or a function with another one."""

from __future__ import annotations

import inspect
import re

import pytest

import dlbd_estimators
from dlbd_estimators import model_selection, preprocessing
from dlbd_estimators.base.documentation import documented_by_bases, documented_like

ESTIMATORS = [
    value
    for subpackage in (dlbd_estimators, model_selection, preprocessing)
    for value in (getattr(subpackage, name) for name in subpackage.__all__)
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


def whole(X, *arrays, tol=1e-3, **params):
    """Document everything.

    Parameters
    ----------
    X : array-like
        Features.
    *arrays : array-like
        Others.
    tol : float, default=1e-3
        Of the whole.
    **params : dict
        More.

    Returns
    -------
    float
        The first.

    Raises
    ------
    ValueError
        Lengths differ.

    Warns
    -----
    UserWarning
        Not handed on.

    Examples
    --------
    >>> 1
    1
    """


@documented_like(whole)
def short(X, alpha, *arrays, tol=1e-4, **params):
    """Document what differs.

    More words.

    Parameters
    ----------
    tol : float, default=1e-4
        Its own.
    alpha : float
        Its own.

    Returns
    -------
    float
        The second.

    Examples
    --------
    >>> 2
    2
    """


def test_a_function_takes_entries_and_sections_that_it_leaves_out_but_no_example_or_warning():
    assert inspect.getdoc(short) == inspect.cleandoc(
        """Document what differs.

        More words.

        Parameters
        ----------
        X : array-like
            Features.
        alpha : float
            Its own.
        *arrays : array-like
            Others.
        tol : float, default=1e-4
            Its own.
        **params : dict
            More.

        Returns
        -------
        float
            The second.

        Raises
        ------
        ValueError
            Lengths differ.

        Examples
        --------
        >>> 2
        2
        """
    )


def test_a_parameter_that_the_function_does_not_have_is_left_out():
    @documented_like(whole)
    def shorter(X):
        """Only a summary."""

    assert documented(shorter, "Parameters") == ["X"]


def test_a_function_without_a_docstring_gets_none():
    @documented_like(whole)
    def bare():
        pass

    assert bare.__doc__ is None


def test_a_section_that_numpydoc_does_not_know_is_refused():
    def odd():
        """Have an odd section.

        Gives
        -----
        float
            The result.
        """

    with pytest.raises(ValueError, match=r"odd has sections of unknown titles: \['Gives'\]"):
        documented_like(whole)(odd)
