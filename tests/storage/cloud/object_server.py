"""An object store that runs on this machine, and what its clients need to know of it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from obstore.exceptions import BaseError

__all__ = ["BUCKET", "PATIENCE", "ObjectServer", "free_ports", "wait_until_it_writes"]

BUCKET = "data"
#: Seconds to wait for a server; a busy machine needs many.
PATIENCE = 150.0


@dataclass(frozen=True)
class ObjectServer:
    """A server with one bucket.

    Attributes
    ----------
    url : str
        URL of the bucket.
    environment : dict of str to str
        Variables that clients read.
    address : str
        The variable that holds the address of the server.
    secret : str
        The variable that holds the secret.
    wrong_secret : str
        A value of it that the server refuses.
    """

    url: str
    environment: dict[str, str]
    address: str
    secret: str
    wrong_secret: str


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_until_it_writes(
    attempt: Callable[[], object], server: subprocess.Popen[bytes], log: Path
) -> None:
    """Repeat an attempt to write until it succeeds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            attempt()
            return
        except (BaseError, OSError):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text()[-2_000:]) from None
            time.sleep(0.2)
