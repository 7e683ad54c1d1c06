"""The code of the documentation's pages runs from top to bottom, and its links lead somewhere."""

from __future__ import annotations

import doctest
import importlib
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn  # noqa: F401 - importing it sets variables, which are no leftovers of a test

import dlbd_estimators

ROOT = Path(__file__).resolve().parent.parent


PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]


def code_of(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


# Dask's to_parquet passes pandas a keyword that it deprecates.
@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
@pytest.mark.parametrize(("page", "n_blocks"), [
    ("docs/saving.md", 12), ("docs/search.md", 4), ("docs/inference.md", 2),
    ("docs/partial-fit.md", 4), ("docs/storage.md", 4), ("docs/ingest.md", 12),
    ("docs/privacy.md", 1),
])  # fmt: skip
def test_the_code_of_a_page_runs(page, n_blocks, tmp_path, monkeypatch):
    code = code_of(page)
    assert len(code) == n_blocks
    monkeypatch.chdir(tmp_path)
    exec("\n".join(code), {"__name__": "page"})


def test_a_data_set_of_xarray_to_predictions_on_its_grid(tmp_path, monkeypatch, rng):
    xarray = pytest.importorskip("xarray")
    (code,) = (each for each in code_of("docs/data.md") if "xarray" in each)
    dims, shape = ("time", "latitude", "longitude"), (3, 4, 5)
    weather = xarray.Dataset({name: (dims, rng.random(shape)) for name in ("t2m", "sp", "precip")})
    monkeypatch.chdir(tmp_path)
    page = {"__name__": "page", "Ridge": dlbd_estimators.Ridge}
    with warnings.catch_warnings(category=UserWarning, action="ignore"):  # zarr's, of consolidating
        weather.to_zarr("weather.zarr")
        exec(code, page)
    written = xarray.open_zarr("rain.zarr")["predict"]
    xarray.testing.assert_equal(written, page["rain"])
    assert written.dims == dims


def test_from_a_folder_of_csv_files_to_a_plot(tmp_path, monkeypatch, rng, capsys):
    (code,) = (each for each in code_of("docs/data.md") if "read_csv" in each)
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


def test_the_readme_can_be_read_in_one_go():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def anchors_of(page):
    """Return the names that GitHub gives the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    links = [each for each in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in each]
    broken = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


SUBPACKAGES = ["dlbd_estimators", "storage"] + [
    f"dlbd_estimators.{subpackage}"
    for subpackage in (
        "compose", "exceptions", "inference", "linear_model", "metrics", "model_selection",
        "monitoring", "neural_network", "plots", "preprocessing", "reports",
    )
]  # fmt: skip


def modules_of(subpackage):
    """Return the modules in which the public names of a subpackage, and itself, are written."""
    package = importlib.import_module(subpackage)
    values = (getattr(package, name) for name in getattr(package, "__all__", []))
    names = [value.__module__ for value in values if hasattr(value, "__module__")]
    return sorted(
        {subpackage, *(name for name in names if name.split(".")[0] == subpackage.split(".")[0])}
    )


@pytest.mark.parametrize("subpackage", SUBPACKAGES)
def test_the_examples_of_public_docstrings_run(subpackage, monkeypatch, tmp_path):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    for name in modules_of(subpackage):
        module = importlib.import_module(name)
        found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
        assert found.failed == 0, name
