"""The cost of work on blocks: measured in each task, added up over a fit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import add, sub


@dataclass(frozen=True)
class Cost:
    """The cost of one task, or of several together.

    Attributes
    ----------
    n_tasks : int
        Number of bundles of passes, or of trainings of replicas in a round.
    n_blocks : int
        Number of blocks that were used.
    cache_hits : int
        Number of these blocks that were found in the cache.
    bytes_read : int
        Decoded bytes of the blocks that were loaded.
    seconds : float
        Seconds of all threads that worked on the tasks, added together.
    waited : float
        The part of ``seconds`` in which there was no block to work on.
    loaded : float
        Seconds of loading blocks, including those while another thread worked on the block before.
    decoded : float
        The part of ``loaded`` that was decoding, if the store of the data counts it.
    """

    n_tasks: int = 0
    n_blocks: int = 0
    cache_hits: int = 0
    bytes_read: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    loaded: float = 0.0
    decoded: float = 0.0

    def phases(self) -> dict[str, float]:
        """Return the seconds of each phase: waiting for blocks to be read or decoded, and work.

        Loading that overlaps with the work on another block counts as work.
        """
        # Clocks are rounded: make sure that no part is larger than the whole.
        decoding = min(self.decoded / self.loaded, 1.0) if self.loaded else 0.0
        waited = min(self.waited, self.seconds)
        return {
            "read": waited * (1.0 - decoding),
            "decode": waited * decoding,
            "compute": self.seconds - waited,
        }

    def __add__(self, other: Cost) -> Cost:
        return self._combined(add, other)

    def __sub__(self, other: Cost) -> Cost:
        return self._combined(sub, other)

    def _combined(self, operation: Callable[[float, float], float], other: Cost) -> Cost:
        # `dataclasses.fields` would take several times as long, for every block of every pass.
        return Cost(*map(operation, vars(self).values(), vars(other).values()))  # type: ignore[arg-type]


def total(*costs: Cost) -> Cost:
    """Return the cost of one or more tasks together."""
    # Without the field-by-field additions of `sum`, which take longer than an empty pass.
    if len(costs) == 1:
        return costs[0]
    return Cost(*map(sum, zip(*(vars(cost).values() for cost in costs), strict=True)))


@dataclass(frozen=True)
class TotalCost:
    """The cost of all passes and rounds of an executor.

    Attributes
    ----------
    cost : Cost
        Cost of all tasks together.
    wall : float
        Seconds that passes took, measured in this process.
    joined : float
        The part of ``wall`` in which this process joined partials.
    thread_seconds_available : float
        Seconds of all threads of all workers while tasks ran, whether they worked or not.
    """

    cost: Cost = Cost()
    wall: float = 0.0
    joined: float = 0.0
    thread_seconds_available: float = 0.0

    def __add__(self, other: TotalCost) -> TotalCost:
        return TotalCost(
            self.cost + other.cost,
            self.wall + other.wall,
            self.joined + other.joined,
            self.thread_seconds_available + other.thread_seconds_available,
        )

    def __sub__(self, other: TotalCost) -> TotalCost:
        return TotalCost(
            self.cost - other.cost,
            self.wall - other.wall,
            self.joined - other.joined,
            self.thread_seconds_available - other.thread_seconds_available,
        )


def decoding_seconds() -> float:
    """Return the seconds that this thread has spent on decoding stored chunks since it began."""
    # The package `storage` counts these seconds in one of its modules. This package does not import
    # it, because blocks may come from other sources. If that module is not loaded, or another
    # thread is still importing it, nothing was decoded. (The usual way is distributed's
    # context_meter, but a fit in this process must not pay for the import of distributed.)
    decoding = getattr(sys.modules.get("storage.clock"), "decoding", None)
    return 0.0 if decoding is None else float(decoding.seconds)
