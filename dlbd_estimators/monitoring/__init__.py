"""Monitor fits: each fit emits a stream of events, and listeners receive it.

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
    # Imported only when it is used: it needs rich, and the other listeners do not.
    if name == "ProgressBar":
        from dlbd_estimators.monitoring.progress import ProgressBar

        return ProgressBar
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
