"""What a Dask collection is handed to, and what has to come out as from rows in memory."""

from __future__ import annotations

import tempfile
import warnings

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

import storage
from dlbd_estimators import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPRegressor,
    Ridge,
    SeparableWarning,
    metrics,
)
from dlbd_estimators.compose import make_column_transformer
from dlbd_estimators.model_selection import KFold, train_test_split
from dlbd_estimators.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    SimpleImputer,
    StandardScaler,
)
from tests.lazy_input.data import DaskRefusal, assert_same, at, in_memory, rows


def flat(coefs):
    return np.concatenate([np.ravel(each) for each in coefs])


def linear(d):
    model = LinearRegression().fit(d.X, d.y)
    return model.coef_, model.intercept_, model.score(d.X, d.y)


def ridge(d):
    model = Ridge(alpha=0.5).fit(d.X, d.y, sample_weight=d.w)
    return model.coef_, model.intercept_, model.score(d.X, d.y, d.w), rows(model.predict(d.X))


def lasso(d):
    model = Lasso(alpha=0.05, tol=1e-12).fit(d.X, d.y, d.w)
    return model.coef_, model.intercept_


def logistic(d):
    model = LogisticRegression(tol=1e-10).fit(d.X, d.label, d.w)
    assert list(model.classes_) == sorted(set(model.classes_))
    return (
        model.coef_,
        model.intercept_,
        model.score(d.X, d.label),
        rows(model.predict_proba(d.X)),
    )


def logistic_binary(d):
    model = LogisticRegression(C=0.5, tol=1e-10).fit(d.X, d.y > 0)
    return model.coef_, model.intercept_, model.score(d.X, d.y > 0)


def network(d):
    options = {"hidden_layer_sizes": (3,), "solver": "lbfgs", "max_iter": 2, "random_state": 0}
    model = MLPRegressor(**options).fit(d.X, d.y)
    return flat(model.coefs_), flat(model.intercepts_), model.score(d.X, d.y)


def network_classifier(d):
    options = {"hidden_layer_sizes": (3,), "solver": "lbfgs", "max_iter": 1, "random_state": 0}
    model = MLPClassifier(**options).fit(d.X, d.label)
    return flat(model.coefs_), flat(model.intercepts_), model.score(d.X, d.label)


def network_adam(d):
    # Orders of rows differ from those in memory: only what does not depend on them is compared.
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0).fit(d.X, d.y)
    assert np.isfinite(flat(model.coefs_)).all()
    return model.t_, rows(model.predict(d.X)).shape


def standard_scaler(d):
    scaler = StandardScaler().fit(d.X, sample_weight=d.w)
    return scaler.mean_, scaler.var_, rows(scaler.transform(d.X))


def standard_scaler_gaps(d):
    scaler = StandardScaler().fit(d.gaps)
    return scaler.mean_, scaler.var_, scaler.n_samples_seen_, rows(scaler.transform(d.gaps))


def min_max_scaler(d):
    scaler = MinMaxScaler().set_output(transform="pandas")
    result = scaler.fit_transform(d.X)
    return scaler.data_min_, scaler.data_max_, rows(result)


def imputer(d):
    imputer = SimpleImputer(add_indicator=True).fit(d.gaps)
    return imputer.statistics_, rows(imputer.transform(d.gaps))


def one_hot_encoder(d):
    encoder = OneHotEncoder(sparse_output=False).fit(d.groups)
    sizes = [len(each) for each in encoder.categories_]
    return sizes, rows(encoder.transform(d.groups))


def ordinal_encoder(d):
    encoder = OrdinalEncoder().fit(d.groups)
    return [len(each) for each in encoder.categories_], rows(encoder.transform(d.groups))


def columns():
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["m", "a"]),
        (OneHotEncoder(sparse_output=False), ["g"]),
        remainder="passthrough",
    )


def column_transformer(d):
    transformer = columns()
    return rows(transformer.fit_transform(d.mixed)), rows(transformer.transform(d.mixed))


def column_transformer_pandas(d):
    transformer = columns().set_output(transform="pandas")
    return rows(transformer.fit_transform(d.mixed)), [
        hash(each) % 997 for each in transformer.get_feature_names_out()
    ]


def pipeline(d):
    model = make_pipeline(StandardScaler(), MinMaxScaler(), Ridge(alpha=0.1)).fit(d.X, d.y)
    return model[-1].coef_, model.score(d.X, d.y), rows(model.predict(d.X))


def pipeline_columns(d):
    model = make_pipeline(columns(), LogisticRegression(tol=1e-10)).fit(d.mixed, d.label)
    return model[-1].coef_, model.score(d.mixed, d.label)


def numeric_metrics(d):
    model = Ridge(alpha=0.5).fit(d.X, d.y)
    predicted = model.predict(d.X)
    # Each reads the rows anew. All do it in the same way, with weights or without.
    return (
        metrics.r2_score(d.y, predicted, sample_weight=d.w),
        metrics.mean_squared_error(d.y, predicted),
        metrics.root_mean_squared_error(d.y, predicted),
        metrics.mean_absolute_error(d.y, predicted, sample_weight=d.w),
        metrics.max_error(d.y, predicted),
    )


