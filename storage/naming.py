"""Names that a caller gives to columns, targets and classes, checked before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from storage.default_names import default_names
from storage.messages import first_texts, short_text
from storage.schema import Label

__all__ = [
    "check_classes",
    "check_features",
    "check_target_names",
    "choose_columns",
]


def check_features(names: Sequence[str] | None, n_features: int) -> tuple[str, ...]:
    """Return one distinct name for each column; by default x0, x1, ..., as in scikit-learn."""
    if names is None:
        return default_names(n_features)
    return _distinct_names("feature_names", names, n_features, "columns of X")


def choose_columns(
    columns: Sequence[str | int] | None, names: Sequence[str]
) -> tuple[int, ...] | None:
    """Return the numbers of the columns that a caller selects by names or numbers.

    Raises
    ------
    TypeError, ValueError
        When `columns` is not a sequence of names and numbers, or when a column does not exist or
        is repeated.
    """
    if columns is None:
        return None
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise TypeError(f"columns must be a sequence of names or numbers, got {columns!r}")
    numbers = {name: number for number, name in enumerate(names)}
    chosen = tuple(_column_number(column, numbers) for column in columns)
    if not chosen:
        raise ValueError("columns is empty: choose at least one, or None for all")
    repeated = [names[number] for number, count in Counter(chosen).items() if count > 1]
    if repeated:
        raise ValueError(f"columns must be distinct, but {first_texts(repeated, 5)} is repeated")
    return chosen


def _column_number(column: Any, numbers: Mapping[str, int]) -> int:
    if isinstance(column, str):
        if column in numbers:
            return numbers[column]
        close = get_close_matches(column, numbers, n=3)
        if close:
            hint = f"did you mean {' or '.join(repr(short_text(name)) for name in close)}?"
        else:
            hint = f"its columns are {first_texts(numbers, 6)}"
        raise ValueError(f"the data set has no column {short_text(column)!r}: {hint}")
    if isinstance(column, int | np.integer) and not isinstance(column, bool):
        if 0 <= column < len(numbers):
            return int(column)
        raise ValueError(
            f"the data set has no column {column}: it has {len(numbers)}, with the numbers 0 to "
            f"{len(numbers) - 1}"
        )
    raise TypeError(f"columns must be names (str) or numbers (int), got {column!r}")


def check_target_names(
    target: str | Sequence[str] | None, outputs: tuple[int, ...]
) -> str | tuple[str, ...] | None:
    """Check the name of y, or the names of the columns of a 2-D y."""
    if target is None or isinstance(target, str):
        return target
    names = _distinct_names("target", target, outputs[0] if outputs else 1, "columns of y")
    return names if outputs else names[0]


def check_classes(
    classes: Sequence[Label] | None, dtype: str, ndim: int
) -> tuple[Label, ...] | None:
    """Check the labels of the integer codes of y; return them as values that JSON can hold."""
    if classes is None:
        return None
    if np.dtype(dtype).kind not in "biu" or ndim != 1:
        raise ValueError(
            f"classes name the integer codes of a 1-D y (y == i means classes[i]), but y is "
            f"{ndim}-D {dtype}"
        )
    labels = tuple(_plain(label) for label in classes)
    if len(set(labels)) < len(labels) or not labels:
        raise ValueError(f"classes must be one or more distinct labels, got {labels}")
    return labels


def _plain(label: Any) -> Label:
    value = label.item() if isinstance(label, np.generic) else label
    if not isinstance(value, str | int | float | bool):
        raise TypeError(f"classes must be text or numbers, got {value!r}")
    return value


def _distinct_names(what: str, names: Sequence[str], length: int, of: str) -> tuple[str, ...]:
    # Python would treat a single string as a sequence of its letters.
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{what} must be a sequence of str, got {names!r}")
    if len(names) != length:
        raise ValueError(f"{what} has {len(names)} names for {length} {of}")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(f"{what} must be distinct, but {first_texts(repeated, 5)} is repeated")
    return tuple(str(name) for name in names)
