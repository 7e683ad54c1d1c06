"""Cross-validators, which yield index arrays for scikit-learn's tools, or lazy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import model_selection
from sklearn.utils import check_random_state

from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.blocks.allocation import fold_sizes
from dlbd_estimators.blocks.row_selection import Selection, consecutive_division, random_division
from dlbd_estimators.model_selection.sizes import split_sizes
from dlbd_estimators.model_selection.sources import LazySource, is_split_by_block, sources, unpack
from dlbd_estimators.model_selection.split import new_seed
from dlbd_estimators.model_selection.take_rows import gather, in_memory

Indices = tuple[NDArray[np.intp], NDArray[np.intp]]


class _BlockwiseSplitter:
    """Base of the cross-validators, which converts selections of rows to indices or arrays."""

    #: Whether each row is a test row exactly once.
    tests_each_row_once: bool = False

    def selections(self, sizes: tuple[int, ...]) -> Iterator[tuple[Selection, Selection]]:
        """Yield the training and test rows of lazy data as selections.

        A selection takes a few numbers for each block, not one for each row.

        Parameters
        ----------
        sizes : tuple of int
            Number of rows of each block.
        """
        raise NotImplementedError

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Indices]:
        """Yield the positions of the training rows and the test rows of each split.

        Parameters
        ----------
        X : array-like, Dask collection or Zarr array
            All rows.
        y : array-like or Dask collection, optional
            Targets. If the lengths of the blocks of X are unknown, those of y may be counted.
        groups : None
            Not supported: other values give a warning.

        Yields
        ------
        train : ndarray of int
            Positions of the training rows, 8 bytes for each row; ascending if X is lazy.
        test : ndarray of int
            Positions of the test rows, 8 bytes for each row; ascending if X is lazy.
        """
        if not is_split_by_block(X):
            # scikit-learn's class is the next base class of the subclasses.
            yield from super().split(X, y, groups)  # type: ignore[misc]
            return
        if groups is not None:
            warn_user(f"The groups parameter is ignored by {type(self).__name__}")
        first, *_ = sources([X, *([] if y is None else [y])])
        for train, test in self.selections(first.sizes):
            yield train.indices(), test.indices()

    def split_arrays(self, *arrays: Any) -> Iterator[tuple[Any, ...]]:
        """Yield arrays of the training rows and the test rows of each split; lazy arrays stay lazy.

        Parameters
        ----------
        *arrays : array-like, Dask collection, Zarr array, or one data set
            Arrays with the same number of rows, or a data set, whose arrays are used.

        Yields
        ------
        tuple
            ``(X_train, X_test, y_train, y_test, ...)``.

        Raises
        ------
        LengthMismatch
            The arrays have different numbers of rows.
        ValueError
            No arrays were passed, or there are more splits than rows.
        """
        opened_arrays = sources(unpack(arrays))
        lazy = [source for source in opened_arrays if isinstance(source, LazySource)]
        sizes = lazy[0].sizes if lazy else None
        if sizes is None:
            # scikit-learn's class is the next base class of the subclasses.
            for indices in super().split(opened_arrays[0]):  # type: ignore[misc]
                yield tuple(in_memory(source, part) for source in opened_arrays for part in indices)
            return
        for pair in self.selections(sizes):
            yield tuple(gather(source, part) for source in opened_arrays for part in pair)


class KFold(_BlockwiseSplitter, model_selection.KFold):
    """K-fold cross-validator: each row is a test row of one fold.

    Without ``shuffle``, and for arrays in memory, the folds are those of
    :class:`sklearn.model_selection.KFold`. A shuffled fold of lazy arrays has random rows of every
    block, in proportion to the number of rows of the block. The sizes of folds differ by at most
    one row.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether folds have random rows instead of consecutive rows.
    random_state : int, RandomState or None, default=None
        Seed of the random choice. Only with ``shuffle``.

    Notes
    -----
    :meth:`split_arrays` keeps a few numbers for each block in the client. In each pass, a fit on
    its arrays reads every block that has selected rows once. scikit-learn's tools call
    :meth:`split` if the cross-validator is passed as ``cv``. They need more memory and time:

    - index arrays of 8 bytes for each row and split. A search keeps the arrays of all splits, which
      take ``8 * n_samples * n_splits`` bytes. Random rows take another 2 to 4 bytes for each row in
      the tasks that select them;
    - one pass to count the rows of Dask data frames and of arrays of unknown chunk lengths.

    For more than a few hundred million rows, loop over :meth:`split_arrays`.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.model_selection import KFold
    >>> X = da.ones((1000, 3), chunks=(100, 3))
    >>> for train, test in KFold(2, shuffle=True, random_state=0).split_arrays(X):
    ...     print(train.shape, test.shape)
    (500, 3) (500, 3)
    (500, 3) (500, 3)
    """

    tests_each_row_once = True

    def selections(self, sizes: tuple[int, ...]) -> Iterator[tuple[Selection, Selection]]:
        n_samples = sum(sizes)
        if self.n_splits > n_samples:
            raise ValueError(
                f"Cannot have number of splits n_splits={self.n_splits} greater than the number "
                f"of samples: n_samples={n_samples}."
            )
        parts = fold_sizes(n_samples, self.n_splits)
        if self.shuffle:
            seed = new_seed(check_random_state(self.random_state))
            division = random_division(sizes, parts, seed)
        else:
            division = consecutive_division(sizes, parts)
        for number in range(self.n_splits):
            yield division.others(number), division.part(number)


class ShuffleSplit(_BlockwiseSplitter, model_selection.ShuffleSplit):
    """Independent random splits into training rows and test rows.

    For arrays in memory, they are the splits of :class:`sklearn.model_selection.ShuffleSplit`. Rows
    of lazy arrays are chosen at random within every block, in proportion to its number of rows.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.
    test_size : float or int, optional
        Share of the rows, in (0, 1), rounded up to whole rows; or the number of test rows. By
        default all rows that are not training rows, or 0.1 if ``train_size`` is None, too.
    train_size : float or int, optional
        Share of the rows, in (0, 1), rounded down to whole rows; or the number of training rows. By
        default all rows that are not test rows.
    random_state : int, RandomState or None, default=None
        Seed of the random choices.

    Notes
    -----
    The notes of :class:`KFold` describe the memory that index arrays take, and how
    :meth:`split_arrays` saves it.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.model_selection import ShuffleSplit
    >>> X = da.ones((1000, 3), chunks=(100, 3))
    >>> for train, test in ShuffleSplit(2, test_size=0.2, random_state=0).split_arrays(X):
    ...     print(train.shape, test.shape)
    (800, 3) (200, 3)
    (800, 3) (200, 3)
    """

    def selections(self, sizes: tuple[int, ...]) -> Iterator[tuple[Selection, Selection]]:
        n_train, n_test = split_sizes(sum(sizes), self.test_size, self.train_size, 0.1)
        random_state = check_random_state(self.random_state)
        for _ in range(self.n_splits):
            division = random_division(sizes, (n_test, n_train), new_seed(random_state))
            yield division.part(1), division.part(0)
