"""Measure samples per second: against scikit-learn and PyTorch, out of core, on two workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from distributed import Client
from lines import Table
from mlp_workload import IMAGES, SMALL, WIDE, NetworkWorkload, Problem, Rows
from on_disk import warm_fit
from peers import Peer, PeerWithArrays
from sklearn import neural_network
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_info, threadpool_limits
from timing import flat, in_turns, quotients, spread, timed_fit
from workload import MEMORY, local_workers

import storage

SAMPLES = " samples/s"
#: Networks in memory; the keys are the beginnings of the names of their lines.
SHAPES = {"": IMAGES, "wide-": WIDE, "small-": SMALL}


def speed(model: Any, X: npt.NDArray[Any], y: npt.NDArray[Any], threads: int) -> float:
    """Return the samples per second of a fit in memory."""
    with threadpool_limits(threads):
        fit = timed_fit(model, X, y)
    return len(X) * fit.model.n_iter_ / fit.seconds


def _compared(ours: list[float], sklearn_speed: list[float]) -> str:
    return (
        f"{spread(quotients(ours, sklearn_speed))}; {spread(ours, SAMPLES, ',.0f')} against "
        f"{spread(sklearn_speed, SAMPLES, ',.0f')}"
    )


def _record(
    table: Table, name: str, ours: list[float], sklearn_speed: list[float], note: str = ""
) -> None:
    ratio = float(np.median(quotients(ours, sklearn_speed)))
    table.number(name, ratio, f"{_compared(ours, sklearn_speed)}{note and '; ' + note}")


def _in_memory(
    workload: NetworkWorkload,
    problem: Problem,
    rows: Rows,
    sklearn_speed: Callable[[int], float],
    *,
    table: Table,
    name: str,
    peer: str,
) -> None:
    """Measure our samples per second and a peer's, both on all threads and both on one thread."""
    epochs = workload.memory_epochs
    threads = max(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")

    def contestants(n_threads: int) -> dict[str, Callable[[], float]]:
        return {
            f"ours {n_threads}": lambda: speed(problem.model(epochs), *rows, n_threads),
            f"theirs {n_threads}": lambda: sklearn_speed(n_threads),
        }

    speeds = in_turns(contestants(threads) | contestants(1), workload.turns, warm_up=True)
    ours, slower = speeds[f"ours {threads}"], speeds[f"theirs {threads}"]
    _record(table, name, ours, slower, f"{threads} threads")
    table.reference(
        f"in memory, {problem}: samples/s / {peer}, one thread each",
        _compared(speeds["ours 1"], speeds["theirs 1"]),
    )
    # A peer may be faster on one thread than on several threads, which wait for each other.
    fastest = max((speeds["theirs 1"], slower), key=np.median)
    table.reference(
        f"in memory, {problem}: samples/s on {threads} threads / {peer}, on the number of "
        f"threads that suits it",
        _compared(ours, fastest),
    )


def against_sklearn(workload: NetworkWorkload, table: Table) -> None:
    """Compare networks of three shapes with scikit-learn's MLPClassifier, on the same rows."""
    for name, problem in SHAPES.items():
        settings = problem.settings(workload.memory_epochs)
        rows = workload.in_memory(problem)

        def sklearn_speed(
            n_threads: int, settings: dict[str, Any] = settings, rows: Rows = rows
        ) -> float:
            return speed(neural_network.MLPClassifier(**settings), *rows, n_threads)

        _in_memory(
            workload,
            problem,
            rows,
            sklearn_speed,
            table=table,
            name=f"{name}sklearn",
            peer="scikit-learn's",
        )


class Torch(PeerWithArrays):
    """PyTorch on CPUs."""

    def __init__(self, workload: NetworkWorkload, problem: Problem, rows: Rows) -> None:
        super().__init__("torch", workload.folder, dict(zip("Xy", rows, strict=True)))
        self._epochs, self._problem, self._n_rows = workload.memory_epochs, problem, len(rows[0])
        #: Mean loss of the batches of the last epoch.
        self.loss = np.nan

    def speed(self, threads: int) -> float:
        """Return the samples per second of training."""
        answer = self.ask(torch_settings(self._problem, self._epochs) | {"threads": threads})
        assert answer["threads"] == threads
        self.loss = answer["loss"]
        return self._n_rows * self._epochs / answer["seconds"]


def torch_settings(problem: Problem, epochs: int) -> dict[str, Any]:
    """Return what PyTorch's process has to know of a network and its training."""
    model = problem.model()
    return {
        "hidden": problem.hidden,
        "classes": problem.n_classes,
        "epochs": epochs,
        "batch_size": model.batch_size,
        # The same contribution to the gradient of a batch as our penalty.
        "weight_decay": model.alpha / model.batch_size,
    }


def against_torch(workload: NetworkWorkload, table: Table) -> None:
    """Compare networks of three shapes with PyTorch, which trains in its own process."""
    for name, problem in SHAPES.items():
        rows = workload.in_memory(problem)
        with Torch(workload, problem, rows) as torch:
            _in_memory(
                workload,
                problem,
                rows,
                torch.speed,
                table=table,
                name=f"{name}torch",
                peer="PyTorch's",
            )
        ours = timed_fit(problem.model(workload.memory_epochs), *rows).model
        table.reference(
            f"in memory, {problem}, mean loss of the last epoch's batches, ours and PyTorch's "
            f"(from other initial parameters)",
            f"{ours.loss_:.4f} and {torch.loss:.4f}",
        )


def out_of_core(workload: NetworkWorkload, table: Table) -> None:
    """Compare a worker with one thread, which reads Zarr, with one thread on rows in memory."""
    data = workload.dataset(workload.large)
    X, y = workload.in_memory(IMAGES)
    with local_workers(1, MEMORY, workload.folder):
        _warm_up(data)

        def on_disk() -> float:
            fit = warm_fit(IMAGES.model(), data)
            return data.n_samples / fit.seconds

        speeds = in_turns(
            {
                "on disk": on_disk,
                "in memory": lambda: speed(IMAGES.model(workload.memory_epochs), X, y, threads=1),
            },
            workload.repeats,
            warm_up=False,
        )
    _record(table, "out-of-core", speeds["on disk"], speeds["in memory"])


def out_of_core_torch(workload: NetworkWorkload, table: Table) -> None:
    """Compare training on stored rows with PyTorch, which reads the same files by a DataLoader."""
    data = workload.dataset(workload.shared)
    arrays = [str(data.path / "X"), str(data.path / "y")]
    request = torch_settings(IMAGES, 1) | {"threads": len(os.sched_getaffinity(0))}
    with Peer("torch", workload.folder, arrays, script="torch_zarr") as torch:
        losses: list[float] = []

        def torch_speed() -> float:
            answer = torch.ask(request)
            losses.append(answer["loss"])
            return data.n_samples / answer["seconds"]

        def own_speed() -> float:
            fit = timed_fit(IMAGES.model(), data.X, data.y)
            losses.append(fit.model.loss_)
            return data.n_samples / fit.seconds

        speeds = in_turns(
            {"ours": own_speed, "theirs": torch_speed}, workload.repeats, warm_up=True
        )
    note = f"losses {losses[-2]:.4f} and {losses[-1]:.4f}"
    _record(table, "out-of-core-torch", speeds["ours"], speeds["theirs"], note)


def _warm_up(data: storage.Dataset, n_replicas: int = 1) -> None:
    """Train on a few blocks, so that the workers have imported what they need."""
    rows = sum(data.X.chunks[0][: 2 * n_replicas])
    timed_fit(IMAGES.model(n_replicas=n_replicas), data.X[:rows], data.y[:rows])


def two_workers(workload: NetworkWorkload, table: Table) -> None:
    """Compare two replicas on one worker and on two; also train one replica, as a reference."""
    data = workload.dataset(workload.shared)
    held_out, classes = IMAGES.held_out(workload.held_out)
    losses: dict[str, float] = {}
    bits: dict[str, bytes] = {}
    epochs = workload.shared_epochs

    def on(n_workers: int, n_replicas: int, *, pinned: bool = False) -> Callable[[], float]:
        def measure() -> float:
            with local_workers(n_workers, MEMORY, workload.folder) as client:
                if pinned:
                    _pin(client)
                _warm_up(data, n_replicas)
                fit = warm_fit(IMAGES.model(epochs, n_replicas=n_replicas), data)
            name = f"{n_workers} {n_replicas}"
            losses[name] = float(log_loss(classes, fit.model.predict_proba(held_out)))
            bits[name] = flat(fit.model).tobytes()
            return data.n_samples * epochs / fit.seconds

        return measure

    speeds = in_turns({"2": on(2, 2), "1": on(1, 2)}, workload.repeats, warm_up=False)
    _record(table, "workers", speeds["2"], speeds["1"])
    away = abs(losses["2 2"] / losses["1 2"] - 1)
    same = "same" if bits["2 2"] == bits["1 2"] else "other"
    table.number(
        "workers-loss",
        away,
        f"{100 * away:.2g} %; {losses['2 2']:.4f} against {losses['1 2']:.4f}, {same} bits",
    )
    pinned = in_turns(
        {"2": on(2, 2, pinned=True), "1": on(1, 2, pinned=True)}, workload.repeats, warm_up=False
    )
    table.reference(
        "the same, each worker held to a CPU of its own, so that one worker does not read on the "
        "second: samples/s on 2 workers / on 1",
        _compared(pinned["2"], pinned["1"]),
    )
    alone = on(1, 1)()
    table.reference(
        "the same, validation loss of n_replicas=2 / n_replicas=1",
        f"{losses['2 2'] / losses['1 1']:.3f}; {losses['2 2']:.4f} against {losses['1 1']:.4f}; "
        f"n_replicas=1 on one worker: {alone:,.0f}{SAMPLES}",
    )


def _pin(client: Client) -> None:
    """Pin each worker to its own CPU, as on a machine with one CPU for each worker."""
    cpus = sorted(os.sched_getaffinity(0))
    for cpu, worker in zip(cpus, client.scheduler_info()["workers"], strict=False):
        client.run(_hold_to, cpu, workers=[worker])


def _hold_to(cpu: int) -> None:
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cpu})
