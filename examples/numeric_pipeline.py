"""A complete study of numbers with missing values: split, pipeline, scores, search, export.

    python examples/numeric_pipeline.py

writes a synthetic data set, opens it lazily, and does the usual steps of a scikit-learn script:
``train_test_split``, a ``Pipeline`` of ``SimpleImputer``, ``StandardScaler`` and
``LogisticRegression``, metrics on the held-out rows, a ``GridSearchCV``, and ``to_sklearn()`` at
the end. It uses scikit-learn's classes if ours are not needed, and counts the passes over the data.
The same pipeline of scikit-learn's own classes, in memory, is the reference: the exit code is 1 if
its coefficients differ by more than 1e-6 of the largest.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.impute
import sklearn.linear_model
import sklearn.preprocessing
from local_workers import local_workers, peak_memory, reset_peak
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline

import storage
from dlbd_estimators import LogisticRegression
from dlbd_estimators.metrics import log_loss, roc_auc_score
from dlbd_estimators.model_selection import KFold, train_test_split
from dlbd_estimators.preprocessing import SimpleImputer, StandardScaler

N_FEATURES = 20
BLOCK_NBYTES = 2**20
CLOSE = 1e-6


def measurements(n_rows: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return synthetic columns of very different scales and labels; 5 % of values are missing."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, N_FEATURES))
    odds = X @ np.linspace(-1, 1, N_FEATURES) - 0.5
    y = (rng.random(n_rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    X = 100.0 + X * np.logspace(-2, 3, N_FEATURES)
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, y


def pipeline() -> Pipeline:
    """Return a pipeline that imputes, scales and fits, out of core."""
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(tol=1e-10))


def reference(X: Any, y: Any) -> Pipeline:
    """Return the same pipeline of scikit-learn's own classes, fitted in memory."""
    return make_pipeline(
        sklearn.impute.SimpleImputer(),
        sklearn.preprocessing.StandardScaler(),
        sklearn.linear_model.LogisticRegression(
            solver="newton-cholesky", tol=1e-12, max_iter=1_000
        ),
    ).fit(X, y)


def main() -> int:
    """Run the study and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=0, help="worker processes; 0: threads here")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="measurements-") as folder,
        contextlib.ExitStack() as stack,
    ):
        client = None
        if options.workers:
            client = stack.enter_context(local_workers(options.workers, "1GiB"))
        X, y = measurements(options.rows, seed=0)
        data = storage.create_dataset(
            Path(folder) / "measurements.zarr",
            X,
            y,
            target="fault",
            chunk_nbytes=BLOCK_NBYTES // 4,
            block_nbytes=BLOCK_NBYTES,
        )
        X_train, X_test, y_train, y_test = train_test_split(data, test_size=0.2, random_state=0)

        model = pipeline().fit(X_train, y_train)
        print("passes of a fit")
        for name, step in model.steps:
            print(f"  {name:24} {step.n_passes_:8.2f}")
        print("rows held out")
        probability = model.predict_proba(X_test)[:, 1]  # lazy, as X_test is
        print(f"  accuracy                 {model.score(X_test, y_test):8.4f}")
        print(f"  log loss                 {log_loss(y_test, probability):8.4f}")
        print(f"  area under the curve     {roc_auc_score(y_test, probability):8.4f}")

        if client:
            reset_peak(client)
        began = time.perf_counter()
        search = GridSearchCV(
            clone(model),
            {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]},
            cv=KFold(3, shuffle=True, random_state=0),
        ).fit(X_train, y_train)
        print("search over 4 values of C and 3 folds")
        print(f"  best C                   {search.best_params_['logisticregression__C']:8.2f}")
        print(f"  mean accuracy            {search.best_score_:8.4f}")
        print(f"  seconds                  {time.perf_counter() - began:8.2f}")
        if client:
            print(f"  peak MB of a worker      {max(peak_memory(client).values()) / 1e6:8.0f}")

        # From here on the data are in memory, to compare the models with scikit-learn's.
        X_known, y_known, X_new = X_train.compute(), y_train.compute(), X_test.compute()
        theirs = reference(X_known, y_known)
        difference = np.abs(model[-1].coef_ - theirs[-1].coef_).max()
        difference /= np.abs(theirs[-1].coef_).max()
        handed_over = make_pipeline(*(step.to_sklearn() for _, step in model.steps))
        alike = np.allclose(
            handed_over.predict_proba(X_new)[:, 1], probability.compute(), rtol=0, atol=1e-12
        )
    print("handed over to scikit-learn")
    print(f"  {'the same' if alike else 'OTHER'} probabilities")
    verdict = "the same as" if difference < CLOSE else "NOT the same as"
    print(f"{verdict} scikit-learn's pipeline in memory: coefficients differ by {difference:.1e}")
    return 0 if difference < CLOSE and alike else 1


if __name__ == "__main__":
    sys.exit(main())
