"""Passes on a Dask cluster.

Each bundle is one task that carries its blocks' graphs and the parameters; nothing is
scattered, so whatever a dead worker held can be made again from the tasks alone. A
bundle prefers the worker that cached its blocks and may run on any other.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import dask.config
from dask.utils import key_split
from distributed import Client, Future, KilledWorker, as_completed, get_worker, wait
from distributed.metrics import context_meter

from dlbd_estimators.blocks import Blocks
from dlbd_estimators.exceptions import WorkersLost
from dlbd_estimators.execution.base import Executor, bundle_depth, cache_share
from dlbd_estimators.execution.bundle import Bundle, BundleResult, run_bundle
from dlbd_estimators.execution.cache import block_cache
from dlbd_estimators.execution.reduce import nodes, split
from dlbd_estimators.execution.turns import Turn, TurnResult, run_turn
from dlbd_estimators.objectives.kernels import Kernel
from dlbd_estimators.objectives.learner import Learner

Partial = TypeVar("Partial")
Result = TypeVar("Result", BundleResult[Any], TurnResult)
Node = tuple[int, int]

#: How often a block is read alone after workers that read it beside others died: a death
#: marks all tasks of its worker, so that a block may be suspected for another's fault.
_BLOCK_ATTEMPTS = 3


class ClusterExecutor(Executor):
    """Runs bundles on the workers of a client's cluster.

    Parameters
    ----------
    client : distributed.Client
        The client that was active when the fit began; also an attribute.
    """

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self._workers: dict[str, Any] = {}
        self._n_passes = 0
        self._spans: dict[str, dict[str, Any]] = {}

    def close(self) -> None:
        self._forget_cached_blocks()

    def memory(self) -> tuple[int, int] | None:
        limits = [
            (worker["memory_limit"], worker["nthreads"])
            for worker in self._live_workers().values()
            if worker["memory_limit"]
        ]
        return min(limits, key=lambda pair: pair[0] / pair[1]) if limits else None

    def _run(
        self,
        kernel: Kernel[Partial],
        parameters: Any,
        blocks: Blocks,
        indices: Sequence[int],
        name: str,
        features: bool,
    ) -> dict[Node, BundleResult[Partial]]:
        workers = self._crew()
        depth = bundle_depth(sum(worker["nthreads"] for worker in workers.values()))
        homes = _homes(blocks.n_blocks, depth, workers)
        if blocks.loader.remote_inputs(indices[:1]):
            # Chunks that lie on the workers are inputs of a task: one block a task, so
            # that the scheduler moves the task to the chunk and never gathers a bundle.
            depth = len(indices).bit_length()
        self._n_passes += 1
        prefix = f"{name}-{self._fit[:8]}-{self._n_passes}"

        def submit(node: Node, attempt: int = 0) -> Future[Any]:
            chosen = list(indices[slice(*node)])
            home = homes[chosen[0]] if homes else None
            budget = int(cache_share() * workers[home]["memory_limit"]) if home else 0
            bundle = Bundle(
                self._cache_name(), blocks.select(chosen), chosen, *node, features, budget, home
            )
            inputs = bundle.blocks.loader.remote_inputs(chosen)
            if inputs:
                bundle = replace(bundle, blocks=_with_inputs(bundle.blocks, dict.fromkeys(inputs)))
            anywhere = home is None or bool(inputs)
            with dask.annotate(span=self._span(name)):
                return self.client.submit(
                    _run_on_worker,
                    bundle,
                    kernel,
                    parameters,
                    list(inputs),
                    list(inputs.values()),
                    key=f"{prefix}-{node[0]}-{node[1]}-{attempt}",
                    workers=None if anywhere else [home],
                    allow_other_workers=not anywhere,
                    pure=False,
                )

        def where(node: Node) -> str:
            return blocks.where(indices[node[0]])

        return self._collect(submit, nodes(len(indices), depth), where)

    def crew(self) -> tuple[int, int]:
        workers = self._workers or self._live_workers()
        return len(workers), sum(worker["nthreads"] for worker in workers.values())

    def _run_turns(self, turns: Sequence[Turn], learner: Learner, name: str) -> list[TurnResult]:
        # Every worker takes replicas in turn, whatever its number of threads: what the others
        # lack most is memory for the rows in hand.
        addresses = list(self._crew())
        self._n_passes += 1
        prefix = f"{name}-{self._fit[:8]}-{self._n_passes}"

        def submit(node: Node, attempt: int = 0) -> Future[Any]:
            turn = turns[node[0]]
            turn = replace(turn, blocks=turn.blocks.select(turn.indices))
            inputs = turn.blocks.loader.remote_inputs(turn.indices)
            if inputs:
                turn = replace(turn, blocks=_with_inputs(turn.blocks, dict.fromkeys(inputs)))
            anywhere = not addresses or bool(inputs)
            # A replica travels inside its task, so that the round can be played again wherever
            # a worker is left; Dask's advice against large tasks is for what could be loaded.
            with (
                dask.config.set({"distributed.admin.large-graph-warning-threshold": "1PB"}),
                dask.annotate(span=self._span(name)),
            ):
                return self.client.submit(
                    _turn_on_worker,
                    turn,
                    learner,
                    list(inputs),
                    list(inputs.values()),
                    key=f"{prefix}-replica-{turn.number}-{attempt}",
                    workers=None if anywhere else [addresses[turn.number % len(addresses)]],
                    allow_other_workers=not anywhere,
                    pure=False,
                )

        def where(node: Node) -> str:
            turn = turns[node[0]]
            return f"the blocks {turn.indices} of replica {turn.number}"

        ranges = [(number, number + 1) for number in range(len(turns))]
        results = self._collect(submit, ranges, where)
        return [results[node] for node in ranges]

    def _collect(
        self,
        submit: Callable[..., Future[Any]],
        ranges: list[Node],
        where: Callable[[Node], str],
    ) -> dict[Node, Any]:
        """Gather the results of tasks; send out again those whose workers died."""
        pending = {submit(node): node for node in ranges}
        suspects: list[Node] = []
        results: dict[Node, Any] = {}
        completed = as_completed(list(pending), with_results=True, raise_errors=False)
        try:
            for future, outcome in completed:
                node = pending.pop(future)
                if future.status == "finished":
                    results[node] = outcome
                elif not _killed(future):
                    future.result()  # raises the task's own error, or its cancellation
                elif node[1] - node[0] == 1:
                    suspects.append(node)
                else:
                    for part in split(*node):
                        again = submit(part, attempt=1)
                        pending[again] = part
                        completed.add(again)
            for node in suspects:
                results[node] = self._alone(submit, node, where(node))
        finally:
            if pending:
                self.client.cancel(list(pending), force=True)
        return results

    def _alone(self, submit: Callable[..., Future[Any]], node: Node, where: str) -> Any:
        """Run one block while nothing else runs that could have killed its worker."""
        for attempt in range(_BLOCK_ATTEMPTS):
            future = submit(node, attempt=2 + attempt)
            wait(future)
            if not _killed(future):
                return future.result()
        raise WorkersLost(
            f"Workers died whenever they read {where}, also while they did nothing else. Is it "
            f"too large for a worker's memory, or does reading it crash the process? The "
            f"workers' logs tell more."
        ) from future.exception()

    def _crew(self) -> dict[str, Any]:
        """Return the workers of the next pass."""
        workers = self._live_workers()
        if list(workers) != list(self._workers):
            # Blocks have new homes: what is cached in the old ones would only take room.
            self._forget_cached_blocks()
        self._workers = workers
        return workers

    def _span(self, name: str) -> dict[str, Any]:
        """Return the annotation by which Dask's performance pages tell kinds of passes apart."""
        kind = key_split(name)
        if kind not in self._spans:
            # One of each kind for the whole fit: the scheduler keeps them all. A span that the
            # user opened goes around it.
            around = dask.get_annotations().get("span") or {"name": (), "ids": ()}
            self._spans[kind] = {
                "name": (*around["name"], kind),
                "ids": (*around["ids"], str(uuid.uuid4())),
            }
        return self._spans[kind]

    def _live_workers(self) -> dict[str, Any]:
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return dict(sorted(workers.items()))

    def _cache_name(self) -> str:
        """Name the cached set: another one for each set of workers."""
        return f"{self._fit}-{hash(tuple(self._workers))}"

    def _forget_cached_blocks(self) -> None:
        if self._workers and self.client.status == "running":
            self.client.run(_drop, self._cache_name(), wait=False, on_error="ignore")


