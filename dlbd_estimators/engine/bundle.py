"""A bundle of a pass: consecutive blocks that one task processes, in a thread or on a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from dlbd_estimators.blocks.reused_memory import reusing_memory
from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.cache import block_cache, keep_block
from dlbd_estimators.engine.cost import Cost, decoding_seconds, total
from dlbd_estimators.engine.pass_progress import PassCounter
from dlbd_estimators.engine.read_ahead import load_ahead, load_between
from dlbd_estimators.engine.reduction_tree import reduce_range
from dlbd_estimators.kernels.kernel import PassKernel

Partial = TypeVar("Partial")


@dataclass
class BundleResult(Generic[Partial]):
    """The partial of a bundle, and the cost of computing it."""

    partial: Partial
    cost: Cost


@dataclass(frozen=True)
class Bundle:
    """Consecutive positions ``start..stop`` of a pass, and what a task needs to read their blocks.

    Dask does not look inside this object. In a dict or a list, it would find the graphs of the
    blocks and treat them as dependencies of the task.

    Parameters
    ----------
    fit : str
        Name of the fit in the block cache.
    blocks : BlockSequence
        Reads the blocks of ``indices``.
    indices : sequence of int
        Number of the block at each position from ``start`` to ``stop``.
    start, stop : int
        The node of the reduction tree that this bundle computes.
    features : bool
        Whether the kernel needs X.
    cache_nbytes : int
        Budget in bytes of the block cache of the process; 0 caches no blocks.
    home : str or None
        Address of the worker that may cache the blocks; other workers use them without caching.
        None lets any worker cache them.
    """

    fit: str
    blocks: BlockSequence
    indices: Sequence[int]
    start: int
    stop: int
    features: bool
    cache_nbytes: int
    home: str | None = None


def run_bundle(
    bundle: Bundle,
    kernel: PassKernel[Any, Partial],
    parameters: Any,
    *,
    keep: bool = True,
    counter: PassCounter | None = None,
) -> BundleResult[Partial]:
    """Evaluate a kernel on the blocks of a bundle; load the next block meanwhile."""
    began = time.perf_counter()
    reading: list[Cost] = []
    cached = bundle.cache_nbytes > 0 and bundle.blocks.read_again

    def load(number: int) -> Any:
        if block_cache.has_ended(bundle.fit):
            # The fit was interrupted. Dask cancels tasks, but cannot stop one that is running.
            raise CancelledError(f"The fit has ended before block {bundle.indices[number]}.")
        block, cost = _load(bundle, bundle.indices[number], keep and cached)
        reading.append(cost)
        return block

    def reduce(take: Callable[[], Any]) -> Partial:
        def evaluate(position: int) -> Partial:
            block = take()
            number = bundle.indices[position - bundle.start]
            partial = kernel.of_block(number)(block, parameters)
            if not kernel.is_finite(partial):
                bundle.blocks.diagnose(number, block)
            if counter is not None and counter.listens:
                counter.add(1)
            return partial

        # NumPy's warnings are off: every partial is checked for overflow and NaN, and that error
        # names the row. `errstate` applies to one thread: here, the thread that evaluates.
        with np.errstate(all="ignore"):
            return reduce_range(evaluate, kernel.combine, bundle.start, bundle.stop)

    n_blocks = bundle.stop - bundle.start
    # Blocks of arrays in memory are views: loading them takes no time.
    stream = load_between if bundle.blocks.in_memory else load_ahead
    with single_threaded_blas, nullcontext() if bundle.blocks.in_memory else reusing_memory():
        partial, waited = stream(load, n_blocks, reduce)
    seconds = time.perf_counter() - began
    task = Cost(n_tasks=1, n_blocks=n_blocks, seconds=seconds, waited=waited)
    return BundleResult(partial, total(task, *reading))


def _load(bundle: Bundle, index: int, keep: bool) -> tuple[Any, Cost]:
    key = bundle.blocks.token, index
    block = block_cache.get(bundle.fit, key) if bundle.features else None
    if block is not None:
        return block, Cost(cache_hits=1)
    block, cost = timed_load(bundle.blocks, index, features=bundle.features)
    if keep and bundle.features:
        keep_block(bundle.fit, key, block, bundle.cache_nbytes)
    return block, cost


def timed_load(blocks: BlockSequence, index: int, *, features: bool = True) -> tuple[Any, Cost]:
    """Load a block; return it and the cost of loading."""
    began, decoded = time.perf_counter(), decoding_seconds()
    block = blocks.load(index, features=features)
    return block, Cost(
        bytes_read=block.nbytes,
        loaded=time.perf_counter() - began,
        decoded=decoding_seconds() - decoded,
    )
