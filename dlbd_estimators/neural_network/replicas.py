"""How many replicas train, and how much each holds in memory: by the data alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.solvers.stochastic.epoch_plan import Shape

#: Half a buffer by default: four blocks of the usual size.
_AUTO_HALF_NBYTES = 2**27


def count_replicas(estimator: Any, blocks: Blocks) -> int:
    """Return the number of replicas.

    Raises
    ------
    ValueError
        There are more than blocks.
    """
    if estimator.n_replicas == "auto":
        # More replicas took more epochs to a given loss, on small data and on large: with two
        # workers to run them they were no faster (docs/training-networks.md).
        return 1
    if estimator.n_replicas > blocks.n_blocks:
        raise ValueError(
            f"n_replicas={estimator.n_replicas}, but the data have {blocks.n_blocks} block(s), and "
            f"each replica needs at least one. Rechunk X into more blocks."
        )
    return int(estimator.n_replicas)


def cut_epoch(
    estimator: Any,
    executor: Executor,
    blocks: Blocks,
    n_replicas: int,
    given: int | None,
    batch_size: int,
) -> Shape:
    """Return how an epoch is cut: by the data, and by the memory given to a buffer.

    Parameters
    ----------
    estimator : estimator
        For messages.
    executor : Executor
        Knows the memory of its workers.
    blocks : Blocks
        Of known sizes.
    n_replicas : int
        Number of buffers.
    given : int or None
        Bytes that the user gave a buffer.
    batch_size : int
        Rows of an update.

    Raises
    ------
    ValueError
        The buffer does not hold two blocks.
    BlockTooLarge
        A worker has no room for its buffers.
    """
    assert blocks.block_nbytes is not None
    assert blocks.sizes is not None
    nbytes = max(blocks.block_nbytes, 1)
    half = _AUTO_HALF_NBYTES if given is None else given // 2
    if given is not None and half < nbytes:
        raise ValueError(
            f"buffer_size={estimator.buffer_size!r} is too small: a block of X takes {nbytes} "
            f"bytes, and a buffer holds at least two. Rechunk X into smaller blocks."
        )
    share = -(-blocks.n_blocks // n_replicas)
    fill_blocks = min(max(1, half // nbytes), share)
    shape = Shape.of(n_replicas, fill_blocks, max(blocks.sizes), batch_size)
    if n_replicas == 1 and blocks.loader.remote_inputs(range(1)):
        # Chunks that lie on a cluster come to a task all at once: not more than needed, where
        # shorter rounds change nothing.
        shape = replace(shape, round_fills=1)
    halves = 2 if shape.fill_blocks < share else 1
    executor.check_buffer(halves * shape.fill_blocks * nbytes, n_replicas)
    return shape
