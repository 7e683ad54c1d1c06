"""Check that a cluster can run passes: it is encrypted if it must be, has workers, and packages.

All is checked before the first task is sent. Otherwise Dask would hold tasks for ever if there is
no worker for them. And a worker that cannot unpickle a task drops its connection to the scheduler,
connects again, and receives the same task again.
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import cloudpickle
from dask import get_annotations

from dlbd_estimators.engine.encryption import check_encryption
from dlbd_estimators.engine.placement import Placement, Workers, limits, place
from dlbd_estimators.engine.waits import Wait
from dlbd_estimators.engine.watch import address, check_connection
from dlbd_estimators.exceptions import MissingPackage, NoWorkers

if TYPE_CHECKING:
    from distributed import Client

#: Seconds between two searches for a new worker.
_LOOK_EVERY = 0.1
#: Seconds to wait for the workers' answers whether they have the packages. Other work may block a
#: worker's event loop: a worker that has not answered is assumed to have them.
_PATIENCE = 8.0
#: The package that every worker needs. It imports its own dependencies.
PACKAGE = frozenset({"dlbd_estimators"})
_SCHEDULER = "the scheduler"

#: Modules that workers and scheduler are known to have, by address: each is asked once.
_known: WeakKeyDictionary[Client, dict[str, set[str]]] = WeakKeyDictionary()

logger = logging.getLogger(__name__)

# Sent as text: a function of this package could not be unpickled where the package is missing.
_IMPORT = """
import importlib
errors = []
for name in {names!r}:
    try:
        importlib.import_module(name)
    except Exception as error:
        errors.append(f"{{name}} ({{type(error).__name__}}: {{error}})")
if errors:
    raise ImportError(", ".join(errors))
