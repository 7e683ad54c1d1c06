"""The record of fits as metrics on the scheduler's ``/metrics``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from dlbd_estimators.monitoring.fits import FitLog


class FitCollector:
    """Metrics of all fits together, and of each running fit.

    Parameters
    ----------
    log : FitLog
        Record of fits.
    """

    def __init__(self, log: FitLog) -> None:
        self._log = log

    def collect(self) -> Iterator[Any]:
        """Yield the metrics, as prometheus_client asks for them."""
        states = Counter(fit.state for _, fit in self._log)
        fits = GaugeMetricFamily("dlbd_fits", "Fits on record by state", labels=["state"])
        for state, number in states.items():
            fits.add_metric([state], number)
        yield fits
        yield CounterMetricFamily("dlbd_steps", "Steps of all fits", value=self._log.n_steps)
        yield CounterMetricFamily(
            "dlbd_read_bytes", "Decoded bytes loaded by all fits", value=self._log.bytes_read
        )
        running = [fit for _, fit in self._log if fit.running]
        for name, help_, column in (
            ("dlbd_fit_loss", "Loss of a running fit in its last step", "loss"),
            ("dlbd_fit_passes", "Passes of a running fit", "pass"),
        ):
            family = GaugeMetricFamily(name, help_, labels=["fit"])
            for fit in running:
                value = fit.last(column)
                if value is not None:
                    family.add_metric([fit.name], value)
            yield family
        left = GaugeMetricFamily(
            "dlbd_fit_remaining_seconds", "Guess of a running fit's seconds left", labels=["fit"]
        )
        for fit in running:
            if fit.remaining.seconds is not None:
                left.add_metric([fit.name], fit.remaining.seconds)
        yield left

    def unregister(self) -> None:
        """Remove the metrics from the registry."""
        REGISTRY.unregister(self)


def register(log: FitLog) -> FitCollector:
    """Add the metrics to those that the scheduler's ``/metrics`` shows.

    Raises
    ------
    ValueError
        Another scheduler in this process has already registered them.
    """
    collector = FitCollector(log)
    REGISTRY.register(collector)
    return collector
