"""Write one HTML page about a fitted model and its scores."""

from __future__ import annotations

from dlbd_estimators.reports.write import report

__all__ = ["report"]
