"""The rules of ingest in plain Python, value by value: what the tests hold the package against."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd


def is_gap(value):
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def checked(value, column):
    """Value of a cell by its rules: a value, None where it is missing, "drop" or "error"."""
    if column.kind in ("number", "datetime") and not is_gap(value):
        low, high = (
            None if bound is None else type(value)(bound)
            for bound in (column.minimum, column.maximum)
        )
        below, above = low is not None and value < low, high is not None and value > high
        if below or above:
            if column.out_of_range in ("drop", "error"):
                return column.out_of_range
            value = None if column.out_of_range == "missing" else low if below else high
    if column.categories and not is_gap(value) and value not in column.categories:
        if column.unknown in ("drop", "error"):
            return column.unknown
        value = None
    if is_gap(value):
        return column.missing if column.missing in ("drop", "error") else None
    return value


def encoded(frame, columns, target):
    """Features and target of a frame by the rules, row by row."""
    cells = {name: [checked(each, columns[name]) for each in frame[name]] for name in columns}
    kept = [row for row in range(len(frame)) if all(cells[name][row] != "drop" for name in cells)]
    cells = {name: [some[row] for row in kept] for name, some in cells.items()}
    features = []
    for name, column in columns.items():
        if name != target:
            features += features_of(cells[name], column)
    if columns[target].kind == "category":
        known = categories(cells[target], columns[target])
        y = [known.index(each) for each in cells[target]]
    else:
        y = [float(each) for each in cells[target]]
    X = np.array(features, dtype=float).reshape(len(features), len(kept)).T
    return X, np.array(y, dtype=float), np.isin(np.arange(len(frame)), kept)


def categories(values, column):
    found = {each for each in values if each is not None}
    if found and column.fill_value is not None:
        found.add(column.fill_value)
    found = list(column.categories or sorted(found))
    if not found:
        raise ValueError("there are no categories")
    return found


def features_of(values, column):
    there = [each for each in values if each is not None]
    if column.missing == "impute":
        values = [fill(there, column) if each is None else each for each in values]
    if column.kind == "datetime":
        return [[math.nan if each is None else part(each, name) for each in values]
                for name in column.parts]  # fmt: skip
    if column.kind == "category":
        known = categories(there, column)
        if column.encoding == "codes":
            return [[math.nan if each is None else known.index(each) for each in values]]
        return [[math.nan if each is None else float(each == one) for each in values]
                for one in known if one != column.reference]  # fmt: skip
    return [[math.nan if each is None else float(each) for each in values]]


def fill(there, column):
    if column.fill_value is not None:
        return pd.Timestamp(column.fill_value) if column.kind == "datetime" else column.fill_value
    if column.kind == "number":
        return math.fsum(there) / len(there)
    return min(there, key=lambda each: (-there.count(each), each))


def part(time, name):
    if name == "weekday":
        return time.weekday()
    return time.timetuple().tm_yday if name == "day_of_year" else getattr(time, name)
