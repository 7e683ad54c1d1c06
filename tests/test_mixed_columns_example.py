"""The example of mixed columns, as a user runs it, on little data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_mixed_columns() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "examples/mixed_columns.py", "--rows", "4000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accuracy on rows held out" in done.stdout
    assert "\nthe same as scikit-learn's pipeline" in done.stdout
