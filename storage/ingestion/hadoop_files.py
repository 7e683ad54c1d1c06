"""Raw files in HDFS, read through the HTTP interface of its name node (WebHDFS), without Java.

The name node gives the list of files, and for each part of a file the address of a data node. The
client is fsspec's, which takes answers of data nodes as rows whatever they are, and waits without a
limit. Here every answer is checked, and errors are those of local files.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from fsspec.implementations.webhdfs import WebHDFS
from fsspec.spec import AbstractBufferedFile

from storage.credentials import without_credentials
from storage.errors import StoreUnreachable

__all__ = ["HadoopFiles"]

#: Seconds to wait for a connection, and for the next bytes of an answer.
_TIMEOUT_S = (10.0, 60.0)


class HadoopFiles(WebHDFS):  # type: ignore[misc] # fsspec has no types
    """Files of one name node.

    Parameters
    ----------
    host : str
        Address of the name node.
    port : int
        Its port for HTTP.
    **options : object
        Other parameters of fsspec's ``WebHDFS``, such as ``user``.
    """

    protocol = "webhdfs"

    def __init__(self, host: str, port: int = 9870, **options: Any) -> None:
        self.place = f"webhdfs://{host}:{port}"
        super().__init__(host, port, **options)

    def _connect(self) -> None:
        super()._connect()
        self.session.request = functools.partial(self.session.request, timeout=_TIMEOUT_S)

    def info(self, path: str) -> dict[str, Any]:
        with self._translated_errors(path):
            found: dict[str, Any] = super().info(path)
            return found

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        with self._translated_errors(path):
            return super().ls(path, detail, **options)

    def walk(self, path: str, *args: Any, **options: Any) -> Any:
        # By default fsspec leaves out the folders that cannot be listed, for any reason.
        return super().walk(path, *args, on_error=_raise_unless_missing, **options)

    def _open(self, path: str, mode: str = "rb", *_: Any, **__: Any) -> _HadoopFile:
        if mode != "rb":
            raise ValueError(f"raw files are only read, and {path} was opened with {mode!r}")
        return _HadoopFile(self, path, mode)

    def read_part(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes `start` to `stop` (excluded) of a file.

        Raises
        ------
        StoreUnreachable
            When a node does not answer, or does not send all of these bytes.
        PermissionError, OSError
            When it refuses to.
        """
        with self._translated_errors(path):
            options = {"offset": start, "length": stop - start}
            answer = self._call("OPEN", path=path, redirect=False, **options)
            if "Location" in answer.headers:
                answer = self.session.get(self._apply_proxy(answer.headers["Location"]))
                if answer.status_code in (401, 403):
                    raise PermissionError(_refusal(answer))
                if answer.status_code != 200:
                    raise OSError(f"a data node refused to send it: {_refusal(answer)}")
            content: bytes = answer.content
            if len(content) != stop - start:
                raise OSError(
                    f"a node sent {len(content)} bytes instead of the bytes {start} to {stop - 1}"
                )
            return content

    @contextmanager
    def _translated_errors(self, path: str) -> Iterator[None]:
        """Raise errors of one line that name the URL."""
        where = without_credentials(f"cannot read {self.place}{path}")
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{where}: {_line(error)}") from None
        except PermissionError as error:
            raise PermissionError(
                f"{where}: {_line(error)}: give a user that may read it, "
                f"webhdfs://USER@HOST:PORT/PATH"
            ) from None
        except requests.HTTPError as error:
            answer = error.response
            assert answer is not None
            kind = PermissionError if answer.status_code in (401, 403) else OSError
            raise kind(f"{where}: {_refusal(answer)}") from None
        except (requests.JSONDecodeError, KeyError, TypeError):
            raise OSError(f"{where}: the answer is not that of a name node of HDFS") from None
        except requests.RequestException as error:
            raise StoreUnreachable(f"{where}: {_first_cause(error)}") from None
        except (OSError, RuntimeError, ValueError) as error:
            raise OSError(f"{where}: {_line(error)}") from None


class _HadoopFile(AbstractBufferedFile):  # type: ignore[misc] # fsspec has no types
    """A file that is only read."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        start, end = max(start, 0), min(self.size, end)
        if start >= end:
            return b""
        part: bytes = self.fs.read_part(self.path, start, end)
        return part


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _refusal(answer: requests.Response) -> str:
    """Return the reason that a node gives for an answer without data."""
    try:
        reason = answer.json()["RemoteException"]["message"]
    except (ValueError, KeyError, TypeError):
        reason = answer.reason
    return f"HTTP {answer.status_code}, {_line(reason)}"


def _first_cause(error: BaseException) -> str:
    while error.__context__ is not None:
        error = error.__context__
    return _line(error) or type(error).__name__


def _line(message: object) -> str:
    return str(message).strip().partition("\n")[0]
