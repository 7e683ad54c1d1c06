"""Run scikit-learn's own test files with our classes, and sort what comes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import sklearn

from tests.drop_in.reasons import PRIVATE, SLOW, reason

SKLEARN = Path(sklearn.__file__).parent
ROOT = Path(__file__).resolve().parent.parent.parent
FILES = (
    "linear_model/tests/test_logistic.py",
    "linear_model/tests/test_ridge.py",
    "linear_model/tests/test_base.py",
    "linear_model/tests/test_coordinate_descent.py",
    "neural_network/tests/test_mlp.py",
)


class Sorted(NamedTuple):
    """Tests that use our classes, by what came of them.

    Attributes
    ----------
    counts : dict of Counter
        By file: ``passed``, ``failed``, ``private``, ``skipped``.
    unexpected : dict of str
        Failures without a reason, with their errors.
    outdated : list of str
        Tests with a reason that pass.
    """

    counts: dict[str, Counter[str]]
    unexpected: dict[str, str]
    outdated: list[str]

    @property
    def share(self) -> float:
        """Share passed, of tests that are not about private code."""
        total = sum(self.counts.values(), Counter[str]())
        return total["passed"] / (total["passed"] + total["failed"])


def run(report: Path, files: Iterable[str] = FILES, *, slow: bool = True) -> Sorted:
    """Run test files, and sort the outcomes.

    Parameters
    ----------
    report : Path
        Where to write the outcomes.
    files : iterable of str
        Below scikit-learn's directory.
    slow : bool, default=True
        Whether to run the tests that take longest too.
    """
    report.unlink(missing_ok=True)
    left_out = [] if slow else [f"--deselect={name}" for name in SLOW]
    command = [
        sys.executable, "-m", "pytest", "-q", "--tb=no", "--no-header",
        "-p", "tests.drop_in.plugin", "-p", "no:cacheprovider", "-p", "no:randomly",
        "-p", "no:xdist", "-c", os.devnull,
        f"--rootdir={SKLEARN}", *left_out, *(str(SKLEARN / file) for file in files),
    ]  # fmt: skip
    environment = {**os.environ, "DROP_IN_REPORT": str(report)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if not report.exists():
        raise RuntimeError(f"pytest wrote no report:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return _sorted(json.loads(report.read_text()))


def _sorted(outcomes: dict[str, dict[str, Any]]) -> Sorted:
    counts: dict[str, Counter[str]] = {}
    unexpected, outdated = {}, []
    for name, each in outcomes.items():
        why = reason(name)
        count = counts.setdefault(name.split("::")[0], Counter())
        if each["outcome"] == "skipped":
            count["skipped"] += 1
        elif why == PRIVATE:
            count["private"] += 1
        else:
            count[each["outcome"]] += 1
            if each["outcome"] == "failed" and why is None:
                unexpected[name] = each["error"]
            elif each["outcome"] == "passed" and why is not None:
                outdated.append(name)
    return Sorted(counts, unexpected, outdated)
