"""Choose the strengths of the penalties by five-fold cross-validation on the cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
from flights_models import Split
from flights_targets import is_late, minutes

mpl.use("Agg")  # files only: works where there is no display

import matplotlib.pyplot as plt

from dlbd_estimators import LogisticRegressionCV, RidgeCV
from dlbd_estimators.plots import SearchScoresDisplay

N_FOLDS = 5
ALPHAS = np.logspace(-2, 6, 33)
CS = np.logspace(-5, 1, 10)


def choose(split: Split, path: Path) -> Iterator[str]:
    """Choose alpha of Ridge and C of logistic regression, and plot the scores of the second.

    Yield a line about each of the two, as soon as it is chosen.

    Parameters
    ----------
    split : Split
        The rows, lazy. Their features are standardised here, so that a penalty has the same effect
        on each of them.
    path : Path
        PNG file to write.
    """
    rows = split.scaled
    began = time.perf_counter()
    ridge = RidgeCV(ALPHAS, cv=N_FOLDS).fit(rows.X_train, minutes(rows.y_train))
    seconds = time.perf_counter() - began
    yield (
        f"delay: RidgeCV takes alpha={ridge.alpha_:.3g} of {len(ALPHAS)} alphas x {N_FOLDS} folds, "
        f"{ridge.n_passes_:.2f} passes in {seconds:.2f} s"
    )
    began = time.perf_counter()
    late = LogisticRegressionCV(
        Cs=CS, cv=N_FOLDS, scoring="neg_log_loss", l1_ratios=(0,), use_legacy_attributes=False
    ).fit(rows.X_train, is_late(rows.y_train))
    seconds = time.perf_counter() - began
    yield (
        f"late > 15 min: LogisticRegressionCV takes C={late.C_:.3g} of {len(CS)} Cs x {N_FOLDS} "
        f"folds, {late.n_passes_:.2f} passes in {seconds:.2f} s"
    )
    figure, axes = plt.subplots(figsize=(8, 4.3), layout="constrained")
    SearchScoresDisplay.from_estimator(late, ax=axes)
    axes.set_title("Late by more than 15 minutes: log-likelihood by C, five folds", loc="left")
    figure.savefig(path, dpi=200)
    plt.close(figure)
