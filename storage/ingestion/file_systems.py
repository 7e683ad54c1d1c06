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
    otherwise obstore reads object stores and web servers. Files in HDFS are read through HTTP
    (``webhdfs://``, by requests) or by the libraries of Hadoop (``hdfs://``).

    Raises
    ------
    UnsupportedURL
        When nothing that is installed reads the URL.
    OSError
        When a cluster of Hadoop cannot be reached.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    try:
        if scheme == "webhdfs":
            return _name_node(url)
        found: tuple[Any, str] = fsspec.core.url_to_fs(os.path.expanduser(url))
        return found
    except OSError as error:
        if scheme != "hdfs":
            raise
        raise _without_hadoop(url, error) from None
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
    path = url if scheme in _WEB else rest.rstrip("/")
    return files(scheme, client_options={"allow_http": allows_http(url)}), path


def _name_node(url: str) -> tuple[Any, str]:
    """Return the files of a name node of HDFS, and the path of a file in it."""
    try:
        from storage.ingestion.hadoop_files import HadoopFiles
    except ImportError:
        raise ValueError("requests is not installed (pip install requests)") from None
    options = HadoopFiles._get_kwargs_from_urls(url)
    if not options.get("host"):
        raise ValueError("it names no host, as webhdfs://HOST:PORT/PATH does")
    if "url_query" in options or "url_fragment" in options:
        raise ValueError("a path in HDFS has no ? and no #; as wildcards use * or [...]")
    files: Any = HadoopFiles
    return files(**options), HadoopFiles._strip_protocol(url)


def _without_hadoop(url: str, error: OSError) -> OSError | UnsupportedURL:
    """Return the error for a file at ``hdfs://``, which Arrow reads by the libraries of Hadoop."""
    where = f"cannot read {without_credentials(url)}"
    reason = str(error).strip().partition("\n")[0]
    if "libhdfs" not in reason and "libjvm" not in reason:
        return OSError(f"{where}: {reason}")
    return UnsupportedURL(
        f"{where}: Java or the library libhdfs of Hadoop was not found. Install both (and set "
        f"JAVA_HOME, HADOOP_HOME and CLASSPATH), or read the file through HTTP, without them: "
        f"webhdfs://HOST:PORT/PATH"
    )


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
