"""One bundle of a pass: the work of one task, wherever it is run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import numpy as np

from dlbd_estimators.blocks import Blocks
from dlbd_estimators.execution.blas import single_threaded_blas
from dlbd_estimators.execution.cache import block_cache
from dlbd_estimators.execution.cost import Cost, decoding_seconds
from dlbd_estimators.execution.reduce import reduce_range
from dlbd_estimators.objectives.kernels import Block, Kernel

Partial = TypeVar("Partial")


@dataclass
class BundleResult(Generic[Partial]):
    """The partial of a bundle, and what it cost."""

    partial: Partial
    cost: Cost


@dataclass(frozen=True)
class Bundle:
    """Consecutive positions ``start..stop`` of a pass, with what reading them needs.

    Plain attributes of an opaque object: a scheduler that looked into it would take
    the graphs of the blocks for dependencies of the task.

    Parameters
    ----------
    fit : str
        Whose blocks they are, for the cache.
    blocks : Blocks
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
    blocks: Blocks
    indices: Sequence[int]
    start: int
    stop: int
    features: bool
    cache_nbytes: int
    home: str | None = None


def run_bundle(
    bundle: Bundle,
    kernel: Kernel[Partial],
    parameters: Any,
    *,
    keep: bool = True,
) -> BundleResult[Partial]:
    """Stream the blocks of a bundle through a kernel, reading one ahead."""
    began = time.perf_counter()
    reader = _Reader(bundle, keep and bundle.cache_nbytes > 0)

    def evaluate(position: int) -> Partial:
        index = bundle.indices[position - bundle.start]
        block = reader.take(position)
        partial = kernel(block, parameters)
        if not kernel.is_finite(partial):
            bundle.blocks.diagnose(index, block)
        return partial

    # Overflow and NaN are looked for in every partial, and then named; a warning would not.
    with single_threaded_blas, np.errstate(all="ignore"), reader:
        partial = reduce_range(evaluate, kernel.combine, bundle.start, bundle.stop)
    cost = replace(
        reader.cost,
        n_tasks=1,
        n_blocks=bundle.stop - bundle.start,
        seconds=time.perf_counter() - began,
    )
    return BundleResult(partial, cost)


class _Reader:
    """Hands out the blocks of a bundle in order while the next one is being loaded."""

    def __init__(self, bundle: Bundle, keep: bool) -> None:
        self._bundle = bundle
        self._keep = keep
        self._ahead: dict[int, Future[tuple[Block, Cost]]] = {}
        # Arrays in memory are views: there is nothing to wait for.
        self._pool = None if bundle.blocks.in_memory else ThreadPoolExecutor(1, "prefetch")
        #: Complete once the bundle is done: no block is being loaded then.
        self.cost = Cost()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def take(self, position: int) -> Block:
        began = time.perf_counter()
        pending = self._ahead.pop(position, None)
        block, cost = self._load(position) if pending is None else pending.result()
        self.cost += replace(cost, waited=time.perf_counter() - began)
        if self._pool is not None and position + 1 < self._bundle.stop:
            self._ahead[position + 1] = self._pool.submit(self._load, position + 1)
        return block

    def _load(self, position: int) -> tuple[Block, Cost]:
        bundle = self._bundle
        index = bundle.indices[position - bundle.start]
        block = block_cache.get(bundle.fit, index) if bundle.features else None
        if block is not None:
            return block, Cost(cache_hits=1)
        block, cost = timed_load(bundle.blocks, index, features=bundle.features)
        if self._keep and bundle.features:
            block_cache.put(bundle.fit, index, block, bundle.cache_nbytes)
        return block, cost


def timed_load(blocks: Blocks, index: int, *, features: bool = True) -> tuple[Block, Cost]:
    """Load a block, and tell what that took."""
    began, decoded = time.perf_counter(), decoding_seconds()
    block = blocks.load(index, features=features)
    return block, Cost(
        bytes_read=block.nbytes,
        loaded=time.perf_counter() - began,
        decoded=decoding_seconds() - decoded,
    )
