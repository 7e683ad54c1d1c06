"""Passes on a Dask cluster.

Each bundle is one task, which carries the graphs of its blocks and the parameters. No data is
scattered to the workers, so the tasks alone can compute again everything that a dead worker held.
A bundle prefers the worker that cached its blocks, and may run on any other. After the first pass,
a task only names the graphs that its worker has kept
(:mod:`~dlbd_estimators.engine.graph_parts`).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import dask.config
from dask.utils import key_split
from distributed import Client, Future, get_worker
from distributed.metrics import context_meter
from distributed.protocol.pickle import dumps

from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.engine.bundle import Bundle, BundleResult, run_bundle
from dlbd_estimators.engine.cache import block_cache
from dlbd_estimators.engine.executor import Executor, bundle_depth, cache_share
from dlbd_estimators.engine.graph_parts import NotKept, Part, SentParts, part_store, read_part
from dlbd_estimators.engine.held_partials import Held, held_if_large, join_held, large_nbytes
from dlbd_estimators.engine.placement import Workers, homes_of
from dlbd_estimators.engine.readiness import (
    PACKAGE,
    find_ready_workers,
    modules_of,
)
from dlbd_estimators.engine.reduction_tree import Node, nodes
from dlbd_estimators.engine.rounds import LocalTraining, TrainedReplica, train_replica
from dlbd_estimators.engine.task_results import gather
from dlbd_estimators.engine.watch import Watch
from dlbd_estimators.kernels.kernel import PassKernel
from dlbd_estimators.kernels.learner import Learner

Partial = TypeVar("Partial")
AnyBlocks = TypeVar("AnyBlocks", bound=BlockSequence)
Result = TypeVar("Result", BundleResult[Any], TrainedReplica)


class ClusterExecutor(Executor):
    """Runs bundles on the workers of a client's cluster.

    Parameters
    ----------
    client : distributed.Client
        The client that was active when the fit began; also an attribute.

    Raises
    ------
    UnencryptedCluster
        The Dask configuration requires encryption, and the cluster has none.
    NoWorkers
        The cluster has no worker that may take a task, and none came in time.
    MissingPackage
        Workers or the scheduler lack this package or one of its dependencies.
    """

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self._n_passes = 0
        self._spans: dict[str, dict[str, Any]] = {}
        self._n_worker_sets = 0
        self._parts = SentParts(dumps)
        #: Modules that workers need to read blocks; before the first pass, only this package.
        self._modules = PACKAGE
        #: The workers that were found last. They are looked up again before each pass.
        self._workers: Workers = find_ready_workers(client).workers

    def close(self) -> None:
        self._forget_cached_blocks()

    def memory(self) -> tuple[int, int] | None:
        limits = [
            (worker["memory_limit"], worker["nthreads"])
            for worker in self._workers.values()
            if worker["memory_limit"]
        ]
        return min(limits, key=lambda pair: pair[0] / pair[1]) if limits else None

    def _run(
        self,
        kernel: PassKernel[Any, Partial],
        parameters: Any,
        blocks: BlockSequence,
        indices: Sequence[int],
        name: str,
        features: bool,
    ) -> dict[Node, BundleResult[Partial]]:
        workers, has_homes = self._workers_and_homes(blocks, indices)
        depth = bundle_depth(sum(worker["nthreads"] for worker in workers.values()))
        homes = homes_of(blocks.n_blocks, depth, workers) if has_homes else []
        # Without homes, any worker caches the blocks it reads: a later pass may find them.
        shared = min(worker["memory_limit"] or 0 for worker in workers.values())
        if blocks.loader.remote_inputs(indices[:1]):
            # Chunks that are on the workers are inputs of tasks. Each task has one block, so that
            # the scheduler runs it where the chunk is, and never gathers the chunks of a bundle.
            depth = len(indices).bit_length()
        ranges = nodes(len(indices), depth)
        large = large_nbytes(len(ranges))
        self._n_passes += 1
        number = f"{self._fit[:8]}-{self._n_passes}"

        def submit(node: Node, attempt: int) -> Future[Any]:
            chosen = indices[slice(*node)]
            home = homes[chosen[0]] if homes else None
            memory = (workers[home]["memory_limit"] or 0) if home else shared
            budget = int(cache_share() * memory)
            if attempt > 0 and home:
                self._parts.forget(blocks, chosen, home)
            keep_part = attempt == 0 and blocks.read_again
            part = self._parts.named(blocks, chosen, home) if keep_part and home else None
            reader, inputs = (blocks, {}) if part else _without_inputs(blocks, chosen)
            if keep_part and home and not (part or inputs):
                part = self._parts.packed(blocks, chosen, reader, home, memory)
            if part:
                reader = blocks.select(())
            bundle = Bundle(self._cache_name(), reader, chosen, *node, features, budget, home)
            # Do not prefer a worker that is the only one or may be gone: if Dask finds no worker at
            # all for a task with a preferred worker, it holds the task until that worker is back.
            anywhere = home is None or bool(inputs) or attempt > 0 or len(workers) == 1
            with dask.annotate(span=self._span(name)):
                return self.client.submit(
                    _run_on_worker,
                    bundle,
                    part,
                    kernel,
                    parameters,
                    large,
                    list(inputs),
                    list(inputs.values()),
                    key=f"{name}-{number}-{node[0]}-{node[1]}-{attempt}",
                    workers=None if anywhere else [home],
                    allow_other_workers=not anywhere,
                    pure=False,
                )

        def join(node: Node, attempt: int, left: Future[Any], right: Future[Any]) -> Future[Any]:
            # Joins run before bundles that have not started, because a join frees memory.
            with dask.annotate(span=self._span(name), **_higher_priority()):
                return self.client.submit(
                    join_held,
                    kernel,
                    left,
                    right,
                    key=f"{key_split(name)}-join-{number}-{node[0]}-{node[1]}-{attempt}",
                    pure=False,
                )

        def where(node: Node) -> str:
            return blocks.where(indices[node[0]])

        results = gather(self.client, submit, ranges, where, self._watch(name), join)
        return {
            node: result.result() if isinstance(result, Held) else result
            for node, result in results.items()
        }

    def capacity(self) -> tuple[int, int]:
        return len(self._workers), sum(worker["nthreads"] for worker in self._workers.values())

    def _run_round(
        self, trainings: Sequence[LocalTraining], learner: Learner, name: str
    ) -> list[TrainedReplica]:
        # A worker trains one replica at a time, whatever its number of threads, because its memory
        # limits the number of rows that it can hold.
        workers, has_homes = self._workers_and_homes(trainings[0].blocks, trainings[0].indices)
        addresses = list(workers) if has_homes else []
        self._n_passes += 1
        prefix = f"{name}-{self._fit[:8]}-{self._n_passes}"

        def submit(node: Node, attempt: int = 0) -> Future[Any]:
            training = trainings[node[0]]
            blocks, carried = training.blocks, list(training.indices)
            home = addresses[training.number % len(addresses)] if addresses else None
            parts: dict[range, Part] = {}
            if home and attempt > 0:
                self._parts.forget_groups(blocks, carried, home)
            elif home and not blocks.loader.remote_inputs(carried):
                memory = workers[home]["memory_limit"] or 0
                parts, carried = self._parts.grouped(blocks, carried, home, memory)
            reader, inputs = _without_inputs(blocks, carried)
            training = replace(training, blocks=reader)
            anywhere = home is None or len(addresses) < 2 or bool(inputs) or attempt > 0
            # A replica is part of its task, so that any remaining worker can repeat the round. Dask
            # warns of large tasks, because a task could load its data; it cannot load a replica.
            with (
                dask.config.set({"distributed.admin.large-graph-warning-threshold": "1PB"}),
                dask.annotate(span=self._span(name)),
            ):
                return self.client.submit(
                    _train_on_worker,
                    training,
                    self._cache_name(),
                    parts,
                    learner,
                    list(inputs),
                    list(inputs.values()),
                    key=f"{prefix}-replica-{training.number}-{attempt}",
                    workers=None if anywhere else [home],
                    allow_other_workers=not anywhere,
                    pure=False,
                )

        def where(node: Node) -> str:
            training = trainings[node[0]]
            return f"the blocks {training.indices} of replica {training.number}"

        ranges = [(number, number + 1) for number in range(len(trainings))]
        results = gather(self.client, submit, ranges, where, self._watch(name))
        return [results[node] for node in ranges]

    def _workers_and_homes(
        self, blocks: BlockSequence, indices: Sequence[int]
    ) -> tuple[Workers, bool]:
        """Return the workers of the next pass, and whether blocks have homes among them."""
        if self._modules is PACKAGE:
            # All blocks of a data set need the same modules. The blocks may come from two joined
            # data sets, so the first and the last block are examined.
            part, _ = _without_inputs(blocks, list({indices[0], indices[-1]}))
            self._modules = modules_of(part)
        work = f"pass {self._n_passes} of the fit" if self._n_passes else ""
        placement = find_ready_workers(self.client, self._modules, work)
        if list(placement.workers) != list(self._workers):
            # Blocks have new homes: the blocks cached at the old homes would waste memory.
            self._forget_cached_blocks()
            self._parts = SentParts(dumps)
            self._n_worker_sets += 1
        self._workers = placement.workers
        return placement.workers, placement.homes

    def _watch(self, name: str) -> Watch:
        """Return an object that watches the tasks of the current pass."""
        work = f"pass {self._n_passes} of the fit ({key_split(name)})"
        return Watch(self.client, dask.get_annotations(), work)

    def _span(self, name: str) -> dict[str, Any]:
        """Return the annotation that separates kinds of passes on Dask's performance pages."""
        kind = key_split(name)
        if kind not in self._spans:
            # The scheduler keeps all spans, so each kind of pass has one span for the whole fit. It
            # is nested in the span that the user has opened, if there is one.
            around = dask.get_annotations().get("span") or {"name": (), "ids": ()}
            self._spans[kind] = {
                "name": (*around["name"], kind),
                "ids": (*around["ids"], str(uuid.uuid4())),
            }
        return self._spans[kind]

    def _cache_name(self) -> str:
        """Return the name under which workers keep blocks: a new one for each set of workers."""
        return f"{self._fit}-{self._n_worker_sets}"

    def _forget_cached_blocks(self) -> None:
        if self._workers and self.client.status == "running":
            self.client.run(_drop, self._cache_name(), wait=False, on_error="ignore")


