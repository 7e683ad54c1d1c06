"""Make ``.venv`` in this checkout, or do nothing when it is current.

Needs only a Python >= 3.11 and its standard library. Debian's python3.11 comes without
``ensurepip``; pip is then taken from its own wheel, downloaded from the package index.
Nothing is written outside the checkout.

``.venv/stamp`` is written last and holds a hash of all that the environment depends on, so
an interrupted installation, an edited pyproject.toml, another Python or a moved checkout are
all the same thing: the stamp is missing or differs, and the environment is made anew.
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
import time
import urllib.error
import urllib.parse
import urllib.request
import venv
from pathlib import Path

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
    parts = [
        (root / "pyproject.toml").read_text(),
        Path(__file__).read_text(),
        sys.version,
        sys.base_prefix,
        str(root),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def is_current(root: Path) -> bool:
    """Tell whether ``.venv`` is whole and belongs to this checkout as it is now."""
    environment = root / ".venv"
    stamp = environment / "stamp"
    if not stamp.is_file() or stamp.read_text() != fingerprint(root):
        return False
    try:
        # -I: the current directory must not answer for an installation that is gone.
        command = [environment / "bin" / "python", "-I", "-c", PROBE, *PROBED]
        return subprocess.run(command, check=False).returncode == 0
    except OSError:  # the Python it was made from is gone
        return False


def make(root: Path) -> None:
    """Make ``.venv`` from nothing and install the project into it, editable."""
    environment = root / ".venv"
    python = environment / "bin" / "python"
    with_pip = has_ensurepip()
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=with_pip).create(environment)
    if not with_pip:
        install_pip(environment, python)
    settings = {
        "PIP_CACHE_DIR": str(root / ".cache" / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_USE_PEP517": "1",  # or an old pip warns about packages without a pyproject.toml
        "PIP_USER": "0",
    }
    run(
        [python, "-m", "pip", "install", "--quiet", "--editable", f".[{EXTRAS}]"],
        cwd=root,
        env={**os.environ, **settings},
    )
    (environment / "stamp").write_text(fingerprint(root))


def has_ensurepip() -> bool:
    """Tell whether this Python can put pip into an environment by itself."""
    try:
        import ensurepip  # noqa: F401 - Debian keeps it in python3.11-venv
    except ImportError:
        return False
    return True


def install_pip(environment: Path, python: Path) -> None:
    """Let pip's wheel, which is a runnable zip file, install itself."""
    wheel = environment / PIP_WHEEL
    wheel.write_bytes(download_pip(os.environ.get("PIP_INDEX_URL", DEFAULT_INDEX)))
    run([python, wheel / "pip", "install", "--quiet", "--no-index", "--no-cache-dir", wheel])
    wheel.unlink()


def download_pip(index: str) -> bytes:
    """Return the pinned pip wheel, found by name in a simple index (PEP 503)."""
    page, address = fetch(index.rstrip("/") + "/pip/")
    for link in re.findall(r"<a\s[^>]*?href=[\"']([^\"']+)", page.decode(), re.IGNORECASE):
        url = urllib.parse.urldefrag(urllib.parse.urljoin(address, html.unescape(link))).url
        if urllib.parse.unquote(url).endswith("/" + PIP_WHEEL):
            content, _ = fetch(url)
            if hashlib.sha256(content).hexdigest() != PIP_SHA256:
                raise SetupError(f"{url} is not the file it should be (its sha256 differs)")
            return content
    raise SetupError(f"{address} does not list {PIP_WHEEL}")


def fetch(url: str) -> tuple[bytes, str]:
    """Return what is at an address, and the address that redirections led to."""
    request = urllib.request.Request(url, headers={"Accept": "text/html, */*;q=0.1"})
    context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT"))
    try:
        try:
            answer = urllib.request.urlopen(request, timeout=60, context=context)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ssl.SSLCertVerificationError):
                raise
            # A bare Debian has no certificates to verify with. The pinned hash vouches for
            # the wheel, nothing secret is sent, and pip brings certificates of its own.
            context = ssl._create_unverified_context()
            answer = urllib.request.urlopen(request, timeout=60, context=context)
        with answer:
            return answer.read(), answer.url
    except (OSError, ValueError) as error:
        raise SetupError(f"cannot read {url}: {error}") from error


def run(command: list[str | Path], **options: object) -> None:
    """Run a command whose failure is the person's to see, without a traceback of ours."""
    status = subprocess.run(command, check=False, **options).returncode
    if status != 0:
        raise SetupError(f"{' '.join(map(str, command))}: exit status {status}")


def main() -> int:
    """Bring ``.venv`` up to date, one process at a time."""
    if sys.version_info < OLDEST_PYTHON:
        print(f"Python 3.11 or newer is needed; this is {sys.version}", file=sys.stderr)
        return 1
    lock = os.open(ROOT, os.O_RDONLY)  # the directory itself: a lock that leaves no file
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        if is_current(ROOT):
            return 0
        print("making .venv (a minute or two, once) ...", flush=True)
        start = time.monotonic()
        make(ROOT)
        print(f"made .venv in {time.monotonic() - start:.0f} s")
    except SetupError as error:
        print(f"setup failed: {error}", file=sys.stderr)
        return 1
    finally:
        os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
