"""Find the file system of raw files by their path or URL."""

from __future__ import annotations

import glob
import os
from typing import Any

import fsspec
import fsspec.core

from storage.credentials import without_credentials
from storage.errors import UnsupportedURL

__all__ = ["exists", "file_system", "matching"]

_WEB = ("http", "https")


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a file, and the path of the file in it.

    A package of fsspec that is installed for the scheme comes first (s3fs, gcsfs, adlfs, aiohttp);
    otherwise obstore reads object stores and web servers.

    Raises
    ------
    UnsupportedURL
        When nothing that is installed reads the URL.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(os.path.expanduser(url))
        return found
    except (ImportError, ValueError) as error:
        if not separator:
            raise
        reason = str(error)
    from storage.zarr_stores import SCHEMES, allows_http  # imports zarr

    if scheme not in SCHEMES:
        raise UnsupportedURL(f"cannot read {without_credentials(url)}: {reason}")
    if scheme in _WEB and ("?" in rest or "#" in rest):
        raise UnsupportedURL(
            f"cannot read {without_credentials(url)}: a URL with a query needs aiohttp (pip "
            f"install aiohttp)"
        )
    try:
        from storage.ingestion.remote_files import RemoteFiles
    except ImportError:
        raise UnsupportedURL(
            f"cannot read {without_credentials(url)}: obstore is not installed (pip install "
            f"'dlbd-estimators[cloud]'), and {reason}"
        ) from None
    files: Any = RemoteFiles
    path = url if scheme in _WEB else rest
    return files(scheme, client_options={"allow_http": allows_http(url)}), path


def matching(filesystem: Any, path: str, url: str) -> list[str]:
    """Return the files at a path or glob, sorted; none if there is no such file.

    Raises
    ------
    UnsupportedURL
        When the URL of a web server has a wildcard.
    """
    web = url.lower().startswith(tuple(f"{scheme}://" for scheme in _WEB))
    if web and "*" in path:
        raise UnsupportedURL(
            f"{without_credentials(url)} has a wildcard, and a web server has no list of its "
            f"files: give the URL of each file"
        )
    if glob.has_magic(path) and not web and not exists(filesystem, path):
        return sorted(filesystem.glob(path))
    return [path] if exists(filesystem, path) else []


def exists(filesystem: Any, path: str) -> bool:
    """Return whether a file or folder exists; any other problem is an error."""
    try:
        filesystem.info(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
