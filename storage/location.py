"""Find the :class:`Store` of a data set's files by their path, their URL or a Zarr store."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from storage.credentials import without_credentials
from storage.errors import UnsupportedURL
from storage.local_files import LocalFiles
from storage.store import Store

if TYPE_CHECKING:
    import zarr.abc.store

    Location = str | os.PathLike[str] | zarr.abc.store.Store

__all__ = ["store_at"]

# A scheme needs two characters, so that C:\ does not match; fsspec joins chained URLs by "::".
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]+)(://|::)")


def store_at(url: Any) -> Store:
    """Return the store of the files at a path, at a URL or in a Zarr store.

    Parameters
    ----------
    url : str, path-like or zarr.abc.store.Store
        A path, relative or absolute; a URL of a local file, an object store or a web server; or a
        Zarr store, whose root is the root of the data set.

    Returns
    -------
    Store
        The files at this place. It may be empty.

    Raises
    ------
    UnsupportedURL
        When no store opens the URL, or the store cannot hold a data set.
    """
    if not isinstance(url, str | os.PathLike):
        return _zarr_store(url)
    text = os.fspath(url)
    if not isinstance(text, str):
        raise TypeError(f"url must be a str, a path or a store of zarr, got {type(url).__name__}")
    if not text:
        raise ValueError("url is empty: name the folder of the data set")
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _local_files(text)
    if scheme[1].lower() == "file" and urlsplit(text).netloc in {"", "localhost"}:
        return _local_files(unquote(urlsplit(text).path))
    from storage.objects import Objects  # imports zarr
    from storage.zarr_stores import SCHEMES, AtURL

    if scheme[1].lower() not in SCHEMES or scheme[2] == "::":
        raise UnsupportedURL(
            f"cannot store or open {without_credentials(text)!r}: besides local paths and "
            f"file:///absolute/path URLs, these schemes are supported: "
            f"{', '.join(sorted(SCHEMES))}. For others, open the store with zarr and pass it: "
            f"storage.open_dataset(zarr.storage.FsspecStore.from_url(...))"
        )
    return Objects(AtURL(text.rstrip("/")))


def _zarr_store(store: Any) -> Store:
    import zarr.abc.store
    from zarr.storage import LocalStore

    from storage.objects import Objects
    from storage.zarr_stores import UserStore

    if isinstance(store, LocalStore):
        return _local_files(store.root)
    if type(store).__module__.partition(".")[0] == "icechunk":
        raise UnsupportedURL(
            "a store of icechunk holds nothing but the files of Zarr, and a data set has a "
            "manifest beside them: train on its arrays, e.g. zarr.open_group(store)['X']"
        )
    if isinstance(store, zarr.abc.store.Store):
        return Objects(UserStore(store))
    raise TypeError(f"url must be a str, a path or a store of zarr, got {type(store).__name__}")


def _local_files(path: str | os.PathLike[str]) -> LocalFiles:
    """Return the files of a folder by its absolute path, with links resolved.

    With the links resolved, overwriting replaces the data set, not a link to it. An absolute path
    is valid on workers with another working directory.
    """
    return LocalFiles(os.path.realpath(os.path.expanduser(path)))
