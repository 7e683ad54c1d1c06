"""What runs in the scheduler: events become a record of fits, which a page and Prometheus show."""

from __future__ import annotations

import logging
from typing import Any

from distributed import SchedulerPlugin

from dlbd_estimators.monitoring.fits import FitLog

#: Of the scheduler's event log: ``client.get_events("dlbd-estimators")``; and of the plugin.
TOPIC = "dlbd-estimators"

logger = logging.getLogger(__name__)


class TrainingPlugin(SchedulerPlugin):
    """Keeps the record of fits, and installs what shows it where that can be.

    Without Bokeh, or with one that Dask refuses, there is no page; without prometheus_client
    there are no metrics. A scheduler never fails for either.
    """

    name = TOPIC
    idempotent = True

    async def start(self, scheduler: Any) -> None:
        """Begin an empty record."""
        self.log = FitLog()
        self._metrics: Any = None
        try:
            from dlbd_estimators.monitoring.dashboard_page import install

            install(scheduler, self.log)
        except Exception:
            logger.info("There is no training page on this dashboard", exc_info=True)
        try:
            from dlbd_estimators.monitoring.prometheus import register

            self._metrics = register(self.log)
        except Exception:
            logger.info("There are no training metrics for Prometheus", exc_info=True)

    async def close(self) -> None:
        """Take the metrics back: another scheduler may start in this process."""
        if self._metrics is not None:
            self._metrics.unregister()

    def log_event(self, topic: str, msg: Any) -> None:
        """Take an event of a fit."""
        if topic != TOPIC:
            return
        try:
            self.log.add(msg["fit_event"], msg["client"])
        except Exception:
            # Anyone may log anything under any topic.
            logger.info("Not an event of a fit: %r", msg, exc_info=True)

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Fits end with the client that ran them."""
        self.log.lose(client)
