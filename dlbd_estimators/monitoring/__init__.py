"""Watching fits: a stream of events, and who listens to it.

>>> from dlbd_estimators.monitoring import JSONLinesFile, ProgressBar, listening
>>> with listening(ProgressBar()), listening(JSONLinesFile("fits.jsonl")):  # doctest: +SKIP
...     model.fit(X, y)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlbd_estimators.monitoring.json_lines import JSONLinesFile
from dlbd_estimators.monitoring.listeners import listening

if TYPE_CHECKING:
    from dlbd_estimators.monitoring.progress import ProgressBar

__all__ = ["JSONLinesFile", "ProgressBar", "listening"]


def __getattr__(name: str) -> Any:
    # It needs rich, which the others do without.
    if name == "ProgressBar":
        from dlbd_estimators.monitoring.progress import ProgressBar

        return ProgressBar
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
