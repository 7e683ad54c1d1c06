"""What X, y and weights share is read once for all of them, whatever they were made of."""

from __future__ import annotations

from collections import Counter

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators import LogisticRegression, Ridge, metrics
from dlbd_estimators.preprocessing import StandardScaler

COLUMNS = list("abc")
N_PARTS, N_ROWS = 4, 50
READ = Counter()


def part(number):
    READ[number] += 1
    rng = np.random.default_rng(number)
    frame = pd.DataFrame(rng.normal(size=(N_ROWS, 3)), columns=COLUMNS)
    return frame.assign(y=frame.a + 2 * frame.b - frame.c)


def mixed(rows):
    """Rows in another order each time."""
    return rows.sample(frac=1.0, random_state=np.random.default_rng())


def frame():
    return dd.from_map(part, range(N_PARTS), meta=part(0).iloc[:0])


def array(number):
    return part(number).to_numpy()


def block(block_id):
    return array(block_id[0])


def columns_of_a_frame():
    lazy = frame()
    lazy = lazy[lazy["a"] > -1]
    return lazy[COLUMNS], lazy["y"], lazy["a"] ** 2


def columns_of_an_array():
    chunks = ((N_ROWS,) * N_PARTS, (4,))
    lazy = da.map_blocks(block, chunks=chunks, dtype=float, meta=np.empty((0, 0)))
    return lazy[:, :3], lazy[:, 3], lazy[:, 0] ** 2


def ridge(X, y, w):
    return Ridge().fit(X, y, w)


def score(X, y, w):
    return Ridge().fit(np.eye(3), np.ones(3)).score(X.values if hasattr(X, "columns") else X, y, w)


def scaled(X, y, w):
    scaler = StandardScaler().fit(np.eye(3))
    return Ridge().fit(scaler.transform(X.values if hasattr(X, "columns") else X), y, w)


def metric(X, y, w):
    prediction = X["a"] if hasattr(X, "columns") else X[:, 0]
    return metrics.r2_score(y, prediction, sample_weight=w)


def score_of_names(X, y, w):
    model = Ridge().fit(pd.DataFrame(np.eye(3), columns=COLUMNS), np.ones(3))
    return model.score(X, y, w)


@pytest.mark.parametrize(
    ("use", "make"),
    [
        (ridge, columns_of_a_frame),
        (ridge, columns_of_an_array),
        (metric, columns_of_a_frame),
        (metric, columns_of_an_array),
        (score_of_names, columns_of_a_frame),
    ],
)
def test_each_part_is_read_once_a_pass(make, use):
    given = make()
    READ.clear()
    use(*given)
    assert set(READ.values()) == {1}
    assert set(READ) == set(range(N_PARTS))


@pytest.mark.parametrize("use", [score, scaled])
def test_each_part_of_an_array_is_read_once_a_pass(use):
    given = columns_of_an_array()
    READ.clear()
    use(*given)
    assert set(READ.values()) == {1}
    assert set(READ) == set(range(N_PARTS))


def test_passes_of_an_iterative_solver_read_each_part_once_each():
    X, y, _ = columns_of_a_frame()
    READ.clear()
    with pytest.warns(ConvergenceWarning):
        model = LogisticRegression(solver="lbfgs", max_iter=5).fit(X, y > 0)
    assert max(READ.values()) <= np.ceil(model.n_passes_) + 1  # the classes are counted too


def test_columns_that_were_drawn_by_chance_are_those_of_one_reading():
    lazy = frame().map_partitions(mixed)
    lazy = lazy[lazy["a"] > -9.0]  # Dask joins the steps of X alone to one task, and those of y
    model = Ridge(alpha=0.0).fit(lazy[COLUMNS], lazy["y"])
    np.testing.assert_allclose(model.coef_, [1.0, 2.0, -1.0], rtol=1e-9)
    assert model.score(lazy[COLUMNS], lazy["y"]) == pytest.approx(1.0, rel=1e-9)


def test_blocks_made_of_a_decomposition_are_read():
    X, y, _ = columns_of_an_array()
    u, s, _ = da.linalg.svd(X)
    found = Ridge(alpha=0.0).fit(u * s, y)
    expected = Ridge(alpha=0.0).fit((u * s).compute(), y.compute())
    np.testing.assert_allclose(found.score(u * s, y), 1.0)
    np.testing.assert_allclose(np.abs(found.coef_), np.abs(expected.coef_), rtol=1e-6)
