"""Raw files in object stores and on web servers, read by obstore through fsspec's interface.

The clients and the environment variables for credentials are those of data sets in object stores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from obstore.exceptions import BaseError
from obstore.fsspec import BufferedFile, FsspecStore

from storage.credentials import without_credentials

__all__ = ["RemoteFiles"]

_REFUSED = frozenset({"PermissionDeniedError", "UnauthenticatedError"})


class RemoteFiles(FsspecStore):
    """Files of one kind of store, whose errors are those of local files."""

    cachable = False  # another client is needed when credentials in the environment change

    async def _info(self, path: str, **options: Any) -> dict[str, Any]:
        with self._translated_errors(path):
            return await super()._info(path, **options)

    async def _ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        if self.protocol in ("http", "https"):  # web servers have no lists of their files
            raise FileNotFoundError(path)
        with self._translated_errors(path):
            found: Any = super()
            return await found._ls(path, detail=detail, **options)

    def _open(self, path: str, mode: str = "rb", *_: Any, **__: Any) -> BufferedFile:
        with self._translated_errors(path):
            if mode != "rb":
                raise ValueError(f"raw files are only read, and {path} was opened with {mode!r}")
            # With its size, the file asks for nothing more until it is read.
            return _RemoteFile(self, path, "rb", size=self.info(path)["size"])

    @contextmanager
    def _translated_errors(
        self, path: str, kinds: tuple[type[Exception], ...] = (BaseError,)
    ) -> Iterator[None]:
        url = path if "://" in path else f"{self.protocol}://{path}"
        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(without_credentials(f"no file is at {url}")) from None
        except kinds as error:
            kind = PermissionError if type(error).__name__ in _REFUSED else OSError
            reason = str(error).strip().partition("\n")[0]
            if kind is PermissionError:
                reason += ": check the credentials of this process and of all workers"
            if "Range request not supported" in reason:
                reason = "the server does not send parts of files: download them first"
            raise kind(without_credentials(f"cannot read {url}: {reason}")) from None


class _RemoteFile(BufferedFile):
    fs: RemoteFiles

    def read(self, length: int = -1) -> bytes:
        with self.fs._translated_errors(self.path, (BaseError, OSError)):
            return super().read(length)

    def readline(self) -> bytes:
        with self.fs._translated_errors(self.path, (BaseError, OSError)):
            return super().readline()
