"""Lasso and elastic net whose penalty is chosen by cross-validation, in two passes.

The first pass computes the centred second moments of each fold. For each split and share of l1,
coordinate descent follows the path of strengths on the moments of the training rows; each strength
starts from the solution before it. The moments of the test rows give the squared errors. The chosen
problem is solved on the moments of all rows. A pass then certifies its solution by the duality gap
on the data, and corrects it if the moments were not accurate enough, as
:class:`~dlbd_estimators.solvers.proximal.coordinate_descent.CoordinateDescent` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray, Shapes
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.kernels.parts import Splits
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.solvers.frozen import replace
from dlbd_estimators.solvers.minimizer import Minimizer
from dlbd_estimators.solvers.moment_scores import about_zero, check_split, join, squared_errors
from dlbd_estimators.solvers.part_moments import ask_part_moments
from dlbd_estimators.solvers.problem import Problem
from dlbd_estimators.solvers.proximal.coefficient_path import CoefficientPath, strengths
from dlbd_estimators.solvers.proximal.coordinate_descent import (
    CoordinateDescent,
    CoordinateState,
    begins_precise,
    solve_moments,
)
from dlbd_estimators.solvers.solver import PassGenerator, State


@dataclass(frozen=True)
class LassoSearchState(CoordinateState):
    """The state of :class:`LassoSearch`: adds the chosen penalty and the errors.

    Attributes
    ----------
    alpha, l1_ratio : float or None
        The chosen strength and share of l1; None until they are chosen.
    alphas : ndarray of shape (n_l1_ratios, n_alphas) or None
        Strengths of each path, descending.
    errors : ndarray of shape (n_l1_ratios, n_alphas, n_splits) or None
        Mean squared errors.
    """

    shapes: ClassVar[Shapes] = {
        "alphas": ("n_l1_ratios", "n_alphas"), "errors": ("n_l1_ratios", "n_alphas", "n_splits"),
    }  # fmt: skip

    alpha: float | None = None
    l1_ratio: float | None = None
    alphas: FloatArray | None = None
    errors: FloatArray | None = None


class LassoSearch(Minimizer[LassoSearchState]):
    """Choose strength and share of l1 by the splits of a cross-validation.

    Parameters
    ----------
    splits : Splits
        How the problem's blocks are divided.
    l1_ratios : ndarray of shape (n_l1_ratios,)
        Shares of l1, from 0 to 1.
    alphas : ndarray or int
        Strengths, or their number. In the second case they are evenly spaced in their logarithm,
        and the largest is the smallest strength at which all coefficients are zero.
    eps : float
        The smallest of these strengths, relative to the largest.
    positive : bool
        Whether all coefficients must be at least 0.
    """

    name: ClassVar[str] = "coordinate_descent"
    state: ClassVar[type[State]] = LassoSearchState
    needs: ClassVar[frozenset[str]] = frozenset({"quadratic", "prox"})

    def __init__(
        self,
        splits: Splits,
        l1_ratios: FloatArray,
        alphas: FloatArray | int,
        *,
        eps: float,
        positive: bool,
    ) -> None:
        self.splits = splits
        self.l1_ratios = l1_ratios
        self.alphas = alphas
        self.eps = eps
        self.positive = positive

    def init(self, problem: Problem, start: FloatArray | None) -> PassGenerator[LassoSearchState]:
        yield from ()  # it begins without a pass
        start = np.zeros(problem.packing.size)
        return LassoSearchState(start, known=problem.known, precise=begins_precise(problem))

    def step(
        self, problem: Problem, state: LassoSearchState, tol: float
    ) -> PassGenerator[LassoSearchState]:
        if state.alpha is None or state.l1_ratio is None:
            return self._search(problem, state)
        return self._certify(problem, state, tol)

    def _search(self, problem: Problem, state: LassoSearchState) -> PassGenerator[LassoSearchState]:
        splits, fitted = self.splits, problem.packing.fit_intercept
        partials = yield from ask_part_moments(problem, splits, precise=state.precise)
        all_moments = join(partials, splits.all_rows)
        all_moments = all_moments if fitted else about_zero(all_moments)
        alphas = self._grids(all_moments)
        errors = np.empty((*alphas.shape, len(splits.train)))
        for number, (trained, tested) in enumerate(zip(splits.train, splits.test, strict=True)):
            train, test = join(partials, trained), join(partials, tested)
            check_split(number, train, test)
            path = CoefficientPath(train if fitted else about_zero(train), positive=self.positive)
            for index, share in enumerate(self.l1_ratios):
                coef = path.coefficients(float(share), alphas[index])
                squares = squared_errors(train, test, coef[:, None], fit_intercept=fitted)
                errors[index, :, number] = squares[:, 0] / test.weight
        means = errors.mean(axis=2)
        ratio, strength = np.unravel_index(int(np.argmin(means)), means.shape)
        chosen: dict[str, Any] = {
            "alpha": float(alphas[ratio, strength]),
            "l1_ratio": float(self.l1_ratios[ratio]),
            "alphas": alphas,
            "errors": errors,
        }
        solved = solve_moments(
            self._with_chosen_penalties(problem, replace(state, **chosen)), state, all_moments
        )
        return replace(state, **{**vars(solved), **chosen})

    def _certify(
        self, problem: Problem, state: LassoSearchState, tol: float
    ) -> PassGenerator[LassoSearchState]:
        proved = yield from CoordinateDescent().step(
            self._with_chosen_penalties(problem, state), state, tol
        )
        return replace(state, **vars(proved))

    def _with_chosen_penalties(self, problem: Problem, state: LassoSearchState) -> Problem:
        """Return the problem with the penalties that were chosen."""
        assert state.alpha is not None
        assert state.l1_ratio is not None
        l1 = L1(state.alpha * state.l1_ratio, self.positive, of_mean=True)
        l2 = L2(state.alpha * (1.0 - state.l1_ratio), of_mean=True)
        return replace(problem, penalty=l2, l1=l1)

    def _grids(self, moments: Moments) -> FloatArray:
        """Return the strengths of each path."""
        if not isinstance(self.alphas, int):
            return np.tile(np.sort(self.alphas)[::-1], (len(self.l1_ratios), 1))
        n = self.alphas
        return np.array(
            [
                strengths(moments, float(share), n, eps=self.eps, positive=self.positive)
                for share in self.l1_ratios
            ]
        )
