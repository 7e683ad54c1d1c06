"""Data that all logistic regressions of a search share, and the fits with an l1 part."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.base.callbacks import FitTask
from dlbd_estimators.base.checkpoint import FitCheckpoint
from dlbd_estimators.base.class_weights import class_factors, count_labels, plain
from dlbd_estimators.blocks.block import Blocks, Encoding
from dlbd_estimators.blocks.splits import DividedBlocks
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.matrices import MatrixRoom
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray, Order
from dlbd_estimators.kernels.labels import LabelCounts, LabelKernel
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss, Loss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.parts import PartKernel, Splits
from dlbd_estimators.kernels.paths import PathKernel, PathSums
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.kernels.sweep import SweepKernel
from dlbd_estimators.linear_model.choose_solver import choose
from dlbd_estimators.linear_model.cv_splits import divide_by_cv
from dlbd_estimators.linear_model.fit import seed_of
from dlbd_estimators.linear_model.logistic_choice import check_size
from dlbd_estimators.linear_model.solver_names import check_liblinear
from dlbd_estimators.linear_model.sparse_coefficients import dense
from dlbd_estimators.linear_model.unconverged_models import UnconvergedModels
from dlbd_estimators.solvers import Fit, Known, Problem, Solution, minimize_together, room_for
from dlbd_estimators.solvers.proximal.working_set import WorkingSet
from dlbd_estimators.solvers.split_problem import SplitProblem

#: Smallest factor of a class: scores divide the weights by the factors, so it cannot be 0.
_ALMOST_ZERO = 1e-200
#: Scores that can be computed from sums over rows.
SCORES_FROM_SUMS = ("accuracy", "neg_log_loss")


@dataclass(frozen=True)
class SearchData:
    """The data that all models of a search have in common.

    Attributes
    ----------
    plain, blocks : DividedBlocks
        The rows without class weights, and the rows with class weights.
    splits : Splits
        Training and test parts of each split.
    classes : ndarray of shape (n_classes,)
        All labels.
    factors : ndarray of shape (n_classes,) or None
        Class weights: factors of the rows' weights.
    totals, total : list of float, float
        Total weight of the training rows of each split, and of all rows.
    packing : Packing
        Order of a model's parameters.
    name : str
        Name of the passes on the dashboard.
    seed : int
        Seed that chooses the samples.
    room : MatrixRoom or None
        Memory that the workers have for a matrix.
    """

    plain: DividedBlocks
    blocks: DividedBlocks
    splits: Splits
    classes: NDArray[Any]
    factors: FloatArray | None
    totals: list[float]
    total: float
    packing: Packing
    name: str
    seed: int
    room: MatrixRoom | None

    @classmethod
    def of(
        cls, estimator: Any, executor: Executor, blocks: Blocks, task: FitTask, cv: Any = None
    ) -> SearchData:
        """Count the classes, and divide the rows by ``cv``; None means the estimator's ``cv``.

        Raises
        ------
        ValueError
            There are too few classes, a split has no rows of a class, or a model has too many
            parameters.
        TypeError
            The data are lazy, and the splitter needs the positions of all rows.
        """
        counts = count_labels(estimator, executor, blocks, "logistic")
        classes = counts.labels
        check_liblinear(estimator, len(classes))
        factors = class_factors(estimator, counts)
        if factors is not None:
            factors = np.maximum(factors, _ALMOST_ZERO)
        n_outputs = 1 if len(classes) == 2 else len(classes)
        packing = Packing(n_outputs, blocks.n_features, bool(estimator.fit_intercept))
        check_size(packing)
        all_rows, splits = divide_by_cv(estimator, blocks, executor, classify=True, cv=cv)
        task.checkpoint.open(executor, all_rows)
        task.checkpoint.add_to_fingerprint("classes", classes)
        task.checkpoint.add_to_fingerprint("weights of classes", counts.weights)
        encoded = all_rows.encoded(Encoding(classes))
        return cls(
            plain=encoded,
            # The same object if both are equal, so that a block is read once for both.
            blocks=encoded if factors is None else all_rows.encoded(Encoding(classes, factors)),
            splits=splits,
            classes=classes,
            factors=factors,
            totals=split_weights(executor, all_rows, splits, classes, factors),
            total=float(counts.weights.sum() if factors is None else counts.weights @ factors),
            packing=packing,
            name="logistic",
            seed=seed_of(estimator.random_state, task),
            room=room_for(executor, all_rows, packing),
        )

    def problem(self, C: float, l1_ratio: float) -> Problem:
        """Return the objective for all rows."""
        penalty, l1 = _penalties(C, l1_ratio)
        return Problem(
            self.blocks,
            self.loss,
            penalty,
            self.packing,
            name=self.name,
            l1=l1,
            seed=self.seed,
            room=self.room,
            known=Known(self.total),
        )

    def split_problem(self, number: int, C: float, l1_ratio: float) -> SplitProblem:
        """Return the objective for the training rows of a split."""
        all_rows = self.problem(C, l1_ratio)
        arguments = {each.name: getattr(all_rows, each.name) for each in fields(Problem)}
        arguments["known"] = Known(self.totals[number])
        return SplitProblem(**arguments, parts=self.splits.train[number])

    @property
    def loss(self) -> Loss:
        """The loss of one row."""
        return HalfBinomialLoss() if self.packing.n_outputs == 1 else HalfMultinomialLoss()


@dataclass(frozen=True)
class Paths:
    """The models of all splits, l1_ratios and Cs.

    Attributes
    ----------
    parameters : ndarray of shape (n_splits, n_l1_ratios, n_Cs, packing.size)
        Coefficients and intercepts in the packed order.
    n_iter : ndarray of shape (n_splits, n_l1_ratios, n_Cs)
        Number of solver steps of each model.
    solver : str
        Name of the solver of the first model.
    """

    parameters: FloatArray
    n_iter: NDArray[np.int32]
    solver: str


def _penalties(C: float, l1_ratio: float) -> tuple[L2, L1 | None]:
    l1 = l1_ratio / C
    return L2((1.0 - l1_ratio) / C), L1(l1) if l1 > 0 else None


def split_weights(
    executor: Executor,
    blocks: DividedBlocks,
    splits: Splits,
    labels: NDArray[Any],
    factors: FloatArray | None,
) -> list[float]:
    """Count the labels of each part, and return the total training weight of each split.

    Parameters
    ----------
    executor : Executor
        Runs a pass over the labels.
    blocks : DividedBlocks
        The data.
    splits : Splits
        Training and test parts of each split.
    labels : ndarray of shape (n_classes,)
        All classes.
    factors : ndarray of shape (n_classes,) or None
        Class weights: factors of the rows' weights.

    Raises
    ------
    ValueError
        In the training rows of a split a class has no weight, or the test rows have no weight.
    """
    kernels = tuple(PartKernel(LabelKernel(), part) for part in range(splits.n_parts))
    counts: tuple[LabelCounts, ...] = executor.map_reduce(
        SweepKernel(kernels),
        (None,) * len(kernels),
        blocks.encoded(Encoding(raw=True)),
        name="logistic-classes-of-folds",
        features=False,
    ).partial
    weights = np.zeros((len(counts), len(labels)))
    for part, count in enumerate(counts):
        weights[part, np.searchsorted(labels, count.labels)] = count.weights
    if factors is not None:
        weights *= factors
    totals = []
    for number, (train, test) in enumerate(zip(splits.train, splits.test, strict=True)):
        by_class = weights[list(train)].sum(axis=0)
        present = weights.sum(axis=0) > 0
        if np.any((by_class == 0) & present):
            missing = plain(labels[int(np.argmax((by_class == 0) & present))])
            raise ValueError(
                f"Split {number} of cv trains on no rows of class {missing!r}. Ask for fewer "
                f"folds, or for folds of random rows: cv=KFold(..., shuffle=True)."
            )
        if not weights[list(test)].sum() > 0:
            raise ValueError(f"Split {number} of cv has no rows to test on. Ask for fewer folds.")
        totals.append(float(by_class.sum()))
    return totals


def fit_paths(
    executor: Executor,
    data: SearchData,
    Cs: FloatArray,
    l1_ratios: FloatArray,
    *,
    solver_name: str,
    tol: float,
    max_iter: int,
    checkpoint: FitCheckpoint,
) -> Paths:
    """Fit the models of all splits, l1_ratios and Cs in shared passes over the data.

    Parameters
    ----------
    executor : Executor
        Runs the passes.
    data : SearchData
        The data of the search.
    Cs, l1_ratios : ndarray of shape (n_Cs,), (n_l1_ratios,)
        Penalties to fit.
    solver_name, tol, max_iter
        Parameters of each fit, as of :class:`LogisticRegression`.
    checkpoint : FitCheckpoint
        Checkpoint of the search; each fit writes to its own part of it.
    """
    started_at = time.perf_counter()
    fits: list[Fit] = []
    unconverged = UnconvergedModels()
    for number in range(len(data.splits.train)):
        for l1_ratio in l1_ratios:
            for C in Cs:
                objective = data.split_problem(number, float(C), float(l1_ratio))
                saved = checkpoint.part(f"model-{len(fits):04}", data.seed)
                solver = choose(saved.solver or solver_name, objective)
                if isinstance(solver, WorkingSet):
                    raise ValueError(
                        f"X has {objective.packing.n_features} features, which are too many for an "
                        f"l1 part in a search. Select columns first, or take l1_ratios=(0,)."
                    )
                clock = partial(_since, started_at)
                on_warning = partial(unconverged.add, float(C), float(l1_ratio))
                fit = Fit(solver, objective, None, tol, max_iter, clock, on_warning=on_warning)
                fits.append(saved.resume(fit, objective.packing.size, []))
    solutions: list[Solution] = []
    for outcome in minimize_together(executor, fits):
        if isinstance(outcome, Exception):
            raise outcome
        solutions.append(outcome)
    unconverged.warn()
    shape = len(data.splits.train), len(l1_ratios), len(Cs)
    parameters = np.array([each.parameters for each in solutions])
    n_iter = np.array([each.n_iter for each in solutions], dtype=np.int32)
    return Paths(parameters.reshape(*shape, -1), n_iter.reshape(shape), fits[0].solver.name)


def _since(started_at: float) -> float:
    return time.perf_counter() - started_at


def score_paths(
    scoring: str,
    executor: Executor,
    blocks: DividedBlocks,
    splits: Splits,
    parameters: FloatArray,
    packing: Packing,
) -> FloatArray:
    """Score all models on the test rows of their splits, in one pass.

    Parameters
    ----------
    scoring : {"accuracy", "neg_log_loss"}
        The score to compute.
    executor : Executor
        Runs the pass.
    blocks : DividedBlocks
        Rows without class weights, because scores do not use them.
    splits : Splits
        Training and test parts of each split.
    parameters : ndarray of shape (n_splits, n_models, packing.size)
        Coefficients and intercepts of the models.
    packing : Packing
        Order of the parameters.

    Returns
    -------
    ndarray of shape (n_splits, n_models)
    """
    kernel = PathKernel(packing, splits, gradients=False)
    sums: PathSums = executor.map_reduce(kernel, parameters, blocks, name="logistic-scores").partial
    if scoring == "neg_log_loss":
        return -sums.losses / sums.weight[:, None]
    return 1.0 - sums.wrong / sums.weight[:, None]


def mean_log_loss(model: Any, blocks: Blocks) -> float:
    """Return the mean log loss of a fitted model on encoded blocks, by one pass."""
    loss = HalfBinomialLoss() if len(model.classes_) == 2 else HalfMultinomialLoss()
    packing = Packing(len(model.intercept_), blocks.n_features, True)
    parameters = packing.pack(dense(model.coef_), model.intercept_)
    with executor_for(blocks) as executor:
        kernel = LinearKernel(loss, packing, Order.VALUE)
        sums = executor.map_reduce(kernel, parameters, blocks, name="logistic-score").partial
    return float(sums.value) / sums.weight