def client_of(scheduler: Any) -> Client | None:
    """Return the client whose ``get`` Dask would use to compute, if there is one."""
    client = getattr(scheduler, "__self__", None)
    return client if isinstance(client, Client) else None


def _higher_priority() -> dict[str, int]:
    """Return the annotation of a task that should run before the other tasks of a fit."""
    priority = dask.get_annotations().get("priority") or 0
    return {} if callable(priority) else {"priority": priority + 1}


def _run_on_worker(
    bundle: Bundle,
    part: Part | None,
    kernel: PassKernel[Any, Any],
    parameters: Any,
    large: int,
    keys: list[Any],
    values: list[Any],
) -> BundleResult[Any] | Held | NotKept:
    if part is not None:
        blocks = read_part(bundle.fit, part)
        if blocks is None:
            return NotKept()
        bundle = replace(bundle, blocks=bundle.blocks.with_loader_of(blocks))
    if keys:
        inputs = dict(zip(keys, values, strict=True))
        bundle = replace(bundle, blocks=_with_inputs(bundle.blocks, inputs))
    at_home = bundle.home is None or get_worker().address == bundle.home
    return held_if_large(
        _report_seconds(run_bundle(bundle, kernel, parameters, keep=at_home)), large
    )


def _train_on_worker(
    training: LocalTraining,
    fit: str,
    parts: dict[range, Part],
    learner: Learner,
    keys: list[Any],
    values: list[Any],
) -> TrainedReplica | NotKept:
    for indices, part in parts.items():
        blocks = read_part(fit, part)
        if blocks is None:
            return NotKept()
        training.readers.update(dict.fromkeys(indices, training.blocks.with_loader_of(blocks)))
    if keys:
        inputs = dict(zip(keys, values, strict=True))
        training = replace(training, blocks=_with_inputs(training.blocks, inputs))
    return _report_seconds(train_replica(training, learner))


def _report_seconds(result: Result) -> Result:
    """Report the seconds of a task, by phase, to Dask's performance metrics; return its result."""
    for phase, seconds in result.cost.phases().items():
        context_meter.digest_metric(phase, seconds, "seconds")
    return result


def _without_inputs(blocks: AnyBlocks, indices: Sequence[int]) -> tuple[AnyBlocks, dict[Any, Any]]:
    """Return a reader of some blocks without data that is on workers, and that data's futures."""
    part = blocks.select(indices)
    inputs = part.loader.remote_inputs(indices)
    return (_with_inputs(part, dict.fromkeys(inputs)) if inputs else part), inputs


def _with_inputs(blocks: AnyBlocks, inputs: dict[Any, Any]) -> AnyBlocks:
    return blocks.with_loader(blocks.loader.with_inputs(inputs))


async def _drop(fit: str) -> None:
    # A coroutine: Client.run can send only coroutines without waiting for the answer.
    block_cache.drop(fit)
    part_store.drop(fit)
