"""Shorten the values of raw data in messages: a cell may hold a text of millions of characters."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

__all__ = ["first_texts", "short_text"]

_MAX_LENGTH = 60


def short_text(text: str) -> str:
    """Return a text of at most 60 characters; three dots replace the rest of a longer one.

    Parameters
    ----------
    text : str
        A value of raw data, the name of a column or a label.

    Returns
    -------
    str
        The text, or its beginning.

    Examples
    --------
    >>> from storage.messages import short_text
    >>> short_text("Oslo"), len(short_text("Oslo" * 1_000_000))
    ('Oslo', 60)
    """
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 3]}..."


def first_texts(texts: Iterable[str], n: int, *, quoted: bool = False) -> str:
    """Return the first `n` texts, shortened, with three dots if there are more.

    Parameters
    ----------
    texts : iterable of str
        Values, names or labels.
    n : int
        The largest number of texts to show.
    quoted : bool, default=False
        Whether to put each text in quotation marks.

    Returns
    -------
    str
        The texts, separated by commas.

    Examples
    --------
    >>> from storage.messages import first_texts
    >>> first_texts(["a", "b", "c"], 2)
    'a, b, ...'
    """
    shown = [short_text(text) for text in islice(texts, n + 1)]
    shown = [*map(repr, shown)] if quoted else shown
    return ", ".join(shown[:n]) + ", ..." * (len(shown) > n)
