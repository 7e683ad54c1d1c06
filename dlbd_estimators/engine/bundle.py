"""One bundle of a pass: the work of one task, wherever it is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.cache import block_cache, keep_block
from dlbd_estimators.engine.cost import Cost, decoding_seconds
from dlbd_estimators.engine.read_ahead import load_ahead, load_between
from dlbd_estimators.engine.reduction_tree import reduce_range
from dlbd_estimators.kernels.kernel import PassKernel

Partial = TypeVar("Partial")


@dataclass
class BundleResult(Generic[Partial]):
    """The partial of a bundle, and what it cost."""

    partial: Partial
    cost: Cost


@dataclass(frozen=True)
class Bundle:
    """Consecutive positions ``start..stop`` of a pass, with all that is needed to read them.

    This is an opaque object with plain attributes. In a dict or a list, the scheduler would find
    the graphs of the blocks and take them for dependencies of the task.

    Parameters
    ----------
    fit : str
        Whose blocks they are, for the cache.
    blocks : BlockSequence
        Can read the blocks named below.
    indices : sequence of int
        Block of each position of the pass.
    start, stop : int
        The node of the tree this bundle is.
    features : bool
        Whether the kernel needs X.
    cache_nbytes : int
        Budget of the process's cache; 0 keeps nothing.
    home : str or None
        Address of the worker that may keep its blocks; elsewhere they are only used.
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
) -> BundleResult[Partial]:
    """Stream the blocks of a bundle through a kernel, reading one ahead."""
    began = time.perf_counter()
    reading = Cost()
    cached = bundle.cache_nbytes > 0 and bundle.blocks.read_again

    def load(number: int) -> Any:
        nonlocal reading
        if block_cache.has_ended(bundle.fit):
            # The fit was interrupted. Dask cancels tasks, but cannot stop one that is running.
            raise CancelledError(f"The fit has ended before block {bundle.indices[number]}.")
        block, cost = _load(bundle, bundle.indices[number], keep and cached)
        reading += cost
        return block

    def reduce(take: Callable[[], Any]) -> Partial:
        def evaluate(position: int) -> Partial:
            block = take()
            number = bundle.indices[position - bundle.start]
            partial = kernel.of_block(number)(block, parameters)
            if not kernel.is_finite(partial):
                bundle.blocks.diagnose(number, block)
            return partial

        # Every partial is checked for overflow and NaN, and the error names the row; a warning
        # would not. This is a setting of the thread that works, not of the one that reads.
        with np.errstate(all="ignore"):
            return reduce_range(evaluate, kernel.combine, bundle.start, bundle.stop)

    n_blocks = bundle.stop - bundle.start
    # Blocks of arrays in memory are views: loading them takes no time.
    stream = load_between if bundle.blocks.in_memory else load_ahead
    with single_threaded_blas:
        partial, waited = stream(load, n_blocks, reduce)
    seconds = time.perf_counter() - began
    cost = replace(reading, n_tasks=1, n_blocks=n_blocks, seconds=seconds, waited=waited)
    return BundleResult(partial, cost)


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
