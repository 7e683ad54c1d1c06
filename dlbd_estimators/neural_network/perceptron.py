"""The base class of both perceptrons, which trains a network on data."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import numpy as np

from dlbd_estimators.base.callbacks import FitTask, fit_task, with_callbacks
from dlbd_estimators.base.model import Model
from dlbd_estimators.base.privacy import DifferentialPrivacy, PrivacySpent
from dlbd_estimators.base.validation import Data
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.network import Layers, Network
from dlbd_estimators.kernels.network_predictor import NetworkPredictor
from dlbd_estimators.neural_network.initial_weights import initial_parameters, last_parameters
from dlbd_estimators.neural_network.job import Job
from dlbd_estimators.neural_network.loaded_network import check_network
from dlbd_estimators.neural_network.parameters import Settings, epoch_schedule
from dlbd_estimators.neural_network.progress import progress_attributes
from dlbd_estimators.neural_network.shared_parameters import SharedParameters
from dlbd_estimators.neural_network.targets import TargetSpec
from dlbd_estimators.neural_network.to_torch import ToTorchMixin
from dlbd_estimators.neural_network.training_problem import training_problem
from dlbd_estimators.neural_network.training_rows import known_sizes
from dlbd_estimators.neural_network.validation import (
    check_validation_arguments,
    naming_validation_data,
    validation_rows,
)
from dlbd_estimators.solvers.driver import minimize
from dlbd_estimators.solvers.fit import Fit
from dlbd_estimators.solvers.history import Record, entries
from dlbd_estimators.solvers.solver import State
from dlbd_estimators.solvers.status import Status
from dlbd_estimators.solvers.stochastic.epoch_state import EpochState
from dlbd_estimators.solvers.stochastic.epochs import Epochs
from dlbd_estimators.solvers.stochastic.full_batch import FullBatch, FullBatchLBFGS
from dlbd_estimators.solvers.stochastic.one_epoch import EpochScheme


class BaseMLP(ToTorchMixin, SharedParameters, Model, ABC):
    """Fits a network; subclasses define its targets."""

    _saved_as: ClassVar[Mapping[str, Any]] = {
        "_network": Network,
        "_training": EpochState,
        "privacy": DifferentialPrivacy | None,
        "privacy_spent_": PrivacySpent,
    }
    _sparse_blocks = False
    _training: EpochState
    history_: list[dict[str, float]]
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None

    @abstractmethod
    def _data(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Data:
        """Check the data that the user passed, and return them."""

    @abstractmethod
    def _targets(
        self, executor: Executor, data: Data, *, fresh: bool, incremental: bool, classes: Any
    ) -> TargetSpec:
        """Return what the network predicts; reads targets only."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def _check_loaded(self) -> None:
        super()._check_loaded()
        check_network(self)

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_outputs)
            Classes (strings, integers or booleans), labels (each 0 or 1), or numbers.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.
        X_val : array-like or lazy features of shape (n_val, n_features), optional
            Features of rows on which the network is validated after each epoch; X may be lazy and
            X_val in memory, or the reverse. Their score and loss are recorded. With
            ``early_stopping``, they decide when to stop and which parameters are kept, and no rows
            of X are held out. In a ``Pipeline``, ``transform_input=["X_val"]`` transforms them
            like X.
        y_val : array-like or lazy array of shape (n_val,) or (n_val, n_outputs), optional
            Targets of these rows, of the same kind as y.
        sample_weight_val : float, array-like or lazy array of shape (n_val,), optional
            Weights of these rows, at least 0. ``class_weight`` multiplies them, as in training.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        Diverged
            The loss or a parameter is no longer finite; the message names epoch and round. It is
            a ValueError and a FloatingPointError, and leaves the attributes as they were.
        ValueError
            X, y or sample_weight holds NaN or infinity (the message names block, row and column),
            lengths differ, y is out of range for the loss, or a parameter is out of range. Also if
            only one of X_val and y_val is passed, with ``solver="lbfgs"``, or if y_val has a class
            that y does not have.
        MemoryError
            The buffer, or a sparse X once it is dense, does not fit in memory; raised before
            training.

        Warns
        -----
        ConvergenceWarning
            ``max_iter`` was reached without ``privacy``, or training diverged and
            ``early_stopping`` kept the parameters of the best score.
        """
        check_validation_arguments(self, X_val, y_val, sample_weight_val)
        validation = None if X_val is None else (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, validation=validation)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        validation: tuple[Any, Any, Any] | None = None,
        incremental: bool = False,
        classes: Any = None,
    ) -> Self:
        began = time.perf_counter()
        settings = Settings.of(self)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        step = "iteration" if settings.update is None else "epoch"
        with fit_task(self, X, y, sample_weight, step=step, callbacks=not incremental) as task:
            before = self.__dict__.copy()
            try:
                data = (X, y, sample_weight), validation
                self._fit_or_fail(*data, settings, task, incremental, classes, began)
            except BaseException:
                # Keep the attributes of an earlier fit rather than those of an unfinished one.
                self.__dict__ = before
                raise
        return self

    def _fit_or_fail(
        self,
        training: tuple[Any, Any, Any],
        validation: tuple[Any, Any, Any] | None,
        settings: Settings,
        task: FitTask,
        incremental: bool,
        classes: Any,
        began: float,
    ) -> None:
        fresh = not hasattr(self, "coefs_") or not (incremental or self.warm_start)
        data, name = self._data(*training, reset=fresh), type(self).__name__.lower()
        given, all_blocks = None, [data.blocks]
        if validation is not None:
            with naming_validation_data():
                given = self._data(*validation, reset=False)
            all_blocks.append(given.blocks)
        with executor_for(*all_blocks) as executor:
            task.checkpoint.open(executor, *all_blocks)
            targets = self._targets(
                executor, data, fresh=fresh, incremental=incremental, classes=classes
            )
            if targets.encoding.classes is not None:
                task.checkpoint.add_to_fingerprint("classes", targets.encoding.classes)
            task.checkpoint.add_to_fingerprint("validation data", np.asarray(given is not None))
            if self.learning_rate == "cosine":  # max_iter then changes every step
                n_epochs = np.asarray(int(self.max_iter))
                task.checkpoint.add_to_fingerprint("epochs of the cosine", n_epochs)
            rows_val = None
            if given is not None:
                with naming_validation_data():
                    rows_val = validation_rows(executor, given, data.y_shape, targets, name)
            blocks = known_sizes(executor, data.blocks.encoded(targets.encoding), name)
            # With mini-batches, `on_step` prints the lines, with the same words as scikit-learn.
            print_lines = bool(self.verbose) and settings.update is None
            task.start(executor, blocks, print_lines=print_lines)
            layers = Layers((blocks.n_features, *settings.hidden, targets.n_outputs))
            random_state = task.checkpoint.random_state(self.random_state)
            start = (
                initial_parameters(layers, settings, random_state)
                if fresh
                else last_parameters(self, layers)
            ).astype(blocks.dtype)
            network = Network(layers, settings.activation, targets.loss, float(self.alpha))
            inputs = (
                executor,
                blocks,
                targets,
                network,
                rows_val,
                settings,
                random_state,
                start,
            )
            job = Job(*inputs, fresh, incremental, task, began)
            if settings.update is None:
                self._fit_in_passes(job, name)
            else:
                self._fit_in_batches(job, name)

    def _fit_in_passes(self, job: Job, name: str) -> None:
        records: list[Record] = []

        def attributes(state: State) -> dict[str, Any]:
            return {
                **self._model_attributes(job, state.parameters.astype(job.start.dtype)),
                "n_iter_": state.n_iter,
                "t_": 0,
                "loss_": np.float64(state.value),
                "best_loss_": np.float64(state.value),
                "loss_curve_": [record.loss for record in records],
                "validation_scores_": None,
                "best_validation_score_": None,
                "history_": entries(records),
                "n_passes_": state.n_passes,
                "n_replicas_": 1,
            }

        def on_step(state: State, record: Record) -> bool:
            records.append(record)
            return job.task.end_step(record, lambda: attributes(state))

        fit = Fit(
            FullBatchLBFGS(int(self.max_fun)),
            FullBatch(job.blocks, job.network, name),
            job.start,
            tol=float(self.tol),
            max_iter=int(self.max_iter),
            clock=job.clock,
            before_step=lambda state: job.task.begin_step(lambda: attributes(state)),
            on_step=on_step,
            on_warning=job.task.warn,
        )
        solution = minimize(job.executor, job.resumed(fit, records))
        job.task.status = solution.status.name.lower()
        for attribute in ("_training", "privacy_spent_"):  # from an earlier fit with mini-batches
            self.__dict__.pop(attribute, None)
        self.__dict__.update(attributes(solution.state))

    def _fit_in_batches(self, job: Job, name: str) -> None:
        problem = training_problem(self, job, name)
        solver = self._epochs(job)
        state = self._state_from(job, problem.scheme)
        earlier = [] if job.fresh or not hasattr(self, "_training") else list(self.history_)
        records: list[Record] = []

        def attributes(state: EpochState, records: Sequence[Record] = records) -> dict[str, Any]:
            return {
                **self._model_attributes(job, solver.answer(problem, state)),
                **progress_attributes(self, job, problem, state, [*earlier, *entries(records)]),
            }

        def on_step(state: EpochState, record: Record) -> bool:
            records.append(record)
            job.advance_random_state(state)
            if self.verbose:
                print(*solver.lines(state, float(self.tol)), sep="\n", flush=True)  # noqa: T201 - verbose
            return job.task.end_step(record, lambda: attributes(state))

        fit = Fit(
            solver,
            problem,
            state,
            tol=float(self.tol),
            max_iter=1 if job.incremental else int(self.max_iter),
            clock=job.clock,
            before_step=lambda state: job.task.begin_step(lambda: attributes(state)),
            on_step=on_step,
            on_warning=job.task.warn,
        )
        solution = minimize(job.executor, job.resumed(fit, records))
        job.task.status = solution.status.name.lower()
        final = cast(EpochState, solution.state)
        job.advance_random_state(final)
        diverged = solution.status is Status.DIVERGED  # perhaps before the first update
        no_updates = all(replica.n_updates == 0 for replica in final.replicas)
        if solution.n_iter and no_updates and not diverged:
            raise ValueError("The weights of all rows are zero: there is nothing to fit.")
        self.__dict__.update(attributes(final, solution.records))

    def _epochs(self, job: Job) -> Epochs:
        return Epochs(
            patience=float(self.n_iter_no_change),
            # scikit-learn's schedules are only for SGD: Adam adapts its steps itself.
            schedule=self.learning_rate if self.solver == "sgd" else "constant",
            learning_rate=float(self.learning_rate_init),
            power_t=float(self.power_t),
            once=job.incremental,
            score_decides=bool(self.early_stopping),
            by_epoch=epoch_schedule(self),
        )

    def _state_from(self, job: Job, scheme: EpochScheme) -> EpochState:
        """Return the state to begin with.

        If ``partial_fit`` continues, it has the optimiser's state of the last call.
        """
        new = scheme.begin(job.start, self._epochs(job).first_rate)
        last: EpochState | None = getattr(self, "_training", None)
        if job.fresh or last is None:
            return new
        new = new.continued_from(last)
        return new.with_optimiser_of(last) if job.incremental else new

    def _model_attributes(self, job: Job, parameters: FloatArray) -> dict[str, Any]:
        """Return the fitted attributes that describe the network and its parameters."""
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

    def _model(self) -> NetworkPredictor:
        # Built from the attributes, because a user may have changed them.
        layers = self._network.layers
        return NetworkPredictor(self._network, layers.pack(self.coefs_, self.intercepts_))
