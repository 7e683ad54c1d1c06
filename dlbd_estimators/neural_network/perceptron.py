"""What the two perceptrons share: from data and parameters to a trained network."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state

from dlbd_estimators.base.callbacks import FitTask, fit_task, hooks
from dlbd_estimators.base.model import Model
from dlbd_estimators.base.validation import Data
from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.blas import thread_count
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.learner import Learner
from dlbd_estimators.kernels.network import Layers, Network, NetworkPredictor
from dlbd_estimators.neural_network.initial_weights import initial, last
from dlbd_estimators.neural_network.parameters import Settings, batch_size
from dlbd_estimators.neural_network.replicas import count_replicas, cut_epoch
from dlbd_estimators.neural_network.targets import Targets
from dlbd_estimators.neural_network.training_rows import (
    Holdout,
    Score,
    hold_out_of_blocks,
    hold_out_rows,
    known_sizes,
    rows_in_memory,
)
from dlbd_estimators.solvers.stochastic.epochs import Progress, Rules, train
from dlbd_estimators.solvers.stochastic.full_batch import FullBatch, minimize_in_passes
from dlbd_estimators.solvers.stochastic.one_epoch import Course, InMemory, InRounds, Training


@dataclass(frozen=True)
class _Job:
    """One call of fit or partial_fit."""

    executor: Executor
    blocks: Blocks
    targets: Targets
    network: Network
    settings: Settings
    random_state: np.random.RandomState
    start: FloatArray
    fresh: bool
    incremental: bool
    task: FitTask
    began: float

    def clock(self) -> float:
        return time.perf_counter() - self.began


class BaseMLP(Model, ABC):
    """Fits a network; what its targets are is for the subclasses to say."""

    _training: Training
    _progress: Progress
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None

    @abstractmethod
    def _data(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Data:
        """Check what the user passed."""

    @abstractmethod
    def _targets(
        self, executor: Executor, data: Data, *, fresh: bool, incremental: bool, classes: Any
    ) -> Targets:
        """Find out what the network is to predict; reads targets alone."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool = False, classes: Any = None
    ) -> Self:
        began = time.perf_counter()
        settings = Settings.of(self)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        step = "iteration" if settings.update is None else "epoch"
        with fit_task(self, X, y, sample_weight, step=step, callbacks=not incremental) as task:
            before = self.__dict__.copy()
            try:
                self._fit_or_fail(X, y, sample_weight, settings, task, incremental, classes, began)
            except BaseException:
                # What an earlier fit left is worth more than half of this one.
                self.__dict__ = before
                raise
        return self

    def _fit_or_fail(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        settings: Settings,
        task: FitTask,
        incremental: bool,
        classes: Any,
        began: float,
    ) -> None:
        fresh = not hasattr(self, "coefs_") or not (incremental or self.warm_start)
        data = self._data(X, y, sample_weight, reset=fresh)
        name = type(self).__name__.lower()
        with executor_for(data.blocks) as executor:
            targets = self._targets(
                executor, data, fresh=fresh, incremental=incremental, classes=classes
            )
            blocks = known_sizes(executor, data.blocks.encoded(targets.encoding), name)
            # Epochs print themselves, in scikit-learn's words.
            print_lines = bool(self.verbose) and settings.update is None
            task.start(executor, blocks, print_lines=print_lines)
            layers = Layers((blocks.n_features, *settings.hidden, targets.n_outputs))
            random_state = check_random_state(self.random_state)
            start = (
                initial(layers, settings, random_state) if fresh else last(self, layers)
            ).astype(blocks.dtype)
            network = Network(layers, settings.activation, targets.loss, float(self.alpha))
            job = _Job(
                executor,
                blocks,
                targets,
                network,
                settings,
                random_state,
                start,
                fresh,
                incremental,
                task,
                began,
            )
            if settings.update is None:
                self._fit_in_passes(job)
            else:
                self._fit_in_batches(job, name)

    def _fit_in_passes(self, job: _Job) -> None:
        def attributes(found: FullBatch) -> dict[str, Any]:
            return {
                **self._model_attributes(job, found.parameters.astype(job.start.dtype)),
                "n_iter_": found.n_iter,
                "t_": 0,
                "loss_": np.float64(found.value),
                "best_loss_": np.float64(found.value),
                "loss_curve_": [record.loss for record in found.records],
                "validation_scores_": None,
                "best_validation_score_": None,
                "history_": found.history,
                "n_passes_": float(found.n_passes),
                "n_replicas_": 1,
            }

        found = minimize_in_passes(
            job.executor,
            job.network,
            job.blocks,
            job.start,
            tol=self.tol,
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            name=type(self).__name__.lower(),
            clock=job.clock,
            **hooks(job.task, attributes),
        )
        for memory in ("_training", "_progress"):  # of mini-batches, from before
            self.__dict__.pop(memory, None)
        self.__dict__.update(attributes(found))

    def _fit_in_batches(self, job: _Job, name: str) -> None:
        settings = job.settings
        n_replicas = count_replicas(self, job.blocks)
        holdout = None
        if self.early_stopping:
            holdout = Holdout(
                self.validation_fraction, job.targets.errors, job.targets.encoding.classes
            )
        course: Course
        score: Score | None = None
        score_passes = 1.0
        if job.blocks.in_memory and n_replicas == 1:
            rows = rows_in_memory(job.blocks)
            if holdout is not None:
                rows, score = hold_out_rows(rows, holdout, job.network, job.random_state)
                score_passes = holdout.fraction
            course = InMemory(
                self._learner(job, rows.n_rows),
                rows,
                job.random_state if self.shuffle else None,
                thread_count(),
            )
        else:
            blocks = job.blocks
            seed = int(job.random_state.randint(np.iinfo(np.int32).max))
            if holdout is not None:
                blocks, score = hold_out_of_blocks(
                    job.executor, blocks, holdout, job.network, seed, name
                )
            assert blocks.sizes is not None
            learner = self._learner(job, sum(blocks.sizes))
            shape = cut_epoch(
                self,
                job.executor,
                blocks,
                n_replicas,
                settings.buffer_nbytes,
                learner.batch_size,
            )
            course = InRounds(
                job.executor,
                learner,
                blocks,
                shape,
                settings.outer,
                seed,
                shuffle=bool(self.shuffle),
                name=name,
            )
        known: Progress | None = None if job.fresh else getattr(self, "_progress", None)
        progress = Progress() if known is None else known.copy()
        n_before = len(progress.losses)

        def attributes(training: Training) -> dict[str, Any]:
            parameters = training.parameters
            if score is not None and progress.best_parameters is not None:
                parameters = progress.best_parameters
            return {
                **self._model_attributes(job, parameters),
                **self._progress_attributes(progress, len(progress.losses) - n_before),
                "_training": training,
                "_progress": progress.copy(),
                "t_": training.n_seen,
                "n_replicas_": n_replicas,
            }

        training, n_epochs = train(
            course,
            self._training_from(job, n_replicas),
            progress,
            self._rules(job),
            score=score,
            score_passes=score_passes,
            clock=job.clock,
            **hooks(job.task, attributes),
        )
        if n_epochs and all(replica.n_updates == 0 for replica in training.replicas):
            raise ValueError("The weights of all rows are zero: there is nothing to fit.")
        self.__dict__.update(attributes(training))

    def _learner(self, job: _Job, n_rows: int) -> Learner:
        assert job.settings.update is not None
        return Learner(job.network, job.settings.update, batch_size(self, n_rows))

    def _rules(self, job: _Job) -> Rules:
        return Rules(
            max_epochs=None if job.incremental else int(self.max_iter),
            tol=float(self.tol),
            patience=float(self.n_iter_no_change),
            # Only gradient descent has schedules: Adam has its own.
            schedule=self.learning_rate if self.solver == "sgd" else "constant",
            learning_rate=float(self.learning_rate_init),
            power_t=float(self.power_t),
            verbose=bool(self.verbose),
        )

    def _training_from(self, job: _Job, n_replicas: int) -> Training:
        """Begin anew, or with the optimiser's memory where partial_fit goes on."""
        assert job.settings.update is not None
        rate = float(self.learning_rate_init)
        new = Training.begin(job.start, job.settings.update, n_replicas, rate)
        last: Training | None = getattr(self, "_training", None)
        if job.fresh or last is None:
            return new
        if not job.incremental:
            return replace(new, n_seen=last.n_seen)
        same = len(last.replicas) == n_replicas and all(
            len(replica.moments) == job.settings.update.n_moments for replica in last.replicas
        )
        if not same:
            return replace(new, n_seen=last.n_seen, n_epochs=last.n_epochs)
        dtype = job.start.dtype
        return replace(
            last,
            parameters=job.start,
            replicas=tuple(
                replace(
                    replica,
                    parameters=job.start,
                    moments=tuple(m.astype(dtype, copy=False) for m in replica.moments),
                )
                for replica in last.replicas
            ),
        )

    def _model_attributes(self, job: _Job, parameters: FloatArray) -> dict[str, Any]:
        coefs, intercepts = job.network.layers.unpack(parameters)
        return {
            **job.targets.attributes,
            "coefs_": [coef.copy() for coef in coefs],
            "intercepts_": [intercept.copy() for intercept in intercepts],
            "n_layers_": len(job.network.layers.units),
            "n_outputs_": job.targets.n_outputs,
            "out_activation_": job.targets.out_activation,
            "_network": job.network,
        }

    def _progress_attributes(self, progress: Progress, n_epochs: int) -> dict[str, Any]:
        scored = self.early_stopping
        return {
            "n_iter_": n_epochs,
            "loss_": np.float64(progress.losses[-1] if progress.losses else np.inf),
            "loss_curve_": list(progress.losses),
            "best_loss_": None if scored else np.float64(progress.best_loss),
            "validation_scores_": list(progress.scores) if scored else None,
            "best_validation_score_": progress.best_score if scored else None,
            "history_": progress.history,
            "n_passes_": progress.n_passes,
        }

    def _model(self) -> NetworkPredictor:
        # From the attributes, which a user may have changed.
        return NetworkPredictor(
            self._network, self._network.layers.pack(self.coefs_, self.intercepts_)
        )
