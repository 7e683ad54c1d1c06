"""Drawn programs: a source, operations, a way to take X and y of it, and a consumer."""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import dataclass

import dask
import dask.dataframe as dd
import numpy as np
from hypothesis import strategies as st

from tests.lazy_input import frames
from tests.lazy_input.consumers import consume
from tests.lazy_input.data import Data
from tests.lazy_input.sources import FEATURES, SOURCES


@dataclass(frozen=True)
class Program:
    """A pipeline that prints as one line of names."""

    source: str
    operations: tuple[str, ...]
    view: str
    consumer: str

    def __repr__(self):
        steps = " | ".join((self.source, *self.operations))
        return f"<{steps} -> {self.view} -> {self.consumer}>"


def is_sensible(program):
    """Leave out what Dask answers differently each time, and rows that are told apart by no number.

    The rows that are appended, or made of others, have numbers of their own, once.
    """
    if any(program.operations.count(each) > 1 for each in ("concat_other", "explode")):
        return False
    if not frames.has_one_answer(program.operations):
        return False
    # Where Dask leaves the order to chance, rows computed by the user have one of their own.
    return not (program.view == "y_computed" and frames.left_to_chance(program.operations))


def turned(names, consumer):
    """Names, for each consumer from another one on: the first make up its simplest program."""
    first = zlib.crc32(consumer.encode()) % len(names)
    return [*names[first:], *names[:first]]


@st.composite
def frame_programs(draw, consumer):
    return Program(
        draw(st.sampled_from(turned(SOURCES, consumer))),
        tuple(draw(st.lists(st.sampled_from(sorted(frames.OPERATIONS)), max_size=3))),
        draw(st.sampled_from(turned(VIEWS, consumer))),
        consumer,
    )


def built(program, sources):
    """The frame that a program takes X and y of."""
    frame = getattr(sources, program.source)()
    for name in program.operations:
        frame = frames.OPERATIONS[name](frame)
    return frames.flat(frame)


def taken(frame, view, again):
    """X, y and the others as columns of a frame, in memory or lazy."""
    lazy = isinstance(frame, dd.DataFrame)
    X, y = FEATURES_OF.get(view, _columns), TARGETS_OF.get(view, _y)
    arrays = lazy and view == "arrays"
    return Data(
        X=lambda: X(frame, lazy),
        y=lambda: y(again() if lazy and view == "built_twice" else frame, lazy),
        w=lambda: frame["w"].values if arrays else frame["w"],
        row=lambda: frame["n"].values if arrays else frame["n"],
        label=lambda: frame["t"],
        gaps=lambda: frame[["m", "a"]],
        groups=lambda: frame[["g", "k"]],
        mixed=lambda: frame[["m", "a", "g", "b"]],
    )


def _columns(frame, _lazy):
    return frame[FEATURES]


def _reordered(frame, _lazy):
    return frame[FEATURES[::-1]]


def _standardised(frame, _lazy):
    X = frame[FEATURES]
    return (X - X.mean()) / (X.std() + 1.0)


def _filled(frame, _lazy):
    X = frame[FEATURES].astype("float64")
    return X.where(X > -1.0).fillna(X.mean())


def _doubled(frame, lazy):
    X = frame[FEATURES]
    return X.map_partitions(_double) if lazy else _double(X)


def _double(block):
    return 2 * block


def _array(frame, lazy):
    return frame[FEATURES].to_dask_array() if lazy else frame[FEATURES]


def _array_of_lengths(frame, lazy):
    return frame[FEATURES].to_dask_array(lengths=True) if lazy else _array(frame, lazy)


def _one_column(frame, _lazy):
    return frame[["a"]]


def _float32(frame, _lazy):
    return frame[FEATURES].astype("float32")


def _y(frame, _lazy):
    return frame["y"]


def _y_array(frame, lazy):
    return frame["y"].values if lazy else frame["y"]


def _y_of_lengths(frame, lazy):
    return frame["y"].to_dask_array(lengths=True) if lazy else frame["y"]


def _y_computed(frame, lazy):
    return frame["y"].compute().to_numpy() if lazy else frame["y"]


def _y_frame(frame, lazy):
    return frame[["y"]] if lazy else frame["y"]


FEATURES_OF = {
    "reordered": _reordered, "standardised": _standardised, "filled": _filled,
    "doubled": _doubled, "arrays": _array, "lengths": _array_of_lengths,
    "one_column": _one_column, "float32": _float32,
}  # fmt: skip
TARGETS_OF = {
    "arrays": _y_array, "y_array": _y_array, "lengths": _y_of_lengths,
    "y_computed": _y_computed, "y_frame": _y_frame,
}  # fmt: skip
#: How X and y are taken of a frame.
VIEWS = sorted({"columns", "built_twice", *FEATURES_OF, *TARGETS_OF})


def oracle(frame, program):
    """The rows in memory, by number, with NumPy's floats in the place of other numbers."""
    with contextlib.ExitStack() as stack:
        if "persist" not in program.source and "persist" not in program.operations:
            stack.enter_context(
                dask.config.set({"scheduler": "sync", "dataframe.shuffle.method": "tasks"})
            )
        whole = frame.compute().sort_values("n").reset_index(drop=True)
    numbers = {
        name: "float32" if str(whole[name].dtype).lower().startswith("float32") else "float64"
        for name in (*FEATURES, "m", "y", "w")
    }
    texts = dict.fromkeys(("g", "t"), object)
    return whole.astype(numbers | texts)


def run(program, sources):
    """Run a program, and hold what it gives against the same rows in memory.

    Returns
    -------
    str
        As :func:`tests.lazy_input.consumers.consume`.
    """
    try:
        frame = built(program, sources)
        whole = oracle(frame, program)
    except Exception as error:  # noqa: BLE001 - whatever Dask raises of its own
        return f"dask: {type(error).__name__}: {error}"
    lazy = taken(frame, program.view, lambda: built(program, sources))
    memory = taken(whole, program.view, None)
    single = program.view == "float32" or any(
        dtype == np.float32 for dtype in whole[FEATURES].dtypes
    )
    return consume(program.consumer, lazy, memory, 1e-3 if single else 1e-6)
