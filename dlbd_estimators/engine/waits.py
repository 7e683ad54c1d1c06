"""How long to wait for a cluster: settings of the Dask configuration."""

from __future__ import annotations

from enum import Enum

import dask.config
from dask.utils import parse_timedelta


class Wait(Enum):
    """The name of a wait in Dask's configuration, its default in seconds, and a longer time."""

    #: The wait for workers that may take tasks, before the first pass. Together with the time for
    #: the workers' answers, it is short enough that an error is raised within half a minute.
    WORKERS = ("wait-for-workers", 25.0, "5 minutes")
    #: The wait for workers once a pass has run. It is long, because a new worker may wait in the
    #: queue of a batch system or for a container, and the results computed so far are worth it.
    LOST_WORKERS = ("wait-for-lost-workers", 300.0, "30 minutes")
    #: The time without a heartbeat after which a worker is restarted. Its event loop sends one each
    #: second, unless other code holds Python's global interpreter lock.
    SILENT_WORKER = ("silent-worker", 60.0, "10 minutes")

    def seconds(self) -> float:
        """Return the configured seconds."""
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
        """Return sentences for an error: start workers, or wait longer."""
        name, _, longer = self.value
        return (
            f"Start workers. If they take long to start, wait longer: "
            f'dask.config.set({{"dlbd-estimators.{name}": "{longer}"}}).'
        )
