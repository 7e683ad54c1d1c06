"""The code of the documentation's pages runs, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn  # noqa: F401 - importing it sets variables, which are no leftovers of a test

ROOT = Path(__file__).resolve().parent.parent


def code_of(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


# Dask's to_parquet passes pandas a keyword that it deprecates.
@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
@pytest.mark.parametrize(("page", "n_blocks"), [("docs/saving.md", 8), ("docs/search.md", 1)])
def test_the_code_of_a_page_runs(page, n_blocks, tmp_path, monkeypatch):
    code = code_of(page)
    assert len(code) == n_blocks
    monkeypatch.chdir(tmp_path)
    exec("\n".join(code), {"__name__": "page"})


def test_the_readme_goes_from_a_folder_of_csv_files_to_a_plot(tmp_path, monkeypatch, rng, capsys):
    (code,) = (each for each in code_of("README.md") if "read_csv" in each)
    (tmp_path / "trips").mkdir()
    for month in range(3):
        hour = rng.integers(0, 24, 1_000)
        trips = pd.DataFrame(
            {
                "distance": np.where(rng.random(1_000) < 0.02, np.nan, rng.gamma(2, 400, 1_000)),
                "hour": hour,
                "carrier": rng.choice(["AA", "B6", "DL", "UA"], 1_000),
                "late": (hour - 12 > 5 * rng.logistic(size=1_000)).astype(int),
            }
        )
        trips.to_csv(tmp_path / "trips" / f"{month}.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    exec(code, {"__name__": "page"})
    assert 0.7 < float(capsys.readouterr().out) < 1.0
    assert (tmp_path / "roc.png").stat().st_size > 10_000
