"""A matrix that does not fit in the workers is not asked for: another solver, or an error."""

from __future__ import annotations

import math

import dask
import dask.array as da
import numpy as np
import pytest
from sklearn import linear_model

from dlbd_estimators import Lasso, LinearRegression, LogisticRegression, Ridge
from dlbd_estimators.engine.matrices import MatrixRoom
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.exceptions import MatrixTooLarge
from dlbd_estimators.kernels.losses import HalfSquaredError
from dlbd_estimators.solvers import matrix_memory
from dlbd_estimators.solvers.matrix_memory import largest_side, matrices_fit, sweep_fits
from dlbd_estimators.solvers.smooth.output_curvature import preconditioner_fits
from tests.blocks.test_dask_blocks import never
from tests.solvers.dense import problem_of

N, P = 400, 30


@pytest.fixture
def little(monkeypatch):
    """Workers with room for matrices of 20 x 20."""
    monkeypatch.setattr(matrix_memory, "_ANYWHERE", 0)
    little = MatrixRoom(2 * 8 * 8 * 400, 1, 8)
    monkeypatch.setattr(ThreadExecutor, "matrix_room", lambda *_: little)


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, P))
    return X, X[:, 0] - X[:, 1] + rng.normal(size=N)


def unread(X, y):
    """The same shapes, never to be read."""
    return (
        da.from_array(X, chunks=(50, P)).map_blocks(never, meta=np.empty((0, 0))),
        da.from_array(y, chunks=50),
    )


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize(
    ("model", "needed", "advice"),
    [
        (Ridge(solver="gram"), 31, "Use solver='lbfgs'"),
        (LogisticRegression(solver="newton"), 31, "Use solver='lbfgs'"),
        (LogisticRegression(solver="proximal_newton", l1_ratio=0.5), 31, "solver='working_set'"),
        (Lasso(solver="coordinate_descent"), 31, "Use solver='working_set'"),
        (LinearRegression(positive=True), 31, "Select columns first"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_read(model, needed, advice, data):
    X, y = data
    if isinstance(model, LogisticRegression):
        X, y = da.from_array(X, chunks=(50, P)), da.from_array(y > 0, chunks=50)
    else:
        X, y = unread(X, y)
    with (
        dask.config.set(scheduler="threads"),
        pytest.raises(MatrixTooLarge, match=rf"matrix of {needed} x {needed} .* thread.*{advice}"),
    ):
        model.fit(X, y)
    assert issubclass(MatrixTooLarge, MemoryError)


@pytest.mark.usefixtures("little")
def test_auto_takes_a_solver_that_needs_none(data):
    X, y = data
    model = Ridge().fit(X, y)
    assert model.solver_ == "lbfgs"
    expected = linear_model.Ridge(solver="cholesky").fit(X, y)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-6)
    model = LogisticRegression().fit(X, y > 0)
    assert model.solver_ == "newton_cg"
    expected = linear_model.LogisticRegression(tol=1e-12, solver="newton-cholesky").fit(X, y > 0)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-5)
    with dask.config.set(scheduler="threads"):
        model.fit(da.from_array(X, chunks=(50, P)), da.from_array(y > 0, chunks=50))
    assert model.solver_ == "lbfgs"
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-5)
    model = Lasso(alpha=0.1).fit(X, y)
    assert model.solver_ == "working_set"
    np.testing.assert_allclose(
        model.coef_, linear_model.Lasso(alpha=0.1, tol=1e-14).fit(X, y).coef_, atol=1e-7
    )


@pytest.mark.usefixtures("little")
def test_solvers_that_can_do_without_do(data):
    problem = problem_of(*data, HalfSquaredError())
    assert matrices_fit(problem, 400)
    assert not matrices_fit(problem, 401)
    assert largest_side(problem) == 20
    assert not preconditioner_fits(problem)
    X, y = data
    expected = linear_model.LogisticRegression(tol=1e-12, solver="newton-cholesky").fit(X, y > 0)
    for solver in ("lbfgs", "newton_cg"):
        model = LogisticRegression(solver=solver).fit(X, y > 0)
        np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-5)


def test_a_megabyte_fits_anywhere(data, monkeypatch):
    monkeypatch.setattr(ThreadExecutor, "matrix_room", lambda *_: MatrixRoom(8, 1, 1))
    problem = problem_of(*data, HalfSquaredError())
    with ThreadExecutor(1) as executor:
        for n_entries, fits in ((2**17, True), (2**17 + 1, False)):
            assert matrices_fit(problem, n_entries) == fits
            assert sweep_fits(executor, problem.blocks, n_entries) == fits
    assert largest_side(problem) == math.isqrt(2**17)


def test_real_memory_decides(data):
    X, y = data
    wide = da.zeros((100, 3000), chunks=(20, 3000)).map_blocks(never, meta=np.empty((0, 0)))
    problem = problem_of(X, y, HalfSquaredError())
    assert largest_side(problem) == 4000
    with dask.config.set({"dlbd-estimators.memory": "64MiB", "scheduler": "threads"}):
        small = largest_side(problem_of(X, y, HalfSquaredError()))
        assert small < 4000
        assert small == math.isqrt(max(2**20, 32 * 2**20 // room_copies(X, y)) // 8)
        with pytest.raises(MatrixTooLarge, match=r"3001 x 3001.*69 MiB.*with 64 MiB of memory"):
            Ridge(solver="gram").fit(wide, da.zeros(100, chunks=20))


def room_copies(X, y):
    problem = problem_of(X, y, HalfSquaredError())
    return problem.room.copies
