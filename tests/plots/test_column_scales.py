"""What a coefficient is the change for: held against the model's own predictions."""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import sklearn.preprocessing
from sklearn.compose import make_column_selector
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, PowerTransformer, RobustScaler

from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.compose import ColumnTransformer
from dlbd_estimators.plots import CoefficientsDisplay
from dlbd_estimators.preprocessing import (
    Blockwise,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    SimpleImputer,
    StandardScaler,
)

N = 200
RNG = np.random.default_rng(5)
FRAME = pd.DataFrame(
    {
        "a": RNG.normal(5.0, 0.01, N),
        "b": RNG.normal(-3.0, 100.0, N),
        "c": RNG.uniform(0.0, 1.0, N),
        "d": RNG.choice(["x", "y", "z"], N),
    }
)
NUMBERS = ["a", "b", "c"]
TARGET = 30 * FRAME["a"] + 0.01 * FRAME["b"] - FRAME["c"] + (FRAME["d"] == "z")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def drawn(model, **options):
    """Coefficients by name, and what the axis says."""
    display = CoefficientsDisplay.from_estimator(model, **options)
    table = dict(zip(display.feature_names, display.coef, strict=True))
    told = display.ax_.get_xlabel().replace("\n", " ")
    return table, told.removeprefix("Coefficient per ")


def slopes(model, X):
    """Change of the prediction for one unit of each numeric column."""
    found = {}
    for name in NUMBERS:
        changed = X.assign(**{name: X[name] + 1.0})
        found[name] = float((model.predict(changed) - model.predict(X))[0])
    return found


ROUTES = {
    "plain": Ridge,
    "standard": lambda: make_pipeline(StandardScaler(), Ridge()),
    "scales only": lambda: make_pipeline(StandardScaler(with_mean=False), Ridge()),
    "min-max": lambda: make_pipeline(MinMaxScaler((-1, 3)), Ridge()),
    "one after the other": lambda: make_pipeline(
        MaxAbsScaler(), "passthrough", make_pipeline(SimpleImputer(), StandardScaler()), Ridge()
    ),
    "robust, blockwise": lambda: make_pipeline(
        Blockwise(RobustScaler().fit(FRAME[NUMBERS])), Ridge()
    ),
    "scikit-learn's": lambda: make_pipeline(sklearn.preprocessing.StandardScaler(), Ridge()),
    "columns": lambda: make_pipeline(
        ColumnTransformer(
            [("one", StandardScaler(), ["b"]), ("two", MinMaxScaler(), slice("a", "a"))],
            remainder="passthrough",
            transformer_weights={"one": 3.0},
            verbose_feature_names_out=False,
        ),
        Ridge(),
    ),
}


@pytest.mark.parametrize(
    ("route", "lazy"),
    # scikit-learn's own scaler loads lazy data.
    [
        (route, lazy)
        for route in ROUTES
        for lazy in (False, True)
        if route != "scikit-learn's" or not lazy
    ],
)
def test_per_unit_and_per_standard_deviation(route, lazy):
    X = FRAME[NUMBERS]
    data = (
        (dd.from_pandas(X, npartitions=3), dd.from_pandas(TARGET, npartitions=3))
        if lazy
        else (X, TARGET)
    )
    model = ROUTES[route]().fit(*data)
    expected = slopes(model, X)
    unit, told = drawn(model, per="unit")
    assert told == "unit of the column"
    assert unit == pytest.approx(expected, rel=1e-6)
    rows = data[0]
    std, told = drawn(model, per="std", X=rows)
    assert told == "standard deviation of the column"
    deviations = X.std(ddof=0)
    assert std == pytest.approx({name: expected[name] * deviations[name] for name in X}, rel=1e-6)


def test_what_the_model_has_is_named():
    X = FRAME[NUMBERS]
    for route, expected in (
        ("plain", "unit of the column"),
        ("standard", "standard deviation of the column"),
        ("min-max", "unit of the scaled column"),
        ("columns", "unit of the scaled column"),
    ):
        model = ROUTES[route]().fit(X, TARGET)
        table, told = drawn(model)
        assert told == expected
        coef = model[-1].coef_ if route != "plain" else model.coef_
        assert sorted(table.values()) == sorted(coef)


