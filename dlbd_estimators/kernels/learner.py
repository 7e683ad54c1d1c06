"""Mini-batch training on rows in memory: the innermost loop.

Each batch is processed in *shards* of its rows, and then in panels of the parameters. The number
of shards and panels depends only on the shapes. The threads divide these parts among themselves,
so that no bit of the result depends on the number of threads. BLAS runs on one thread and
therefore does not divide a product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import floor, isfinite, log2, sqrt
from operator import add
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.dropout import Dropout, Mask
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.lockstep import Wait, in_lockstep
from dlbd_estimators.kernels.network import Network, Workspace, cut
from dlbd_estimators.kernels.updates import Update

#: Floating-point operations that justify a shard: a thread loses some 0.1 ms per batch, because it
#: waits twice for the others.
_SHARD_FLOPS = 1e8
#: Rows that justify a shard: the products of each shard rearrange all coefs of a layer in memory.
_SHARD_ROWS = 100
_MAX_SHARDS = 16
#: Added to the norm of a gradient, as PyTorch does.
_CLIP_EPSILON = 1e-6


@dataclass(frozen=True)
class Replica:
    """One copy of a network in training: its parameters and the state of the update rule.

    Attributes
    ----------
    parameters : ndarray of shape (size,)
        The flat vector of parameters.
    moments : tuple of ndarray of shape (size,)
        See :class:`~dlbd_estimators.kernels.updates.Update`.
    n_updates : int
        Number of updates made.
    """

    shapes: ClassVar[Shapes] = {"parameters": ("n_parameters",), "moments": ("n_parameters",)}

    parameters: FloatArray
    moments: tuple[FloatArray, ...]
    n_updates: int = 0

    @classmethod
    def at(cls, parameters: FloatArray, update: Update) -> Replica:
        """Return a replica that begins at ``parameters``, with moments of zero."""
        moments = tuple(np.zeros_like(parameters) for _ in range(update.n_moments))
        return cls(parameters.copy(), moments)

    def copy(self) -> Replica:
        """Return a replica that shares no memory with this one."""
        moments = tuple(moment.copy() for moment in self.moments)
        return Replica(self.parameters.copy(), moments, self.n_updates)

    @property
    def is_finite(self) -> bool:
        """Whether all parameters are finite."""
        return bool(np.isfinite(self.parameters).all())


@dataclass(frozen=True)
class Learner:
    """Trains a replica, with one update per mini-batch.

    Each batch's objective is the weighted mean of its losses plus the penalty divided by the
    batch's total weight. A batch whose total weight is zero is skipped.

    Parameters
    ----------
    network : Network
        Network to train.
    update : Update
        Rule by which a gradient changes the parameters.
    batch_size : int
        Rows of a mini-batch; the last one may have fewer.
    weight_decay : float
        Each update first multiplies the coefs by ``1 - learning_rate * weight_decay``: decoupled
        weight decay (AdamW: Loshchilov and Hutter, arXiv 1711.05101). Intercepts do not decay.
    clip_norm : float or None
        Largest Euclidean norm of the gradient of the objective with its penalty. A longer gradient
        is multiplied by ``clip_norm / (norm + 1e-6)``, as PyTorch's ``clip_grad_norm_`` does
        (Pascanu et al., arXiv 1211.5063).
    dropout : Dropout or None
        Draws the dropout masks of each batch.
    """

    network: Network
    update: Update
    batch_size: int
    weight_decay: float = 0.0
    clip_norm: float | None = None
    dropout: Dropout | None = None

    @property
    def n_shards(self) -> int:
        """Number of shards of a batch: the largest number of threads that can share it."""
        flops = 6.0 * self.batch_size * self.network.layers.n_weights
        most = min(flops / _SHARD_FLOPS, self.batch_size / _SHARD_ROWS, _MAX_SHARDS)
        # A power of two: with three shards, one of two threads would wait for the other.
        return int(2 ** floor(log2(max(most, 1.0))))

    def learn(
        self,
        replica: Replica,
        rows: Block,
        order: NDArray[np.intp] | None,
        learning_rate: float,
        n_threads: int = 1,
        number: int = 0,
    ) -> tuple[Replica, float]:
        """Train on some rows, using each row once.

        Parameters
        ----------
        replica : Replica
            Its arrays are changed in place.
        rows : Block
            X, y and weight of the parameters' dtype.
        order : ndarray of shape (n_rows,) or None
            Positions of the rows in the order in which batches take them; None means their order
            in ``rows``.
        learning_rate : float
            Learning rate of the update rule.
        n_threads : int
            Maximum number of threads; the result does not depend on it.
        number : int
            Number of the replica, for the dropout masks.

        Returns
        -------
        Replica
            The given replica with the new number of updates.
        float
            Sum over rows of the objective of their batch. It is not finite if training diverged;
            training then stopped at that batch.
        """
        run = _Run(self, replica, rows, order, learning_rate, number)
        in_lockstep(min(n_threads, self.n_shards), run.work)
        return Replica(replica.parameters, replica.moments, run.n_updates), run.total


class _Run:
    """State of one call of :meth:`Learner.learn`, shared by its threads."""

    def __init__(
        self,
        learner: Learner,
        replica: Replica,
        rows: Block,
        order: NDArray[np.intp] | None,
        learning_rate: float,
        number: int,
    ) -> None:
        self._dropout, self._number = learner.dropout, number
        self._network = learner.network
        self._update = learner.update
        self._replica = replica
        self._rows = rows
        self._order = order
        self._learning_rate = learning_rate
        self._size = max(1, min(learner.batch_size, rows.n_rows))
        self._n_shards = learner.n_shards
        layers, dtype = learner.network.layers, replica.parameters.dtype
        self._workspace = Workspace(layers, self._size, dtype)
        self._spare = np.empty(max(layers.n_weights, 1), dtype)
        self._coefs, self._intercepts = layers.unpack(replica.parameters)
        self._panels = [layers.panel(i, self._n_shards) for i in range(self._n_shards)]
        # Batches in a random order are copied into one buffer, which all batches reuse.
        self._X = None if order is None else np.empty((self._size, rows.X.shape[1]), dtype)
        self._losses = [0.0] * self._n_shards
        self._penalties = [0.0] * self._n_shards
        self._squares = [0.0] * self._n_shards
        self._clip_norm = learner.clip_norm
        self._kept = 1.0 - learning_rate * learner.weight_decay
        self.n_updates = replica.n_updates
        self.total = 0.0

    def work(self, thread: int, n_threads: int, wait: Wait) -> None:
        """Do one thread's share of all batches; all threads follow the same control flow."""
        n_updates = self._replica.n_updates
        shares = range(thread, self._n_shards, n_threads)
        shards = _Shards(self._workspace, self._size, self._n_shards)
        for start in range(0, self._rows.n_rows, self._size):
            batch, chosen = self._batch(slice(start, min(start + self._size, self._rows.n_rows)))
            weight = batch.n_rows if batch.weight is None else float(batch.weight.sum())
            if weight == 0:
                continue
            if batch.n_rows != len(shards.outputs[0]):
                shards = _Shards(self._workspace, batch.n_rows, self._n_shards)
            for shard in shares:
                rows, outputs, errors = shards.parts[shard]
                if chosen is not None:
                    # All positions are valid; in any other mode NumPy would use one more buffer.
                    np.take(self._rows.X, chosen[rows], 0, out=batch.X[rows], mode="clip")
                self._losses[shard] = self._network.propagate(
                    Block(
                        batch.X[rows],
                        batch.y[rows],
                        None if batch.weight is None else batch.weight[rows],
                    ),
                    self._coefs,
                    self._intercepts,
                    outputs,
                    errors,
                    1.0 / weight,
                    self._masks(n_updates, shard, outputs),
                )
            wait()
            value = _total(self._losses)
            if not isfinite(value):
                self.total = value
                return
            self._update_all(batch.X, shards, shares, n_updates, 1.0 / weight, wait)
            n_updates += 1
            wait()
            if thread == 0:
                self.total += (value + _total(self._penalties)) * batch.n_rows
                self.n_updates = n_updates

    def _update_all(
        self,
        X: FloatArray,
        shards: _Shards,
        panels: range,
        n_updates: int,
        factor: float,
        wait: Wait,
    ) -> None:
        """Update some panels of the parameters with the gradient of a batch."""
        for panel in panels:
            self._network.differentiate(
                X, shards.outputs, shards.errors, self._workspace, panel, self._n_shards
            )
            self._penalise_panel(panel, factor)
            if self._clip_norm is None:
                self._update_panel(panel, n_updates)
        if self._clip_norm is not None:
            wait()  # for the squares of the panels of all threads
            shortening = clip_factor(self._clip_norm, _total(self._squares))
            for panel in panels:
                self._update_panel(panel, n_updates, shortening)

    def _masks(
        self, n_updates: int, shard: int, outputs: list[FloatArray]
    ) -> tuple[Mask | None, ...]:
        """Return the dropout masks of a shard; nothing without dropout."""
        if self._dropout is None:
            return ()
        widths = [output.shape[1] for output in outputs[:-1]]
        place = (self._number, n_updates, shard)
        return self._dropout.masks(place, len(outputs[0]), widths, outputs[0].dtype)

    def _batch(self, rows: slice) -> tuple[Block, NDArray[np.intp] | None]:
        """Return a batch, and its positions if the rows are in a random order.

        With a random order, ``X`` of the batch is memory that is still to be filled.
        """
        stored = self._rows
        if self._order is None:
            weight = None if stored.weight is None else stored.weight[rows]
            return Block(stored.X[rows], stored.y[rows], weight), None
        assert self._X is not None
        chosen = self._order[rows]
        weight = None if stored.weight is None else stored.weight[chosen]
        return Block(self._X[: len(chosen)], stored.y[chosen], weight), chosen

    def _penalise_panel(self, panel: int, factor: float) -> None:
        """Add the penalty to one panel of the gradient; sum its squares if it will be clipped."""
        penalty = squares = 0.0
        for run in self._panels[panel]:
            gradient, n = self._workspace.gradient[run], self._n_coefs(run)
            if n > 0:
                spare = self._spare[run.start : run.start + n]
                coefs = self._replica.parameters[run][:n]
                penalty += self._network.penalise(coefs, gradient[:n], spare, factor)
            if self._clip_norm is not None:
                # In float64: the squares of float32 numbers may overflow.
                squares += float(np.square(gradient, dtype=np.float64).sum())
        self._penalties[panel], self._squares[panel] = penalty, squares

    def _update_panel(self, panel: int, n_updates: int, factor: float = 1.0) -> None:
        """Update one panel of the parameters with its gradient, multiplied by ``factor``."""
        for run in self._panels[panel]:
            parameters, gradient = self._replica.parameters[run], self._workspace.gradient[run]
            if factor != 1.0:
                gradient *= factor
            if self._kept != 1.0:
                parameters[: max(self._n_coefs(run), 0)] *= self._kept
            moments = tuple(moment[run] for moment in self._replica.moments)
            self._update.apply(parameters, gradient, moments, n_updates, self._learning_rate)

    def _n_coefs(self, run: slice) -> int:
        """Return how many parameters of a run are coefs; not above 0 if all are intercepts."""
        return int(min(run.stop, self._network.layers.n_weights) - run.start)


def clip_factor(clip_norm: float, squares: float) -> float:
    """Return the factor that clips a gradient, from the sum of its squares."""
    return min(1.0, clip_norm / (sqrt(squares) + _CLIP_EPSILON))


def _total(terms: list[float]) -> float:
    # Plain addition: the builtin sum of floats gives other bits from Python 3.12 on.
    return reduce(add, terms)


class _Shards:
    """Views of the workspace for batches of one length: of all rows, and of each shard."""

    def __init__(self, workspace: Workspace, n_rows: int, n_shards: int) -> None:
        self.outputs = [output[:n_rows] for output in workspace.outputs]
        self.errors = [error[:n_rows] for error in workspace.errors]
        self.parts = [
            (
                rows,
                [output[rows] for output in self.outputs],
                [error[rows] for error in self.errors],
            )
            for rows in (cut(n_rows, shard, n_shards) for shard in range(n_shards))
        ]
