"""One split of lazy arrays into rows to train on and rows to test on."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from sklearn import model_selection
from sklearn.utils import check_random_state

from dlbd_estimators.blocks.row_selection import (
    Division,
    consecutive_division,
    random_division,
    shares_stream,
)
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.model_selection.sizes import split_sizes
from dlbd_estimators.model_selection.sources import Lazy, is_cut, sources, unpack
from dlbd_estimators.model_selection.stratification import (
    count_strata,
    label_array,
    stratified_counts,
)
from dlbd_estimators.model_selection.take_rows import gather, stratified_positions


def train_test_split(
    *arrays: Any,
    test_size: float | None = None,
    train_size: float | None = None,
    random_state: Any = None,
    shuffle: bool = True,
    stratify: Any = None,
) -> list[Any]:
    """Split arrays into rows to train on and rows to test on.

    Lazy arrays stay lazy: rows are chosen at random within every block, in proportion to its
    rows, and selected when the block is read. The same seed and the same blocks of the first lazy
    array give the same rows, on any scheduler. If all arrays are in memory,
    :func:`sklearn.model_selection.train_test_split` splits them.

    Parameters
    ----------
    *arrays : array-like, Dask collection, Zarr array, or one data set
        Arrays with the same number of rows. Their blocks may differ from those of the first. A
        data set (an object with lazy ``X`` and ``y``, and perhaps ``sample_weight``) stands for
        its arrays.
    test_size : float or int, optional
        Share of the rows, in (0, 1), rounded up; or their number. By default what
        ``train_size`` leaves, or 0.25.
    train_size : float or int, optional
        Share of the rows, in (0, 1), rounded down; or their number. By default what
        ``test_size`` leaves.
    random_state : int, RandomState or None, default=None
        Seed of the choice.
    shuffle : bool, default=True
        Whether to choose rows at random. If not, the first rows are the training rows, and the
        rows that follow are the test rows.
    stratify : array-like or Dask collection of shape (n_samples,), optional
        Labels: both parts get the same share of each label. Lazy labels are read once for this.

    Returns
    -------
    list
        ``[X_train, X_test, y_train, y_test, ...]``: for each array two of the same type, with rows
        in the stored order. Chunks have about as many rows as the blocks of the first lazy array:
        the selected rows of up to 16 neighbouring blocks are put together.

    Raises
    ------
    LengthMismatch
        The arrays have different numbers of rows.
    ValueError
        Sizes out of range, no arrays, or stratify without shuffle.
    TypeError
        A data set comes with other arrays.

    Notes
    -----
    Only chunk lengths are computed, and only if Dask does not know them: by one pass over the array
    with the shortest rows. The memory of the client grows with the number of blocks, not of rows.
    (If arrays in memory are split together with lazy ones, it takes 8 bytes a row.) Reading a chunk
    reads its blocks one after the other, each once.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.model_selection import train_test_split
    >>> X = da.ones((1000, 3), chunks=(100, 3))
    >>> train, test = train_test_split(X, test_size=0.2, random_state=0)
    >>> train.chunks[0], test.chunks[0]
    ((80, 80, 80, 80, 80, 80, 80, 80, 80, 80), (100, 100))
    """
    parts = unpack(arrays)
    if not any(map(is_cut, parts)):
        # All arrays are in memory, like the labels: scikit-learn counts these.
        split: list[Any] = model_selection.train_test_split(
            *parts,
            test_size=test_size,
            train_size=train_size,
            random_state=random_state,
            shuffle=shuffle,
            stratify=np.asarray(stratify) if is_lazy(stratify) else stratify,
        )
        return split
    if not shuffle and stratify is not None:
        raise ValueError("Stratified train/test split is not implemented for shuffle=False")
    found = sources([*parts, *([] if stratify is None else [stratify])])
    sizes = next(each.sizes for each in found if isinstance(each, Lazy))
    n_train, n_test = split_sizes(sum(sizes), test_size, train_size, 0.25)
    labels = None
    if not shuffle:
        division = consecutive_division(sizes, (n_train, n_test))
        numbers = (0, 1)
    else:
        seed = new_seed(check_random_state(random_state))
        numbers = (1, 0)
        if stratify is None:
            division = random_division(sizes, (n_test, n_train), seed)
        else:
            labels = label_array(found.pop(), sizes)
            division = _stratified_division(labels, sizes, n_train, n_test, seed)
    selections = [division.part(number) for number in numbers]
    # Computed once for all arrays, which share the tasks.
    positions = [None if labels is None else stratified_positions(x, labels) for x in selections]
    parts = list(zip(selections, positions, strict=True))
    return [gather(each, part, where) for each in found for part, where in parts]


def new_seed(random_state: np.random.RandomState) -> int:
    """Draw a seed for choosing rows."""
    return int(random_state.randint(np.iinfo(np.int32).max))


def _stratified_division(
    labels: da.Array, sizes: tuple[int, ...], n_train: int, n_test: int, seed: int
) -> Division:
    classes, strata = count_strata(labels)
    counts = stratified_counts(classes, strata, n_train, n_test, shares_stream(seed))
    return Division(sizes, counts, strata, seed)
