"""Clean each of the three raw tables separately, one partition at a time."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd

HOUR = pd.Timedelta("1h")
#: Values outside these limits cannot be true, and are treated as missing.
WEATHER_LIMITS = {
    "temp": (-40, 120),
    "humid": (0, 100),
    "wind_speed": (0, 150),
    "wind_gust": (0, 200),
    "precip": (0, 12),
    "pressure": (870, 1085),
    "visib": (0, 10),
}
#: Highest speed over ground: that of an airliner at full speed with a strong tailwind.
FASTEST_MPH = 650
#: Smallest number of seats of an airliner. For 40 of the tail numbers in the flights, the register
#: has an entry with fewer seats.
FEWEST_SEATS = 20
#: No airliner in service in 2013 was older.
OLDEST_PLANE = 1970
#: Column of the clean table -> name of the feature. The reported dew point is not used: it
#: follows from temperature and humidity, and would make their coefficients harder to interpret.
NUMERIC = {
    "distance": "distance (miles)",
    "departures": "departures scheduled that hour",
    "recent_delay": "airport's delay last hour (min)",
    "recent_left": "flights that left last hour",
    "temp": "temperature (F)",
    "humid": "humidity (%)",
    "wind_speed": "wind (mph)",
    "wind_east": "wind from the east (mph)",
    "wind_north": "wind from the north (mph)",
    "gust": "gusts above wind (mph)",
    "precip": "rain in an hour (in)",
    "pressure": "pressure (mbar)",
    "visib": "visibility (miles)",
    "age": "plane's age (years)",
    "seats": "plane's seats",
    "plane_unknown": "plane not in register",
}
#: Columns with one 0/1 feature per level, and the level that is left out. The other levels are
#: compared with it. If no level were left out, the features would add up to the intercept.
ONE_HOT = {"carrier": "UA", "origin": "EWR", "month": 1, "weekday": "Mon", "hour": 6}
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def prepare_flights(flights: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Add the hour of the real departure, the weekday, and a seeded random number."""
    scheduled = flights["time_hour"] + pd.to_timedelta(flights["minute"], unit="min")
    left = scheduled + pd.to_timedelta(flights["dep_delay"], unit="min")
    # A hash of what identifies the flight, so that the order only depends on the seed, and not on
    # the partitions of the file.
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


def impossible(flights: dd.DataFrame) -> dd.Series:
    """Return whether a flight's times cannot be true, because it is too fast over ground."""
    return flights["distance"] > FASTEST_MPH * flights["air_time"] / 60


def clean_weather(weather: pd.DataFrame) -> pd.DataFrame:
    """Replace impossible values by NaN, and assign each report to the flights of the next hour."""
    weather = weather.copy()
    for column, (low, high) in WEATHER_LIMITS.items():
        weather[column] = weather[column].where(weather[column].between(low, high))
    # Calm (0) and variable wind (missing) have no direction, so their components are 0.
    direction = np.radians(weather["wind_dir"])
    weather["wind_east"] = (weather["wind_speed"] * np.sin(direction)).fillna(0.0)
    weather["wind_north"] = (weather["wind_speed"] * np.cos(direction)).fillna(0.0)
    # Reports only contain gusts if there are any.
    weather["gust"] = (weather["wind_gust"] - weather["wind_speed"]).fillna(0.0)
    # The report is used for flights of the next hour, because it was published before they left.
    weather["time_hour"] = weather["time_hour"] + HOUR
    names = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"]
    return weather[["origin", "time_hour", *names, "wind_east", "wind_north", "gust"]]


def clean_planes(planes: pd.DataFrame) -> pd.DataFrame:
    """Remove register entries of another aircraft, and years that cannot be true.

    Tail numbers are reused: several of them belong to a light plane or a helicopter today.
    """
    known = planes[planes["seats"] >= FEWEST_SEATS]
    age = (2013 - known["year"]).where(known["year"].between(OLDEST_PLANE, 2013))
    return known.assign(age=age, seats=known["seats"].astype(float))[["tailnum", "age", "seats"]]
