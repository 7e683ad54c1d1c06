"""What work on blocks cost: counted in tasks, added up over a fit."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Cost:
    """What a task took, or several together.

    Attributes
    ----------
    n_tasks : int
        Bundles of passes, or turns of replicas.
    n_blocks : int
        Blocks taken.
    cache_hits : int
        Of these, found in the cache.
    bytes_read : int
        Decoded bytes of those that were loaded.
    seconds : float
        Of the threads that worked on the tasks.
    waited : float
        Of these, seconds in which there was no block to work on.
    loaded : float
        Seconds of loading blocks, ahead and beside the work on others.
    decoded : float
        Of these, seconds of decoding, where the data come from a store that tells.
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
        """Divide the seconds into work, and waiting for blocks to be read or decoded.

        What is loaded ahead, beside the work on another block, takes none of them.
        """
        # A part is no larger than the whole, however clocks and differences are rounded.
        decoding = min(self.decoded / self.loaded, 1.0) if self.loaded else 0.0
        waited = min(self.waited, self.seconds)
        return {
            "read": waited * (1.0 - decoding),
            "decode": waited * decoding,
            "compute": self.seconds - waited,
        }

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(Cost)))


@dataclass(frozen=True)
class TotalCost:
    """What an executor has spent since it was made.

    Attributes
    ----------
    cost : Cost
        Of all tasks together.
    wall : float
        Seconds that passes took, from here.
    joined : float
        Of these, seconds of joining partials here.
    offered : float
        Thread seconds that the workers had meanwhile.
    """

    cost: Cost = Cost()
    wall: float = 0.0
    joined: float = 0.0
    offered: float = 0.0

    def __add__(self, other: TotalCost) -> TotalCost:
        return TotalCost(
            self.cost + other.cost,
            self.wall + other.wall,
            self.joined + other.joined,
            self.offered + other.offered,
        )

    def __sub__(self, other: TotalCost) -> TotalCost:
        return TotalCost(
            self.cost - other.cost,
            self.wall - other.wall,
            self.joined - other.joined,
            self.offered - other.offered,
        )


def decoding_seconds() -> float:
    """Return what this thread has spent on decoding stored chunks, ever."""
    # Blocks may come from anywhere. A store that counts does so in a module of its own, which
    # this package does not import: where it was not loaded, or another thread is only importing
    # it, nothing was decoded. (distributed's context_meter would be the usual way, but a fit in
    # this process must not pay for the import of distributed.)
    decoding = getattr(sys.modules.get("storage.clock"), "decoding", None)
    return 0.0 if decoding is None else float(decoding.seconds)