def mixed():
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    return make_pipeline(
        ColumnTransformer(
            [
                ("numbers", numbers, make_column_selector(dtype_include="number")),
                ("categories", OneHotEncoder(), ["d"]),
            ],
            verbose_feature_names_out=False,
        ),
        LogisticRegression(),
    )


def test_categories_are_there_or_not():
    model = mixed().fit(FRAME, TARGET > 149.7)
    raw = dict(zip(model[0].get_feature_names_out(), model[-1].coef_[0], strict=True))
    for per in ("model", "std"):
        table, told = drawn(model, per=per)
        assert told == "standard deviation of the column, for categories 1 against 0"
        assert table == pytest.approx(raw)
    table, told = drawn(model, per="unit")
    assert told == "unit of the column, for categories 1 against 0"
    deviations = FRAME[NUMBERS].std(ddof=0)
    assert table == pytest.approx(
        {name: value / deviations.get(name, 1.0) for name, value in raw.items()}
    )


def test_marks_of_missing_values_are_categories():
    X = FRAME[NUMBERS].copy()
    X.loc[::9, "a"] = np.nan
    model = make_pipeline(SimpleImputer(add_indicator=True), Ridge()).fit(X, TARGET)
    table, told = drawn(model, per="std", X=X)
    assert told.endswith("for categories 1 against 0")
    assert table["missingindicator_a"] == model[-1].coef_[3]


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_a_column_without_values_is_dropped():
    X = FRAME[NUMBERS].assign(b=np.nan)
    model = make_pipeline(SimpleImputer(), StandardScaler(), Ridge()).fit(X, TARGET)
    table, _ = drawn(model, per="unit")
    assert table["c"] == pytest.approx(model[-1].coef_[1] / FRAME["c"].std(ddof=0))


def test_a_constant_column_has_no_spread():
    X = FRAME[NUMBERS].assign(b=7.0)
    model = make_pipeline(StandardScaler(), Ridge()).fit(X, TARGET)
    table, told = drawn(model)
    assert told == "standard deviation of the column"
    assert drawn(model, per="std")[0]["b"] == table["b"] == 0.0


@pytest.mark.parametrize(
    "step",
    [
        PolynomialFeatures(degree=2),
        PowerTransformer(),
        FeatureUnion([("a", PolynomialFeatures(degree=1)), ("b", StandardScaler())]),
    ],
)
def test_what_a_step_computes_has_a_unit_of_its_own(step):
    model = make_pipeline(step, Ridge()).fit(FRAME[NUMBERS], TARGET)
    _, told = drawn(model, per="unit")
    assert told == "unit of the column, for computed columns their own unit"
    table, told = drawn(model, per="std", X=FRAME[NUMBERS], n_features=50)
    assert told == "standard deviation of the column"
    spread = np.asarray(model[0].transform(FRAME[NUMBERS])).std(axis=0)
    np.testing.assert_allclose(sorted(table.values()), sorted(model[-1].coef_ * spread))


def test_wrong_requests_are_named():
    X = FRAME[NUMBERS]
    model = Ridge().fit(X, TARGET)
    with pytest.raises(ValueError, match='must be "model", "unit" or "std", but is \'column\''):
        drawn(model, per="column")
    with pytest.raises(ValueError, match="pass rows as X"):
        drawn(model, per="std")
    with pytest.raises(ValueError, match='used only for per="std"'):
        drawn(model, per="unit", X=X)


def test_lazy_rows_are_not_loaded():
    X = da.from_array(FRAME[NUMBERS].to_numpy(), chunks=(50, 3))
    model = Ridge().fit(X, TARGET.to_numpy())
    sizes = []

    def seen(block):
        sizes.append(len(block))
        return block

    drawn(model, per="std", X=X.map_blocks(seen, dtype=float, meta=np.empty((0, 3))))
    assert sorted(sizes) == [50] * 4
