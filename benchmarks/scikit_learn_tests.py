"""scikit-learn's own tests of its linear models and perceptrons, with our classes in their place.

``.venv/bin/python benchmarks/scikit_learn_tests.py`` runs all that use one of our classes, some
minutes, and prints a table; it fails where a test fails for no reason that is written down in
``tests/drop_in/reasons.py``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.drop_in.run import run

COLUMNS = ("passed", "failed", "private", "skipped")


def main() -> int:
    """Run them, print the table, and return the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        found = run(Path(directory) / "outcomes.json")
    print("| file |", " | ".join(COLUMNS), "|")
    print("| --- |", " | ".join("---:" for _ in COLUMNS), "|")
    for file, counts in found.counts.items():
        print(f"| {file} |", " | ".join(str(counts[each]) for each in COLUMNS), "|")
    print(f"\n{found.share:.1%} of those that are not about private code pass")
    for name, error in found.unexpected.items():
        print(f"\n{name} fails for no reason that is written down:\n{error[:500]}")
    for name in found.outdated:
        print(f"\n{name} passes, but a reason to fail is written down")
    return bool(found.unexpected or found.outdated)


if __name__ == "__main__":
    sys.exit(main())
