"""Compute the number of rows of each label in the parts of a stratified split."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.blocks.alignment import with_sizes
from dlbd_estimators.blocks.allocation import Integers, allocate
from dlbd_estimators.blocks.checks import check_present
from dlbd_estimators.blocks.data_frame_columns import column
from dlbd_estimators.engine.column_passes import each_block
from dlbd_estimators.model_selection.sources import LazySource


def label_array(source: Any, sizes: tuple[int, ...]) -> da.Array:
    """Convert labels to a Dask array with blocks of these sizes.

    Raises
    ------
    ValueError
        There is more than one label for each row.
    """
    if not isinstance(source, LazySource):
        labels = da.from_array(np.asarray(source), chunks=-1)
    elif isinstance(source.data, da.Array):
        labels = with_sizes(source.data, source.sizes)
    else:
        labels = with_sizes(column(source.data, "stratify"), source.sizes)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"stratify needs one label for each row, but has shape {labels.shape}. Combine the "
            f"columns to one label first."
        )
    aligned: da.Array = labels.rechunk({0: sizes})
    return aligned


def count_strata(labels: da.Array) -> tuple[NDArray[Any], Integers]:
    """Count the rows of each label in each block, by one pass over the labels.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    counts : ndarray of shape (n_blocks, n_classes)
        Number of rows.

    Raises
    ------
    NonFiniteValues
        A label is missing. The message names the block and the row.
    """
    labels_and_counts = each_block(labels, _tally, name="strata", called="stratify")
    classes = np.unique(np.concatenate([block for block, _ in labels_and_counts]))
    counts = np.zeros((len(labels_and_counts), len(classes)), dtype=np.int64)
    for row, (block, numbers) in zip(counts, labels_and_counts, strict=True):
        row[np.searchsorted(classes, block)] = numbers
    return classes, counts


def _tally(number: int, block: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    check_present(block, f"block {number}")
    return np.unique(block, return_counts=True)


def stratified_counts(
    classes: NDArray[Any], strata: Integers, n_train: int, n_test: int, rng: np.random.Generator
) -> Integers:
    """Divide the rows of each label in each block into test rows and training rows.

    Both parts get their share of each label, rounded to whole rows.

    Returns
    -------
    ndarray of shape (n_blocks, n_classes, 2)
        Number of test rows and of training rows.

    Raises
    ------
    ValueError
        A label has one row only, or a part has fewer rows than there are labels.
    """
    totals = strata.sum(axis=0)
    if totals.min() < 2:
        raise ValueError(
            f"The least populated classes in y have only 1 member, which is too few. The minimum "
            f"number of groups for any class cannot be less than 2. Classes with too few members "
            f"are: {classes[totals < 2].tolist()}"
        )
    for name, size in (("train_size", n_train), ("test_size", n_test)):
        if size < len(classes):
            raise ValueError(
                f"The {name} = {size} should be greater or equal to the number of classes = "
                f"{len(classes)}"
            )
    train = _largest_remainder(totals, n_train, rng)
    test = _largest_remainder(totals - train, n_test, rng)
    shares = [
        allocate(strata[:, label], (test[label], train[label]), rng)
        for label in range(len(classes))
    ]
    return np.stack(shares, axis=1)


def _largest_remainder(totals: Integers, size: int, rng: np.random.Generator) -> Integers:
    """Distribute ``size`` in proportion to ``totals``, by the largest-remainder method."""
    quotas, remainder = np.divmod(totals * size, totals.sum())
    # Equal remainders are ordered at random: shuffle before the stable sort.
    order = rng.permutation(len(totals))
    order = order[np.argsort(-remainder[order], kind="stable")]
    quotas[order[: size - quotas.sum()]] += 1
    rounded: Integers = quotas
    return rounded
