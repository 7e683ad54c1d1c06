"""Hide the credentials in URLs, in all that people see: messages, text forms and reports."""

from __future__ import annotations

import re

__all__ = ["without_credentials"]

_HIDDEN = "***"
_END = r"\s'\"<>"
#: User and password before the host. A password that holds a slash ends at the last "@".
_USER = re.compile(
    rf"(?P<scheme>[A-Za-z][\w+.\-]*://)(?:[^/@{_END}]*:(?!\d+/)[^{_END}]*|[^/{_END}]+)@"
)
#: In the URLs of these schemes, the name of a container stands before the host.
_CONTAINER = re.compile(rf"^(?:abfss?|adl|wasbs?)://[^:/@{_END}]+@$")
#: Signatures and tokens are in the query.
_QUERY = re.compile(rf"(?P<url>[A-Za-z][\w+.\-]*://[^?#{_END}]*)\?[^{_END}]+")


def without_credentials(text: str) -> str:
    """Return a text in which no URL has a user, a password or a query.

    Parameters
    ----------
    text : str
        A URL, or a message that contains some.

    Returns
    -------
    str
        The text with ``***`` in their places.

    Examples
    --------
    >>> from storage.credentials import without_credentials
    >>> without_credentials("cannot open s3://me:secret@bucket/rows?token=1")
    'cannot open s3://***@bucket/rows?***'
    """
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\g<url>?{_HIDDEN}", _USER.sub(_hide_user, text))


def _hide_user(found: re.Match[str]) -> str:
    return found[0] if _CONTAINER.match(found[0]) else f"{found['scheme']}{_HIDDEN}@"
