"""Prepare each of the three raw tables separately, and declare the rules of their columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from storage import Column

HOUR = pd.Timedelta("1h")
TARGET = "arrival delay in minutes"
#: Identifies a flight. Whether it is a training or a test flight depends on the hash of this text.
KEY = "identity"
#: Highest speed over ground: that of an airliner at full speed with a strong tailwind.
FASTEST_MPH = 650
#: Smallest number of seats of an airliner. For 40 of the tail numbers in the flights, the register
#: has an entry with fewer seats.
FEWEST_SEATS = 20
#: No airliner in service in 2013 was built before 1970.
OLDEST_YEARS = 43
#: Wind beyond these limits in mph cannot be true. The rules of other columns are in NUMERIC.
WIND_LIMITS = {"wind_speed": 150, "wind_gust": 200}

_MEAN = Column("number", missing="impute")
_NONE_LEFT = Column("number", missing="impute", fill_value=0)


def _within(minimum: float, maximum: float) -> Column:
    """Return the rule that values outside cannot be true: they are replaced by the mean."""
    return Column(
        "number", minimum=minimum, maximum=maximum, out_of_range="missing", missing="impute"
    )


#: Features that are numbers, and their rules. The reported dew point is not used: it follows from
#: temperature and humidity, and would make their coefficients harder to interpret.
NUMERIC = {
    "distance (miles)": Column("number"),
    "departures scheduled that hour": Column("number"),
    # If no flight left in the hour before, there is no delay.
    "airport's delay last hour (min)": _NONE_LEFT,
    "flights that left last hour": _NONE_LEFT,
    "temperature (F)": _within(-40, 120),
    "humidity (%)": _within(0, 100),
    "wind (mph)": _MEAN,
    "wind from the east (mph)": _MEAN,
    "wind from the north (mph)": _MEAN,
    "gusts above wind (mph)": _MEAN,
    "rain in an hour (in)": _within(0, 12),
    "pressure (mbar)": _within(870, 1085),
    "visibility (miles)": _within(0, 10),
    "plane's age (years)": _within(0, OLDEST_YEARS),
    "plane's seats": _MEAN,
    # Planes that the register has are 0, so only unknown ones are missing.
    "plane not in register": Column("number", missing="impute", fill_value=1),
}
#: Columns with one 0/1 feature per level, and the level that is left out. The other levels are
#: compared with it. If no level were left out, the features would add up to the intercept.
ONE_HOT = {"carrier": "UA", "origin": "EWR", "month": "1", "weekday": "Mon", "hour": "6"}
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FEATURES = NUMERIC | {
    name: Column("category", reference=level, categories=WEEKDAYS if name == "weekday" else None)
    for name, level in ONE_HOT.items()
}


def prepare_flights(flights: pd.DataFrame) -> pd.DataFrame:
    """Add the key, the weekday and the hour of the real departure, and remove impossible delays."""
    scheduled = flights["time_hour"] + pd.to_timedelta(flights["minute"], unit="min")
    left = scheduled + pd.to_timedelta(flights["dep_delay"], unit="min")
    identity = flights["time_hour"].astype(str)
    for column in ("carrier", "flight", "origin", "dest", "minute"):
        identity += " " + flights[column].astype(str)
    day = pd.to_datetime(flights[["year", "month", "day"]])
    too_fast = flights["distance"] > FASTEST_MPH * flights["air_time"] / 60
    columns = {
        KEY: identity,
        "left_hour": left.dt.floor("h"),
        "weekday": np.array(WEEKDAYS)[day.dt.day_of_week],
        TARGET: flights["arr_delay"].mask(too_fast),
    }
    return flights.assign(**columns).rename(columns={"distance": "distance (miles)"})


def clean_weather(weather: pd.DataFrame) -> pd.DataFrame:
    """Compute the components of the wind, and assign each report to the flights of the next hour.

    The report was published before these flights left.
    """
    speed, gust = (
        weather[column].where(weather[column].between(0, limit))
        for column, limit in WIND_LIMITS.items()
    )
    direction = np.radians(weather["wind_dir"])
    columns = {
        "origin": weather["origin"],
        "time_hour": weather["time_hour"] + HOUR,
        "temperature (F)": weather["temp"],
        "humidity (%)": weather["humid"],
        "wind (mph)": speed,
        # Calm (0) and variable wind (missing) have no direction, so their components are 0.
        "wind from the east (mph)": (speed * np.sin(direction)).fillna(0.0),
        "wind from the north (mph)": (speed * np.cos(direction)).fillna(0.0),
        # Reports only contain gusts if there are any.
        "gusts above wind (mph)": (gust - speed).fillna(0.0),
        "rain in an hour (in)": weather["precip"],
        "pressure (mbar)": weather["pressure"],
        "visibility (miles)": weather["visib"],
    }
    return pd.DataFrame(columns)


def clean_planes(planes: pd.DataFrame) -> pd.DataFrame:
    """Remove register entries of another aircraft.

    Tail numbers are reused: several of them belong to a light plane or a helicopter today.
    """
    known = planes[planes["seats"] >= FEWEST_SEATS]
    columns = {
        "tailnum": known["tailnum"],
        "plane's age (years)": 2013 - known["year"],
        "plane's seats": known["seats"],
        "plane not in register": 0,
    }
    return pd.DataFrame(columns)
