"""How good the late-flight models are on days from which they have seen no flight.

The test rows are random flights. Other flights of the same day are among the training rows, and a
model can recognise the day by its weather. Here some pairs of month and weekday, for example
Tuesdays in June, are left out of the training, and the models are only tested on these days.
"""

from __future__ import annotations

from collections.abc import Sequence

import flights_network
import numpy as np
import numpy.typing as npt
from flights_models import Split
from flights_tables import WEEKDAYS
from flights_targets import is_late
from sklearn.metrics import log_loss, roc_auc_score

from dlbd_estimators import LogisticRegression

#: One of this number of pairs of month and weekday is left out.
ONE_OF = 6


def new_days(split: Split, names: Sequence[str]) -> Split:
    """Return training rows without some days, and test rows of these days alone.

    Parameters
    ----------
    split : Split
        The rows, lazy.
    names : sequence of str
        Names of the features.
    """
    number = np.zeros(len(names))
    for months, name in enumerate(f"month_{month}" for month in range(2, 13)):
        number[names.index(name)] = months + 1
    for days, weekday in enumerate(WEEKDAYS[1:]):
        number[names.index(f"weekday_{weekday}")] = days + 1
    seen, unseen = (
        np.flatnonzero(((X @ number).compute() % ONE_OF == 0) == out)
        for X, out in ((split.X_train, False), (split.X_test, True))
    )
    return Split(
        split.X_train[seen], split.y_train[seen], split.X_test[unseen], split.y_test[unseen]
    )


def compare(split: Split) -> str:
    """Train both late-flight models on the cluster, and return a line with their scores.

    Parameters
    ----------
    split : Split
        From :func:`new_days`.
    """
    late = is_late(split.y_test).compute()
    said = []
    for name, model, rows in (
        ("logistic regression", LogisticRegression(), split),
        ("network", flights_network.out_of_core(), split.scaled),
    ):
        model.fit(rows.X_train, is_late(rows.y_train))
        said.append(f"{name} {_quality(late, model.predict_proba(rows.X_test).compute()[:, 1])}")
    return f"late, {len(late):,} test flights of days never trained on: " + "; ".join(said)


def _quality(late: npt.NDArray[np.bool_], probability: npt.NDArray[np.float64]) -> str:
    return (
        f"log-loss {log_loss(late, probability):.4f}, "
        f"area {roc_auc_score(late, probability):.3f}, "
        f"accuracy {((probability > 0.5) == late).mean():.4f}"
    )
