"""The declaration of how svmlight files are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["SVMLightFormat"]


@dataclass(frozen=True)
class SVMLightFormat:
    """How files in the svmlight (LIBSVM) format are written, and what their labels are.

    Parameters
    ----------
    n_features : int, optional
        Number of columns of X. None means up to the largest column number of the files. Declare it
        for a test set, so that its X has the columns of the training set.
    zero_based : bool or "auto", default="auto"
        Whether the columns are numbered from 0 (True) or from 1 (False). With "auto", they are
        numbered from 0 if the number 0 occurs in the files, and otherwise from 1.
    classes : sequence of int or float, or "auto", optional
        The labels of a classification: y holds the code of each label, and the data set names its
        classes. With "auto", they are all the labels of the files, sorted. None means that labels
        are numbers, and y holds them as float64.
    qid : {"error", "ignore"}, default="error"
        What to do with query numbers (``qid:3``), which a data set cannot hold.

    Raises
    ------
    ValueError, TypeError
        When an option is not one of these.

    Examples
    --------
    >>> import storage
    >>> storage.SVMLightFormat(n_features=47_236, zero_based=False, classes=[-1, 1]).n_features
    47236
    """

    n_features: int | None = None
    zero_based: bool | Literal["auto"] = "auto"
    classes: Sequence[float] | Literal["auto"] | None = None
    qid: Literal["error", "ignore"] = "error"

    def __post_init__(self) -> None:
        n = self.n_features
        if n is not None and (isinstance(n, bool) or n != int(n) or n < 1):
            raise ValueError(f"n_features must be an integer of 1 or more, or None, got {n!r}")
        if not isinstance(self.zero_based, bool) and self.zero_based != "auto":
            raise ValueError(f"zero_based must be True, False or 'auto', got {self.zero_based!r}")
        if self.qid not in ("error", "ignore"):
            raise ValueError(f"qid must be 'error' or 'ignore', got {self.qid!r}")
        if self.classes is not None and not isinstance(self.classes, str):
            object.__setattr__(self, "classes", _sorted_classes(self.classes))
        elif self.classes not in (None, "auto"):
            raise ValueError(f"classes must be labels, 'auto' or None, got {self.classes!r}")


def _sorted_classes(classes: Sequence[float]) -> tuple[float, ...]:
    """Return labels in order; integers where all of them are integers."""
    try:
        labels = np.unique(np.asarray([float(label) for label in classes], dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise TypeError(f"classes must be numbers, as in the files, got {classes!r}") from error
    if len(labels) != len(classes) or len(labels) == 0 or not np.isfinite(labels).all():
        raise ValueError(f"classes must be one or more distinct finite numbers, got {classes!r}")
    return tuple(as_labels(labels))


def as_labels(labels: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    """Return labels as Python's numbers: integers where all of them are integers."""
    whole = bool(np.all(labels == np.trunc(labels)) and np.all(np.abs(labels) < 2**53))
    return [int(label) if whole else float(label) for label in labels]
