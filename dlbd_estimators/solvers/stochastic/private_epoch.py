"""Epochs of private training: noisy steps on Poisson samples of the rows (DP-SGD).

A step draws each row with probability ``batch_size / n_samples``, clips the gradient of each drawn
row, adds Gaussian noise to their sum, and divides it by ``batch_size``. Rows are drawn without
looking at parameters, so one pass draws the rows of as many steps as fit in the buffer. It would
otherwise take one pass for each step.

Reference: Abadi et al., "Deep learning with differential privacy", CCS 2016.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from dlbd_estimators.engine.passes import Pass, PassGenerator
from dlbd_estimators.exceptions import Diverged
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.clipping import clipped_gradient
from dlbd_estimators.kernels.gaussian_noise import gaussian_noise
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.learner import Replica
from dlbd_estimators.kernels.network import Network
from dlbd_estimators.kernels.poisson_sample import PoissonSampleKernel, Samples, joined
from dlbd_estimators.kernels.updates import Update
from dlbd_estimators.solvers.history import Record
from dlbd_estimators.solvers.status import Status
from dlbd_estimators.solvers.stochastic.epoch_state import EpochState
from dlbd_estimators.solvers.stochastic.one_epoch import EpochScheme


@dataclass(frozen=True, kw_only=True)
class PrivateEpochState(EpochState):
    """The state of private training. It holds no loss, which only the rows themselves could give.

    ``value`` is always 0, and ``n_seen`` is the expected number of rows trained on.
    """

    def record(self, seconds: float) -> Record:
        return replace(super().record(seconds), iteration=self.n_epochs, loss=None, bytes_read=None)

    def kept(self) -> EpochState:
        # The number of bytes gives away the number of rows.
        return replace(super().kept(), bytes_read=0)

    def judged_by_loss(self, tol: float) -> EpochState:
        return self


@dataclass(frozen=True)
class NoisySteps:
    """The noisy steps of an epoch, and their rows.

    Parameters
    ----------
    gradient_bound : float
        Largest norm of a row's gradient.
    noise_multiplier : float
        Standard deviation of the noise, divided by ``gradient_bound``.
    sampling_rate : float
        Probability with which a step draws a row.
    batch_size : int
        Expected number of rows of a step, if the declared number of rows is right.
    n_steps : int
        Number of steps of an epoch.
    steps_in_buffer : int
        Number of steps whose rows one pass draws.
    noise_seed, sampling_seed : tuple of int
        Secret seeds.
    """

    gradient_bound: float
    noise_multiplier: float
    sampling_rate: float
    batch_size: int
    n_steps: int
    steps_in_buffer: int
    noise_seed: tuple[int, ...] = field(repr=False)
    sampling_seed: tuple[int, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class PrivateEpochs(EpochScheme):
    """Epochs of noisy steps, made in this process; the passes that draw rows run on all workers.

    Parameters
    ----------
    network : Network
        The network. Its penalty is added after the noise, because it does not depend on rows.
    update : Update
        The update rule.
    weight_decay : float
        Decoupled weight decay.
    steps : NoisySteps
        How to draw, clip and add noise.
    max_epochs : int
        Number of epochs after which the training ends.
    name : str
        Name of the passes on the dashboard.
    """

    network: Network
    update: Update
    weight_decay: float
    steps: NoisySteps
    max_epochs: int
    name: str

    def begin(self, parameters: FloatArray, learning_rate: float) -> EpochState:
        # In float64, as the clipped sums.
        start = parameters.astype(np.float64)
        return PrivateEpochState.begin(start, self.update, 1, learning_rate, value=0.0)

    def epoch(self, state: EpochState) -> PassGenerator[EpochState]:
        steps = self.steps
        replica = state.replicas[0].copy()
        first = state.n_epochs * steps.n_steps
        for start in range(0, steps.n_steps, steps.steps_in_buffer):
            n_steps = min(steps.steps_in_buffer, steps.n_steps - start)
            kernel = PoissonSampleKernel(
                steps.sampling_rate, first + start, n_steps, steps.sampling_seed
            )
            name = f"{self.name}-epoch-{state.n_epochs + 1}-sample-{{}}"
            samples: Samples = yield Pass(kernel, None, name)
            for number in range(n_steps):
                # Each sample is released after its step: the buffer only becomes smaller.
                rows, samples[number] = joined(samples[number]), []
                replica = self._step(replica, rows, first + start + number, state.learning_rate)
        if not replica.is_finite:
            raise Diverged(
                f"Private training diverged in epoch {state.n_epochs + 1}: a parameter is no "
                f"longer finite. Reduce learning_rate_init={state.learning_rate:g}."
            )
        ends = state.n_iter + 1 >= self.max_epochs
        return replace(
            state,
            parameters=replica.parameters,
            replicas=(replica,),
            n_epochs=state.n_epochs + 1,
            n_seen=state.n_seen + steps.n_steps * steps.batch_size,
            n_rounds=1,
            status=Status.DONE if ends else None,
        )

    def _step(self, replica: Replica, rows: Block, number: int, rate: float) -> Replica:
        """Change the parameters of a replica by one noisy step, in place."""
        steps, network = self.steps, self.network
        parameters = replica.parameters
        gradient = clipped_gradient(network, rows, parameters, steps.gradient_bound)
        gradient += gaussian_noise(
            steps.noise_seed,
            number,
            gradient.size,
            steps.noise_multiplier * steps.gradient_bound,
        )
        gradient /= steps.batch_size
        weights = slice(network.layers.n_weights)
        gradient[weights] += network.alpha / steps.batch_size * parameters[weights]
        if self.weight_decay:
            parameters[weights] *= 1.0 - rate * self.weight_decay
        self.update.apply(parameters, gradient, replica.moments, replica.n_updates, rate)
        return replace(replica, n_updates=replica.n_updates + 1)
