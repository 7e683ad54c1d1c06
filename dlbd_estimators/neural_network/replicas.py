"""The number of replicas and the size of their buffers, whatever the number of workers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.solvers.stochastic.epoch_plan import EpochLayout

#: Size of half a buffer by default: four blocks of the usual size.
_AUTO_HALF_NBYTES = 2**27


def count_replicas(estimator: Any, blocks: Blocks) -> int:
    """Return the number of replicas.

    Raises
    ------
    ValueError
        There are more replicas than blocks.
    """
    if estimator.n_replicas == "auto":
        # More replicas needed more epochs to reach the same loss, on small and on large data. With
        # two workers they were not faster (docs/training-networks.md).
        return 1
    if estimator.n_replicas > blocks.n_blocks:
        raise ValueError(
            f"n_replicas={estimator.n_replicas}, but the data have {blocks.n_blocks} block(s), and "
            f"each replica needs at least one. Rechunk X into more blocks."
        )
    return int(estimator.n_replicas)


def epoch_layout(
    estimator: Any,
    executor: Executor,
    blocks: Blocks,
    n_replicas: int,
    given: int | None,
    batch_size: int,
) -> EpochLayout:
    """Return how an epoch is divided, which depends on the data and the size of the buffer.

    Parameters
    ----------
    estimator : estimator
        Its ``buffer_size`` is named in messages.
    executor : Executor
        Compares the buffers with the memory of its workers.
    blocks : Blocks
        Blocks whose numbers of rows are known.
    n_replicas : int
        Number of buffers.
    given : int or None
        Size of a buffer in bytes, if the user set it.
    batch_size : int
        Number of rows of a mini-batch.

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
    shape = EpochLayout.of(n_replicas, fill_blocks, max(blocks.sizes), batch_size)
    if n_replicas == 1 and blocks.loader.remote_inputs(range(1)):
        # A task receives all its chunks from the cluster at once: keep them few. With one replica,
        # shorter rounds do not change the result.
        shape = replace(shape, round_fills=1)
    halves = 2 if shape.fill_blocks < share else 1
    executor.check_buffer(halves * shape.fill_blocks * nbytes, n_replicas)
    return shape
