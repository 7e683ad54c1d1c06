"""Make ``.venv`` in this checkout, or do nothing when it is current.

Needs only a Python >= 3.11 and its standard library, without the ``ensurepip`` that a bare Debian
lacks: pip installs itself from its own wheel. Nothing is written outside the checkout.

``.venv/stamp`` is written last and holds a hash of all that the environment depends on. After an
interrupted installation, an edit of pyproject.toml, a change of Python or a move of the checkout it
is missing or differs, and the environment is made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import html
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path
from urllib.parse import unquote, urljoin

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "test,examples,dev"
OLDEST_PYTHON = (3, 11)

# Pinned by hash, so that neither the index nor the way to it has to be trusted.
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
DEFAULT_INDEX = "https://pypi.org/simple"

# Run by the environment's own Python, away from the checkout: what it finds is installed.
PROBE = """
import importlib.util, sys
sys.exit(any(importlib.util.find_spec(name) is None for name in sys.argv[1:]))
"""
PROBED = ("dlbd_estimators", "storage", "pip", "pytest", "ruff", "mypy")


class SetupError(Exception):
    """Something the person at the keyboard has to see to."""


def fingerprint(root: Path) -> str:
    """Hash all that the environment depends on."""
    texts = [(root / "pyproject.toml").read_text(), Path(__file__).read_text()]
    parts = [*texts, sys.version, sys.base_prefix, str(root)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def is_current(root: Path) -> bool:
    """Tell whether ``.venv`` is whole and belongs to this checkout as it is now."""
    stamp = root / ".venv" / "stamp"
    if not stamp.is_file() or stamp.read_text() != fingerprint(root):
        return False
    try:
        # -I: the current directory must not answer for an installation that is gone.
        command = [root / ".venv" / "bin" / "python", "-I", "-c", PROBE, *PROBED]
        return subprocess.run(command, check=False).returncode == 0
    except OSError:  # the Python it was made from is gone
        return False


def make(root: Path) -> None:
    """Make ``.venv`` from nothing, and install pip and the project (editable) into it."""
    environment = root / ".venv"
    venv.create(environment, clear=True, symlinks=True)
    wheel = environment / PIP_WHEEL
    wheel.write_bytes(download_pip(os.environ.get("PIP_INDEX_URL", DEFAULT_INDEX)))
    settings = {
        "PIP_CACHE_DIR": str(root / ".cache" / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_USER": "0",
    }
    # A wheel is a zip file, which Python can run.
    command = [environment / "bin" / "python", wheel / "pip", "install", "--quiet"]
    command += [wheel, "--editable", f".[{EXTRAS}]"]
    done = subprocess.run(command, check=False, cwd=root, env={**os.environ, **settings})
    if done.returncode != 0:
        raise SetupError(f"{' '.join(map(str, command))}: exit status {done.returncode}")
    wheel.unlink()
    (environment / "stamp").write_text(fingerprint(root))


def download_pip(index: str) -> bytes:
    """Return the pinned pip wheel, found by name in a simple index (PEP 503)."""
    page, address = fetch(index.rstrip("/") + "/pip/")
    for link in re.findall(r"<a\s[^>]*?href=[\"']([^\"'#]+)", page.decode(), re.IGNORECASE):
        url = urljoin(address, html.unescape(link))
        if unquote(url).endswith("/" + PIP_WHEEL):
            content, _ = fetch(url)
            if hashlib.sha256(content).hexdigest() != PIP_SHA256:
                raise SetupError(f"{url} is not the file it should be (its sha256 differs)")
            return content
    raise SetupError(f"{address} does not list {PIP_WHEEL}")


def fetch(url: str) -> tuple[bytes, str]:
    """Return what is at an address, and the address that redirections led to."""
    verified = ssl.create_default_context(cafile=os.environ.get("PIP_CERT"))
    try:
        try:
            answer = urllib.request.urlopen(url, timeout=60, context=verified)
        except OSError as error:
            if not isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
                raise
            # A bare Debian has no certificates to verify with. The pinned hash vouches for
            # the wheel, nothing secret is sent, and pip brings certificates of its own.
            unverified = ssl._create_unverified_context()
            answer = urllib.request.urlopen(url, timeout=60, context=unverified)
        with answer:
            return answer.read(), answer.url
    except (OSError, ValueError) as error:
        raise SetupError(f"cannot read {url}: {error}") from error


def main() -> str | None:
    """Bring ``.venv`` up to date, one process at a time; return what went wrong."""
    if sys.version_info < OLDEST_PYTHON:
        return f"Python 3.11 or newer is needed; this is {sys.version}"
    lock = os.open(ROOT, os.O_RDONLY)  # the directory itself: a lock that leaves no file
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not is_current(ROOT):
        print("making .venv (a minute or two, once) ...", flush=True)
        try:
            make(ROOT)
        except SetupError as error:
            return f"setup failed: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
