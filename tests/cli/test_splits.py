"""Named splits on the command line: from one file to a model and its score on the test rows."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import storage
from dlbd_estimators import LogisticRegression, load
from dlbd_estimators.metrics import accuracy_score

SPLITS = ["--split", "train:hash,customer,0,0.5", "--split", "test:hash,customer,0.6,1"]


def json_from(done):
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def trips(tmp_path, dlbd):
    """A data set with splits, which `dlbd ingest` has made."""
    rng = np.random.default_rng(0)
    miles = rng.normal(size=300)
    pd.DataFrame({
        "customer": rng.integers(0, 99, 300),
        "miles": miles,
        "late": np.where(miles + rng.normal(size=300) > 0, "yes", "no"),
    }).to_csv(tmp_path / "trips.csv", index=False)  # fmt: skip
    done = dlbd(
        "ingest", tmp_path / "trips.csv", "-o", tmp_path / "trips.zarr", "--target", "late",
        "--features", "miles", "-c", "miles:number,unit=mi", *SPLITS,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    return tmp_path / "trips.zarr"


def test_info_shows_splits_and_units(dlbd, trips):
    splits = storage.open_dataset(trips).splits
    shown = dlbd("info", trips).stdout
    assert (
        f"train: {splits['train'].n_samples} rows whose hash of 'customer' is in [0, 0.5), fr"
        in shown
    )
    n_out = 300 - sum(each.n_samples for each in splits.values())
    assert f"in none, and not stored: {n_out} rows" in shown
    assert "miles: mi" in shown
    facts = json_from(dlbd("info", trips, "--json"))
    assert facts["splits"]["test"] == {
        "n_samples": splits["test"].n_samples,
        "rows": {"by": "HashSplit", "column": "customer", "start": 0.6, "stop": 1.0, "seed": 0},
        "learned_from": False,
    }
    assert facts["splits"]["train"]["learned_from"]
    assert (facts["n_in_no_split"], facts["units"]) == (n_out, {"miles": "mi"})


def test_a_model_of_the_training_rows_is_scored_on_the_test_rows(dlbd, trips, tmp_path):
    model = tmp_path / "late.model"
    words = ["fit", trips, "LogisticRegression", "-o", model]
    splits = storage.open_dataset(trips).splits
    assert json_from(dlbd(*words, "--split", "train", "--json"))["n_rows"] == len(splits["train"].X)
    expected = LogisticRegression().fit(splits["train"].X, splits["train"].labels)
    np.testing.assert_allclose(load(model).coef_, expected.coef_)
    found = json_from(dlbd("score", model, trips, "--split", "test", "--json"))
    right = accuracy_score(splits["test"].labels, expected.predict(splits["test"].X))
    assert found["split"] == "test"
    assert found["scores"]["accuracy"] == pytest.approx(right)
    assert dlbd("report", model, trips, "--split", "test", "-o", tmp_path / "a.html").exit_code == 0
    for flags, n_rows in (["--split", "test"], len(splits["test"].X)), ([], 300):
        done = dlbd("predict", model, trips, "-o", tmp_path / f"{n_rows}.zarr", *flags, "--json")
        n_rows = min(n_rows, storage.open_dataset(trips).n_samples)
        assert json_from(done)["n_rows"] == n_rows
    mixed = dlbd("shuffle", trips, "--split", "train", "-o", tmp_path / "mixed.zarr", "--json")
    assert json_from(mixed)["n_samples"] == len(splits["train"].X)


def test_no_command_takes_all_rows_for_those_of_a_split(dlbd, trips, tmp_path, data):
    words = [
        ["fit", trips, "LogisticRegression", "-o", tmp_path / "late.model"],
        ["shuffle", trips, "-o", tmp_path / "mixed.zarr"],
    ]
    for each in words:
        done = dlbd(*each)
        assert done.exit_code == 2
        assert "has the splits train, test: name" in done.stderr
        done = dlbd(*each, "--split", "validation")
        assert done.exit_code == 2
        assert "no split 'validation'" in done.stderr.lower()
    done = dlbd("fit", data / "late.zarr", "Ridge", "-o", tmp_path / "m", "--split", "train")
    assert "no split 'train': " in done.stderr
    assert "has no splits" in done.stderr
    assert dlbd(*words[0], "--split", "train").exit_code == 0
    for command in ("score", "report"):
        done = dlbd(command, tmp_path / "late.model", trips)
        assert done.exit_code == 2
        assert "name the one to use with --split" in done.stderr
    assert not (tmp_path / "mixed.zarr").exists()


@pytest.mark.parametrize(("flags", "told"), [
    (["--split", "train:hash,customer,0"], "COLUMN,START,STOP"),
    (["--split", "train:customer,0,1"], "write NAME:hash,COLUMN"),
    (["--split", "hash,customer,0,1"], "write NAME:hash,COLUMN"),
    (["--split", "train:time,customer,soon,"], "soon"),
    ([*SPLITS, "--split", "test:hash,customer,0.5,0.6"], "two splits called 'test'"),
    (["--split", "one:hash,customer,0,1"], "--learn-from"),
])  # fmt: skip
@pytest.mark.usefixtures("trips")
def test_a_split_that_is_not_understood(dlbd, tmp_path, flags, told):
    done = dlbd("ingest", tmp_path / "trips.csv", "-o", tmp_path / "x", "--target", "late", *flags)
    assert done.exit_code == 2
    assert told in done.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.usefixtures("trips")
def test_the_splits_to_learn_from_are_named(dlbd, tmp_path):
    done = dlbd(
        "ingest", tmp_path / "trips.csv", "-o", tmp_path / "x", "--target", "late",
        "--split", "a:hash,customer,0,0.5", "--split", "b:hash,customer,0.5,1",
        "--learn-from", "a", "--learn-from", "b",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert all(each.learned for each in storage.open_dataset(tmp_path / "x").splits.values())
