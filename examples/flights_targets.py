"""The targets of the models, computed from delays in minutes, as NumPy or Dask arrays."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

LATE = 15.0
BANDS = np.array(["early", "on time", "late", "very late"])
#: An edge belongs to the band below it: 15 minutes late is on time.
BAND_EDGES = [-15.0, 15.0, 60.0]


def minutes(delay: Any) -> Any:
    """Return the delay itself."""
    return delay


def is_late(delay: Any) -> Any:
    """Return whether the delay is more than 15 minutes."""
    return delay > LATE


def band(delay: Any) -> Any:
    """Return the name of the band of each delay."""
    if isinstance(delay, da.Array):
        return delay.map_blocks(band, meta=BANDS[:0])
    return BANDS[np.digitize(delay, BAND_EDGES, right=True)]
