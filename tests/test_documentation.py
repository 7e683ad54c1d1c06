"""The code of the documentation's pages runs, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sklearn  # noqa: F401 - importing it sets variables, which are no leftovers of a test

DOCS = Path(__file__).resolve().parent.parent / "docs"


def code_of(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)


# Dask's to_parquet passes pandas a keyword that it deprecates.
@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
@pytest.mark.parametrize(("page", "n_blocks"), [("saving.md", 8)])
def test_the_code_of_a_page_runs(page, n_blocks, tmp_path, monkeypatch):
    code = code_of(page)
    assert len(code) == n_blocks
    monkeypatch.chdir(tmp_path)
    exec("\n".join(code), {"__name__": "page"})
