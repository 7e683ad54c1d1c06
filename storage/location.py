"""Where a data set is: a local path or a ``file://`` URL, as one absolute path."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from storage.errors import UnsupportedURL

# A scheme needs two characters, so that C:\ is not taken for one; "::" chains fsspec's URLs.
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]+(://|::)")


def local_path(url: str | os.PathLike[str]) -> Path:
    """Absolute path of `url`, symbolic links followed.

    Links are followed so that overwriting replaces the data set, not the link to it, and so
    that the path means the same on a worker with another working directory.

    Parameters
    ----------
    url : str or path-like
        A path, relative or absolute, or a ``file://`` URL.

    Returns
    -------
    Path
        Absolute path; it need not exist.

    Raises
    ------
    UnsupportedURL
        For any other scheme.
    """
    text = os.fspath(url)
    if not isinstance(text, str):
        raise TypeError(f"url must be a str or a path, got {type(url).__name__}")
    if not text:
        raise ValueError("url is empty: name the folder of the data set")
    if _SCHEME.match(text):
        parts = urlsplit(text)
        if parts.scheme.lower() != "file" or parts.netloc not in {"", "localhost"}:
            raise UnsupportedURL(
                f"cannot store or open {text!r}: only local paths and file:///absolute/path "
                f"URLs are supported so far; write to a disk that every worker sees"
            )
        text = unquote(parts.path)
    return Path(os.path.realpath(os.path.expanduser(text)))
