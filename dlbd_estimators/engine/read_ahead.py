"""Load items in one thread while another thread works on the previous item.

The calling thread loads and a helper thread works, not the other way round. Loading runs the user's
functions. In the thread that Dask gave the task, they may do what any task may do: compute with
Dask, call ``get_worker``, open a client, leave the thread pool. The work does not use Dask.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Semaphore
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Stands for the next item when there are no more.
_END: Any = object()


class _NoMoreItems(Exception):
    """Raised in the working thread when loading has ended early."""


def load_ahead(
    load: Callable[[int], Item], n_items: int, work: Callable[[Callable[[], Item]], Result]
) -> tuple[Result, float]:
    """Load items in this thread while a helper thread works on them, in order.

    Parameters
    ----------
    load : callable
        ``load(number) -> item``, for the numbers 0 to ``n_items - 1``. It is called as soon as the
        previous item was taken. So at most one item waits while the work uses another.
    n_items : int
        Number of items.
    work : callable
        ``work(take) -> result``, where ``take()`` returns the next item. It may end before it has
        taken all items. When it takes an item, it should no longer refer to the previous one.

    Returns
    -------
    tuple of (object, float)
        The result, and the seconds that the work waited for items.

    Raises
    ------
    Exception
        An error of ``load`` or ``work`` ends both. If both fail, the error of the work is raised:
        it is about an earlier item.
    """
    handover = _Handover[Item]()
    with ThreadPoolExecutor(1, "compute") as helper:
        working = helper.submit(handover.work, work)
        try:
            for number in range(n_items):
                if not handover.wait_for_room():
                    break
                handover.give(load(number))
            return working.result(), handover.waited
        except Exception as error:
            handover.give(_END)
            earlier = working.exception()
            if earlier is None or earlier is error or isinstance(earlier, _NoMoreItems):
                raise
            raise earlier from None
        finally:
            # End the work even if this thread was interrupted: leaving the pool waits for it.
            handover.give(_END)


def load_between(
    load: Callable[[int], Item], n_items: int, work: Callable[[Callable[[], Item]], Result]
) -> tuple[Result, float]:
    """Load items and work on them alternately in this thread; otherwise as :func:`load_ahead`."""
    numbers = iter(range(n_items))
    waited = 0.0

    def take() -> Item:
        nonlocal waited
        began = time.perf_counter()
        item = load(next(numbers))
        waited += time.perf_counter() - began
        return item

    return work(take), waited


class _Handover(Generic[Item]):
    """Hands items from the thread that loads to the thread that works, one at a time."""

    def __init__(self) -> None:
        self._items: SimpleQueue[Item] = SimpleQueue()
        self._room = Semaphore(1)
        self._ended = False
        #: Seconds that the working thread has waited for items.
        self.waited = 0.0

    def wait_for_room(self) -> bool:
        """Wait until the last item was taken; return whether the work still takes items."""
        self._room.acquire()
        return not self._ended

    def give(self, item: Item) -> None:
        self._items.put(item)

    def take(self) -> Item:
        began = time.perf_counter()
        item = self._items.get()
        self.waited += time.perf_counter() - began
        if item is _END:
            raise _NoMoreItems
        self._room.release()
        return item

    def work(self, work: Callable[[Callable[[], Item]], Result]) -> Result:
        try:
            return work(self.take)
        finally:
            self._ended = True
            self._room.release()
