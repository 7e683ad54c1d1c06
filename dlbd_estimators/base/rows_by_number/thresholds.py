"""Read lazy predictions once, not two hundred times, when scikit-learn tries 100 thresholds."""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any

import numpy as np

from dlbd_estimators.blocks.sources import is_lazy


def load_before_thresholds() -> None:
    """Let ``TunedThresholdClassifierCV`` load predictions and labels before it tries thresholds.

    For each threshold it compares all labels with all predictions, and NumPy's functions load
    both each time. The scorer that does this is private; if a release of scikit-learn lacks it,
    or its module is not imported, nothing happens.
    """
    cls = getattr(sys.modules.get("sklearn.metrics._scorer"), "_CurveScorer", None)
    original = getattr(cls, "_score", None)
    if cls is None or original is None or hasattr(original, "_takes_lazy_data"):
        return

    @wraps(original)
    def _score(
        self: Any, method_caller: Any, estimator: Any, X: Any, y_true: Any, **kw: Any
    ) -> Any:
        def loading(*args: Any, **options: Any) -> Any:
            return _loaded(method_caller(*args, **options))

        kw = {name: _loaded(value) for name, value in kw.items()}
        return original(self, loading, estimator, X, _loaded(y_true), **kw)

    _score._takes_lazy_data = True  # type: ignore[attr-defined]
    cls._score = _score


def _loaded(values: Any) -> Any:
    return np.asarray(values) if is_lazy(values) else values
