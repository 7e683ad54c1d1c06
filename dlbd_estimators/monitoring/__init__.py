"""Watching fits: a stream of events, and who listens to it.

>>> from dlbd_estimators.monitoring import JSONLinesFile, listening
>>> with listening(JSONLinesFile("fits.jsonl")):  # doctest: +SKIP
...     model.fit(X, y)
"""

from __future__ import annotations

from dlbd_estimators.monitoring.json_lines import JSONLinesFile
from dlbd_estimators.monitoring.listeners import listening

__all__ = ["JSONLinesFile", "listening"]
