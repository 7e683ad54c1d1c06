"""Newton's method by conjugate gradients: its inner solve, its end, its memory, its bits."""

from __future__ import annotations

import tracemalloc

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.arrays import Order
from dlbd_estimators.kernels.linear import LinearKernel
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.products import HessianProductKernel
from dlbd_estimators.solvers.smooth import output_curvature
from dlbd_estimators.solvers.smooth.conjugate_gradients import PerOutput, inexact_step
from dlbd_estimators.solvers.smooth.newton_cg import NewtonCG
from tests.solvers.dense import answer, dense_decrement, problem_of, run
from tests.strategies import random_generators


def many_classes(rng, n, p, n_classes):
    X = rng.normal(size=(n, p))
    scores = X @ rng.normal(size=(p, n_classes)) + rng.gumbel(size=(n, n_classes))
    y = scores.argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)
    return X, y


def solved(matrix, gradient, metric, **limits):
    """What conjugate gradients find that are told products with the matrix."""

    def product(vector):
        return (yield vector)

    asks = inexact_step(product, gradient, metric, lambda vector: vector, **limits)
    return answer(asks, lambda vector: matrix @ vector)


@given(random_generators(), st.integers(1, 4), st.integers(1, 6))
def test_conjugate_gradients_solve_a_system(rng, outputs, width):
    size = outputs * width
    root = rng.normal(size=(size + 3, size)) * 10.0 ** rng.uniform(-3, 3, size)
    matrix = root.T @ root
    blocks = np.stack([matrix[i : i + width, i : i + width] for i in range(0, size, width)])
    gradient = matrix @ (rng.normal(size=size) / np.sqrt(np.diag(matrix)))
    found = solved(
        matrix,
        gradient,
        PerOutput(blocks),
        share=1e-12,
        enough=0.0,
        max_products=20 * size,
    )
    expected = -np.linalg.solve(matrix, gradient)
    off = found.step - expected
    decrement = np.sqrt(gradient @ -expected)
    assert np.sqrt(off @ matrix @ off) <= 1e-6 * decrement
    assert found.left <= 1e-6 * decrement


@given(random_generators(), st.integers(1, 5), st.floats(0.01, 0.5))
def test_what_an_early_end_leaves_is_told(rng, width, share):
    """The estimate of what is left is that of the metric of the Hessian, within its spread."""
    size = 4 * width
    root = rng.normal(size=(3 * size, size))
    matrix = root.T @ root
    gradient = rng.normal(size=size)
    blocks = np.stack([matrix[i : i + width, i : i + width] for i in range(0, size, width)])
    metric = PerOutput(blocks)
    found = solved(
        matrix,
        gradient,
        metric,
        share=share,
        enough=0.0,
        max_products=100,
    )
    off = found.step + np.linalg.solve(matrix, gradient)
    truth = np.sqrt(off @ matrix @ off)
    assert truth <= 3.0 * found.left + 1e-12


def test_a_preconditioner_of_one_output_is_its_hessian(rng):
    root = rng.normal(size=(30, 5)) * [1e-4, 1.0, 1e4, 1.0, 3.0]
    matrix = root.T @ root
    right = rng.normal(size=5)
    np.testing.assert_allclose(
        PerOutput(matrix[None]).solve(right), np.linalg.solve(matrix, right), rtol=1e-6
    )


def test_a_matrix_without_curvature_in_places_is_no_obstacle():
    matrices = np.array([np.diag([1.0, 0.0, 2.0]), np.ones((3, 3))])
    solution = PerOutput(matrices).solve(np.arange(6.0))
    assert np.isfinite(solution).all()


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_the_minimum_of_many_classes(strength, rng):
    X, y = many_classes(rng, 2000, 3, 30)
    problem = problem_of(X, y.astype(float), HalfMultinomialLoss(), n_outputs=30, strength=strength)
    solution = run(NewtonCG(), problem, tol=1e-10, max_iter=50)
    assert dense_decrement(problem, X, y, solution.parameters) <= 1e-10


