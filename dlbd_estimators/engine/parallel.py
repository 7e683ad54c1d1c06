"""Independent calculations of this process on several threads, such as those of a solver's step.

Most of their time must be in calls of NumPy on large arrays, which let other threads run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import dask.config
from dask.base import get_scheduler
from dask.system import CPU_COUNT

Item = TypeVar("Item")
Result = TypeVar("Result")


def call_in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call a function for each item, and return the results in the order of the items.

    The results do not depend on the number of threads. It is that of Dask's own threaded scheduler:
    the configuration ``num_workers``, or else the number of CPUs that this process may use; and one
    with Dask's synchronous scheduler.

    Parameters
    ----------
    function : callable
        Called on several threads at once, so it must not change what other calls use.
    items : iterable
        The arguments.
    """
    arguments = list(items)
    synchronous = getattr(get_scheduler(), "__name__", "") == "get_sync"
    n_threads = 1 if synchronous else dask.config.get("num_workers", None) or CPU_COUNT
    n_threads = min(n_threads, len(arguments))
    if n_threads < 2:
        return [function(argument) for argument in arguments]
    # NumPy's handling of overflows is part of the context, which threads do not inherit.
    contexts = [copy_context() for _ in arguments]
    with ThreadPoolExecutor(n_threads, "step") as pool:
        futures = [
            pool.submit(context.run, function, argument)
            for context, argument in zip(contexts, arguments, strict=True)
        ]
        return [future.result() for future in futures]
