"""`make` makes .venv anew exactly when it has to (.ci/make_venv.py)."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_venv", ROOT / ".ci" / "make_venv.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose environment is current; its Python is this one."""
    root = tmp_path / "checkout"
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (root / "pyproject.toml").write_text("[project]\n")
    (root / ".venv" / "stamp").write_text(script.fingerprint(root))
    monkeypatch.setattr(script, "PROBED", ("json",))
    assert script.is_current(root)
    return root


def test_edited_pyproject_is_stale(script: ModuleType, checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert not script.is_current(checkout)


def test_touched_pyproject_is_current(script: ModuleType, checkout: Path) -> None:
    os.utime(checkout / "pyproject.toml", (0, 0))
    assert script.is_current(checkout)


def test_interrupted_installation_is_stale(script: ModuleType, checkout: Path) -> None:
    (checkout / ".venv" / "stamp").unlink()
    assert not script.is_current(checkout)


def test_moved_checkout_is_stale(script: ModuleType, checkout: Path) -> None:
    moved = checkout.rename(checkout.with_name("moved"))
    assert not script.is_current(moved)


def test_other_python_is_stale(
    script: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version", "3.99.0")
    assert not script.is_current(checkout)


def test_dangling_python_is_stale(script: ModuleType, checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "python").unlink()
    (checkout / ".venv" / "bin" / "python").symlink_to(checkout / "gone")
    assert not script.is_current(checkout)


def test_missing_package_is_stale(
    script: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "PROBED", ("json", "no_such_package"))
    assert not script.is_current(checkout)


@pytest.fixture
def index(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package index on disk that lists a wheel in pip's place."""
    page = tmp_path / "simple" / "pip"
    page.mkdir(parents=True)
    wheel = page / script.PIP_WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pip/__main__.py", "")
    monkeypatch.setattr(script, "PIP_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    (page / "index.html").write_text(
        f'<a href="pip-1.0.tar.gz#sha256=0">old</a><a href="{wheel.name}#sha256=1">new</a>'
    )
    # A file has no default page as a server's directory has.
    fetch = script.fetch
    monkeypatch.setattr(
        script, "fetch", lambda url: fetch(url + "index.html" if url.endswith("/") else url)
    )
    return (tmp_path / "simple").as_uri()


def test_pip_is_found_in_the_index(script: ModuleType, index: str, tmp_path: Path) -> None:
    wheel = tmp_path / "simple" / "pip" / script.PIP_WHEEL
    assert script.download_pip(index) == wheel.read_bytes()
    assert script.download_pip(index + "/") == wheel.read_bytes()


def test_altered_pip_is_refused(script: ModuleType, index: str, tmp_path: Path) -> None:
    with (tmp_path / "simple" / "pip" / script.PIP_WHEEL).open("ab") as wheel:
        wheel.write(b"\0")
    with pytest.raises(script.SetupError, match="sha256"):
        script.download_pip(index)


def test_index_without_pip_is_named(script: ModuleType, index: str, tmp_path: Path) -> None:
    (tmp_path / "simple" / "pip" / "index.html").write_text("")
    with pytest.raises(script.SetupError, match="does not list"):
        script.download_pip(index)
    shutil.rmtree(tmp_path / "simple")
    with pytest.raises(script.SetupError, match="cannot read"):
        script.download_pip(index)
