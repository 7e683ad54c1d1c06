"""The faults are tried on each solver, and the page about them names tests that are there."""

from __future__ import annotations

import re

from dlbd_estimators.linear_model.choose_solver import SOLVERS
from tests.faults.processes import ROOT
from tests.faults.work import KINDS, WORK


def test_each_solver_is_among_the_work():
    assert set(SOLVERS) <= set(WORK)
    assert set(KINDS) <= set(WORK)


def test_each_row_of_the_table_names_tests_that_are_there():
    page = (ROOT / "docs" / "reliability.md").read_text()
    _, _, section = page.partition("## Tested faults")
    table, _, _ = section.partition("\n## ")
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]  # below the head
    named = [re.findall(r"`([\w/]*test_\w+\.py)`", row.split("|")[3]) for row in rows]
    assert len(rows) > 40
    assert all(named)
    assert [each for names in named for each in names if not (ROOT / "tests" / each).exists()] == []
