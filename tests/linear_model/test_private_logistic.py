"""Private logistic regression: the audit, what it gives away, bits, and what it refuses."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client
from sklearn.datasets import load_digits

import dlbd_estimators
from dlbd_estimators import DifferentialPrivacy, LogisticRegression
from dlbd_estimators.model_selection import GridSearchCV
from dlbd_estimators.solvers.smooth import noisy_gradient
from tests.privacy_audit import DELTA, N_CANARIES, canaries, epsilon_bound

VOID = pytest.mark.filterwarnings("ignore:DifferentialPrivacy.seed:UserWarning")


def private(n_samples, epsilon=1.0, **more):
    values = {"delta": 1e-5, "classes": (0, 1), **more}
    return DifferentialPrivacy(epsilon=epsilon, n_samples=n_samples, **values)


def audited(epsilon, seed):
    X, y, chosen = canaries(np.random.default_rng(seed))
    privacy = private(N_CANARIES // 2, epsilon, delta=DELTA, seed=seed)
    # With such weights, the gradient of each canary is as long as allowed.
    weights = np.full(len(X), 10.0)
    model = LogisticRegression(fit_intercept=False, max_iter=3, privacy=privacy)
    model.fit(X, y, weights)
    return epsilon_bound(model.coef_[0], chosen)


@VOID
@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
def test_no_attack_finds_more_than_the_stated_epsilon(epsilon):
    assert max(audited(epsilon, seed) for seed in range(3)) <= epsilon


@VOID
def test_the_attack_finds_something_where_the_budget_is_large():
    assert audited(8.0, 0) > 1.0


@VOID
def test_the_attack_succeeds_without_noise(monkeypatch):
    monkeypatch.setattr(noisy_gradient, "gaussian_noise", lambda *_: 0.0)
    assert audited(2.0, 0) > 2.0


# The second step begins 1.9 times as far from zero, because of its momentum.
@pytest.mark.parametrize(("n_steps", "factor"), [(1, 1.0), (2, np.hypot(1.9, 1.0))])
def test_each_step_has_the_noise_that_the_budget_needs(n_steps, factor):
    # Rows of zeros have no gradient: the model is noise alone, divided by rows and curvature.
    n_rows, n_columns, bound = 50, 4_000, 3.0
    privacy = private(n_rows, max_gradient_norm=bound)
    options = {"C": np.inf, "fit_intercept": False, "max_iter": n_steps, "privacy": privacy}
    y = np.arange(n_rows) % 2
    model = LogisticRegression(**options).fit(np.zeros((n_rows, n_columns)), y)
    [release] = model.privacy_spent_.releases
    assert release.n_steps == n_steps
    expected = factor * release.noise_multiplier * bound / n_rows / (0.25 * bound**2)
    assert model.coef_.std() == pytest.approx(expected, rel=3.9 / (2 * n_columns) ** 0.5)


@VOID
def test_a_budget_without_end_gives_the_accuracy_of_a_fit_without_noise():
    X, y = load_digits(return_X_y=True)
    X, y = X[::3] / 16, y[::3]
    privacy = private(len(X), 1e4, max_gradient_norm=3.0, classes=range(10), seed=0)
    model = LogisticRegression(max_iter=100, privacy=privacy).fit(X, y)
    assert model.score(X, y) > LogisticRegression().fit(X, y).score(X, y) - 0.05
    assert abs(model.intercept_.sum()) < 1e-9


def test_attributes_give_no_fact_about_the_rows_without_noise(rng):
    X = rng.normal(size=(300, 3))
    model = LogisticRegression(max_iter=4, privacy=private(300)).fit(X, X[:, 0] > 0)
    assert [set(entry) for entry in model.history_] == [
        {"iteration", "pass", "gradient_norm", "step"}
    ] * 4
    spent = model.privacy_spent_
    assert spent.epsilon == pytest.approx(1.0)
    assert spent.delta == 1e-5
    assert [release.n_steps for release in spent.releases] == [4]
    # Nothing else may be added without a thought about what it gives away.
    assert {name for name in vars(model) if name.endswith("_")} == {
        "classes_", "coef_", "history_", "intercept_", "n_features_in_", "n_iter_", "n_passes_",
        "privacy_spent_", "solver_",
    }  # fmt: skip
    model.set_params(privacy=None, max_iter=100).fit(X, X[:, 0] > 0)
    assert not hasattr(model, "privacy_spent_")


def test_two_fits_have_noise_of_their_own(rng):
    X = rng.normal(size=(100, 2))
    model = LogisticRegression(max_iter=2, privacy=private(100))
    first = model.fit(X, X[:, 0] > 0).coef_
    assert not np.array_equal(first, model.fit(X, X[:, 0] > 0).coef_)


def test_a_fixed_seed_gives_a_warning_at_the_users_line(rng):
    X = rng.normal(size=(100, 2))
    with pytest.warns(UserWarning, match="NOT private") as caught:
        LogisticRegression(max_iter=2, privacy=private(100, seed=1)).fit(X, X[:, 0] > 0)
    assert caught[0].filename == __file__


def test_a_wrong_number_of_rows_gives_a_warning(rng):
    X = rng.normal(size=(100, 2))
    model = LogisticRegression(max_iter=1, privacy=private(1_000))
    with pytest.warns(UserWarning, match=r"n_samples=1000\), but X has 100 rows"):
        model.fit(X, X[:, 0] > 0)


@VOID
def test_threads_and_workers_give_the_same_bits(rng, cluster):
    X = rng.normal(size=(400, 4))
    y = (X[:, 0] > 0).astype(int)
    lazy = da.from_array(X, chunks=(64, -1)), da.from_array(y, chunks=64)
    model = LogisticRegression(max_iter=3, privacy=private(400, seed=5))
    with Client(cluster):
        on_workers = model.fit(*lazy).coef_.copy()
    with dask.config.set(num_workers=1):
        np.testing.assert_array_equal(model.fit(*lazy).coef_, on_workers)
    np.testing.assert_array_equal(model.fit(*lazy).coef_, on_workers)


@VOID
def test_saved_and_loaded_with_its_budget(rng, tmp_path):
    X = rng.normal(size=(100, 2))
    privacy = private(100, classes=("no", "yes"), seed=2)
    model = LogisticRegression(max_iter=2, privacy=privacy)
    model.fit(X, np.where(X[:, 0] > 0, "yes", "no")).save(tmp_path / "private.model")
    loaded = dlbd_estimators.load(tmp_path / "private.model")
    assert loaded.privacy == privacy
    assert loaded.privacy_spent_ == model.privacy_spent_
    assert not hasattr(model.to_sklearn(), "privacy")


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"l1_ratio": 0.5}, "l1_ratio=0.5 cannot .*: noisy gradients need a smooth penalty"),
        ({"solver": "newton"}, "solver='newton' cannot .*: only noisy gradient descent"),
        ({"max_iter": 0}, "max_iter=0 cannot .*: a private fit makes"),
        ({"warm_start": True}, "warm_start=True cannot .*: each fit spends"),
        ({"checkpoint": "somewhere"}, "checkpoint='somewhere' cannot .*: the noise"),
        ({"class_weight": "balanced"}, "class_weight='balanced' cannot .*: it counts"),
        ({"store_covariance": True}, "store_covariance=True cannot .*: the sums"),
        ({"privacy": 1.0}, "'privacy' parameter of LogisticRegression must be a Diff"),
        ({"privacy": private(4, classes=None)}, r"classes=\[\.\.\.\]"),
    ],
)
def test_parameters_that_look_at_rows_are_refused(parameters, reason):
    model = LogisticRegression(**{"privacy": private(4), **parameters})
    with pytest.raises(ValueError, match=reason):
        model.fit(np.eye(4), [0, 1, 0, 1])


def test_partial_fit_is_refused():
    with pytest.raises(AttributeError) as error:
        LogisticRegression(privacy=private(4)).partial_fit(np.eye(4), [0, 1, 0, 1], [0, 1])
    assert "its Hessians have no noise" in str(error.value.__cause__)


def test_a_search_fits_each_candidate_privately(rng):
    X = rng.normal(size=(120, 2))
    privacy = private(100)
    search = GridSearchCV(LogisticRegression(max_iter=2, privacy=privacy), {"C": [0.1, 1.0]}, cv=2)
    assert search.fit(X, (X[:, 0] > 0).astype(int)).best_estimator_.privacy_spent_.epsilon > 0.9


def test_labels_that_are_not_declared_are_refused(rng):
    X = rng.normal(size=(20, 2))
    with pytest.raises(ValueError, match=r"y holds the label .* which was not"):
        LogisticRegression(privacy=private(20)).fit(X, np.arange(20) % 3)
