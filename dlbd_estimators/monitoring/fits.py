"""The record of fits that a scheduler keeps: made from their events, and bounded in size."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dlbd_estimators.monitoring.events import Event
from dlbd_estimators.monitoring.phases import PHASES
from dlbd_estimators.monitoring.remaining import Remaining

#: Maximum number of points of a fit's curves; then every second of the older points is dropped.
MAX_POINTS = 1_000
#: Maximum number of fits; then the oldest fit that has ended is dropped.
MAX_FITS = 100
#: Values that are recorded for each step, beside the phases.
COLUMNS = (
    "iteration",
    "pass",
    "loss",
    "validation_score",
    "validation_loss",
    "gradient_norm",
    "error",
    "learning_rate",
    "throughput",
    "decode_rate",
    "cached",
    "n_workers",
)
RUNNING = "running"


class Fit:
    """The record of one fit.

    Attributes
    ----------
    name : str
        Class of the estimator and a number, as the page shows them.
    number : int
        Number of the fit among all fits, from 0.
    facts : dict
        The event ``fit_started``; empty if it was not received.
    state : str
        ``"running"``, the status it ended with, or ``"lost"`` if its client is gone.
    message : str
        The error it ended with, or else the last warning.
    columns : dict of str to list
        Recorded values, one for each step; None if a step has no value.
    n_steps : int
        Number of steps, also of those whose points were dropped.
    seconds : float
        Seconds from its start to its last event, by the clock of the process that fits.
    bytes_read : float
        Decoded bytes that were loaded.
    remaining : Remaining
        Estimate of the time left.
    search_name : str or None
        Class and number of the search that it is a part of, if any.
    hue : int
        Number of the colour in which it is drawn; fits next to each other in the list have
        different colours.
    began : float
        Time of its start, by the clock of the process that fits.
    """

    def __init__(self, name: str, number: int, event: Event) -> None:
        self.name, self.number = name, number
        self.facts = event if event["event"] == "fit_started" else {}
        self.state, self.message = RUNNING, ""
        self.columns: dict[str, list[Any]] = {column: [] for column in (*COLUMNS, *PHASES)}
        self.n_steps, self.seconds, self.bytes_read = 0, 0.0, 0.0
        self.remaining = Remaining()
        self.search_name: str | None = None
        self.hue = number
        self.began: float = event["time"]
        self._heard = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since its last event; 0 if it has ended."""
        return time.monotonic() - self._heard if self.running else 0.0

    @property
    def kind(self) -> str:
        """Estimator and loss: losses of fits of the same kind can be compared."""
        loss = self.facts.get("parameters", {}).get("loss")
        name = str(self.facts.get("estimator", "fit"))
        return name if loss is None else f"{name}, {loss}"

    @property
    def search(self) -> str | None:
        """Id of the search that it is a part of."""
        part = self.facts.get("part")
        return None if part is None else str(part["id"])

    @property
    def part(self) -> str:
        """Which part of a search it is, in words."""
        part = self.facts.get("part")
        if part is None:
            return ""
        if part["refit"]:
            return "refit"
        parameters = part["parameters"] or {}
        short = {name: name.rsplit("__", 1)[-1] for name in parameters}
        if len(set(short.values())) < len(short):
            short = {name: name for name in parameters}
        words = [f"{short[name]}={value}" for name, value in parameters.items()]
        if part["fold"] is not None:
            words.append(f"fold {part['fold']}/{part['n_folds']}")
        return ", ".join(words) or "a part"

    @property
    def running(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self.state == RUNNING

    def last(self, column: str) -> Any:
        """Return the newest value of a column, None before the first."""
        values = self.columns[column]
        return values[-1] if values else None

    def add(self, event: Event) -> None:
        """Record an event of this fit."""
        self._heard = time.monotonic()
        self.remaining.add(event)
        self.seconds = event["time"] - self.began
        if event["event"] == "step":
            self._add_step(event)
        elif event["event"] == "warning":
            self.message = event["message"]
        elif event["event"] == "fit_ended":
            self.state = event["status"]
            self.message = event["error"] or self.message

    def _add_step(self, event: Event) -> None:
        taken, seconds = event["n_blocks"], event["step_seconds"]
        derived = {
            "throughput": event["step_bytes"] / seconds if seconds else None,
            "cached": event["cache_hits"] / taken if taken else None,
        }
        for column in COLUMNS:
            self.columns[column].append(derived.get(column, event.get(column)))
        for phase in PHASES:
            self.columns[phase].append(event["phases"][phase])
        self.n_steps += 1
        self.bytes_read += event["step_bytes"]
        if len(self.columns["pass"]) > MAX_POINTS:
            for values in self.columns.values():
                del values[1 : MAX_POINTS // 2 : 2]


@dataclass
class _Search:
    """The name and colour of a search, and the number of its fits so far."""

    name: str
    hue: int
    n_fits: int = 0


class FitLog:
    """The record of all fits whose events a scheduler has received, by the id of each fit.

    Attributes
    ----------
    version : int
        Increases with every change.
    n_steps, bytes_read : int
        Total steps and decoded bytes of all fits, also of those that were dropped.
    """

    def __init__(self) -> None:
        self._fits: dict[str, Fit] = {}
        self._clients: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()
        self._searches: dict[str, _Search] = {}
        self._n_lines = 0
        self._numbers_of_searches: Counter[str] = Counter()
        self.version = self.n_steps = self.bytes_read = 0

    def __iter__(self) -> Iterator[tuple[str, Fit]]:
        """Yield ids and fits, the newest first."""
        return iter(reversed(self._fits.items()))

    def __len__(self) -> int:
        return len(self._fits)

    def add(self, event: Event, client: str) -> None:
        """Record the next event of a fit that this client runs."""
        key = event["fit"]
        if key not in self._fits:
            # Not every fit begins with `fit_started`: it may have been sent before the plugin ran.
            estimator = event.get("estimator", "fit")
            self._numbers[estimator] += 1
            self._fits[key] = Fit(
                f"{estimator} {self._numbers[estimator]}", self._numbers.total() - 1, event
            )
            self._clients[key] = client
            self._place(self._fits[key])
            self._forget_some()
        self._fits[key].add(event)
        if event["event"] == "step":
            self.n_steps += 1
            self.bytes_read += event["step_bytes"]
        self.version += 1

    def mark_lost(self, client: str) -> None:
        """Mark the running fits of a client as lost, because the client is gone."""
        for key, fit in self._fits.items():
            if self._clients[key] == client and fit.running:
                fit.state, fit.message = "lost", "The client that ran it is gone."
                self.version += 1

    def _place(self, fit: Fit) -> None:
        """Set the colour and the search of a fit; a search is one line of the list at its end."""
        part = fit.facts.get("part")
        if part is None:
            fit.hue = self._n_lines
            self._n_lines += 1
            return
        if part["id"] not in self._searches:
            self._numbers_of_searches[part["of"]] += 1
            name = f"{part['of']} {self._numbers_of_searches[part['of']]}"
            self._searches[part["id"]] = _Search(name, self._n_lines)
            self._n_lines += 1
            if len(self._searches) > MAX_FITS:
                del self._searches[next(iter(self._searches))]
        search = self._searches[part["id"]]
        fit.search_name = search.name
        # At the end, the refit represents the search, so it has the colour of the search.
        search.n_fits += 1
        fit.hue = search.hue + (0 if part["refit"] else search.n_fits)

    def _forget_some(self) -> None:
        over = (key for key, fit in self._fits.items() if not fit.running)
        while len(self._fits) > MAX_FITS:
            oldest = next(over, None)
            if oldest is None:  # running fits are not dropped
                return
            del self._fits[oldest], self._clients[oldest]
            over = (key for key, fit in self._fits.items() if not fit.running)
