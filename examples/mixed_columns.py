"""From CSV files with numbers, categories and missing values to a model, out of core.

    python examples/mixed_columns.py

writes files of synthetic customers, reads them lazily with Dask, and fits one scikit-learn
``Pipeline``: a ``ColumnTransformer`` that imputes and scales the numbers and imputes and encodes
the categories, and a ``LogisticRegression``. No step loads all data; each pass reads one file
after another. The same pipeline of scikit-learn's own classes, in memory, is the reference: the
exit code is 1 if its coefficients differ by more than 1e-6.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import dask.dataframe as dd
import numpy as np
import pandas as pd
import sklearn.compose
import sklearn.impute
import sklearn.linear_model
import sklearn.preprocessing
from local_workers import local_workers
from sklearn.pipeline import Pipeline, make_pipeline

from dlbd_estimators import LogisticRegression
from dlbd_estimators.compose import ColumnTransformer
from dlbd_estimators.preprocessing import OneHotEncoder, SimpleImputer, StandardScaler

NUMBERS = ["age", "income", "visits"]
CATEGORIES = ["city", "plan"]
CITIES = ("Aarhus", "Bergen", "Cadiz", "Delft", "Espoo")
PLANS = ("basic", "family", "student")
CLOSE = 1e-6


def customers(n_rows: int, seed: int) -> pd.DataFrame:
    """Return synthetic customers; about one value in twenty of each column is missing."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(45, 15, n_rows),
            "income": rng.lognormal(10, 0.5, n_rows),
            "visits": rng.poisson(3, n_rows).astype(float),
            "city": rng.choice(CITIES, n_rows),
            "plan": rng.choice(PLANS, n_rows, p=(0.6, 0.3, 0.1)),
        }
    )
    odds = 0.05 * (frame["age"] - 45) - 0.4 * (frame["visits"] - 3)
    odds += 2.0 * (frame["plan"] == "student") - 1.5 * (frame["city"] == "Cadiz")
    frame["left"] = (rng.random(n_rows) < 1 / (1 + np.exp(-odds))).astype(int)
    for name in NUMBERS + CATEGORIES:
        frame.loc[rng.random(n_rows) < 0.05, name] = None
    return frame


class Classes(NamedTuple):
    """The classes of one library that a pipeline consists of."""

    columns: Any
    imputer: Any
    scaler: Any
    encoder: Any


OURS = Classes(ColumnTransformer, SimpleImputer, StandardScaler, OneHotEncoder)
THEIRS = Classes(
    sklearn.compose.ColumnTransformer,
    sklearn.impute.SimpleImputer,
    sklearn.preprocessing.StandardScaler,
    sklearn.preprocessing.OneHotEncoder,
)


def pipeline(of: Classes, model: Any) -> Pipeline:
    """Return a pipeline that imputes, scales, encodes and fits, with the classes of a library."""
    numbers = make_pipeline(of.imputer(strategy="mean"), of.scaler())
    categories = make_pipeline(
        of.imputer(strategy="constant", fill_value="missing"),
        of.encoder(drop="first", sparse_output=False),
    )
    steps = [("numbers", numbers, NUMBERS), ("categories", categories, CATEGORIES)]
    return make_pipeline(of.columns(steps), model)


def main() -> int:
    """Fit both pipelines and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=40_000, help="rows of all files together")
    parser.add_argument("--files", type=int, default=8, help="CSV files; the last is held out")
    parser.add_argument("--workers", type=int, default=0, help="worker processes; 0: threads here")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="customers-") as folder,
        contextlib.ExitStack() as stack,
    ):
        if options.workers:
            stack.enter_context(local_workers(options.workers, "1GiB"))
        for i in range(options.files):
            part = customers(options.rows // options.files, seed=i)
            part.to_csv(Path(folder) / f"customers-{i:03}.csv", index=False)
        data = dd.read_csv(f"{folder}/customers-*.csv")
        train, test = data.partitions[:-1], data.partitions[-1]

        ours = pipeline(OURS, LogisticRegression(tol=1e-10))
        ours.fit(train[NUMBERS + CATEGORIES], train["left"])
        accuracy = ours.score(test[NUMBERS + CATEGORIES], test["left"])

        # Only the reference loads the data.
        known = pd.concat(pd.read_csv(path) for path in sorted(Path(folder).iterdir())[:-1])
        model = sklearn.linear_model.LogisticRegression(
            C=ours[-1].C, tol=1e-12, max_iter=10_000, solver="newton-cholesky"
        )
        theirs = pipeline(THEIRS, model).fit(known[NUMBERS + CATEGORIES], known["left"])

    difference = np.abs(ours[-1].coef_ - theirs[-1].coef_).max() / np.abs(theirs[-1].coef_).max()
    names = ours[0].get_feature_names_out()
    for name, coefficient in zip(names, ours[-1].coef_[0], strict=True):
        print(f"{name:32} {coefficient:8.4f}")
    print(f"accuracy on rows held out        {accuracy:8.4f}")
    print(f"passes, preprocessing            {ours[0].n_passes_:8.2f}")
    print(f"passes, logistic regression      {ours[-1].n_passes_:8.2f}")
    same = bool(difference < CLOSE and list(names) == list(theirs[0].get_feature_names_out()))
    verdict = "the same as" if same else "NOT the same as"
    print(f"{verdict} scikit-learn's pipeline in memory: coefficients differ by {difference:.1e}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
