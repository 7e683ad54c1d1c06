"""The data, settings and state of one call of a perceptron's fit or partial_fit."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from dlbd_estimators.base.callbacks import FitTask
from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.network import Network
from dlbd_estimators.neural_network.parameters import Settings
from dlbd_estimators.neural_network.targets import TargetSpec
from dlbd_estimators.solvers.fit import Fit
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.random_states import set_to
from dlbd_estimators.solvers.stochastic.epoch_state import EpochState


@dataclass(frozen=True)
class Job:
    """Data, settings and initial parameters of one call.

    ``validation`` has the rows that the user passed to validate on, if any.
    """

    executor: Executor
    blocks: Blocks
    targets: TargetSpec
    network: Network
    validation: Blocks | None
    settings: Settings
    random_state: np.random.RandomState
    start: FloatArray
    fresh: bool
    incremental: bool
    task: FitTask
    began: float

    def clock(self) -> float:
        """Return the seconds since the call began."""
        return time.perf_counter() - self.began

    def resumed(self, fit: Fit, records: list[Record]) -> Fit:
        """Return the fit, continued from a checkpoint if there is one."""
        return self.task.checkpoint.resume(fit, self.start.size, records)

    def advance_random_state(self, state: EpochState) -> None:
        """Advance the RandomState that the user passed, as scikit-learn does."""
        if state.random is not None:
            set_to(self.random_state, state.random)
