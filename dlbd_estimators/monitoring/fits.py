"""The record of fits that a scheduler keeps: what their events tell, bounded in size."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dlbd_estimators.monitoring.events import Event
from dlbd_estimators.monitoring.phases import PHASES
from dlbd_estimators.monitoring.remaining import Remaining

#: Points of a fit's curves, at most: from there on every second of the older ones is dropped.
MAX_POINTS = 1_000
#: Fits, at most: the oldest that is over is dropped.
MAX_FITS = 100
#: What is recorded of each step, beside the phases.
COLUMNS = (
    "iteration",
    "pass",
    "loss",
    "validation_score",
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
    """What is known of one fit.

    Attributes
    ----------
    name : str
        Estimator and number, which a person tells it by.
    number : int
        Among all fits, from 0.
    facts : dict
        Of its ``fit_started``.
    state : str
        ``"running"``, or the status it ended with.
    message : str
        The error it ended with, or else the last warning.
    columns : dict of str to list
        By step; None where there was nothing to record.
    n_steps : int
        Steps, also those whose points were dropped.
    seconds : float
        Since it began, at its last event, by the clock of the process that fits.
    bytes_read : float
        Decoded bytes loaded.
    remaining : Remaining
        A guess.
    search_name : str or None
        Class and number of the search that it is a part of.
    hue : int
        Which colour it is drawn in: neighbours in the list have different ones.
    began : float
        When it began, by the clock of the process that fits.
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
    def quiet(self) -> float:
        """Seconds since its last event; 0 if it is over."""
        return time.monotonic() - self._heard if self.running else 0.0

    @property
    def kind(self) -> str:
        """What its loss is: losses of one kind can be compared."""
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
        told = [f"{short[name]}={value}" for name, value in parameters.items()]
        if part["fold"] is not None:
            told.append(f"fold {part['fold']}/{part['n_folds']}")
        return ", ".join(told) or "a part"

    @property
    def running(self) -> bool:
        """Whether it is not over, as far as is known."""
        return self.state == RUNNING

    def last(self, column: str) -> Any:
        """Return the newest value of a column, None before the first."""
        values = self.columns[column]
        return values[-1] if values else None

    def add(self, event: Event) -> None:
        """Take an event of this fit."""
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
    """A search, by name and colour, and how many fits it has made."""

    name: str
    hue: int
    n_fits: int = 0


class FitLog:
    """All fits that a scheduler has heard of, by the id of each.

    Attributes
    ----------
    version : int
        Grows with every change.
    n_steps, bytes_read : int
        Of all fits, also those that were dropped.
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
        """Take the next event of a fit that this client runs."""
        key = event["fit"]
        if key not in self._fits:
            # That it began may have been told before anyone listened.
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

    def lose(self, client: str) -> None:
        """Take note that a client is gone, and its fits with it."""
        for key, fit in self._fits.items():
            if self._clients[key] == client and fit.running:
                fit.state, fit.message = "lost", "The client that ran it is gone."
                self.version += 1

    def _place(self, fit: Fit) -> None:
        """Give a fit its colour and the name of its search, which is one line when it is over."""
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
        # The refit stands for the search in the end.
        search.n_fits += 1
        fit.hue = search.hue + (0 if part["refit"] else search.n_fits)

    def _forget_some(self) -> None:
        over = (key for key, fit in self._fits.items() if not fit.running)
        while len(self._fits) > MAX_FITS:
            oldest = next(over, None)
            if oldest is None:  # nothing is dropped while it runs
                return
            del self._fits[oldest], self._clients[oldest]
            over = (key for key, fit in self._fits.items() if not fit.running)
