"""The code and the commands of docs/recipes.md run, from top to bottom."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import ROOT


# Dask's to_parquet passes pandas a keyword that it deprecates.
@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
def test_the_recipes_run(dlbd, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    page = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    files, *recipes = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(recipes) == 6
    code = "\n".join(recipes)
    for there, here in (("s3://bucket/", ""), ('Client("tcp://10.0.0.1:8786")', "None")):
        assert there in code
        code = code.replace(there, here)
    variables = {"__name__": "page"}
    exec(files, variables)
    Path("flights").mkdir()
    rows = pd.concat(map(pd.read_csv, sorted(Path("trips").glob("*.csv"))))
    rows.to_parquet("flights/0.parquet")
    exec(code, variables)
    accuracy, found, searched = re.fullmatch(
        r"([\d.]+)\n({.*}) ([\d.]+)\n", capsys.readouterr().out
    ).groups()
    assert 0.7 < float(accuracy) < 0.9
    assert 0.7 < float(searched) < 0.9
    assert "logisticregression__C" in found
    assert variables["trips"].version == 2
    predicted = pd.read_parquet("predictions.parquet")
    assert (len(predicted), set(predicted["late"])) == (len(rows), {"no", "yes"})
    for name in ("quality.html", "late.html", "late.model", "measured.zarr", "mine.zarr"):
        assert Path(name).exists()

    commands = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = "".join(commands).replace("\\\n", " ").splitlines()
    assert [line.split()[1] for line in lines] == ["ingest", "fit", "score", "report"]
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "dlbd"
        result = dlbd(*words)
        assert result.exit_code == 0, (line, result.output)
    assert Path("late-2.html").exists()
