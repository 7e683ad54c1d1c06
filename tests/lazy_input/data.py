"""What consumers are given and give back, lazy or in memory."""

from __future__ import annotations

from functools import partial

import dask
import numpy as np
import pandas as pd


class DaskRefusal(Exception):
    """Dask itself cannot do what a program asks for."""


class Data:
    """X, y, w (weights), label, gaps, groups, mixed, row: each made when a consumer asks for it.

    Parameters
    ----------
    **makers : callable
        By name; return what a consumer gets.
    """

    def __init__(self, **makers):
        self.makers = makers

    def __getattr__(self, name):
        try:
            value = self.makers[name]()
        except Exception as error:
            raise DaskRefusal(f"{type(error).__name__}: {error}") from error
        setattr(self, name, value)
        return value

    def computed(self):
        """Compute each of what a consumer has asked for, as Dask does."""
        asked = [value for name, value in vars(self).items() if name != "makers"]
        return [dask.compute(each) for each in asked]


def in_memory(value):
    """What a lazy or eager result holds, as NumPy array."""
    (found,) = dask.compute(value)
    return found.to_numpy() if hasattr(found, "to_numpy") else np.asarray(found)


def rows(values):
    """The rows of a result in an order that their values decide."""
    found = in_memory(values)
    found = found.reshape(len(found), -1).astype(np.float64)
    return found[np.lexsort(np.round(found, 6).T)]


def assert_same(found, expected, tolerance):
    """Compare two results of a consumer."""
    assert len(found) == len(expected)
    for mine, other in zip(found, expected, strict=True):
        # One column of targets is a column more to some estimators.
        mine, other = np.ravel(mine), np.ravel(other)
        assert mine.shape == other.shape, (mine.shape, other.shape)
        scale = np.max(np.abs(other[np.isfinite(other)]), initial=1e-3)
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance * scale)


def at(memory, chosen):
    """The rows in memory that these row numbers name."""
    places = pd.Series(np.arange(len(memory.row)), index=in_memory(memory.row))
    where = places[np.asarray(chosen)].to_numpy()

    def rows_of(name):
        value = getattr(memory, name)
        return value.iloc[where] if hasattr(value, "iloc") else value[where]

    return Data(**{name: partial(rows_of, name) for name in memory.makers})