def class_metrics(d):
    model = LogisticRegression(tol=1e-10).fit(d.X, d.label)
    predicted = model.predict(d.X)
    return (
        metrics.accuracy_score(d.label, predicted),
        metrics.balanced_accuracy_score(d.label, predicted, sample_weight=d.w),
        metrics.confusion_matrix(d.label, predicted),
        metrics.precision_score(d.label, predicted, average="macro", zero_division=0.0),
        metrics.recall_score(d.label, predicted, average="macro", zero_division=0.0),
        metrics.f1_score(d.label, predicted, average="weighted", sample_weight=d.w),
        metrics.log_loss(d.label, model.predict_proba(d.X)),
    )


def probability_metrics(d):
    found = d.y > 0
    probability = LogisticRegression(tol=1e-10).fit(d.X, found).predict_proba(d.X)[:, 1]
    # Rows that are equal are one point of a curve, which they are not if one is rounded otherwise.
    probability = probability.round(10)
    return (
        metrics.roc_auc_score(found, probability, sample_weight=d.w),
        metrics.brier_score_loss(found, probability),
        metrics.log_loss(found, probability),
        *metrics.roc_curve(found, probability)[:2],
        *metrics.calibration_curve(found, probability, n_bins=4),
        metrics.mean_poisson_deviance(d.w, probability),
    )


def stored(d):
    with tempfile.TemporaryDirectory() as folder:
        data = storage.create_dataset(f"{folder}/a.zarr", d.X, d.y, d.w)
        X, y, w = (each.compute() for each in (data.X, data.y, data.sample_weight))
    return rows(np.column_stack([X, y.reshape(len(X), -1), w])), X.shape


def check_parts(memory, parts, tolerance):
    """Fit on one part, score on the other; parts have to be apart, and all rows."""
    X, X_test, y, y_test, row, row_test, w, _ = parts
    # In computations of their own: what is drawn by chance would differ between them.
    train, test = in_memory(row), in_memory(row_test)
    assert not set(train) & set(test), "rows in both parts"
    assert sorted([*train, *test]) == sorted(in_memory(memory.row)), "rows lost or doubled"
    model = Ridge(alpha=0.5).fit(X, y, w)
    known, unknown = at(memory, train), at(memory, test)
    expected = Ridge(alpha=0.5).fit(known.X, known.y, known.w)
    assert_same(
        (model.coef_, model.intercept_, model.score(X_test, y_test)),
        (expected.coef_, expected.intercept_, expected.score(unknown.X, unknown.y)),
        tolerance,
    )


def split(lazy, memory, tolerance):
    parts = train_test_split(lazy.X, lazy.y, lazy.row, lazy.w, random_state=0)
    check_parts(memory, parts, tolerance)


def split_stratified(lazy, memory, tolerance):
    parts = train_test_split(
        lazy.X, lazy.y, lazy.row, lazy.w, random_state=0, stratify=lazy.label, test_size=0.4
    )
    check_parts(memory, parts, tolerance)
    test = at(memory, in_memory(parts[5]))
    for label, count in pd.Series(in_memory(memory.label)).value_counts().items():
        taken = int((in_memory(test.label) == label).sum())
        assert abs(taken - 0.4 * count) <= 1.0, (label, taken, count)


def folds(lazy, memory, tolerance):
    splitter = KFold(2, shuffle=True, random_state=0)
    tested = []
    for parts in splitter.split_arrays(lazy.X, lazy.y, lazy.row, lazy.w):
        check_parts(memory, parts, tolerance)
        tested.extend(in_memory(parts[5]))
    assert sorted(tested) == sorted(in_memory(memory.row))


#: What gives numbers, to be compared with those of the rows in memory.
COMPARED = {
    each.__name__: each
    for each in (
        linear, ridge, lasso, logistic, logistic_binary, network, network_classifier, network_adam,
        standard_scaler, standard_scaler_gaps, min_max_scaler, imputer, one_hot_encoder,
        ordinal_encoder, column_transformer, column_transformer_pandas, pipeline, pipeline_columns,
        numeric_metrics, class_metrics, probability_metrics, stored,
    )
}  # fmt: skip
#: What looks for itself.
CHECKED = {each.__name__: each for each in (split, split_stratified, folds)}
CONSUMERS = sorted({**COMPARED, **CHECKED})


def consume(name, lazy, memory, tolerance):
    """Hold what a consumer makes of lazy rows against what it makes of those in memory.

    Returns
    -------
    str
        "same"; or which of lazy data, both or Dask itself refused, and how.
    """
    expected, error = None, None
    with warnings.catch_warnings():
        # Few rows, or few steps of a network, are what is drawn.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", SeparableWarning)
        try:
            expected = COMPARED[name](memory) if name in COMPARED else None
        except (ValueError, TypeError) as raised:
            error = raised
        try:
            if name in CHECKED:
                CHECKED[name](lazy, memory, tolerance)
                return "same"
            found = COMPARED[name](lazy)
        except DaskRefusal as raised:
            return f"dask: {raised}"
        except (ValueError, TypeError) as raised:
            kind = "refused by both" if error is not None else "refused"
            return f"{kind}: {type(raised).__name__}: {raised}"
        except AssertionError:
            raise
        except Exception:
            try:
                lazy.computed()
            except Exception as raised:  # noqa: BLE001 - whatever Dask raises of its own
                return f"dask: {type(raised).__name__}: {raised}"
            raise
    assert error is None, f"taken lazily, but in memory {error!r}"
    assert_same(found, expected, tolerance)
    return "same"
