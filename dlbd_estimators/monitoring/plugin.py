"""What runs in the scheduler: events become a record of fits, and a page draws it."""

from __future__ import annotations

from distributed import SchedulerPlugin

NAME = "dlbd-estimators"


class TrainingPlugin(SchedulerPlugin):
    """Keeps the record of fits."""
