"""Open a Zarr store in any process: by its URL, or as the store object that the user passed.

Errors are raised when an object of this module is used, never when it is unpickled. A worker of a
Dask cluster that cannot unpickle a message loses its connection, and the fit would wait for ever.
"""

from __future__ import annotations

import os
import pickle
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from zarr.abc.store import Store as ZarrStore

# The event loop of zarr's own calls: clients of some stores work in one event loop only.
from zarr.core.sync import sync
from zarr.storage import MemoryStore, StorePath

from storage.credentials import without_credentials
from storage.errors import UnsupportedURL

__all__ = ["READ_ONLY", "SCHEMES", "AtURL", "Opener", "UserStore", "allows_http"]

_MEMORY = "memory"
READ_ONLY = frozenset({"http", "https"})
#: Schemes of URLs that open a store; all but the first are obstore's.
SCHEMES = READ_ONLY | {_MEMORY, "s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss"}

_SETTINGS = ("AWS_", "AZURE_", "GOOGLE_")

#: Environment variables that name another server than that of the provider, by the first letter of
#: the scheme. The first one that is set counts.
_ENDPOINTS = {
    "s": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "g": ("GOOGLE_BASE_URL",),
    "a": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}

#: Stores in memory that are in use, by their id. They exist in this process only.
_in_memory: weakref.WeakValueDictionary[int, MemoryStore] = weakref.WeakValueDictionary()


class Opener(Protocol):
    """Opens a store in any process."""

    @property
    def name(self) -> str:
        """The URL, or the text form of the store object."""

    def open(self) -> ZarrStore:
        """Return the store, ready to be used.

        Raises
        ------
        UnsupportedURL
            When the store cannot be opened in this process.
        """


@dataclass(frozen=True)
class AtURL:
    """Opens a store by its URL. A ``memory://`` URL is valid in one process only.

    Attributes
    ----------
    url : str
        The URL, without a slash at its end.
    """

    url: str = field(repr=False)  # it may contain credentials

    @property
    def name(self) -> str:
        """The URL."""
        return self.url

    @property
    def scheme(self) -> str:
        """The scheme of the URL."""
        return self.url.partition(":")[0].lower()

    def open(self) -> ZarrStore:
        """Return the store; clients and their connections are cached."""
        if self.scheme == _MEMORY:
            return _in_memory_at(self.url)
        return _open_url(self.url, _settings())

    def __reduce__(self) -> tuple[object, ...]:
        if self.scheme == _MEMORY:
            return _InProcessStore, (os.getpid(), id(self.open()), self.url)
        return AtURL, (self.url,)


@dataclass(frozen=True, eq=False)
class UserStore:
    """Opens a store that the user passed.

    Attributes
    ----------
    store : zarr.abc.store.Store
        The store.
    """

    store: ZarrStore

    @property
    def name(self) -> str:
        """The text form of the store object, or its type if obstore cannot make one."""
        try:
            return str(self.store)
        except BaseException as error:
            # obstore panics if the name of an Azure account is in the environment. A panic is no
            # Exception.
            if type(error).__name__ != "PanicException":
                raise
            return type(self.store).__name__

    def open(self) -> ZarrStore:
        """Return the store, ready to be used."""
        # Some stores open their file only when zarr first uses them.
        sync(StorePath.open(self.store, ""))
        return self.store

    def __reduce__(self) -> tuple[object, ...]:
        if isinstance(self.store, MemoryStore):
            _in_memory[id(self.store)] = self.store
            return _InProcessStore, (os.getpid(), id(self.store), self.name)
        return _Pickled, (pickle.dumps(self.store), self.name)


@dataclass(frozen=True)
class _Pickled:
    content: bytes
    name: str

    def open(self) -> ZarrStore:
        return UserStore(pickle.loads(self.content)).open()


@dataclass(frozen=True)
class _InProcessStore:
    process: int
    number: int
    name: str

    def open(self) -> ZarrStore:
        store = _in_memory.get(self.number)
        if self.process != os.getpid() or store is None:
            raise UnsupportedURL(
                f"{self.name} lives in the memory of process {self.process}: workers that are "
                f"other processes need a disk that they all see, or an object store"
            )
        return store


@cache
def _in_memory_at(url: str) -> ZarrStore:  # noqa: ARG001 - the key of the cache
    store = MemoryStore()
    _in_memory[id(store)] = store
    return store


def _settings() -> tuple[tuple[str, str], ...]:
    """Return the environment variables that clients read: other credentials need a new client."""
    return tuple(
        sorted(variable for variable in os.environ.items() if variable[0].startswith(_SETTINGS))
    )


def allows_http(url: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the URL, or the server that the environment names, begins with ``http:``.

    obstore refuses unencrypted connections by default.
    """
    names = _ENDPOINTS.get(url[0].lower(), ())
    endpoints = [environment[name] for name in names if name in environment]
    return (endpoints or [url])[0].lower().startswith("http:")


def _check_endpoint(url: str, environment: Mapping[str, str]) -> None:
    """Raise UnsupportedURL for an address of a server without ``http:``: obstore would panic."""
    for name in _ENDPOINTS.get(url[0].lower(), ()):
        if name not in environment:
            continue
        address = environment[name]
        if not address.lower().startswith(("http://", "https://")):
            raise UnsupportedURL(
                f"cannot open {without_credentials(url)}: the environment variable {name} is "
                f"{without_credentials(address)!r}, and must begin with http:// or https://"
            )
        return


@cache
def _open_url(url: str, settings: tuple[tuple[str, str], ...]) -> ZarrStore:
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
        from zarr.storage import ObjectStore
    except ImportError as error:
        raise UnsupportedURL(
            f"{without_credentials(url)} is no local path: stores on the network are reached by "
            f"obstore, which is not installed (pip install 'dlbd-estimators[cloud]')"
        ) from error
    _check_endpoint(url, dict(settings))
    try:
        store = from_url(url, client_options={"allow_http": allows_http(url, dict(settings))})
    except (BaseError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UnsupportedURL(without_credentials(f"cannot open {url}: {reason}")) from None
    return ObjectStore(store)
