"""A metric's docstring takes from another's what it leaves out, but no example."""

from __future__ import annotations

import inspect

from dlbd_estimators.metrics.documentation import documented_like


def documented():
    """Be the one that tells all.

    Parameters
    ----------
    y_true : array-like
        Targets.

    Returns
    -------
    float
        The first.

    Raises
    ------
    ValueError
        Lengths differ.

    Examples
    --------
    >>> 1
    1
    """


@documented_like(documented)
def short():
    """Be the other one.

    With more words.

    Returns
    -------
    float
        The second.

    Examples
    --------
    >>> 2
    2
    """


def test_sections_that_are_left_out_are_those_of_the_other_metric():
    text = inspect.getdoc(documented)
    text = text.replace("Be the one that tells all.", "Be the other one.\n\nWith more words.")
    text = text.replace("The first.", "The second.").replace(">>> 1\n1", ">>> 2\n2")
    assert inspect.getdoc(short) == text


def test_without_docstrings_nothing_is_completed():
    @documented_like(documented)
    def bare():
        pass

    assert bare.__doc__ is None
