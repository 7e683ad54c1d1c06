"""Several fits driven together: the bits of each alone, for fewer readings of the data."""

from __future__ import annotations

import warnings
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbd_estimators.blocks.block import ArrayLoader, Encoding, from_arrays
from dlbd_estimators.blocks.dask_blocks import from_dask
from dlbd_estimators.engine.cluster import ClusterExecutor
from dlbd_estimators.engine.matrices import MatrixRoom
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.exceptions import BadBlock, NonFiniteValues
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfSquaredError
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.linear_model.choose_solver import SOLVERS
from dlbd_estimators.solvers import Fit, Known, Problem, matrix_memory, minimize, minimize_together
from tests.strategies import random_generators

N, P, N_BLOCKS = 1920, 3, 64
#: Of classes and of numbers; those with an l1 norm have one.
NEEDS_L1 = ("coordinate_descent", "proximal_newton", "working_set")
OF_CLASSES = ("newton", "newton_cg", "lbfgs", "gradient_descent", "proximal_newton", "working_set")
OF_NUMBERS = ("gram", "coordinate_descent", "lbfgs")


def in_blocks(X, y):
    bounds = tuple(int(edge) for edge in np.linspace(0, len(X), N_BLOCKS + 1))
    return replace(
        from_arrays(X, y, None),
        loader=ArrayLoader(X, y, None, bounds),
        n_blocks=N_BLOCKS,
        sizes=tuple(int(size) for size in np.diff(bounds)),
    )


def classes(rng):
    X = rng.normal(size=(N, P)) * [0.1, 1.0, 10.0] + [0.0, 1.0, 0.0]
    y = (X @ [10.0, -1.0, 0.05] + rng.logistic(size=N) > 0).astype(float)
    return in_blocks(X, y).encoded(Encoding(np.arange(2.0)))


def numbers(rng):
    X = rng.normal([0.0, 1.0, 1e4], 1.0, size=(N, P))
    return in_blocks(X, X @ [1.0, 2.0, 0.0] + rng.normal(size=N))


def fit(name, blocks, strength=1.0, *, tol=1e-9, max_iter=12, **more):
    loss = HalfSquaredError() if blocks.encoding.classes is None else HalfBinomialLoss()
    l1 = L1(strength) if name in NEEDS_L1 else None
    problem = Problem(
        blocks,
        loss,
        L2(strength),
        Packing(1, P, True),
        name="test",
        l1=l1,
        known=Known(float(sum(blocks.sizes))),
    )
    return Fit(SOLVERS[name](), problem, None, tol, max_iter, float, **more)


def alone(one):
    with ThreadExecutor(1) as executor:
        return minimize(executor, one)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.parameters, other.parameters)
        assert one.status is other.status
        assert one.history == other.history


@given(
    random_generators(),
    st.lists(st.tuples(st.sampled_from(OF_CLASSES), st.floats(-3, 3)), min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from(OF_NUMBERS), st.floats(-3, 3)), max_size=2),
)
@settings(max_examples=20)
def test_bits_and_history_are_those_of_each_alone(rng, of_classes, of_numbers):
    labels, targets = classes(rng), numbers(rng)

    def fits():
        return [
            *(fit(name, labels, 10.0**power) for name, power in of_classes),
            *(fit(name, targets, 10.0**power) for name, power in of_numbers),
        ]

    with warnings.catch_warnings(), ThreadExecutor(2) as executor:
        warnings.simplefilter("ignore")  # of steps that do not suffice
        expected = [alone(one) for one in fits()]
        assert_same(minimize_together(executor, fits()), expected)


STRENGTHS = [10.0**power for power in range(-3, 5)]


def test_eight_strengths_read_little_more_than_one(rng):
    blocks = classes(rng)
    alone, passes = [], 0.0
    for strength in STRENGTHS:
        with ThreadExecutor(1) as executor:
            passes += minimize(executor, fit("newton", blocks, strength)).n_passes
            alone.append(executor.spent.cost.n_blocks)
    with ThreadExecutor(1) as executor:
        together = minimize_together(executor, [fit("newton", blocks, each) for each in STRENGTHS])
        n_blocks = executor.spent.cost.n_blocks
    assert sum(solution.n_passes for solution in together) == passes
    assert sum(alone) == pytest.approx(passes * N_BLOCKS)
    assert n_blocks <= 1.5 * max(alone)


def test_no_sweep_brings_more_matrices_than_workers_hold(rng, monkeypatch):
    monkeypatch.setattr(matrix_memory, "_ANYWHERE", 0)
    blocks = classes(rng)
    sweeps = []

    def counted(executor, passes, blocks):
        sweeps.append(len(passes))
        return run(executor, passes, blocks)

    run = ThreadExecutor.sweep
    monkeypatch.setattr(ThreadExecutor, "sweep", counted)
    expected = [alone(fit("newton", blocks, strength)) for strength in STRENGTHS]
    assert set(sweeps) == {1}
    sweeps.clear()
    little = MatrixRoom(2 * 3 * 8 * (P + 1) ** 2, 1, 1)
    monkeypatch.setattr(ThreadExecutor, "matrix_room", lambda *_: little)
    fits = [fit("newton", blocks, strength) for strength in STRENGTHS]
    with ThreadExecutor(1) as executor:
        assert_same(minimize_together(executor, fits), expected)
    assert max(sweeps) == 3


def test_a_fit_that_fails_leaves_the_others(rng):
    blocks = classes(rng)

    def fails(*_):
        raise KeyError("theirs")

    fits = [
        fit("newton", blocks),
        fit("lbfgs", blocks, on_step=fails),
        replace(fit("newton_cg", blocks), start=np.full(P + 1, 1e308)),
        fit("newton", blocks, 10.0),
    ]
    with ThreadExecutor(1) as executor:
        first, failed, overflowed, last = minimize_together(executor, fits)
    assert isinstance(failed, KeyError)
    assert isinstance(overflowed, BadBlock)
    assert_same([first, last], [alone(fit("newton", blocks)), alone(fit("newton", blocks, 10.0))])


def test_bad_rows_end_the_fits_that_read_them(rng):
    good, bad = classes(rng), classes(rng)
    bad.loader.X[700, 1] = np.nan
    fits = [fit("newton", good), fit("newton", bad), fit("lbfgs", bad)]
    with ThreadExecutor(2) as executor:
        found = minimize_together(executor, fits)
    assert_same(found[:1], [alone(fit("newton", good))])
    for error in found[1:]:
        assert isinstance(error, NonFiniteValues)
        with pytest.raises(NonFiniteValues, match="row 10 of block 23 "):
            raise error


@pytest.mark.cluster
def test_bits_on_a_cluster_are_those_of_each_alone(client, rng):
    X = rng.normal(size=(6000, P))
    y = (X[:, 0] + rng.logistic(size=6000) > 0).astype(float)
    lazy = [da.from_array(each, chunks=(500, *each.shape[1:])) for each in (X, y)]
    blocks = from_dask(*lazy, None).encoded(Encoding(np.arange(2.0)))
    fits = [fit(name, blocks, power) for name in OF_CLASSES[:3] for power in (0.1, 10.0)]
    with ClusterExecutor(client) as executor:
        found = minimize_together(executor, fits)
        n_blocks = executor.spent.cost.n_blocks
    again = [fit(name, blocks, power) for name in OF_CLASSES[:3] for power in (0.1, 10.0)]
    with ThreadExecutor(2) as executor:
        expected = [minimize(executor, one) for one in again]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.parameters, other.parameters)
    assert n_blocks <= 1.5 * max(one.n_passes for one in found) * blocks.n_blocks
