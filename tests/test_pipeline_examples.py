"""The examples of pipelines and of private training, as a user runs them, on little data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("name", "figure"),
    [("mixed_columns", "accuracy on rows held out"), ("numeric_pipeline", "best C")],
)
def test_pipeline(name: str, figure: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", f"examples/{name}.py", "--rows", "4000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert figure in done.stdout
    assert "\nthe same as scikit-learn's pipeline" in done.stdout


def test_private_training(tmp_path: Path) -> None:
    figure = tmp_path / "privacy.png"
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "examples/private.py",
            "--epsilons",
            "1",
            "8",
            "--figure",
            str(figure),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, *rows = done.stdout.splitlines()
    assert first.split() == ["epsilon", "logistic", "regression", "network"]
    assert [row.split()[0] for row in rows] == ["1", "8", "not"]
    assert min(float(word) for word in rows[1].split()[1:]) > 0.8
    assert figure.stat().st_size > 10_000
