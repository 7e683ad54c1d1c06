"""Split lazy arrays into training rows and test rows."""

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
from dlbd_estimators.model_selection.sources import LazySource, is_split_by_block, sources, unpack
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
    """Split arrays into training rows and test rows.

    Lazy arrays stay lazy: rows are chosen at random within every block, in proportion to its number
    of rows, and selected when the block is read. The same seed and the same blocks of the first
    lazy array give the same rows, on any scheduler. If all arrays are in memory,
    :func:`sklearn.model_selection.train_test_split` splits them.

    Parameters
    ----------
    *arrays : array-like, Dask collection, Zarr array, or one data set
        Arrays with the same number of rows. Their blocks may have different lengths. A data set (an
        object with lazy ``X`` and ``y``, and perhaps ``sample_weight``) is replaced by its arrays.
    test_size : float or int, optional
        Share of the rows, in (0, 1), rounded up to whole rows; or the number of test rows. By
        default all rows that are not training rows, or 0.25 if ``train_size`` is None, too.
    train_size : float or int, optional
        Share of the rows, in (0, 1), rounded down to whole rows; or the number of training rows. By
        default all rows that are not test rows.
    random_state : int, RandomState or None, default=None
        Seed of the random choice.
    shuffle : bool, default=True
        Whether to choose rows at random. If not, the first rows are the training rows, and the
        rows that follow are the test rows.
    stratify : array-like or Dask collection of shape (n_samples,), optional
        Labels of the rows; both parts get the same share of each label. Lazy labels take one pass.

    Returns
    -------
    list
        ``[X_train, X_test, y_train, y_test, ...]``: two arrays of the same type for each array,
        with rows in the stored order. Chunks have about as many rows as the blocks of the first
        lazy array: the selected rows of up to 16 neighbouring blocks are concatenated.

    Raises
    ------
    LengthMismatch
        The arrays have different numbers of rows.
    ValueError
        A size is out of range, no arrays were passed, or ``stratify`` comes with ``shuffle=False``.
    TypeError
        A data set comes with other arrays.

    Notes
    -----
    Nothing is computed before the result is used, except chunk lengths that Dask does not know and
    lazy labels. Unknown lengths take one pass over the array with the shortest rows. The memory
    that the client needs grows with the number of blocks, not of rows. (It is 8 bytes for each row
    if arrays in memory are split together with lazy arrays.) Reading a chunk reads its blocks one
    after the other, each once.

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
    if not any(map(is_split_by_block, parts)):
        # scikit-learn counts the labels, so lazy labels are loaded.
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
    opened_arrays = sources([*parts, *([] if stratify is None else [stratify])])
    sizes = next(source.sizes for source in opened_arrays if isinstance(source, LazySource))
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
            labels = label_array(opened_arrays.pop(), sizes)
            division = _stratified_division(labels, sizes, n_train, n_test, seed)
    selections = [division.part(number) for number in numbers]
    # The positions are computed once, because the tasks of all arrays share them.
    positions = [None if labels is None else stratified_positions(x, labels) for x in selections]
    parts = list(zip(selections, positions, strict=True))
    return [gather(source, part, position) for source in opened_arrays for part, position in parts]


def new_seed(random_state: np.random.RandomState) -> int:
    """Return a random seed for the choice of rows."""
    return int(random_state.randint(np.iinfo(np.int32).max))


def _stratified_division(
    labels: da.Array, sizes: tuple[int, ...], n_train: int, n_test: int, seed: int
) -> Division:
    classes, strata = count_strata(labels)
    counts = stratified_counts(classes, strata, n_train, n_test, shares_stream(seed))
    return Division(sizes, counts, strata, seed)
