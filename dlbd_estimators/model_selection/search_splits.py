"""Convert the ``cv`` of a search to the splits that all its fits share."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import PredefinedSplit, check_cv
from sklearn.utils import check_random_state

from dlbd_estimators.blocks.named_folds import fold_numbers, names_folds
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.model_selection.folds import KFold
from dlbd_estimators.model_selection.sources import LazySource, sources
from dlbd_estimators.model_selection.split import new_seed

Pairs = list[tuple[NDArray[np.intp], NDArray[np.intp]]]

#: Seed of the random folds of lazy data. They are random because the labels may be sorted.
_SEED = 0


@dataclass(frozen=True)
class SearchSplits:
    """The splits of a search, in two forms.

    Attributes
    ----------
    cv : splitter or list of pairs of ndarray
        The splits in a form that scikit-learn accepts.
    for_shared_fits : splitter, list of pairs of ndarray, ndarray of int or None
        The splits in a form that shared fits accept; None if they need the positions of lazy rows.
    """

    cv: Any
    for_shared_fits: Any

    @classmethod
    def of(cls, cv: Any, X: Any, y: Any, groups: Any, *, classify: bool) -> SearchSplits:
        """Return the splits for ``cv``.

        ``cv`` is a number of folds, a splitter, an iterable of splits, or an array with the number
        of each row's fold.

        Raises
        ------
        LengthMismatch
            The length of the array is not the number of rows of X.
        ValueError
            There are more folds than rows, fewer than 2 folds, or an array without training or test
            rows.
        TypeError
            The array does not contain integers.
        """
        if names_folds(cv):
            cv = _named(cv, X)
        if not is_lazy(X):
            splitter = check_cv(cv, y, classifier=classify)
            pairs = list(splitter.split(X, y, groups))
            n_splits = splitter.get_n_splits(X, y, groups)
            if len(pairs) != n_splits:
                raise ValueError(
                    f"cv.split yields {len(pairs)} splits, but cv.get_n_splits gives {n_splits}. "
                    f"Pass the splits themselves: cv=list(cv.split(X, y))."
                )
            return cls(pairs, pairs)
        if cv is None or isinstance(cv, Integral):
            n_folds = 5 if cv is None else int(cv)
            cv = KFold(n_folds, shuffle=True, random_state=_SEED) if classify else KFold(n_folds)
        if isinstance(cv, PredefinedSplit):
            return cls(cv, np.asarray(cv.test_fold))
        if not hasattr(cv, "selections"):
            return cls(cv, None)
        if not isinstance(getattr(cv, "random_state", 0), Integral | None) or (
            cv.random_state is None and getattr(cv, "shuffle", True)
        ):  # without a fixed seed, each call of split would yield other splits
            cv = copy(cv)
            cv.random_state = new_seed(check_random_state(cv.random_state))
        return cls(cv, cv)

    def n_splits(self, X: Any, y: Any) -> int:
        """Return the number of splits."""
        if isinstance(self.cv, list):
            return len(self.cv)
        return int(self.cv.get_n_splits(X, y))

    def pairs(self, X: Any, y: Any) -> Pairs:
        """Return the positions of the training rows and the test rows of each split."""
        return self.cv if isinstance(self.cv, list) else list(self.cv.split(X, y))


def is_ours(cv: Any, X: Any) -> bool:
    """Return whether ``cv`` has a meaning here that scikit-learn does not support."""
    return names_folds(cv) or (is_lazy(X) and (cv is None or isinstance(cv, Integral)))


def _named(cv: Any, X: Any) -> PredefinedSplit:
    (opened,) = sources([X])
    if isinstance(opened, LazySource):
        n_rows = sum(opened.sizes)
    else:
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    return PredefinedSplit(fold_numbers(cv, n_rows))
