"""`dlbd` does what Python code would do, and says in one line what is wrong."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time

import click
import dask
import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn.base import is_classifier
from sklearn.pipeline import make_pipeline

import dlbd_estimators
import storage
from dlbd_estimators import LogisticRegression, Ridge, linear_model, load, neural_network
from dlbd_estimators.cli import estimators, fit, options, predict, report, score, watch, workers
from dlbd_estimators.model_selection import GridSearchCV
from dlbd_estimators.preprocessing import SimpleImputer, StandardScaler
from storage import command_line, ingest_command
from tests.cli.conftest import ROOT


@pytest.fixture(scope="module")
def models(data):
    """Models of the two data sets, by Python code."""
    late, delay = (storage.open_dataset(data / f"{name}.zarr") for name in ("late", "delay"))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    classifier.fit(late.X, late.labels, logisticregression__sample_weight=late.sample_weight)
    dlbd_estimators.save(classifier, data / "late.model")
    ridge = Ridge(alpha=0.5).fit(delay.X, delay.y)
    ridge.save(data / "delay.model")
    return {"late": classifier, "delay": ridge}


def json_from(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# ---- what they do


@pytest.fixture
def trips(tmp_path):
    """Two CSV files of raw rows, and a place for what is made of them."""
    for month, rows in {"1": "05:15,1400,no\n05:29,-3,yes\n", "2": "06:10,762,yes\n"}.items():
        text = "start,distance,late\n" + rows.replace("0", "2013-01-01 0", 1)
        (tmp_path / f"{month}.csv").write_text(text.replace("\n05", "\n2013-01-02 05"))
    return tmp_path


def test_ingest_cleans_tables_by_declared_rules(dlbd, trips):
    words = [
        "ingest", trips / "1.csv", trips / "2.csv", "-o", trips / "trips.zarr", "--target", "late",
        "-c", "distance:number,minimum=0,out_of_range=drop",
        "-c", "start:datetime,parts=month|hour",
    ]  # fmt: skip
    done = dlbd(*words, "--report", trips / "quality.html")
    assert done.exit_code == 0, done.output
    assert "2 of 3 rows kept" in done.stdout
    assert "out of range: drop; '-3' in line 3" in done.stdout
    assert "2 of 3" in (trips / "quality.html").read_text()
    data = storage.open_dataset(trips / "trips.zarr")
    assert data.feature_names == ("start_month", "start_hour", "distance")
    assert data.X.compute().tolist() == [[1, 5, 1400], [1, 6, 762]]
    again = dlbd(*words)
    assert again.exit_code == 1
    assert "already at" in again.stderr
    assert json_from(dlbd(*words, "--overwrite", "--json"))["quality"]["n_kept"] == 2


def test_append_adds_a_version_that_info_lists(dlbd, trips):
    place = trips / "trips.zarr"
    assert dlbd("ingest", trips / "1.csv", "-o", place, "--target", "late").exit_code == 0
    done = dlbd("append", place, trips / "2.csv", "--report", trips / "quality.html")
    assert done.exit_code == 0, done.output
    assert "1 of 1 rows kept" in done.stdout
    assert "1 of 1" in (trips / "quality.html").read_text()
    facts = json_from(dlbd("append", place, trips / "1.csv", "--json"))
    assert (facts["version"], facts["n_samples"], facts["quality"]["n_kept"]) == (3, 5, 2)
    assert "3: 2 rows, 5 in all; written" in dlbd("info", place).stdout
    info = json_from(dlbd("info", place, "--version", 2, "--json"))
    assert (info["version"], info["n_samples"]) == (2, 3)
    assert [each["n_added"] for each in info["versions"]] == [2, 1, 2]
    (place / "X" / "c.0.0").unlink()
    sources = [trips / "1.csv", trips / "2.csv", trips / "1.csv"]
    assert json_from(dlbd("repair", place, *sources, "--json"))["chunks"] == 6
    failed = dlbd("append", trips / "nothing.zarr", trips / "1.csv")
    assert failed.exit_code == 1
    assert "nothing is there" in failed.stderr


def test_a_test_set_is_ingested_by_the_steps_of_the_training_set(dlbd, trips):
    train, test = trips / "train.zarr", trips / "test.zarr"
    column = ["-c", "distance:number,minimum=0,out_of_range=missing,missing=impute"]
    done = dlbd("ingest", trips / "2.csv", "-o", train, "--target", "late", *column)
    assert done.exit_code == 0, done.output
    done = dlbd("ingest", trips / "1.csv", "-o", test, "--like", train)
    assert done.exit_code == 1
    assert "'no' in line 2" in done.stderr  # the training set has no such class
    done = dlbd("ingest", trips / "1.csv", trips / "2.csv", "-o", train, "--target", "late",
                "--overwrite", *column)  # fmt: skip
    assert json_from(dlbd("ingest", trips / "1.csv", "-o", test, "--like", train, "--json"))
    distance = storage.open_dataset(test, columns=["distance"]).X.compute()
    assert distance.ravel().tolist() == [1400, (1400 + 762) / 2]
    for words in (["--like", train, "--target", "late"], []):
        done = dlbd("ingest", trips / "1.csv", "-o", trips / "x.zarr", *words)
        assert done.exit_code == 2
        assert "give either --target or --like" in done.stderr
    done = dlbd("ingest", trips / "1.csv", "-o", trips / "x.zarr", "--like", train, *column)
    assert done.exit_code == 1
    assert "columns cannot be given with like=" in done.stderr


def test_rows_of_a_split_are_ingested(dlbd, trips):
    words = ["ingest", trips / "1.csv", trips / "2.csv", "-o", trips / "x.zarr", "--overwrite"]
    words += ["--target", "late", "--json"]
    later = json_from(dlbd(*words, "--by-time", "start,2013-01-02,"))
    assert later["quality"]["n_rows"] == 1
    shares = [
        json_from(dlbd(*words, "--by-hash", f"distance,{share}"))["quality"]["n_rows"]
        for share in ("0,1", ",")
    ]
    assert shares == [3, 3]
    for flags in (["--by-hash", "distance"], ["--by-hash", "distance,0.5,0.1"],
                    ["--by-time", "start,soon,"], ["--by-hash", "distance,a,b"],
                    ["--by-hash", "distance,0,1", "--by-time", "start,,"]):  # fmt: skip
        assert dlbd(*words, *flags).exit_code == 2


@pytest.mark.parametrize(
    ("column", "told"),
    [("distance", "write NAME:KIND"), ("distance:number,minimum", "is no rule"),
     ("distance:number,low=1", "is no rule"), ("distance:numbre", "kind"),
     ("distance:number,missing=maybe", "missing")],
)  # fmt: skip
def test_a_column_that_is_not_understood(dlbd, trips, column, told):
    output = trips / "trips.zarr"
    done = dlbd("ingest", trips / "1.csv", "-o", output, "--target", "late", "-c", column)
    assert done.exit_code == 2
    assert told in done.stderr
    assert not output.exists()


def test_shuffle_stores_the_same_rows_in_another_order(dlbd, data, tmp_path):
    done = dlbd(
        "shuffle", data / "delay.zarr", "-o", tmp_path / "mixed.zarr", "--seed", 3, "--json"
    )
    assert json_from(done) == {"data": str(tmp_path / "mixed.zarr"), "n_samples": 400, "seed": 3}
    one, other = (
        storage.open_dataset(each) for each in (data / "delay.zarr", tmp_path / "mixed.zarr")
    )
    assert sorted(other.y.compute()) == sorted(one.y.compute())
    assert (other.y.compute() != one.y.compute()).any()


def test_info_shows_which_rows_of_its_source_a_data_set_holds(dlbd, trips, data):
    place = trips / "split.zarr"
    words = ["ingest", trips / "1.csv", trips / "2.csv", "-o", place, "--target", "late"]
    assert dlbd(*words, "--by-hash", "distance,0,0.999").exit_code == 0
    assert "rows whose hash of 'distance' is in [0, 0.999)" in dlbd("info", place).stdout
    assert json_from(dlbd("info", place, "--json"))["rows"] == {
        "by": "HashSplit", "column": "distance", "start": 0.0, "stop": 0.999, "seed": 0,
    }  # fmt: skip
    assert json_from(dlbd("info", data / "late.zarr", "--json"))["rows"] is None


def test_info_shows_what_a_data_set_is(dlbd, data):
    shown = dlbd("info", data / "late.zarr", "--head", "2")
    assert shown.exit_code == 0
    assert "400" in shown.stdout
    assert "late int64, 2 classes" in shown.stdout
    facts = json_from(dlbd("info", data / "late.zarr", "--json", "--head", 2))
    assert facts["classes"] == ["no", "yes"]
    assert facts["feature_names"] == ["a", "b", "c"]
    assert len(facts["head"]) == 2


def test_verify_reads_all_and_finds_what_is_damaged(dlbd, data, tmp_path):
    assert json_from(dlbd("verify", data / "late.zarr", "--json"))["chunks"] > 3
    copy = shutil.copytree(data / "late.zarr", tmp_path / "copy.zarr")
    files = (path for path in sorted((copy / "X").rglob("*")) if path.is_file())
    chunk = next(path for path in files if path.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:-9] + b"damaged!!")
    done = dlbd("verify", copy)
    assert done.exit_code == 1
    assert not done.stdout
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert chunk.relative_to(copy).as_posix() in done.stderr


def test_fit_gives_the_model_that_python_code_gives(dlbd, data, models, tmp_path):
    out = tmp_path / "new" / "late.model"
    facts = json_from(
        dlbd("fit", data / "late.zarr", "LogisticRegression", "-p", "C=0.1", "--standardize",
             "-o", out, "--json")
    )  # fmt: skip
    assert facts["n_rows"] == 400
    found = load(out)
    assert (found[-1].coef_ == models["late"][-1].coef_).all()
    assert list(found.classes_) == ["no", "yes"]
    assert list(found.feature_names_in_) == ["a", "b", "c"]


def test_missing_values_are_imputed_where_that_is_asked_for(dlbd, tmp_path):
    X = np.array([[1.0, 0.0], [np.nan, 1.0], [3.0, 5.0], [4.0, 2.0]])
    storage.create_dataset(tmp_path / "rows.zarr", X, np.arange(4.0))
    done = dlbd("fit", tmp_path / "rows.zarr", "Ridge", "-o", tmp_path / "model")
    assert done.exit_code == 1
    assert "NaN at row 1 of block 0" in done.stderr
    assert "--impute replaces missing values" in done.stderr
    assert not (tmp_path / "model").exists()
    assert dlbd("fit", tmp_path / "rows.zarr", "Ridge", "--impute", "--standardize",
                "-o", tmp_path / "model").exit_code == 0  # fmt: skip
    model = load(tmp_path / "model")
    expected = make_pipeline(SimpleImputer(), StandardScaler(), Ridge()).fit(X, np.arange(4.0))
    np.testing.assert_allclose(model.predict(X), expected.predict(X))


def test_fit_chooses_by_folds(dlbd, data, tmp_path):
    told = dlbd(
        "fit", data / "delay.zarr", "Ridge", "--cv", 2, "--grid", "alpha=0.1,1000", "--columns",
        "c,a", "-o", tmp_path / "model",
    )  # fmt: skip
    rows = storage.open_dataset(data / "delay.zarr", columns=["c", "a"])
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1000]}, cv=2).fit(rows.X, rows.y)
    assert told.stdout.startswith(f"* {search.best_score_:.4f} +- ")
    assert f"{search.n_passes_:.4g} passes" in told.stdout
    assert (load(tmp_path / "model").coef_ == search.best_estimator_.coef_).all()
    assert list(load(tmp_path / "model").feature_names_in_) == ["c", "a"]


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_fit_goes_on_from_a_checkpoint(dlbd, data, tmp_path):
    words = ["fit", data / "late.zarr", "LogisticRegression", "-p", "solver=lbfgs"]
    words += ["--checkpoint", tmp_path / "steps", "-o", tmp_path / "model"]
    short = dlbd(*words, "-p", "max_iter=1")
    assert short.exit_code == 0
    assert short.stderr.startswith("ConvergenceWarning: ")
    assert short.stderr.count("\n") == 1
    assert dlbd(*words).exit_code == 0
    late = storage.open_dataset(data / "late.zarr")
    whole = LogisticRegression(solver="lbfgs").fit(late.X, late.labels, late.sample_weight)
    assert (load(tmp_path / "model").coef_ == whole.coef_).all()
    assert load(tmp_path / "model").n_iter_ > 1


@pytest.mark.parametrize("ending", [".parquet", ".zarr"])
def test_predictions_are_written_in_the_order_of_the_rows(dlbd, data, models, tmp_path, ending):
    for name in ("late", "delay"):
        X = storage.open_dataset(data / f"{name}.zarr").X
        out = tmp_path / f"{name}{ending}"
        more = ["--probabilities"] if name == "late" else []
        done = dlbd("predict", data / f"{name}.model", data / f"{name}.zarr", "-o", out, *more)
        assert done.exit_code == 0, done.output
        expected = models[name].predict(X).compute()
        if ending == ".parquet":
            found = pd.read_parquet(out)
            assert len(os.listdir(out)) == X.numblocks[0] > 3
            values = found["prediction"].to_numpy()
            chances = found[found.columns[1:]].to_numpy()
        else:
            group = zarr.open_group(out, mode="r")
            values = group["prediction"][:]
            if name == "late":
                assert group["prediction"].attrs["classes"] == ["no", "yes"]
                values = np.array(["no", "yes"])[values]
            chances = group["probability"][:] if more else None
        assert (values == expected).all()
        if more:
            assert (chances == models[name].predict_proba(X).compute()).all()
    assert len(os.listdir(tmp_path)) == 2


def test_scores_are_those_of_the_metrics(dlbd, data, models):
    found = json_from(dlbd("score", data / "delay.model", data / "delay.zarr", "--json"))
    rows = storage.open_dataset(data / "delay.zarr")
    assert found["scores"]["R2"] == pytest.approx(models["delay"].score(rows.X, rows.y), rel=1e-12)
    told = dlbd("score", data / "late.model", data / "late.zarr").stdout
    late = storage.open_dataset(data / "late.zarr")
    right = models["late"].score(late.X, late.labels, late.sample_weight)
    assert f"{right:.6g}" in told.splitlines()[0]
    assert "area under the ROC curve" in told


@pytest.mark.usefixtures("models")
def test_a_report_is_a_page(dlbd, data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # plots take long, and are tested
    out = tmp_path / "late.html"
    done = dlbd("report", data / "late.model", data / "late.zarr", "-o", out, "--title", "Late!")
    assert done.exit_code == 0, done.output
    assert "<title>Late!" in out.read_text()


@pytest.mark.cluster
def test_a_cluster_computes_the_same(dlbd, data, models, cluster, tmp_path):
    out = tmp_path / "model"
    words = ["fit", data / "delay.zarr", "Ridge", "-p", "alpha=0.5", "-o", out]
    done = dlbd(*words, "--cluster", cluster.scheduler_address)
    assert done.exit_code == 0, done.output
    assert (load(out).coef_ == models["delay"].coef_).all()


@pytest.mark.cluster
def test_data_sets_are_checked_and_repaired_on_a_cluster(dlbd, cluster, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("x,y\n" + "\n".join(f"{number},{number % 2}" for number in range(50)))
    place = ["--cluster", cluster.scheduler_address]
    words = ["ingest", table, "-o", tmp_path / "d", "--target", "y", *place]
    done = dlbd(*words, "--resume")
    assert done.exit_code == 0, done.output
    before = cluster.scheduler.transition_counter
    done = dlbd("verify", tmp_path / "d", *place)
    assert done.exit_code == 0, done.output
    assert "all 2 chunks are as they were written" in done.output
    assert cluster.scheduler.transition_counter > before  # tasks have run there
    (tmp_path / "d" / "X" / "c.0.0").unlink()
    says(dlbd("verify", tmp_path / "d", *place), "1 of 2 chunks")
    done = dlbd("repair", tmp_path / "d", table, *place)
    assert done.exit_code == 0, done.output
    assert dlbd("verify", tmp_path / "d", "--decode").exit_code == 0


@pytest.mark.cluster
@pytest.mark.parametrize("form", [["--json"], []])
def test_watch_shows_the_fits_of_others(dlbd, data, client, form):
    rows = storage.open_dataset(data / "delay.zarr")
    found = []
    words = ["watch", client.scheduler.address, "--fits", 1, *form]
    watching = threading.Thread(target=lambda: found.append(dlbd(*words)))
    watching.start()
    end = time.monotonic() + 60
    while watching.is_alive() and time.monotonic() < end:
        Ridge().fit(rows.X, rows.y)
        watching.join(0.1)
    (result,) = found
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    if form:
        assert json.loads(lines[-1])["event"] == "fit_ended"
        assert json.loads(lines[-1])["status"] == "converged"
    else:
        assert lines[-1].startswith("1  converged after 1 step")


def test_watch_ends_with_the_scheduler(dlbd, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(workers, "_LOOK_EVERY", 0.05)
    with LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp",
                      host="127.0.0.1") as cluster:  # fmt: skip
        ends = threading.Timer(1.0, cluster.close)
        ends.start()
        says(dlbd("watch", cluster.scheduler_address), "is gone")
        ends.join()


def test_workers_are_started_and_end(dlbd, data, models, tmp_path, monkeypatch):
    begun = []

    class Seen(workers.LocalCluster):
        def __init__(self, **given):
            environment = dask.config.get("distributed.nanny.pre-spawn-environ")
            begun.append(given | {"environment": dict(environment)})
            # Quick to start. Its memory is that of all tests here, which the limit is not for.
            quick = {"processes": False, "protocol": "tcp://", "memory_limit": 0}
            super().__init__(**given | quick)

    monkeypatch.setattr(workers, "LocalCluster", Seen)
    out = tmp_path / "model"
    words = ["fit", data / "delay.zarr", "Ridge", "-p", "alpha=0.5", "-o", out]
    done = dlbd(*words, "--workers", 1, "--memory", "500MB")
    assert done.exit_code == 0, done.output
    (given,) = begun
    assert (given["n_workers"], given["memory_limit"]) == (1, 500_000_000)
    assert given["processes"]
    assert given["environment"]["MALLOC_TRIM_THRESHOLD_"] == 2**25
    assert given["environment"]["OMP_NUM_THREADS"] == 1
    assert not os.path.exists(given["local_directory"])
    assert (load(out).coef_ == models["delay"].coef_).all()


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_the_lines_of_the_page_run(dlbd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), {"__name__": "page"})
    lines = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)).splitlines()
    assert len(lines) == 10
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "dlbd"
        result = dlbd(*words)
        assert result.exit_code == 0, (line, result.output)
    assert 0.9 < json.loads(result.stdout)["scores"]["accuracy"] < 1.0
    assert list(pd.read_parquet("late.parquet")) == [
        "prediction", "probability_0", "probability_1"]  # fmt: skip


# ---- what is wrong


def says(result, words, code=1):
    """The command ended with this code, and said this on standard error alone."""
    assert result.exit_code == code, result.output
    assert not result.stdout
    assert words in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1 if code == 1 else lines[-1].startswith("Error: ")


WRONG = {
    "no data set": (["info", "{}/nowhere.zarr"], "no data set at"),
    "no data set to fit": (["fit", "{}/nowhere.zarr", "Ridge", "-o", "{}/x"], "no data set at"),
    "no data set, but a folder": (["verify", "{}"], "Error: "),
    "classes of none": (["fit", "{}/delay.zarr", "LogisticRegression", "-o", "{}/x"],
                        "say so when the rows are stored: dlbd ingest -c delay:category"),
    "numbers of classes": (["fit", "{}/late.zarr", "Ridge", "-o", "{}/x"],
                           "has classes (no, yes), but Ridge predicts numbers"),
    "a value out of range": (["fit", "{}/delay.zarr", "Ridge", "-p", "alpha=-1", "-o", "{}/x"],
                             "The 'alpha' parameter of Ridge must be"),
    "no such column": (["fit", "{}/delay.zarr", "Ridge", "--columns", "a,z", "-o", "{}/x"], "'z'"),
    "a folder to save to": (["fit", "{}/delay.zarr", "Ridge", "-o", "{}"], "is a folder, not a"),
    "no model": (["score", "{}/nothing.model", "{}/late.zarr"], "nothing.model"),
    "what is no model": (["score", "{}/late.zarr/zarr.json", "{}/late.zarr"],
                         "cannot be loaded as a model"),
    "a model of other columns": (["score", "{}/late.model", "{}/other.zarr"], "'a'"),
    "a model of the other target": (["score", "{}/late.model", "{}/delay.zarr"],
                                    "has no classes"),
    "predictions over something": (["predict", "{}/late.model", "{}/late.zarr", "-o",
                                    "{}/late.zarr"], "is there already"),
    "predictions to the web": (["predict", "{}/late.model", "{}/late.zarr", "-o", "https://b/x"],
                               "no data set can be written there"),
    "no size": (["score", "{}/late.model", "{}/late.zarr", "--workers", "1", "--memory", "much"],
                "Could not interpret 'much'"),
    "no memory": (["score", "{}/late.model", "{}/late.zarr", "--workers", "1", "--memory", "2"],
                  "--memory 2 is 2 bytes, and a worker needs 200 MB"),
    "no address": (["score", "{}/late.model", "{}/late.zarr", "--cluster", "foo://bar:1"], "foo"),
}  # fmt: skip
NOT_UNDERSTOOD = {
    "no estimator": (["fit", "{}/late.zarr", "Logistic", "-o", "x"], "'LogisticRegression'"),
    "no parameter": (["fit", "{}/late.zarr", "LogisticRegression", "-p", "CC=1", "-o", "x"],
                     "no parameter 'CC'. Did you mean C? It has C, checkpoint,"),
    "a small letter": (["fit", "{}/late.zarr", "LogisticRegression", "-p", "c=1", "-o", "x"],
                       "no parameter 'c'. Did you mean C? It has C, checkpoint,"),
    "no value": (["fit", "{}/late.zarr", "LogisticRegression", "-p", "C", "-o", "x"],
                 "'C' is not NAME=VALUE"),
    "no parameter to search": (["fit", "{}/late.zarr", "LogisticRegression", "--cv", "2",
                                "--grid", "D=1,2", "-o", "x"], "no parameter 'D'"),
    "a grid without folds": (["fit", "{}/late.zarr", "Ridge", "--grid", "alpha=1", "-o", "x"],
                             "give --cv, too"),
    "memory of no workers": (["score", "x", "y", "--memory", "1GB"], "give --workers, too"),
    "two places": (["score", "x", "y", "--workers", "1", "--cluster", "tcp://x:1"], "either"),
    "probabilities of numbers": (["predict", "{}/delay.model", "{}/delay.zarr",
                                  "--probabilities", "-o", "x"], "has no probabilities"),
    "no command": (["train"], "No such command 'train'"),
}  # fmt: skip


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("case", [*WRONG, *NOT_UNDERSTOOD])
def test_what_is_wrong_is_said_in_one_line(dlbd, data, case):
    words, text = (WRONG | NOT_UNDERSTOOD)[case]
    other = data / "other.zarr"
    if case == "a model of other columns" and not other.exists():
        storage.create_dataset(other, np.eye(9), np.arange(9) % 2, classes=["no", "yes"])
    before = sorted(os.listdir(data))
    result = dlbd(*(word.replace("{}", str(data)) for word in words))
    says(result, text, 1 if case in WRONG else 2)
    assert sorted(os.listdir(data)) == before


@pytest.mark.usefixtures("models")
def test_a_scheduler_that_does_not_answer_is_not_waited_for(dlbd, data, monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.3)
    began = time.monotonic()
    words = ["score", data / "late.model", data / "late.zarr", "--cluster", "tcp://127.0.0.1:9"]
    says(dlbd(*words), "No scheduler answers at tcp://127.0.0.1:9 within 0.3 s")
    assert time.monotonic() - began < 60


@pytest.mark.usefixtures("models")
def test_a_server_that_is_no_scheduler_is_not_waited_for(dlbd, data, monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        words = ["score", data / "late.model", data / "late.zarr", "--cluster", address]
        says(dlbd(*words), f"No scheduler answers at {address} within 0.3 s")


@pytest.mark.usefixtures("models")
def test_a_cluster_without_workers_is_not_waited_for(dlbd, data, tmp_path):
    from distributed import LocalCluster

    with (
        dask.config.set({"dlbd-estimators.wait-for-workers": "200 ms"}),
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp",
                     host="127.0.0.1") as cluster,
    ):  # fmt: skip
        words = ["predict", data / "late.model", data / "late.zarr", "-o", tmp_path / "out.zarr"]
        says(dlbd(*words, "--cluster", cluster.scheduler_address), "has no worker")
    assert os.listdir(tmp_path) == []


def test_a_reader_who_has_seen_enough_gets_no_error(dlbd, data, monkeypatch):
    def closed(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(command_line.click, "echo", closed)
    result = dlbd("info", data / "late.zarr")
    assert (result.exit_code, result.stderr) == (1, "")


@pytest.mark.usefixtures("models")
def test_a_write_that_fails_leaves_nothing(dlbd, data, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    out = tmp_path / "late.parquet"
    says(dlbd("predict", data / "late.model", data / "late.zarr", "-o", out), "No space left")
    assert os.listdir(tmp_path) == []


def test_traceback_shows_where_an_error_was_raised(dlbd):
    result = dlbd("--traceback", "info", "nowhere.zarr")
    assert isinstance(result.exception, storage.DatasetNotFound)


@pytest.mark.usefixtures("models")
def test_without_a_package_that_opens_data_sets(dlbd, data, monkeypatch):
    from dlbd_estimators.cli import registered

    monkeypatch.setattr(registered, "DATA", "another.group")
    says(
        dlbd("score", data / "late.model", data / "late.zarr"),
        "has the function 'open' of data sets",
    )


# ---- what it says of itself


def test_all_estimators_can_be_fitted():
    subpackages = (linear_model, neural_network)
    classes = {
        name
        for subpackage in subpackages
        for name in subpackage.__all__
        if hasattr(getattr(subpackage, name), "fit")
    }
    assert set(estimators.NAMES) == classes


@pytest.mark.parametrize("name", [
    "append", "fit", "info", "ingest", "predict", "repair", "report", "score", "shuffle",
    "verify", "watch",
])  # fmt: skip
def test_help_teaches_by_examples_that_are_understood(dlbd, name):
    text = dlbd(name, "--help").stdout
    assert dlbd(name, "-h").stdout == text
    assert "Example" in text
    lines = [line.strip() for line in text.replace("\\\n", "").splitlines()]
    examples = [line.split() for line in lines if line.startswith("dlbd ")]
    assert examples
    command = {"info": command_line.info, "verify": command_line.verify, "fit": fit.fit}
    command |= {"predict": predict.predict, "report": report.report, "score": score.score}
    command |= {"watch": watch.watch, "ingest": ingest_command.ingest}
    command |= {"shuffle": ingest_command.shuffle, "append": ingest_command.append}
    command |= {"repair": ingest_command.repair}
    for words in examples:
        assert words[1] == name
        with click.Context(command[name]) as context:
            joined = " ".join(words[2:]).replace('"hidden_layer_sizes=(64, 32)"', "h=1")
            command[name].parse_args(context, joined.replace('"Late flights"', "x").split())


def test_help_lists_the_commands_of_both_packages(dlbd):
    text = dlbd("--help").stdout
    listed = text[text.index("Commands:") :].split()
    assert [each for each in listed if each in ("fit", "info", "predict", "report", "score",
                                                "verify")] == [
        "fit", "info", "predict", "report", "score", "verify"]  # fmt: skip
    assert "Train a model and save it." in text


def test_help_of_dlbd_leads_from_tables_to_predictions_by_commands_that_are_understood(dlbd):
    commands = [line.split() for line in dlbd("--help").stdout.splitlines() if "  dlbd " in line]
    of = {"ingest": ingest_command.ingest, "fit": fit.fit, "score": score.score}
    of |= {"report": report.report, "predict": predict.predict}
    assert [words[1] for words in commands] == ["ingest", "ingest", *list(of)[1:]]
    for _, name, *words in commands:
        # click keeps the names of the help option that it sees first.
        with click.Context(of[name], help_option_names=["-h", "--help"]) as context:
            of[name].parse_args(context, words)


def test_help_of_fit_lists_all_estimators(dlbd):
    assert set(estimators.NAMES) <= set(re.findall(r"\w+", dlbd("fit", "--help").stdout))


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.1", 0.1), ("3", 3), ("True", True), ("None", None), ("(64, 32)", (64, 32)),
     ("lbfgs", "lbfgs"), ("'1'", "1"), ("", ""), ("a b", "a b"), ("__import__('os')",) * 2],
)  # fmt: skip
def test_values_are_read_as_python_writes_them(text, value):
    found = options.value_of(text)
    assert (found, type(found)) == (value, type(value))


def test_json_has_neither_nan_nor_infinity():
    facts = {"a": [float("nan"), 1.5], "b": (float("inf"),), "c": {"d": None}}
    assert json.loads(options.json_of(facts)) == {"a": [None, 1.5], "b": [None], "c": {"d": None}}


def test_progress_is_for_terminals_alone(dlbd, data, tmp_path, monkeypatch):
    words = ["fit", data / "delay.zarr", "Ridge", "-o", tmp_path / "model"]
    assert dlbd(*words).stderr == ""
    listener = options.progress_listener()
    assert "stderr=True" in repr(vars(listener)["_console"].__dict__) or listener._console.stderr
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with click.testing.CliRunner().isolation() as (_, err, _):
        options.progress_listener()({"event": "step", "iteration": 1, "pass": 1.0, "seconds": 0.0,
                             "step_bytes": 0, "step_seconds": 1.0})  # fmt: skip
        assert b"pass" in err.getvalue()


def test_a_real_process(installed, data):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, installed)))}
    command = [sys.executable, "-m", "dlbd_estimators.cli", "verify"]
    for place, code in ((data / "late.zarr", 0), (data / "nowhere.zarr", 1)):
        done = subprocess.run(
            [*command, place], capture_output=True, text=True, timeout=200, check=False,
            env=environment,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert bool(done.stdout) == (code == 0)
        assert done.stderr.count("\n") == code


def test_classifiers_are_told_from_regressions():
    found = {
        name
        for name in estimators.NAMES
        if is_classifier(estimators.estimator(name, (), standardize=True))
    }
    assert found == {"LogisticRegression", "LogisticRegressionCV", "MLPClassifier",
                     "RidgeClassifierCV"}  # fmt: skip
