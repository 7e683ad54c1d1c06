"""How long is waited for a cluster, as the Dask configuration says."""

from __future__ import annotations

from enum import Enum

import dask.config
from dask.utils import parse_timedelta


class Wait(Enum):
    """What is waited for: its name in the configuration, seconds by default, a longer time."""

    #: That may take tasks. With the time that they get to answer, an error comes within half a
    #: minute.
    WORKERS = ("wait-for-workers", 25.0, "5 min")
    #: Once there were some: a lost worker comes back from a full queue of a batch system, or as a
    #: container that has to be placed, and what was computed is worth the wait.
    LOST_WORKERS = ("wait-for-lost-workers", 300.0, "30 min")
    #: The event loop of a worker says that it is there every second; only what holds Python's
    #: lock for as long as this keeps it from that.
    SILENT_WORKER = ("silent-worker", 60.0, "10 min")

    def seconds(self) -> float:
        """Return what the configuration says."""
        name, default, _ = self.value
        value = dask.config.get(f"dlbd-estimators.{name}", default)
        try:
            seconds = float(parse_timedelta(value, default="s"))
        except (KeyError, TypeError, ValueError):
            seconds = -1.0
        if not seconds >= 0:
            raise ValueError(
                f"The Dask configuration dlbd-estimators.{name} must be a time such as "
                f'"30 s", or a number of seconds, but is {value!r}.'
            )
        return seconds

    def advice(self) -> str:
        """Say how to wait longer."""
        name, _, longer = self.value
        return (
            f"Start workers; where they take long to start, wait longer: "
            f'dask.config.set({{"dlbd-estimators.{name}": "{longer}"}}).'
        )