def client_of(scheduler: Any) -> Client | None:
    """Return the client behind the function that Dask would compute with, if there is one."""
    client = getattr(scheduler, "__self__", None)
    return client if isinstance(client, Client) else None


def _homes(n_blocks: int, depth: int, workers: dict[str, Any]) -> list[str]:
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


def _run_on_worker(
    bundle: Bundle, kernel: Kernel[Any], parameters: Any, keys: list[Any], values: list[Any]
) -> BundleResult[Any]:
    if keys:
        inputs = dict(zip(keys, values, strict=True))
        bundle = replace(bundle, blocks=_with_inputs(bundle.blocks, inputs))
    at_home = bundle.home is None or get_worker().address == bundle.home
    return _metered(run_bundle(bundle, kernel, parameters, keep=at_home))


def _killed(future: Future[Any]) -> bool:
    return future.status == "error" and isinstance(future.exception(), KilledWorker)


def _turn_on_worker(turn: Turn, learner: Learner, keys: list[Any], values: list[Any]) -> TurnResult:
    if keys:
        inputs = dict(zip(keys, values, strict=True))
        turn = replace(turn, blocks=_with_inputs(turn.blocks, inputs))
    return _metered(run_turn(turn, learner))


def _metered(result: Result) -> Result:
    """Tell Dask's own performance metrics where the seconds of a task went."""
    for phase, seconds in result.cost.phases().items():
        context_meter.digest_metric(phase, seconds, "seconds")
    return result


def _with_inputs(blocks: Blocks, inputs: dict[Any, Any]) -> Blocks:
    return replace(blocks, loader=blocks.loader.with_inputs(inputs))


async def _drop(fit: str) -> None:
    # A coroutine, because only these can be sent off without waiting for an answer.
    block_cache.drop(fit)
