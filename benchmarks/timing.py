"""Compare wall times: measure them in turns, and show medians with their range."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Fit:
    """One timed fit.

    Attributes
    ----------
    seconds : float
        Wall time.
    coef : ndarray
        All coefficients and intercepts, flat.
    model : estimator or None
        The fitted estimator; None if it is in another process.
    converged : bool
        False if there was a ConvergenceWarning.
    """

    seconds: float
    coef: npt.NDArray[np.float64]
    model: Any = field(default=None, repr=False)
    converged: bool = True

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s{'' if self.converged else ' (did not converge)'}"


def timed_fit(model: Any, X: Any, y: Any) -> Fit:
    """Fit an estimator, and return its wall time and whether it converged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        began = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - began
    converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return Fit(seconds, flat(model), model, converged)


def flat(model: Any) -> npt.NDArray[np.float64]:
    """Return coefficients and intercepts of a linear model or a network in one vector.

    For a pipeline, its last step is used; for a grid search, its best estimator.
    """
    model = getattr(model, "best_estimator_", model)
    model = model[-1] if isinstance(model, Pipeline) else model
    layers = hasattr(model, "coefs_")
    parts = [*model.coefs_, *model.intercepts_] if layers else [model.coef_, model.intercept_]
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)


def in_turns(
    contestants: Mapping[str, Callable[[], Measured]], repeats: int, *, warm_up: bool
) -> dict[str, list[Measured]]:
    """Run all contestants ``repeats`` times in turns, so that noise affects all of them equally.

    Every second round runs in reverse order, so that a contestant does not always follow the same
    other one.

    Parameters
    ----------
    contestants : mapping of callable
        Functions by name. Each call is one measurement.
    repeats : int
        Number of rounds that count.
    warm_up : bool
        Whether to run one more round first, which does not count.
    """
    found: dict[str, list[Measured]] = {name: [] for name in contestants}
    for number in range(repeats + warm_up):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            measured = contestants[name]()
            if number or not warm_up:
                found[name].append(measured)
    return found


def ratios(ours: Sequence[Fit], theirs: Sequence[Fit]) -> list[float]:
    """Return the quotients of wall times, round by round."""
    return quotients([fit.seconds for fit in ours], [fit.seconds for fit in theirs])


def quotients(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the quotients of numbers, round by round."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def spread(values: Sequence[float], unit: str = "", form: str = ".2f") -> str:
    """Return the median as text; with several values also their range: ``0.41 (0.40-0.43)``."""
    text = f"{np.median(values):{form}}"
    if len(values) > 1:
        text += f" ({min(values):{form}}-{max(values):{form}})"
    return text + unit


def seconds_of(fits: Sequence[Fit]) -> str:
    """Return the wall times of fits as text: their median and range."""
    failed = "" if all(fit.converged for fit in fits) else ", did not converge"
    return spread([fit.seconds for fit in fits], " s") + failed


def difference(ours: Fit, reference: Fit) -> float:
    """Return ``max |a - b| / max |b|`` over coefficients and intercepts."""
    return float(np.abs(ours.coef - reference.coef).max() / np.abs(reference.coef).max())