"""


def find_ready_workers(
    client: Client, modules: Iterable[str] = PACKAGE, work: str = ""
) -> Placement:
    """Find the workers that may take our tasks, and check that they can import what tasks need.

    Parameters
    ----------
    client : distributed.Client
        A client of the cluster.
    modules : iterable of str, optional
        Modules that tasks import.
    work : str, optional
        The last work on this cluster, for the error.

    Raises
    ------
    UnencryptedCluster
        The Dask configuration requires encryption, and the cluster has none.
    NoWorkers
        There is no such worker, and none came in time.
    MissingPackage
        Workers or the scheduler cannot import some of the modules.
    """
    check_encryption(address(client))
    annotations = get_annotations()

    def find() -> Placement:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        return place(dict(sorted(workers.items())), annotations)

    placement = wait_for_workers(client, find, annotations, work)
    check_encryption(address(client), placement.workers)
    check_packages(client, placement.workers, modules)
    return placement


def wait_for_workers(
    client: Client, find: Callable[[], Placement], annotations: Mapping[str, Any], work: str = ""
) -> Placement:
    """Find the workers that may take our tasks; wait for one if there is none.

    The Dask configuration sets the longest wait ("30 s", or a number of seconds):
    ``dlbd-estimators.wait-for-workers`` before the first pass, later
    ``dlbd-estimators.wait-for-lost-workers``.

    Parameters
    ----------
    client : distributed.Client
        A client of the cluster.
    find : callable
        Returns the workers that may take our tasks now.
    annotations : mapping
        The annotations in force around the fit, for the message.
    work : str, optional
        The last work on this cluster, for the error.

    Raises
    ------
    NoWorkers
        No worker has come in time.
    ClusterError
        The client has lost the scheduler.
    """
    check_connection(client, work or "the search for workers")
    placement = find()
    if placement.workers:
        return placement
    wait = Wait.LOST_WORKERS if work else Wait.WORKERS
    seconds = wait.seconds()
    # An adaptive cluster starts workers when there are tasks for them.
    wanted = client.submit(int, key=f"dlbd-estimators-wants-a-worker-{uuid.uuid4().hex}")
    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY)
            check_connection(client, work or "the search for workers")
            placement = find()
            if placement.workers:
                return placement
    finally:
        client.cancel([wanted], force=True)
    done = f" after {work}" if work else ""
    raise NoWorkers(
        f"The cluster at {address(client)} has no worker{limits(annotations)}{done}, and none "
        f"has come in {seconds:g} s. {wait.advice()}"
    )


def check_packages(client: Client, workers: Workers, modules: Iterable[str] = PACKAGE) -> None:
    """Check that workers and scheduler can import some modules; ask each only once.

    Raises
    ------
    MissingPackage
        Some modules cannot be imported. The error names them, and where they are missing.
    """
    needed = set(modules)
    known = _known.setdefault(client, {})
    new = [process for process in (_SCHEDULER, *workers) if not needed <= known.get(process, set())]
    if not new:
        return
    errors = _ask(client, new, _IMPORT.format(names=sorted(needed)))
    if errors:
        where = "; ".join(f"{process}: {error}" for process, error in sorted(errors.items()))
        raise MissingPackage(
            f"Modules that tasks need cannot be imported on the cluster at "
            f"{address(client)}. {where}. Install the same packages there as here, "
            f"in the same versions."
        )
    for process in new:
        known.setdefault(process, set()).update(needed)


def _ask(client: Client, addresses: list[str], code: str) -> dict[str, ImportError]:
    """Run code that imports modules; return the import errors by the address of the process."""

    async def ask(asked: list[str]) -> dict[str, Any]:
        if asked == [_SCHEDULER]:
            try:
                await client.run_on_scheduler(exec, code, {})
            except ImportError as error:
                return {_SCHEDULER: error}
            except Exception:
                logger.debug("The scheduler runs no code of clients", exc_info=True)
            return {}
        answers: dict[str, Any] = await client.run(exec, code, {}, workers=asked, on_error="return")
        return answers

    async def ask_all(groups: list[list[str]]) -> list[dict[str, Any] | None]:
        """Ask groups at the same time; None for a group that did not answer completely in time."""
        tasks = [asyncio.ensure_future(ask(group)) for group in groups]
        await asyncio.wait(tasks, timeout=_PATIENCE)
        for task in tasks:
            task.cancel()
        return [
            task.result() if task.done() and not task.cancelled() and not task.exception() else None
            for task in tasks
        ]

    workers = [address for address in addresses if address != _SCHEDULER]
    groups = [group for group in ([_SCHEDULER] * (len(workers) < len(addresses)), workers) if group]
    answers: dict[str, Any] = {}
    silent: list[str] = []
    for group, found in zip(groups, client.sync(ask_all, groups), strict=True):
        answers.update(found or {})
        silent += group if found is None and len(group) > 1 else []
    if silent:
        # A worker that does not answer must not hide the answers of the others.
        for found in client.sync(ask_all, [[address] for address in silent]):
            answers.update(found or {})
    return {process: error for process, error in answers.items() if isinstance(error, ImportError)}


class _ModuleFinder(cloudpickle.Pickler):
    """A pickler that notes the modules of classes and functions that it pickles by name."""

    def __init__(self) -> None:
        # The bytes of arrays are not pickled, to save time: they name no module.
        super().__init__(io.BytesIO(), protocol=5, buffer_callback=lambda _: None)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        reduced = super().reducer_override(obj)
        # Objects that cloudpickle reduces itself are pickled by value, and need no module.
        if reduced is NotImplemented and isinstance(obj, (type, FunctionType, BuiltinFunctionType)):
            self.modules.add(str(obj.__module__))
        return reduced


def modules_of(anything: Any) -> frozenset[str]:
    """Return the modules that unpickling an object imports, except those that all workers have."""
    finder = _ModuleFinder()
    try:
        finder.dump(anything)
    except Exception:
        # An object that cannot be pickled cannot be sent: sending it will raise the error.
        logger.debug("The modules of a task are not known", exc_info=True)
        return PACKAGE
    everywhere = {*sys.stdlib_module_names, "__main__", "__mp_main__", "cloudpickle", "distributed"}
    return PACKAGE | {name for name in finder.modules if name.split(".")[0] not in everywhere}
