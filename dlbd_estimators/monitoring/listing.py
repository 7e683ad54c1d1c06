"""The list of fits: one line for each fit, but a single line for a search that has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from dlbd_estimators.monitoring.fits import Fit


class Entry(NamedTuple):
    """A line of the list.

    Attributes
    ----------
    keys : tuple of str
        Ids of its fits, the newest first.
    fits : tuple of Fit
        One fit, or all fits of a search, the newest first.
    """

    keys: tuple[str, ...]
    fits: tuple[Fit, ...]

    @property
    def newest(self) -> Fit:
        """The newest fit, whose values are shown; of a search, this is usually the refit."""
        return self.fits[0]

    @property
    def name(self) -> str:
        """Name of the fit or of the search."""
        return self.newest.name if len(self.fits) == 1 else str(self.newest.search_name)

    @property
    def part(self) -> str:
        """Which part of a search it is, or how many parts it has."""
        if len(self.fits) > 1:
            return f"{len(self.fits)} fits, {self.newest.facts['estimator']}"
        if self.newest.search is None:
            return ""
        return f"{self.newest.search_name}: {self.newest.part}"

    @property
    def state(self) -> str:
        """State of its fits; if they have several states, with the number of fits of each."""
        counts = Counter(fit.state.replace("_", " ") for fit in self.fits)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{number} {state}" for state, number in counts.most_common())

    @property
    def message(self) -> str:
        """Message of its newest fit that has a message."""
        return next((fit.message for fit in self.fits if fit.message), "")

    @property
    def seconds(self) -> float:
        """Seconds from the start of its first fit to its last event, or to now for a single fit."""
        if len(self.fits) == 1:
            return self.newest.seconds + self.newest.idle_seconds
        began = min(fit.began for fit in self.fits)
        return max(fit.began + fit.seconds for fit in self.fits) - began


def entries_of(fits: Iterable[tuple[str, Fit]]) -> list[Entry]:
    """Return the lines of the list, the newest first.

    Parameters
    ----------
    fits : iterable of (str, Fit)
        Ids and fits, the newest first.
    """
    fits = list(fits)
    searches: dict[str, list[tuple[str, Fit]]] = {}
    for key, fit in fits:
        if fit.search is not None:
            searches.setdefault(fit.search, []).append((key, fit))
    newest = fits[0][1].search if fits else None
    over = {
        search: Entry(*zip(*parts, strict=True))
        for search, parts in searches.items()
        if len(parts) > 1 and _is_over([fit for _, fit in parts], newest=search == newest)
    }
    listed, done = [], set()
    for key, fit in fits:
        if fit.search not in over:
            listed.append(Entry((key,), (fit,)))
        elif fit.search not in done:
            done.add(fit.search)
            listed.append(over[fit.search])
    return listed


def _is_over(fits: list[Fit], *, newest: bool) -> bool:
    """Return whether a search makes no more fits.

    It is not enough that none of its fits runs, which is also so between two fits.
    """
    if any(fit.running for fit in fits):
        return False
    part = fits[0].facts["part"]
    evaluated = sum(not fit.facts["part"]["refit"] for fit in fits)
    return not newest or part["refit"] or fits[0].state == "lost" or evaluated == part["n_fits"]
