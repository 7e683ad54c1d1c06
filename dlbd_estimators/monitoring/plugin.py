"""The scheduler plugin, which records the events of fits for the page and for Prometheus."""

from __future__ import annotations

import logging
from typing import Any

from distributed import SchedulerPlugin

from dlbd_estimators.monitoring.fits import FitLog

#: Topic in the scheduler's event log (``client.get_events("dlbd-estimators")``), and name of the
#: plugin.
TOPIC = "dlbd-estimators"

logger = logging.getLogger(__name__)


class TrainingPlugin(SchedulerPlugin):
    """Keep the record of fits, and install the training page and the metrics if possible.

    Without Bokeh, or with a version of it that Dask refuses, there is no page. Without
    prometheus_client, there are no metrics. Neither makes the scheduler fail.
    """

    name = TOPIC
    idempotent = True

    async def start(self, scheduler: Any) -> None:
        """Make an empty record, and install the page and the metrics."""
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
        """Unregister the metrics, because another scheduler may start in this process."""
        if self._metrics is not None:
            self._metrics.unregister()

    def log_event(self, topic: str, msg: Any) -> None:
        """Record an event of a fit."""
        if topic != TOPIC:
            return
        try:
            self.log.add(msg["fit_event"], msg["client"])
        except Exception:
            # Any client may log any message under this topic.
            logger.info("Not an event of a fit: %r", msg, exc_info=True)

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Mark the running fits of a client as lost, because the client is gone."""
        self.log.mark_lost(client)
