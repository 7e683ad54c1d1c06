"""What a user installs: two packages, typed, and nothing else at the top level."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.build import build_sdist, build_wheel

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    target = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # PEP 517: a build backend works on the current directory
        name = build_wheel(str(target))
    with zipfile.ZipFile(target / name) as wheel:
        return set(wheel.namelist())


def test_top_level_names(wheel_names: set[str]) -> None:
    top = {name.split("/")[0] for name in wheel_names}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "dlbd_estimators",
        "storage",
    }
    assert len(top) == 3


@pytest.mark.parametrize("package", ["dlbd_estimators", "storage"])
def test_packages_are_whole_and_typed(wheel_names: set[str], package: str) -> None:
    source = {
        path.relative_to(ROOT).as_posix()
        for kind in ("*.py", "*.html", "py.typed")
        for path in (ROOT / package).rglob(kind)
    }
    assert f"{package}/py.typed" in source
    assert source <= wheel_names


def test_source_distribution_holds_the_project_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with tarfile.open(tmp_path / build_sdist(str(tmp_path))) as archive:
        top = {name.split("/")[1] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "dlbd_estimators", "storage", "tests"} <= top
    assert not top & {".venv", ".cache", ".git", "out", "dist"}
