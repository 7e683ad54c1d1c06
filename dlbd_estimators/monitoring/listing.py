"""What is listed: fits one by one, and those of a search that is over as one."""

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
        One, or all of a search.
    """

    keys: tuple[str, ...]
    fits: tuple[Fit, ...]

    @property
    def newest(self) -> Fit:
        """The fit that stands for all: of a search the last one, which is its refit."""
        return self.fits[0]

    @property
    def name(self) -> str:
        """What a person tells it by."""
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
        """How its fits ended, or that one runs."""
        counts = Counter(fit.state.replace("_", " ") for fit in self.fits)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{number} {state}" for state, number in counts.most_common())

    @property
    def message(self) -> str:
        """What the newest of its fits that has something to say says."""
        return next((fit.message for fit in self.fits if fit.message), "")

    @property
    def seconds(self) -> float:
        """From the begin of its first fit to what was heard last, or until now."""
        if len(self.fits) == 1:
            return self.newest.seconds + self.newest.quiet
        began = min(fit.began for fit in self.fits)
        return max(fit.began + fit.seconds for fit in self.fits) - began


def entries_of(fits: Iterable[tuple[str, Fit]]) -> list[Entry]:
    """Return what is listed, the newest first.

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
    listed, told = [], set()
    for key, fit in fits:
        if fit.search not in over:
            listed.append(Entry((key,), (fit,)))
        elif fit.search not in told:
            told.add(fit.search)
            listed.append(over[fit.search])
    return listed


def _is_over(fits: list[Fit], *, newest: bool) -> bool:
    """Tell whether a search makes no more fits: between two of them none runs either."""
    if any(fit.running for fit in fits):
        return False
    part = fits[0].facts["part"]
    evaluated = sum(not fit.facts["part"]["refit"] for fit in fits)
    return not newest or part["refit"] or fits[0].state == "lost" or evaluated == part["n_fits"]
