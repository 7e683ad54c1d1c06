"""The problems that the cleaning found in the raw data, what was done, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import dask
import dask.dataframe as dd
from flights_tables import (
    FASTEST_MPH,
    FEWEST_SEATS,
    NUMERIC,
    OLDEST_PLANE,
    WEATHER_LIMITS,
    impossible,
)


@dataclass(frozen=True)
class Step:
    """A problem that the cleaning found: how often it occurs, what it is, and what was done."""

    count: int
    what: str
    action: str


def count(
    flights: dd.DataFrame,
    fine: dd.DataFrame,
    weather: dd.DataFrame,
    planes: dd.DataFrame,
    table: dd.DataFrame,
    train: dd.DataFrame,
) -> dict[str, int]:
    """Count everything that :func:`steps` reports, in one computation.

    Parameters
    ----------
    flights, weather, planes : dask.dataframe.DataFrame
        The raw tables.
    fine, table, train : dask.dataframe.DataFrame
        The usable flights, these flights after all joins, and the training rows of ``table``.
    """
    outside = {
        f"limit {column}": ((weather[column] < low) | (weather[column] > high)).sum()
        for column, (low, high) in WEATHER_LIMITS.items()
    }
    missing = {f"missing {name}": table[name].isnull().sum() for name in NUMERIC}
    flown = planes[planes["seats"] >= FEWEST_SEATS]
    counts = {
        "read": flights["flight"].count(),
        "cancelled": flights["dep_time"].isnull().sum(),
        "diverted": (flights["dep_time"].notnull() & flights["arr_delay"].isnull()).sum(),
        "too fast": impossible(flights).sum(),
        "fine": fine["flight"].count(),
        "kept": table["arr_delay"].count(),
        "train": train["arr_delay"].count(),
        "few seats": (planes["seats"] < FEWEST_SEATS).sum(),
        "no year": flown["year"].isnull().sum(),
        "old year": (flown["year"] < OLDEST_PLANE).sum(),
        "quiet": table["quiet"].sum(),
        "unknown": (table["plane_unknown"] > 0).sum(),
        **outside,
        **missing,
    }
    (found,) = dask.compute(counts)
    return {name: int(number) for name, number in found.items()}


def steps(counts: Mapping[str, int]) -> list[Step]:
    """Return a description of each problem that was found, with its count."""
    found = [
        Step(counts["cancelled"], "flights never departed (cancelled)", "dropped"),
        Step(
            counts["diverted"], "flights have no arrival delay (diverted, not recorded)", "dropped"
        ),
        Step(
            counts["too fast"],
            f"flights faster than {FASTEST_MPH} mph over ground: their times are wrong",
            "dropped",
        ),
    ]
    for column, (low, high) in WEATHER_LIMITS.items():
        if counts[f"limit {column}"]:
            what = f"weather reports with {column} outside {low} to {high}"
            found.append(Step(counts[f"limit {column}"], what, "made missing"))
    found += [
        Step(
            counts["few seats"],
            f"planes with fewer than {FEWEST_SEATS} seats: registered to someone else by now",
            "made unknown",
        ),
        Step(counts["old year"], f"planes built before {OLDEST_PLANE}", "year made missing"),
        Step(counts["no year"], "planes without a year", "left missing"),
        Step(counts["quiet"], "flights with no departure in the hour before", "no delay there"),
        Step(counts["unknown"], "flights of an unknown plane", "marked by a feature"),
    ]
    without: dict[int, list[str]] = {}
    for name, feature in NUMERIC.items():
        without.setdefault(counts[f"missing {name}"], []).append(feature.split(" (")[0])
    found += [
        Step(number, f"flights without {', '.join(features)}", "training rows' mean")
        for number, features in sorted(without.items())
        if number
    ]
    return found
