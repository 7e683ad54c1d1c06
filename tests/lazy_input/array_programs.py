"""Drawn programs over Dask arrays: a source, operations, a way to take X and y, and a consumer."""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import numpy as np
from hypothesis import strategies as st

from tests.lazy_input import programs
from tests.lazy_input.arrays import FEATURES, OPERATIONS, PLACE, SOURCES, known
from tests.lazy_input.consumers import CONSUMERS, consume
from tests.lazy_input.data import Data

VIEWS = [
    "slices", "slices", "fancy", "standardised", "y_rechunked", "y_computed", "built_twice",
    "frames", "one_column", "y_column", "masked", "weights_computed",
]  # fmt: skip
#: Those that take numbers alone.
NUMERIC = sorted(
    set(CONSUMERS)
    - {"column_transformer", "column_transformer_pandas", "pipeline_columns"}
)  # fmt: skip


def is_sensible(program):
    """Leave out what Dask answers differently each time, and rows that are told apart by no number.

    The rows that are appended have numbers of their own, once.
    """
    if program.operations.count("concatenated") > 1:
        return False
    if "shuffled_frame" not in program.operations:
        return True
    ordered = {"every_other", "cumsum", "dask_random", "overlapped", "fancy", "shuffled_rows"}
    after = program.operations[program.operations.index("shuffled_frame") :]
    in_memory = program.view in ("y_computed", "weights_computed")
    return "persist" in after or not (ordered & set(after) or in_memory)


@st.composite
def array_programs(draw, consumer):
    return programs.Program(
        draw(st.sampled_from(programs.turned(SOURCES, consumer))),
        tuple(draw(st.lists(st.sampled_from(sorted(OPERATIONS)), max_size=3))),
        draw(st.sampled_from(programs.turned(VIEWS, consumer))),
        consumer,
    )


def built(program, sources):
    """The array that a program takes X and y of."""
    array = getattr(sources, program.source)()
    for name in program.operations:
        array = OPERATIONS[name](array)
    return array


def taken(D, view, again):
    """X, y and the others as columns of an array, in memory or lazy."""
    lazy = isinstance(D, da.Array)
    y = _column(D, "y", view if lazy else None)
    return Data(
        X=lambda: _features(D, view, lazy),
        y=lambda: again()[:, PLACE["y"]] if lazy and view == "built_twice" else y(),
        w=_column(D, "w", "computed" if lazy and view == "weights_computed" else None),
        label=_column(D, "t", None),
        row=_column(D, "n", None),
        gaps=lambda: D[:, [PLACE["m"], 0]],
        groups=lambda: D[:, [PLACE["k"], PLACE["t"]]],
    )


def _column(D, name, view):
    def make():
        column = D[:, PLACE[name]]
        match view:
            case "y_rechunked" if known(D):
                return column.rechunk(31)
            case "y_computed" | "computed":
                return column.compute()
            case "y_column":
                return D[:, [PLACE[name]]]
        return column

    return make


def _features(D, view, lazy):
    X = D[:, FEATURES]
    match view:
        case "fancy":
            X = D[:, [3, 0, 2]]
        case "standardised":
            rows = X
            if lazy and known(D):  # of an empty chunk Dask's std is NaN
                X = rows = X.rechunk({0: tuple(size for size in X.chunks[0] if size)})
            elif lazy:
                rows = X.compute()
            X = (X - rows.mean(axis=0)) / (rows.std(axis=0) + 1.0)
        case "frames" if lazy:
            X = dd.from_dask_array(X.rechunk({1: -1}), columns=list("abci"))
        case "one_column":
            X = D[:, :1]
        case "masked" if lazy:
            X = da.ma.masked_greater(X, 1.0)
    return X


def run(program, sources):
    """Run a program; as :func:`tests.lazy_input.programs.run` does.

    Returns
    -------
    str
    """
    try:
        D = built(program, sources)
        whole = D.compute()
        whole = whole[np.argsort(whole[:, PLACE["n"]])].astype(float)
    except Exception as error:  # noqa: BLE001 - whatever Dask raises of its own
        return f"dask: {type(error).__name__}: {error}"
    lazy = taken(D, program.view, lambda: built(program, sources))
    memory = taken(whole, program.view, None)
    tolerance = 1e-3 if "single" in program.operations else 1e-6
    found = consume(program.consumer, lazy, memory, tolerance)
    if program.view == "masked" and "X" in vars(lazy):
        assert "masked" in found or "dask" in found, found
    return found
