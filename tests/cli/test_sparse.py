"""`dlbd` from svmlight files to predictions: the rows stay sparse."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import dump_svmlight_file
from sklearn.linear_model import LogisticRegression

import storage


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sparse")
    rng = np.random.default_rng(0)
    X = sparse.random(200, 20, 0.2, random_state=0, format="csr")
    y = np.where(X @ rng.normal(size=20) > 0, 1, -1)
    dump_svmlight_file(X, y, str(folder / "rows.svm"), zero_based=False)
    return folder


def test_from_svmlight_files_to_predictions(dlbd, folder):
    data, model = folder / "d.zarr", folder / "late.model"

    def run(*words):
        done = dlbd(*words)
        assert done.exit_code == 0, done.output
        return done.stdout

    options = ("--classes", "-1,1", "--n-features", 20, "--one-based", "--target", "late")
    run("ingest", folder / "rows.svm", "-o", data, *options)
    stored = storage.open_dataset(data)
    assert (stored.classes, stored.target) == ((-1, 1), "late")
    facts = json.loads(run("info", data, "--json", "--head", 1))
    assert facts["sparse"]
    assert facts["head"][0]["late"] == stored.labels.compute()[0]
    assert "float64, sparse" in run("info", data)
    assert "as they were written" in run("verify", data)
    run("fit", data, "LogisticRegression", "-o", model)
    exact = LogisticRegression(tol=1e-10).fit(stored.X.compute(), stored.labels.compute())
    accuracy = exact.score(stored.X.compute(), stored.labels.compute())
    assert json.loads(run("score", model, data, "--json"))["scores"]["accuracy"] == accuracy
    run("predict", model, data, "-o", folder / "late.parquet")
    predicted = pd.read_parquet(folder / "late.parquet")["prediction"]
    assert predicted.tolist() == exact.predict(stored.X.compute()).tolist()
    run("report", model, data, "-o", folder / "late.html")
    assert json.loads(run("append", data, folder / "rows.svm", "--json"))["n_samples"] == 400
    run("shuffle", data, "-o", folder / "mixed.zarr", "--seed", 1)
    mixed = storage.open_dataset(folder / "mixed.zarr")
    assert mixed.schema.sparse
    assert mixed.X.compute().sum() == pytest.approx(2 * stored.X.compute().sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ingest", "rows.svm", "-o", "x", "--classes", "a"), "--classes a: classes must be num"),
        (("ingest", "rows.svm", "-o", "x", "--report", "r.html"), "have no quality report"),
        (("ingest", "rows.svm", "-o", "x", "--features", "a"), "features cannot be given"),
        (("fit", "n.zarr", "Ridge", "--impute", "-o", "m"), "--impute needs dense rows, and X"),
        (("fit", "n.zarr", "Ridge", "--standardize", "-o", "m"), "--standardize needs dense"),
        (("fit", "n.zarr", "MLPRegressor", "-o", "m"), "MLPRegressor needs dense rows"),
        (("fit", "n.zarr", "LogisticRegression", "-o", "m"), "of svmlight files --classes auto"),
        (("append", "n.zarr", "rows.svm", "--report", "r"), "svmlight files, which have no raw"),
    ],
)
def test_errors_are_one_line(words, message, dlbd, folder, monkeypatch):
    monkeypatch.chdir(folder)
    if not (folder / "n.zarr").exists():
        assert dlbd("ingest", "rows.svm", "-o", "n.zarr").exit_code == 0
    done = dlbd(*words)
    assert done.exit_code in (1, 2)
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert re.search(message, line), line
