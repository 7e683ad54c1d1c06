"""The command line as it is installed: with the entry points that pyproject.toml names."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click.testing
import numpy as np
import pytest

import storage

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder that stands on sys.path for a distribution of this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (about / "METADATA").write_text(head)
    groups = project["entry-points"] | {"console_scripts": project["scripts"]}
    lines = [
        line
        for group, names in groups.items()
        for line in (f"[{group}]", *(f"{name} = {place}" for name, place in names.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def dlbd(installed, monkeypatch):
    """Run a command in this process; returns click's Result."""
    monkeypatch.syspath_prepend(installed)
    from dlbd_estimators.cli.program import main

    def run(*words):
        return click.testing.CliRunner().invoke(main, list(map(str, words)), prog_name="dlbd")

    return run


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder with the same rows as a classification and as a regression."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    number = X @ [1.0, -2.0, 0.5] + rng.normal(size=400)
    shared = {"feature_names": ["a", "b", "c"], "block_nbytes": 4_000, "chunk_nbytes": 2_000}
    weight = rng.uniform(0.5, 2.0, 400)
    storage.create_dataset(
        folder / "late.zarr", X, (number > 0).astype(int), weight,
        target="late", classes=["no", "yes"], **shared,
    )  # fmt: skip
    storage.create_dataset(folder / "delay.zarr", X, number, target="delay", **shared)
    return folder
