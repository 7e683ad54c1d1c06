"""Which workers may take the tasks of a pass, and whether each block has a worker of its own.

Annotations of the user's (``dask.annotate``) reach the scheduler with the tasks, as with any Dask
work. What is worked out here is what they leave to choose: a home for each block where every
worker may take any task, or where the user prefers some workers and forbids none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlbd_estimators.engine.reduction_tree import nodes

#: What the scheduler knows of workers, by address.
Workers = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Placement:
    """Where the tasks of a pass may run.

    Attributes
    ----------
    workers : dict
        The workers that tasks are meant for; what the scheduler knows of each, by address.
    homes : bool
        Tasks may be given a preferred worker among these, and leave to run on any other. If not,
        the user's own restrictions decide, and a preference of ours would take their place.
    """

    workers: Workers
    homes: bool


def place(workers: Workers, annotations: Mapping[str, Any]) -> Placement:
    """Apply the user's annotations to the workers of a cluster.

    Parameters
    ----------
    workers : dict
        All workers, by address.
    annotations : mapping
        That are in force: ``workers``, ``allow_other_workers`` and ``resources`` count.
    """
    names, loose, resources = (
        annotations.get(name) for name in ("workers", "allow_other_workers", "resources")
    )
    if callable(names) or callable(loose) or callable(resources):
        # They give each task what its key asks for: that is not known before.
        return Placement(workers, homes=False)
    able = {
        address: worker
        for address, worker in workers.items()
        if _has(worker.get("resources") or {}, resources or {})
    }
    if not names:
        return Placement(able, homes=not resources)
    named = {
        address: worker for address, worker in able.items() if _is_named(address, worker, names)
    }
    if loose:
        return Placement(named or able, homes=not resources)
    if not named and any(":" in str(name) for name in names):
        # The scheduler looks up the names of hosts, which this process may know by others.
        return Placement(able, homes=False)
    return Placement(named, homes=False)


def limits(annotations: Mapping[str, Any]) -> str:
    """Say which workers the user's annotations leave, for errors; nothing where they leave all."""
    chosen = {name: annotations[name] for name in ("workers", "resources") if annotations.get(name)}
    return f" that may take tasks annotated with {chosen}" if chosen else ""


def homes_of(n_blocks: int, depth: int, workers: Workers) -> list[str]:
    """Assign each block to a worker: whole bundles, in order, by number of threads."""
    slots = [address for address, worker in workers.items() for _ in range(worker["nthreads"])]
    ranges = nodes(n_blocks, depth)
    if not slots:
        return []
    return [
        slots[number * len(slots) // len(ranges)]
        for number, (start, stop) in enumerate(ranges)
        for _ in range(start, stop)
    ]


def _has(resources: Mapping[str, float], required: Mapping[str, float]) -> bool:
    return all(resources.get(name, -1) >= amount for name, amount in required.items())


def _is_named(address: str, worker: Mapping[str, Any], names: Any) -> bool:
    known = (address, address.rpartition("://")[2], worker.get("name"), worker.get("host"))
    return any(name in known for name in names)