def kernels_of(monkeypatch, X, y, **parameters):
    """Fit by Newton-CG; return the model, and the kernels of its passes over one block."""
    used = []
    for kind in (LinearKernel, HessianProductKernel):
        call = kind.__call__

        def recorded(kernel, block, point, call=call):
            used.append(kernel)
            return call(kernel, block, point)

        monkeypatch.setattr(kind, "__call__", recorded)
    model = LogisticRegression(solver="newton_cg", **parameters).fit(X, y)
    return model, list(used)


def precisions(used):
    return {kernel.dtype for kernel in used if isinstance(kernel, HessianProductKernel)}


def assert_within_tol(model, X, y, **parameters):
    expected = LogisticRegression(solver="newton", tol=1e-12, **parameters).fit(X, y).coef_
    spread = X.std(axis=0)
    error = np.abs(spread * (model.coef_ - expected)).max() / np.abs(spread * expected).max()
    assert error <= model.tol


def test_products_of_many_classes_are_in_float32(rng, monkeypatch):
    X, y = many_classes(rng, 900, 4, 10)
    model, used = kernels_of(monkeypatch, X, y)
    assert precisions(used) == {"float32"}
    assert_within_tol(model, X, y)
    formed = [each.order == Order.HESSIAN for each in used if isinstance(each, LinearKernel)]
    # Near the minimum, the preconditioner is not formed again.
    assert formed == sorted(formed, reverse=True)
    assert formed[0]
    assert not formed[-1]


def test_products_of_few_classes_are_in_float64(rng, monkeypatch):
    X, y = many_classes(rng, 300, 4, 8)
    model, used = kernels_of(monkeypatch, X, y)
    assert precisions(used) == {"float64"}
    assert all(each.order == Order.HESSIAN for each in used if isinstance(each, LinearKernel))
    assert_within_tol(model, X, y)


def test_nearly_dependent_columns_of_many_classes_take_float64(rng, monkeypatch):
    X, y = many_classes(rng, 300, 4, 10)
    X[:, 3] = X[:, 2] + 1e-3 * X[:, 3]
    model, used = kernels_of(monkeypatch, X, y, C=1e4)
    assert precisions(used) == {"float64"}
    forms = [each for each in used if getattr(each, "order", None) == Order.HESSIAN]
    assert (forms[0].hessian_dtype, forms[-1].hessian_dtype) == ("float32", "float64")
    assert_within_tol(model, X, y, C=1e4)


@pytest.mark.parametrize("noise", [1e-3, 3e-2])
def test_the_error_of_nearly_dependent_columns_is_not_underestimated(noise, rng):
    """Correlations that were reduced in the preconditioner hid it, and cost twice the passes."""
    X, y = many_classes(rng, 900, 4, 10)
    X[:, 3] = X[:, 2] + noise * rng.normal(size=900)
    model = LogisticRegression(C=1e4, solver="newton_cg").fit(X, y)
    assert model.n_passes_ < 50
    assert_within_tol(model, X, y, C=1e4)


def test_dependence_that_only_products_show_takes_float64(rng, monkeypatch):
    class Reduced(PerOutput):
        """A preconditioner whose correlations are reduced: it does not show the dependence."""

        def __init__(self, matrices):
            super().__init__(matrices * (0.95 + 0.05 * np.eye(matrices.shape[1])))

    monkeypatch.setattr(output_curvature, "PerOutput", Reduced)
    X, y = many_classes(rng, 900, 4, 10)
    X[:, 3] = X[:, 2] + 1e-3 * X[:, 3]
    _, used = kernels_of(monkeypatch, X, y, C=1e4)
    assert precisions(used[:3]) == {"float32"}
    assert precisions(used[-3:]) == {"float64"}


def test_products_too_large_for_float32_are_formed_in_float64(rng, monkeypatch):
    X, y = many_classes(rng, 900, 4, 10)
    X[0, 0] = 1e3
    model, used = kernels_of(monkeypatch, X * 1e36, y, C=1e-70)
    assert precisions(used) == {"float32", "float64"}
    assert np.isfinite(model.coef_).all()


