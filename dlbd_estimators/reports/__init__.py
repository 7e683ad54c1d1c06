"""A fit and how good it is, as one HTML page."""

from __future__ import annotations

from dlbd_estimators.reports.write import report

__all__ = ["report"]
