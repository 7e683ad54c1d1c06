"""The solver that ``solver="auto"`` selects, by the size of the problem and where its rows are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlbd_estimators.blocks.block import from_arrays
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.linear_model.choose_solver import choose
from dlbd_estimators.solvers.problem import Problem


def problem(n_rows, n_features, n_classes=2, *, in_memory, itemsize, n_blocks=200):
    """Return a problem of this size. Its rows are not there: the choice reads none."""
    blocks = replace(
        from_arrays(np.zeros((2, n_features)), np.zeros(2), None),
        n_blocks=n_blocks,
        sizes=tuple(np.diff(np.linspace(0, n_rows, n_blocks + 1).astype(int))),
        itemsize=itemsize,
        in_memory=in_memory,
    )
    loss = HalfBinomialLoss() if n_classes == 2 else HalfMultinomialLoss()
    packing = Packing(1 if n_classes == 2 else n_classes, n_features, True)
    return Problem(blocks, loss, L2(1.0), packing, name="test")


@pytest.mark.parametrize(
    ("n_rows", "n_features", "n_classes", "on_disk", "in_memory"),
    [
        # Too few rows for a sample: Newton's method, or without a Hessian for many parameters.
        (1_000, 20, 2, "newton", "newton"),
        (1_797, 64, 10, "newton_cg", "newton_cg"),
        # The usual shapes: fewer passes over storage; cheaper passes in memory.
        (100_000, 10, 2, "newton", "lbfgs"),
        (100_000, 40, 2, "newton", "lbfgs"),
        (1_000_000, 100, 2, "newton", "lbfgs"),
        (1_000_000, 40, 3, "newton", "lbfgs"),
        # Where a Hessian costs more than many passes over storage.
        (10_000_000, 1_000, 2, "lbfgs", "lbfgs"),
        (200_000, 50, 10, "lbfgs", "lbfgs"),
        (200_000, 50, 100, "newton_cg", "newton_cg"),
    ],
)
def test_choice(n_rows, n_features, n_classes, on_disk, in_memory):
    sizes = n_rows, n_features, n_classes
    assert choose("auto", problem(*sizes, in_memory=False, itemsize=4)).name == on_disk
    assert choose("auto", problem(*sizes, in_memory=True, itemsize=8)).name == in_memory
