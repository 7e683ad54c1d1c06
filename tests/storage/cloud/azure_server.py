"""Azurite, Microsoft's own emulator of Azure's storage, for as long as a ``with`` block runs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.storage.cloud.object_server import (
    BUCKET,
    ObjectServer,
    free_ports,
    wait_until_it_writes,
)

#: The only account of the emulator; its key is public.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_ROOT = Path(__file__).resolve().parents[3]
#: Where `make test-stores` installs it.
_INSTALLED = _ROOT / ".cache" / "azurite" / "node_modules" / ".bin" / "azurite-blob"


@contextlib.contextmanager
def azure_server(folder: Path) -> Iterator[ObjectServer]:
    """Azurite with one container, which keeps its files in memory."""
    program = _INSTALLED if _INSTALLED.exists() else shutil.which("azurite-blob")
    if not program:
        pytest.skip("azurite is not installed: make test-stores")
    (port,) = free_ports(1)
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [
                str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port),
                "--inMemoryPersistence", "--disableTelemetry", "--silent",
                "--skipApiVersionCheck",  # clients are often newer than the emulator
            ],
            stdout=log, stderr=log, cwd=folder,
        ) as server,
    ):  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}/{_ACCOUNT}"
            wait_until_it_writes(lambda: _make_container(address), server, folder / "log")
            clients = {
                "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
                "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
                "AZURE_STORAGE_ENDPOINT": address,
            }
            yield ObjectServer(
                f"az://{BUCKET}", clients, "AZURE_STORAGE_ENDPOINT", "AZURE_STORAGE_ACCOUNT_KEY",
                base64.b64encode(b"wrong").decode(),
            )  # fmt: skip
        finally:
            server.kill()
            server.wait()


def _make_container(address: str) -> None:
    """Send the request that makes a container, signed with the key; obstore cannot make one."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    signed = f"PUT{chr(10) * 12}{lines}/{_ACCOUNT}/{_ACCOUNT}/{BUCKET}\nrestype:container"
    digest = hmac.new(base64.b64decode(_KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
    headers["Content-Length"] = "0"
    request = urllib.request.Request(
        f"{address}/{BUCKET}?restype=container", method="PUT", headers=headers
    )
    urllib.request.urlopen(request, timeout=10).close()
