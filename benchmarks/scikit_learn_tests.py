"""Run scikit-learn's own tests of linear models and perceptrons with our classes in their place.

``.venv/bin/python benchmarks/scikit_learn_tests.py`` runs all tests that use one of our classes,
which takes some minutes, and prints a table. The exit status is 1 if a test fails without a reason
in ``tests/drop_in/reasons.py``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.drop_in.run import run

COLUMNS = ("passed", "failed", "private", "skipped")


def main() -> int:
    """Run the tests, print the table, and return the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        found = run(Path(directory) / "outcomes.json")
    print("| file |", " | ".join(COLUMNS), "|")
    print("| --- |", " | ".join("---:" for _ in COLUMNS), "|")
    for file, counts in found.counts.items():
        print(f"| {file} |", " | ".join(str(counts[column]) for column in COLUMNS), "|")
    print(f"\n{found.share:.1%} of the tests that do not use private code pass")
    for name, error in found.unexpected.items():
        print(f"\n{name} fails, and reasons.py lists no reason:\n{error[:500]}")
    for name in found.outdated:
        print(f"\n{name} passes, but reasons.py lists a reason to fail")
    return bool(found.unexpected or found.outdated)


if __name__ == "__main__":
    sys.exit(main())
