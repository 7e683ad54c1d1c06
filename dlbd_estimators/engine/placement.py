"""Which workers may take the tasks of a pass, and whether each block has a worker of its own.

The user's annotations (``dask.annotate``) reach the scheduler with the tasks, as with any Dask
work. This module decides what they leave open: each block gets a home (a preferred worker) if every
worker may run any task, or if the user prefers some workers and forbids none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlbd_estimators.engine.reduction_tree import nodes

#: The scheduler's description of each worker, by address.
Workers = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Placement:
    """Where the tasks of a pass may run.

    Attributes
    ----------
    workers : dict
        The workers that tasks are meant for: the scheduler's description of each, by address.
    homes : bool
        Whether a task may get one of these as preferred worker, and permission to run on any other.
        If False, the user's own restrictions apply: a preference would replace them.
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
        The annotations in force; ``workers``, ``allow_other_workers`` and ``resources`` count.
    """
    names, others_allowed, resources = (
        annotations.get(name) for name in ("workers", "allow_other_workers", "resources")
    )
    if callable(names) or callable(others_allowed) or callable(resources):
        # The annotations are functions of a task's key, which is not known yet.
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
    if others_allowed:
        return Placement(named or able, homes=not resources)
    if not named and any(":" in str(name) for name in names):
        # Host names are left to the scheduler: this process may know hosts by other names.
        return Placement(able, homes=False)
    return Placement(named, homes=False)


def limits(annotations: Mapping[str, Any]) -> str:
    """Return words for an error: which workers the annotations allow; empty if they allow all."""
    chosen = {name: annotations[name] for name in ("workers", "resources") if annotations.get(name)}
    return f" that may take tasks annotated with {chosen}" if chosen else ""


def homes_of(n_blocks: int, depth: int, workers: Workers) -> list[str]:
    """Return the home of each block, as the address of a worker.

    All blocks of a bundle have the same home. Workers get consecutive bundles, in proportion to
    their numbers of threads.
    """
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
