"""The objective that a solver minimises. Its value at some parameters takes a pass over the data.

    F(w) = (sum_i s_i loss_i(w) + sum_k strength_k ||coef_k||^2 / 2 + l1 |coef|_1) / sum_i s_i

Blocks return sums. This is the one place that normalises them, and that adds the penalties. F is a
mean, so it has the same scale on a sample of the blocks as on all of them. Gradient and Hessian are
those of F without its l1 part, which has none.

With an intercept, solvers work on features less a *centre*: parameters, gradients and Hessians are
all those of the centred features, in which the intercept is the prediction at the centre. The first
pass that brings column means fixes it: the means, where a column is far from zero, and otherwise
zero. Only :meth:`Problem.original` gives parameters for the features as they are.

An objective never changes. What a pass teaches is in its evaluation, and a solver goes on with
the objective :meth:`Problem.at` that; its state keeps it.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from dlbd_estimators.engine.matrices import MatrixRoom
from dlbd_estimators.engine.passes import Asks, Pass
from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.centring import Centring
from dlbd_estimators.kernels.importance import Importance
from dlbd_estimators.kernels.kernel import Kernel
from dlbd_estimators.kernels.linear import LinearKernel, LinearSums
from dlbd_estimators.kernels.losses import Loss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.kernels.products import HessianProductKernel, ProductSums
from dlbd_estimators.solvers.evaluation import NOTHING_KNOWN, Columns, Evaluation, Known
from dlbd_estimators.solvers.gauge import fix_gauge, free_shift
from dlbd_estimators.solvers.sampling import Sample, stages
from dlbd_estimators.solvers.solver import BaseProblem

#: A mean this many times the spread is far from zero: sums about the origin lose four digits.
_FAR = 100.0


@dataclass(frozen=True, eq=False)
class Problem(BaseProblem):
    """A penalised linear model's objective over blocks.

    Parameters
    ----------
    blocks : Blocks
        The data.
    loss : Loss
        Pointwise loss.
    penalty : L2
        Not yet divided by the sum of weights, unless it is of the mean.
    packing : Packing
        Order of the parameters.
    name : str
        Model name, for the dashboard.
    l1 : L1, optional
        The part of the penalty that has no gradient everywhere.
    seed : int
        Chooses the sample of blocks.
    n_rows : int, optional
        Number of rows where the blocks do not know theirs; without it, no sampling.
    room : MatrixRoom, optional
        What the workers have for a matrix; None is no limit known, or none that matters.
    known : Known
        What is known of the data.
    passes_before, bytes_before : int
        See :class:`~dlbd_estimators.solvers.solver.BaseProblem`.
    """

    loss: Loss
    penalty: L2
    packing: Packing
    _: KW_ONLY
    name: str
    l1: L1 | None = None
    seed: int = 0
    n_rows: int | None = None
    room: MatrixRoom | None = None
    known: Known = NOTHING_KNOWN

    #: Whether its features are the user's columns, and not coordinates computed from them.
    of_columns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.blocks.sizes is not None:
            object.__setattr__(self, "n_rows", sum(self.blocks.sizes))

    def at(self, known: Known) -> Self:
        """Return the same objective, with what is known of its data."""
        return replace(self, known=known)

    @property
    def total_weight(self) -> float | None:
        """Sum of the weights, as soon as it is known."""
        return self.known.total_weight

    @property
    def unit(self) -> float:
        """Divides a decrement, to free it from the units of y: 1 for classes."""
        return self.known.unit

    @property
    def provides(self) -> frozenset[str]:
        """What a solver may ask of this objective."""
        provided = {"gradient", "hessian", "prox" if self.l1 else "smooth"}
        if self.loss.quadratic:
            provided.add("quadratic")
        if self.l1 and self.l1.strength:  # without a strength, only signs are bounded
            provided.add("l1")
        return frozenset(provided)

    @property
    def value_at_zero(self) -> float | None:
        """F at zero where that needs no data: every class equally likely."""
        return self.loss.value_at_zero(self.packing.n_outputs)

    @property
    def may_separate(self) -> bool:
        """Whether separable classes would leave F without a minimiser."""
        return not (self.penalty.active or self.l1 or self.loss.quadratic)

    def separated(self, here: Evaluation) -> bool:
        """Tell whether a point proves that F has no minimiser: it separates all rows."""
        return self.may_separate and here.n_errors == 0

    @property
    def centre(self) -> FloatArray:
        """What features are centred by; zero until it is fixed."""
        centre = self.known.centre
        return np.zeros(self.packing.n_features) if centre is None else centre

    def with_centre(self, mean: FloatArray, variance: FloatArray) -> Self:
        """Fix the centre, unless it is known: at the means, if any is far from zero."""
        if self.known.centre is not None:
            return self
        far = self.packing.fit_intercept and np.any(np.abs(mean) > _FAR * np.sqrt(variance))
        return self.at(replace(self.known, centre=mean if far else np.zeros_like(mean)))

    def original(self, parameters: FloatArray) -> FloatArray:
        """Return the parameters for the features as they are; intercepts of classes sum to zero."""
        packing = self.packing
        original = Centring(packing, self.centre).parameters(parameters)
        if self.loss.coupled and self.l1 is not None:
            rows = original.reshape(packing.shape)
            if not self.penalty.active:
                coef = rows[:, : packing.n_features]
                coef -= free_shift(coef)
            if packing.fit_intercept:
                rows[:, -1] -= rows[:, -1].mean()
        return original

    def rounding(self, *values: float) -> float:
        """Return how large the rounding error of F may be.

        The loss of a row of a class comes out of numbers about one, however small it is.
        """
        floor = 0.0 if self.loss.quadratic else 1.0
        return 16 * float(np.finfo(float).eps) * max(floor, *map(abs, values))

    def ask(
        self,
        kernel: Kernel[Any],
        parameters: Any,
        label: str,
        indices: Sample | None = None,
        n_entries: int = 0,
    ) -> Asks[Any]:
        """Ask for a pass, with so many entries of matrices in its partial, and return that."""
        kernel = self.restricted(kernel)
        return (yield Pass(kernel, parameters, f"{self.name}-{label}", indices, n_entries))

    def restricted(self, kernel: Kernel[Any]) -> Kernel[Any]:
        """Return a kernel that sees the rows and columns of this problem alone: here, all."""
        return kernel

    def evaluate(
        self,
        parameters: FloatArray,
        order: Order,
        label: str,
        *,
        indices: Sample | None = None,
        hessian_dtype: str = "float64",
        ellipsoid: tuple[FloatArray, FloatArray] | None = None,
        moments: bool = False,
        per_output: int = 0,
        importance: Importance | None = None,
    ) -> Asks[Evaluation]:
        """Evaluate F and its derivatives on all blocks, or on the sample ``indices``."""
        unknown = self.known.centre is None
        kernel = LinearKernel(
            self.loss,
            self.packing,
            order,
            hessian_dtype=hessian_dtype,
            ellipsoid=ellipsoid,
            moments=moments or unknown,
            count_errors=self.may_separate,
            centre=self.centre if self.centre.any() else None,
            own_centre=unknown and self.packing.fit_intercept,
            per_output=per_output,
            importance=importance,
        )
        outputs, width = self.packing.shape
        n_entries = 0
        if order >= Order.HESSIAN:
            n_entries = outputs * width**2 if per_output else self.packing.size**2
        if importance is not None:
            n_entries += importance.nbytes // 8
        sums: LinearSums = yield from self.ask(kernel, parameters, label, indices, n_entries)
        if order >= Order.HESSIAN and hessian_dtype != "float64":
            assert sums.hessian is not None
            if not np.isfinite(sums.hessian).all():  # columns too large for float32 squares
                kernel = replace(kernel, hessian_dtype="float64")
                sums = yield from self.ask(kernel, parameters, label, indices, n_entries)
        here = self
        if indices is None:
            check_weight(sums.weight, sums.n_rows)
            here = self.at(replace(self.known, total_weight=sums.weight))
        return here._normalise(sums, parameters, indices)

    def _normalise(
        self, sums: LinearSums, parameters: FloatArray, indices: Sample | None
    ) -> Evaluation:
        weight = sums.weight or np.nan  # of a sample that weighs nothing, every mean is NaN
        total = self._whole_weight(weight, indices)
        here, columns = self, None
        if sums.moments is not None:
            here, columns = self._described(sums, weight)
        packing, centring = self.packing, None
        if sums.centre is not None:  # of the blocks' own choice
            parameters = Centring(packing, here.centre).centred(parameters)
            centring = Centring(packing, here.centre - sums.centre)
        penalty = self.penalty
        shared = 1.0 if penalty.of_mean else total
        value = sums.value / weight + penalty.value(packing, parameters) / shared
        if self.l1 is not None:
            value += self.l1.value(packing, parameters) / (1.0 if self.l1.of_mean else total)
        gradient: FloatArray = np.zeros(packing.size)
        if sums.gradient is not None:
            gradient = sums.gradient if centring is None else centring.gradient(sums.gradient)
            gradient = gradient / weight + penalty.gradient(packing, parameters) / shared
        hessian = None
        if sums.hessian is not None and sums.hessian.ndim == 3:
            hessian = sums.hessian if centring is None else centring.per_output(sums.hessian)
            hessian = hessian / weight
            width = np.arange(packing.shape[1])
            hessian[:, width, width] += penalty.diagonal(packing).reshape(packing.shape) / shared
        elif sums.hessian is not None:
            hessian = sums.hessian if centring is None else centring.matrix(sums.hessian)
            hessian = hessian / weight
            hessian[np.diag_indices_from(hessian)] += penalty.diagonal(packing) / shared
            if self.loss.coupled and self.l1 is None:
                fix_gauge(hessian, packing)
        point = parameters, value, gradient, hessian
        known = columns, here.known, total, sums.rows
        return Evaluation(*point, sums.n_errors, sums.radius, *known)

    def _whole_weight(self, weight: float, indices: Sample | None) -> float:
        """Return the sum of all weights: a sample's penalty has its weight in the whole."""
        if self.total_weight is None:
            assert indices is not None
            return weight / self.share(indices)
        return self.total_weight

    def product(
        self,
        parameters: FloatArray,
        vector: FloatArray,
        label: str,
        indices: Sample | None = None,
    ) -> Asks[FloatArray]:
        """Return the Hessian of F without its l1 part, times a vector, by a pass.

        The centre has to be fixed: by an evaluation before.
        """
        centre = self.centre if self.centre.any() else None
        kernel = HessianProductKernel(self.loss, self.packing, centre)
        sums: ProductSums = yield from self.ask(
            kernel, np.stack([parameters, vector]), label, indices
        )
        weight = sums.weight or np.nan
        shared = 1.0 if self.penalty.of_mean else self._whole_weight(weight, indices)
        return sums.product / weight + self.penalty.diagonal(self.packing) * vector / shared

    def _described(self, sums: LinearSums, weight: float) -> tuple[Self, Columns]:
        """Return mean and variance of the columns, and what centre and unit they fix."""
        assert sums.moments is not None
        assert sums.shift is not None
        n = self.packing.n_features
        offset, square = sums.moments / weight
        variance = np.maximum(square - offset * offset, 0.0)
        here = self
        if np.isfinite(weight):
            here = here.with_centre((sums.shift + offset)[:n], variance[:n])
        spread = float(np.sqrt(variance[n:].sum()))
        if self.loss.quadratic and spread > 0:
            here = here.at(replace(here.known, unit=spread))
        # In this order, or the mean is rounded to the digits that the centre has.
        return here, Columns((sums.shift[:n] - here.centre) + offset[:n], variance[:n])

    def admissible(self, start: FloatArray) -> FloatArray:
        """Return a start without a shift common to all classes: no step would remove it."""
        return self.without_shift(start)

    def without_shift(self, step: FloatArray) -> FloatArray:
        """Remove from a step the shift common to all classes, which is only rounding.

        An l1 norm does tell shifts apart.
        """
        if not self.loss.coupled or self.l1 is not None:
            return step
        rows = step.reshape(self.packing.shape)
        return np.asarray((rows - rows.mean(axis=0)).ravel())

    def sampling_error(self, indices: Sample) -> float:
        """Estimate the decrement between the minimiser of a sample and that of all rows."""
        rows = self.share(indices) * float(self.n_rows or 0)
        return float(np.sqrt(self.packing.size / rows))

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Blocks to sample, in stages, the largest last; empty if a sample would not pay."""
        if self.n_rows is None:
            return ()
        return stages(self.blocks.n_blocks, self.n_rows, self.packing.size, self.seed)


def check_weight(weight: float, n_rows: int) -> None:
    """Refuse data whose weights are all zero.

    Raises
    ------
    ValueError
        There are no rows, or all sample weights are zero.
    """
    if n_rows == 0:
        raise ValueError("X has 0 samples (0 rows), while a minimum of 1 is required.")
    if not weight > 0:
        raise ValueError("sample_weight must not be zero for all rows.")
