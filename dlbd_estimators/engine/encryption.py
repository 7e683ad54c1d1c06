"""Refuse a cluster without encryption if the Dask configuration requires encryption.

Dask itself checks ``distributed.comm.require-encryption`` only when a client is created, and not
if the client has a ``Security`` of its own. Here it is checked before each pass.
"""

from __future__ import annotations

from collections.abc import Iterable

import dask.config

from dlbd_estimators.exceptions import UnencryptedCluster

_REQUIRED = "distributed.comm.require-encryption"
#: Protocols whose connections are encrypted, and the one that never leaves the process.
_SAFE = frozenset({"tls", "wss", "inproc"})


def check_encryption(scheduler: str, workers: Iterable[str] = ()) -> None:
    """Check that a cluster has the encryption that the Dask configuration requires.

    Call it before anything is sent to the cluster.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler, such as ``"tls://10.0.0.1:8786"``.
    workers : iterable of str, optional
        Addresses of the workers that may take tasks.

    Raises
    ------
    UnencryptedCluster
        ``distributed.comm.require-encryption`` is true, and one of these addresses is not
        encrypted.
    """
    if not dask.config.get(_REQUIRED, None):
        return
    if not _is_safe(scheduler):
        raise UnencryptedCluster(
            f"The Dask configuration {_REQUIRED} is true, but connections to the scheduler at "
            f"{scheduler} are not encrypted. No data was sent. {_ADVICE}"
        )
    plain = sorted(address for address in workers if not _is_safe(address))
    if plain:
        raise UnencryptedCluster(
            f"The Dask configuration {_REQUIRED} is true, but connections to {len(plain)} of the "
            f"workers of {scheduler} are not encrypted ({', '.join(plain[:3])}). No data was sent. "
            f"{_ADVICE}"
        )


_ADVICE = (
    "Start the scheduler and the workers with TLS certificates and --protocol tls (or "
    "LocalCluster(security=...)), and connect to the tls:// address: see "
    "https://distributed.dask.org/en/stable/tls.html. If the network is trusted, set "
    f"{_REQUIRED} to false."
)


def _is_safe(address: str) -> bool:
    protocol, separator, _ = address.partition("://")
    return bool(separator) and protocol in _SAFE
