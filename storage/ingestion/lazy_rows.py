"""The rows of a partition, which are read inside the task that uses them.

If reading were a task of its own, its result would wait in memory for the next task, and a worker
reads the next partition meanwhile. So each thread would need memory for two partitions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from dask.delayed import Delayed, delayed

__all__ = ["LazyRows"]


@dataclass(frozen=True)
class LazyRows:
    """The rows of a partition that has not been read.

    Attributes
    ----------
    read : callable
        Returns the rows, as :class:`~storage.ingestion.rows.Rows` or
        :class:`~storage.ingestion.checked_rows.CleanRows`. Its arguments are the values of
        `inputs`.
    inputs : tuple of Delayed
        The values that tasks compute first, such as a partition of a Dask DataFrame.
    quick : bool
        Whether reading takes little time, so that several tasks may read the same rows.
    """

    read: Callable[..., Any]
    inputs: tuple[Delayed, ...] = ()
    quick: bool = False

    def then(self, function: Callable[[Any], Any]) -> LazyRows:
        """Return the rows that a function makes of these rows."""
        return LazyRows(partial(_composed, function, self.read), self.inputs)

    def task(
        self, function: Callable[..., Any], first: Delayed, key: tuple[str | int, ...]
    ) -> Delayed:
        """Return the task that reads the rows and uses them.

        Parameters
        ----------
        function : callable
            Called with the value of `first` and with the rows.
        first : Delayed
            A value that all partitions share.
        key : tuple of str and int
            Name of the task.
        """
        use = delayed(partial(_used, function, self.read), traverse=False)
        task: Delayed = use(first, *self.inputs, dask_key_name=key)
        return task

    def reading(self, key: tuple[str | int, ...]) -> Delayed:
        """Return a task, named `key`, that only reads the rows."""
        read = delayed(self.read, traverse=False)
        task: Delayed = read(*self.inputs, dask_key_name=key)
        return task


def _composed(function: Callable[[Any], Any], read: Callable[..., Any], *inputs: Any) -> Any:
    return function(read(*inputs))


def _used(function: Callable[..., Any], read: Callable[..., Any], first: Any, *inputs: Any) -> Any:
    return function(first, read(*inputs))
