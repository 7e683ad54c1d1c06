"""The objective that a solver minimises. Each evaluation takes a pass over the data.

    F(w) = (sum_i s_i loss_i(w) + sum_k strength_k ||coef_k||^2 / 2 + l1 |coef|_1) / sum_i s_i

Blocks return sums. Only this module normalises them and adds the penalties. F is a mean, so it has
the same scale on a sample of the blocks as on all of them. The gradient and the Hessian are those
of F without its l1 part, which is not differentiable.

With an intercept, solvers work on features from which a *centre* is subtracted. Parameters,
gradients and Hessians are all for these centred features, and the intercept is the prediction at
the centre. The first pass that returns column means fixes the centre: it is the vector of means if
a column is far from zero, and otherwise zero. Only :meth:`Problem.original` returns parameters for
the original features.

A :class:`Problem` never changes. The facts about the data that a pass finds are in its evaluation.
A solver keeps them in its state, and continues with :meth:`Problem.with_known`.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from dlbd_estimators.engine.matrices import MatrixRoom
from dlbd_estimators.engine.passes import Pass, PassGenerator
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
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.gauge import fix_gauge, free_shift
from dlbd_estimators.solvers.sampling import Sample, stages
from dlbd_estimators.solvers.solver import BaseProblem

#: A mean of this many standard deviations is far from zero: sums of squares then lose four digits.
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
        The L2 penalty. It is not yet divided by the sum of weights, unless ``penalty.of_mean``.
    packing : Packing
        Order of the parameters.
    name : str
        Model name, for the dashboard.
    l1 : L1, optional
        The part of the penalty that is not differentiable.
    seed : int
        Seed for the choice of the sample of blocks.
    n_rows : int, optional
        Number of rows, if the blocks do not know theirs. Without it, no sample is taken.
    room : MatrixRoom, optional
        Memory that the workers have for a matrix; None if no limit is known or relevant.
    known : Known
        Facts about the data that earlier passes have found.
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

    def with_known(self, known: Known) -> Self:
        """Return the same objective with these facts about its data."""
        return self if known is self.known else replace(self, known=known)

    @property
    def total_weight(self) -> float | None:
        """Sum of the weights; None until a pass has found it."""
        return self.known.total_weight

    @property
    def unit(self) -> float:
        """Divisor of Newton decrements, which makes them independent of the units of y."""
        return self.known.unit

    @property
    def provides(self) -> frozenset[str]:
        """Names of the properties of this objective that a solver may need."""
        provided = {"gradient", "hessian", "prox" if self.l1 else "smooth"}
        if self.loss.quadratic:
            provided.add("quadratic")
        if self.l1 and self.l1.strength:  # otherwise it only requires that no coefficient is < 0
            provided.add("l1")
        return frozenset(provided)

    @property
    def value_at_zero(self) -> float | None:
        """F at zero, if it does not depend on the data (all classes are equally likely)."""
        return self.loss.value_at_zero(self.packing.n_outputs)

    @property
    def may_separate(self) -> bool:
        """Whether separable classes would leave F without a minimiser."""
        return not (self.penalty.active or self.l1 or self.loss.quadratic)

    def separates_rows(self, current: Evaluation) -> bool:
        """Return whether a point separates all rows, which proves that F has no minimiser."""
        return self.may_separate and current.n_errors == 0

    @property
    def centre(self) -> FloatArray:
        """Vector that is subtracted from the features; zero until a pass has fixed it."""
        centre = self.known.centre
        return np.zeros(self.packing.n_features) if centre is None else centre

    def with_centre(self, mean: FloatArray, variance: FloatArray) -> Self:
        """Return the problem with a fixed centre: the means if any is far from zero, else zero."""
        if self.known.centre is not None:  # once fixed, the centre stays
            return self
        far = self.packing.fit_intercept and np.any(np.abs(mean) > _FAR * np.sqrt(variance))
        return self.with_known(replace(self.known, centre=mean if far else np.zeros_like(mean)))

    def original(self, parameters: FloatArray) -> FloatArray:
        """Return the parameters for the original features; intercepts of classes sum to zero."""
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
        """Return an upper estimate of the rounding error of F, or of the largest of some values.

        A classification loss is computed from numbers of the size of one, however small it is.
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
    ) -> PassGenerator[Any]:
        """Request a pass and return its partial, whose matrices have ``n_entries`` entries."""
        kernel = self.restricted(kernel)
        return (yield Pass(kernel, parameters, f"{self.name}-{label}", indices, n_entries))

    def restricted(self, kernel: Kernel[Any]) -> Kernel[Any]:
        """Return a kernel that uses only the rows and columns of this problem: here, all."""
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
    ) -> PassGenerator[Evaluation]:
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
            centre=self.known.subtracted,
            own_centre=unknown and self.packing.fit_intercept,
            per_output=per_output,
            importance=importance,
        )
        outputs, width = self.packing.shape
        n_entries = 0 if importance is None else importance.nbytes // 8
        if order >= Order.HESSIAN:
            n_entries += outputs * width**2 if per_output else self.packing.size**2
        sums: LinearSums = yield from self.ask(kernel, parameters, label, indices, n_entries)
        if order >= Order.HESSIAN and hessian_dtype != "float64":
            assert sums.hessian is not None
            if not np.isfinite(sums.hessian).all():  # columns too large for float32 squares
                kernel = replace(kernel, hessian_dtype="float64")
                sums = yield from self.ask(kernel, parameters, label, indices, n_entries)
        current = self
        if indices is None:
            check_weight(sums.weight, sums.n_rows)
            if sums.weight != self.known.total_weight:
                current = self.with_known(replace(self.known, total_weight=sums.weight))
        return current._normalise(sums, parameters, indices)

    def _normalise(
        self, sums: LinearSums, parameters: FloatArray, indices: Sample | None
    ) -> Evaluation:
        weight = sums.weight or np.nan  # if a sample has no weight, every mean is NaN
        total = self._weight_of_all_rows(weight, indices)
        current, columns = self, None
        if sums.moments is not None:
            current, columns = self._with_centre_and_unit(sums, weight)
        packing, penalty, centring = self.packing, self.penalty, None
        if sums.centre is not None:  # the blocks chose a centre, and the parameters have none
            parameters = Centring(packing, current.centre).centred(parameters)
            centring = Centring(packing, current.centre - sums.centre)
        diagonal, shared = penalty.diagonal(packing), 1.0 if penalty.of_mean else total
        value = sums.value / weight + penalty.value(packing, parameters) / shared
        if self.l1 is not None:
            value += self.l1.value(packing, parameters) / (1.0 if self.l1.of_mean else total)
        gradient: FloatArray = np.zeros(packing.size)
        if sums.gradient is not None:
            gradient = sums.gradient if centring is None else centring.gradient(sums.gradient)
            gradient = gradient / weight + diagonal * parameters / shared
        hessian = None
        if sums.hessian is not None and sums.hessian.ndim == 3:
            hessian = sums.hessian if centring is None else centring.per_output(sums.hessian)
            hessian = hessian / weight
            np.einsum("kii->ki", hessian)[:] += diagonal.reshape(packing.shape) / shared  # a view
        elif sums.hessian is not None:
            hessian = (sums.hessian if centring is None else centring.matrix(sums.hessian)) / weight
            hessian.reshape(-1)[:: packing.size + 1] += diagonal / shared  # a view of the diagonal
            if self.loss.coupled and self.l1 is None:
                fix_gauge(hessian, packing)
        point = parameters, value, gradient, hessian, sums.n_errors, sums.radius
        return Evaluation(*point, columns, current.known, total, sums.rows)

    def _weight_of_all_rows(self, weight: float, indices: Sample | None) -> float:
        """Return the sum of the weights of all rows, or its estimate from a sample.

        The penalty is divided by it, so that it is the same on a sample as on all rows.
        """
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
        dtype: str = "float64",
    ) -> PassGenerator[FloatArray]:
        """Return the Hessian of F without its l1 part, times a vector; the centre must be fixed.

        ``dtype`` is the precision within a tile.
        """
        kernel = HessianProductKernel(self.loss, self.packing, self.known.subtracted, dtype)
        two = np.stack([parameters, vector])
        sums: ProductSums = yield from self.ask(kernel, two, label, indices)
        if dtype != "float64" and not np.isfinite(sums.product).all():  # too large for float32
            kernel = replace(kernel, dtype="float64")
            sums = yield from self.ask(kernel, two, label, indices)
        weight = sums.weight or np.nan
        shared = 1.0 if self.penalty.of_mean else self._weight_of_all_rows(weight, indices)
        return sums.product / weight + self.penalty.diagonal(self.packing) * vector / shared

    def _with_centre_and_unit(self, sums: LinearSums, weight: float) -> tuple[Self, Columns]:
        """Return the problem with a fixed centre and unit, and the columns' mean and variance."""
        assert sums.moments is not None
        assert sums.shift is not None
        n = self.packing.n_features
        offset, square = sums.moments / weight
        variance = np.maximum(square - offset * offset, 0.0)
        current = self
        if np.isfinite(weight):
            current = current.with_centre((sums.shift + offset)[:n], variance[:n])
        spread = float(np.sqrt(variance[n:].sum()))
        if self.loss.quadratic and spread > 0:
            current = current.with_known(replace(current.known, unit=spread))
        # In this order: otherwise the mean would be rounded to the precision of the centre.
        return current, Columns((sums.shift[:n] - current.centre) + offset[:n], variance[:n])

    def admissible(self, start: FloatArray) -> FloatArray:
        """Return a start without a shift common to all classes: no step would remove it."""
        return self.without_shift(start)

    def without_shift(self, step: FloatArray) -> FloatArray:
        """Return a step without the shift common to all classes, which is only rounding error.

        With an l1 penalty, the step is returned as it is, because the l1 norm depends on the shift.
        """
        if not self.loss.coupled or self.l1 is not None:
            return step
        rows = step.reshape(self.packing.shape)
        return np.asarray((rows - rows.mean(axis=0)).ravel())

    def sampling_error(self, indices: Sample) -> float:
        """Estimate the Newton decrement between the minimisers on a sample and on all rows."""
        rows = self.share(indices) * float(self.n_rows or 0)
        return float(np.sqrt(self.packing.size / rows))

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Blocks to sample, in stages, the largest last; empty if a sample would not pay."""
        if self.n_rows is None:
            return ()
        return stages(self.blocks.n_blocks, self.n_rows, self.packing.size, self.seed)


def check_weight(weight: float, n_rows: int) -> None:
    """Raise an error if there are no rows, or if all their weights are zero.

    Raises
    ------
    ValueError
        There are no rows, or all sample weights are zero.
    """
    if n_rows == 0:
        raise ValueError("X has 0 samples (0 rows), while a minimum of 1 is required.")
    if not weight > 0:
        raise ValueError("sample_weight must not be zero for all rows.")
