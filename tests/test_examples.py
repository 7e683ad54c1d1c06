"""The examples that `make demo` does not run, as a user runs them, on little data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import storage

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.cluster
def test_bigger_than_memory(tmp_path: Path) -> None:
    command = [sys.executable, "examples/bigger_than_memory.py"]
    done = subprocess.run(
        [*command, "--rows", "200_000", "--keep", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "passes" in done.stdout
    assert storage.open_dataset(tmp_path / "rows.zarr").n_samples == 200_000