def test_a_class_that_stands_apart_has_its_digits(rng, monkeypatch):
    """Its probabilities are close to 0 and 1, so that float32 would lose the curvature."""
    X, y = many_classes(rng, 900, 4, 10)
    X[y == 3, 0] += 12.0
    model, used = kernels_of(monkeypatch, X, y)
    assert "float32" in precisions(used)
    assert_within_tol(model, X, y)


def test_columns_too_many_for_a_preconditioner(rng, monkeypatch):
    monkeypatch.setattr(output_curvature, "LARGEST_HESSIAN", 10)
    X, y = many_classes(rng, 1000, 4, 7)
    X *= [1e-3, 1.0, 10.0, 1e3]
    problem = problem_of(X, y.astype(float), HalfMultinomialLoss(), n_outputs=7, strength=1.0)
    solution = run(NewtonCG(), problem, tol=1e-10, max_iter=50)
    assert dense_decrement(problem, X, y, solution.parameters) <= 1e-10


def test_digits_arrive_with_defaults():
    X, y = load_digits(return_X_y=True)
    model = LogisticRegression().fit(X, y)
    exact = LogisticRegression(solver="newton").fit(X, y)
    assert model.history_[-1]["error"] <= model.tol
    np.testing.assert_allclose(model.coef_, exact.coef_, atol=1e-6 * np.abs(exact.coef_).max())


def test_a_hundred_classes_arrive_with_defaults_and_in_little_memory(rng):
    X, y = many_classes(rng, 5000, 10, 100)
    tracemalloc.start()
    model = LogisticRegression().fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert model.solver_ == "newton_cg"
    assert model.history_[-1]["error"] <= model.tol
    assert peak < 8 * 1100**2 * 8  # a whole Hessian and its factor would take more


def test_many_classes_of_lazy_data_arrive(rng):
    X, y = many_classes(rng, 4000, 5, 60)
    expected = LogisticRegression(solver="newton_cg").fit(X, y)
    model = LogisticRegression().fit(
        da.from_array(X, chunks=(300, 5)), da.from_array(y, chunks=300)
    )
    assert model.history_[-1]["error"] <= model.tol
    scale = np.abs(expected.coef_).max()
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-6 * scale)


@given(random_generators())
@settings(max_examples=5)
def test_bits_do_not_depend_on_threads(rng):
    X, y = many_classes(rng, 20_000, 3, 5)
    parameters = []
    for n_threads in (1, 3):
        problem = problem_of(X, y.astype(float), HalfMultinomialLoss(), n_outputs=5, strength=1.0)
        executor = ThreadExecutor(n_threads)
        parameters.append(run(NewtonCG(), problem, executor=executor).parameters)
    np.testing.assert_array_equal(*parameters)


def test_separable_classes_are_told():
    X = np.linspace(-1, 1, 40)[:, None]
    problem = problem_of(X, (X[:, 0] > 0).astype(float), HalfBinomialLoss())
    with pytest.warns(ConvergenceWarning, match="perfectly separable"):
        run(NewtonCG(), problem, max_iter=100)


@pytest.mark.parametrize("solver", ["auto", "newton", "newton_cg", "lbfgs", "gradient_descent"])
def test_a_fit_that_does_not_arrive_is_not_told_to_do_the_same_again(solver, rng):
    X, y = many_classes(rng, 3000, 5, 30)
    with pytest.warns(ConvergenceWarning, match="Increase max_iter, or") as seen:
        model = LogisticRegression(solver=solver, max_iter=2).fit(X, y)
    if "solver='auto'" in str(seen[0].message):
        with pytest.warns(ConvergenceWarning):
            assert LogisticRegression(max_iter=2).fit(X, y).solver_ != model.solver_


def test_steps_found_too_long_do_not_count(rng):
    X, y = many_classes(rng, 3000, 10, 60)
    model = LogisticRegression(solver="newton_cg").fit(X, y)
    steps = [entry["step"] for entry in model.history_]
    assert min(steps) < 1.0
    assert model.n_iter_[0] == len(model.history_)
    again = LogisticRegression(solver="newton_cg", max_iter=len(steps)).fit(X, y)
    np.testing.assert_array_equal(again.coef_, model.coef_)
