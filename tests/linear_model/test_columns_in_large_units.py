"""Numbers as small as 1e-60 have squares that float32 cannot hold, which must cost no digits."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators import LogisticRegression


@pytest.mark.parametrize("unit", [1e-22, 1e-60])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("solver", ["newton", "newton_cg", "lbfgs"])
def test_coefficients_do_not_depend_on_the_units_of_columns(solver, n_classes, mixed, unit, rng):
    X = rng.normal(size=(120, 3))
    y = np.digitize(X[:, 0] + rng.logistic(size=120), [0.0, 1.0][: n_classes - 1])
    units = np.array([unit, 1.0, 1.0]) if mixed else np.full(3, unit)
    plain = LogisticRegression(C=np.inf).fit(X, y)
    scaled = LogisticRegression(C=np.inf, solver=solver, max_iter=300).fit(X * units, y)
    largest = np.abs(plain.coef_).max()
    np.testing.assert_allclose(scaled.coef_ * units, plain.coef_, rtol=0, atol=2e-7 * largest)
