"""Private perceptrons: the audit, the steps, the budget, what is given away and what is refused."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client
from sklearn.datasets import load_digits

import dlbd_estimators
from dlbd_estimators import DifferentialPrivacy, MLPClassifier, MLPRegressor
from dlbd_estimators.exceptions import NonFiniteValues, PrivacyBudgetSpent
from dlbd_estimators.solvers.stochastic import private_epoch
from tests.inputs import flat
from tests.privacy_audit import DELTA, N_CANARIES, canaries, epsilon_bound

VOID = pytest.mark.filterwarnings("ignore:DifferentialPrivacy.seed:UserWarning")


def private(n_samples, epsilon=1.0, **more):
    values = {"delta": 1e-5, "classes": (0, 1), **more}
    return DifferentialPrivacy(epsilon=epsilon, n_samples=n_samples, **values)


def numbers(rng, n_rows=200, n_columns=3):
    X = rng.normal(size=(n_rows, n_columns))
    return X, (X[:, 0] > 0).astype(int)


def sgd(**more):
    """A perceptron without hidden layers whose step is a multiple of the gradient."""
    return MLPClassifier(
        (), **{"solver": "sgd", "momentum": 0.0, "alpha": 0.0, "learning_rate_init": 1.0, **more}
    )


def audited(epsilon, seed, rate=1.0):
    X, y, chosen = canaries(np.random.default_rng(seed))
    n_samples = N_CANARIES // 2
    privacy = private(n_samples, epsilon, delta=DELTA, seed=seed)
    model = sgd(batch_size=int(rate * n_samples), max_iter=1, privacy=privacy, random_state=seed)
    start = sgd(random_state=seed, max_iter=1, learning_rate_init=1e-300, privacy=privacy)
    # With such weights, the gradient of each canary is as long as allowed.
    weights = np.full(len(X), 10.0)
    moved = model.fit(X, y, weights).coefs_[0] - start.fit(X, y, weights).coefs_[0]
    return epsilon_bound(moved[:, 0], chosen)


@VOID
@pytest.mark.parametrize(("epsilon", "rate"), [(0.5, 1.0), (4.0, 1.0), (1.0, 0.5)])
def test_no_attack_finds_more_than_the_stated_epsilon(epsilon, rate):
    assert max(audited(epsilon, seed, rate) for seed in range(3)) <= epsilon


@VOID
def test_the_attack_finds_something_where_the_budget_is_large():
    assert audited(10.0, 0) > 0.5


@VOID
def test_the_attack_succeeds_without_noise(monkeypatch):
    monkeypatch.setattr(private_epoch, "gaussian_noise", lambda *_: 0.0)
    assert audited(0.5, 0) > 0.5


@VOID
@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_a_step_is_the_noisy_mean_of_clipped_gradients(alpha, rng, monkeypatch):
    monkeypatch.setattr(private_epoch, "gaussian_noise", lambda *_: 0.0)
    X, y = numbers(rng, 50)
    privacy = private(50, max_gradient_norm=0.2, seed=1)
    model = sgd(batch_size=50, max_iter=1, privacy=privacy, random_state=0, alpha=alpha)
    model.partial_fit(X, y, classes=[0, 1])
    before = flat(model)
    model.set_params(max_iter=2)
    X_more, y_more = numbers(rng, 50)
    raw = X_more @ before[:3] + before[3]
    gradients = (1 / (1 + np.exp(-raw)) - y_more)[:, None] * np.column_stack([X_more, np.ones(50)])
    gradients *= np.minimum(1.0, 0.2 / np.linalg.norm(gradients, axis=1))[:, None]
    # The budget of a second call is there once the first was planned with it.
    model = sgd(batch_size=50, max_iter=2, privacy=privacy, random_state=0, alpha=alpha)
    model.partial_fit(X, y, classes=[0, 1])
    np.testing.assert_allclose(flat(model), before, rtol=1e-12)
    model.partial_fit(X_more, y_more)
    step = (gradients.sum(axis=0) + alpha * np.append(before[:3], 0.0)) / 50
    np.testing.assert_allclose(before - flat(model), step, rtol=1e-9)


def test_each_step_has_the_noise_that_the_budget_needs():
    # Rows of zeros have no gradient for the coefs: these move by noise alone.
    n_columns, bound, size = 4_000, 3.0, 20
    X, y = np.zeros((40, n_columns)), np.arange(40) % 2
    privacy = private(40, max_gradient_norm=bound)
    model = sgd(batch_size=size, max_iter=1, privacy=privacy, random_state=0).fit(X, y)
    start = sgd(max_iter=1, random_state=0, learning_rate_init=1e-300, privacy=privacy).fit(X, y)
    [release] = model.privacy_spent_.releases
    assert release.n_steps == 2
    expected = 2**0.5 * release.noise_multiplier * bound / size
    moved = model.coefs_[0] - start.coefs_[0]
    assert moved.std() == pytest.approx(expected, rel=3.9 / (2 * n_columns) ** 0.5)


def test_it_learns():
    X, y = load_digits(return_X_y=True)
    privacy = private(len(X), 1e3, classes=range(10))
    model = MLPClassifier(
        (16,), batch_size=200, max_iter=15, learning_rate_init=0.02, privacy=privacy, random_state=0
    )
    assert model.fit(X / 16, y).score(X / 16, y) > 0.85


def test_attributes_give_no_fact_about_the_rows_without_noise(rng):
    X, y = numbers(rng)
    model = MLPClassifier((4,), batch_size=50, max_iter=3, privacy=private(180)).fit(X, y)
    assert [set(entry) for entry in model.history_] == [
        {"iteration", "pass", "learning_rate", "rounds"}
    ] * 3
    assert model.loss_ is model.best_loss_ is None
    assert model.loss_curve_ == []
    assert model.t_ == 3 * 4 * 50  # as declared: round(180 / 50) steps
    assert model._training.bytes_read == 0
    [release] = model.privacy_spent_.releases
    assert (release.sampling_rate, release.n_steps) == (50 / 180, 12)
    assert 0.98 < model.privacy_spent_.epsilon <= 1.0
    # Nothing else may be added without a thought about what it gives away.
    assert {name for name in vars(model) if name.endswith("_")} == {
        "best_loss_", "best_validation_score_", "classes_", "coefs_", "history_", "intercepts_",
        "loss_", "loss_curve_", "n_features_in_", "n_iter_", "n_layers_", "n_outputs_",
        "n_passes_", "n_replicas_", "out_activation_", "privacy_spent_", "t_",
        "validation_scores_",
    }  # fmt: skip


def test_partial_fit_spends_the_budget_in_as_many_calls_as_planned(rng):
    X, y = numbers(rng, 100)
    model = MLPClassifier((3,), batch_size=50, max_iter=3, privacy=private(100))
    spent = [model.partial_fit(X, y).privacy_spent_.epsilon for _ in range(3)]
    assert spent[0] < spent[1] < spent[2] <= 1.0
    before = flat(model)
    with pytest.raises(PrivacyBudgetSpent, match="set max_iter to the number of calls"):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(flat(model), before)
    assert model.fit(X, y).privacy_spent_.epsilon == pytest.approx(spent[2])


def test_training_with_and_without_privacy_do_not_mix(rng):
    X, y = numbers(rng, 100)
    model = sgd(batch_size=50, max_iter=2, privacy=private(100)).partial_fit(X, y)
    model.set_params(privacy=None).partial_fit(X, y)
    assert not hasattr(model, "privacy_spent_")
    with pytest.raises(ValueError, match="trained without privacy"):
        model.set_params(privacy=private(100)).partial_fit(X, y)


@VOID
def test_threads_workers_and_any_buffer_give_the_same_bits(rng, cluster):
    X, y = numbers(rng, 300)
    arrays = da.from_array(X, chunks=(64, -1)), da.from_array(y, chunks=64)
    options = {"batch_size": 30, "max_iter": 2, "random_state": 0}
    model = MLPClassifier((4,), privacy=private(300, seed=3), **options)
    with Client(cluster):
        expected = flat(model.fit(*arrays))
    assert model.n_passes_ == 2
    with dask.config.set(num_workers=1):
        np.testing.assert_array_equal(flat(model.fit(*arrays)), expected)
    # The rows of three steps at a time: 8 bytes for each of 3 features, an output and a weight.
    model.set_params(buffer_size=3 * 30 * 5 * 8)
    np.testing.assert_array_equal(flat(model.fit(*arrays)), expected)
    assert model.n_passes_ == 2 * 4


@VOID
def test_saved_loaded_and_continued(rng, tmp_path):
    X, y = numbers(rng, 100)
    model = MLPClassifier((3,), batch_size=50, max_iter=2, privacy=private(100, seed=4))
    model.partial_fit(X, y).save(tmp_path / "private.model")
    loaded = dlbd_estimators.load(tmp_path / "private.model")
    assert loaded.privacy_spent_ == model.privacy_spent_
    np.testing.assert_array_equal(flat(loaded.partial_fit(X, y)), flat(model.partial_fit(X, y)))
    with pytest.raises(PrivacyBudgetSpent):
        loaded.partial_fit(X, y)
    assert not hasattr(model.to_sklearn(), "privacy")


def test_regression_in_float32_with_two_outputs(rng):
    X = rng.normal(size=(300, 2)).astype(np.float32)
    y = np.column_stack([X[:, 0], -X[:, 1]])
    privacy = private(300, 1e4, classes=None)
    model = MLPRegressor(
        hidden_layer_sizes=(), batch_size=100, max_iter=60, learning_rate_init=0.05,
        privacy=privacy, random_state=0,
    )  # fmt: skip
    assert model.fit(X, y).score(X, y) > 0.9


def test_a_fixed_seed_and_a_wrong_number_of_rows_give_warnings(rng):
    X, y = numbers(rng, 100)
    model = MLPClassifier((2,), max_iter=1)
    with pytest.warns(UserWarning, match="NOT private") as caught:
        model.set_params(privacy=private(100, seed=1)).fit(X, y)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match=r"n_samples=1000\), but X has 100 rows"):
        model.set_params(privacy=private(1_000)).fit(X, y)


def test_nan_in_a_drawn_row_is_named(rng):
    X, y = numbers(rng, 100)
    X[17, 1] = np.nan
    with pytest.raises(NonFiniteValues, match="row"):
        MLPClassifier((2,), batch_size=100, max_iter=1, privacy=private(100)).fit(X, y)


def test_classes_that_have_no_use_are_refused():
    model = MLPRegressor(hidden_layer_sizes=(), max_iter=1, privacy=private(4))
    with pytest.raises(ValueError, match="Leave classes out for MLPRegressor"):
        model.fit(np.eye(4), np.arange(4.0))


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"solver": "lbfgs"}, "its line search needs the exact loss"),
        ({"early_stopping": True}, "scores of held-out rows have no noise"),
        ({"warm_start": True}, "continue by partial_fit"),
        ({"checkpoint": "somewhere"}, "the noise of an interrupted step"),
        ({"learning_rate": "adaptive", "solver": "sgd"}, "it needs the exact loss"),
        ({"n_replicas": 2}, "noise is added once"),
        ({"shuffle": False}, "the privacy of sampling needs random batches"),
        ({"dropout": 0.5}, "it is not implemented"),
        ({"clip_norm": 1.0}, "already clips"),
        ({"class_weight": "balanced"}, "it counts the labels without noise"),
        ({"privacy": {}}, "'privacy' parameter of MLPClassifier must be a Diff"),
        ({"privacy": private(4, classes=None)}, r"classes=\[\.\.\.\]"),
    ],
)
def test_parameters_that_look_at_rows_are_refused(parameters, reason):
    model = MLPClassifier((2,), **{"privacy": private(4), **parameters})
    with pytest.raises(ValueError, match=reason):
        model.fit(np.eye(4), [0, 1, 0, 1])


def test_validation_rows_and_other_classes_are_refused():
    model, y = MLPClassifier((2,), privacy=private(4)), [0, 1, 0, 1]
    with pytest.raises(ValueError, match="their scores, which the model keeps, have no noise"):
        model.fit(np.eye(4), y, X_val=np.eye(4), y_val=y)
    with pytest.raises(ValueError, match="DifferentialPrivacy declares"):
        model.partial_fit(np.eye(4), y, classes=[0, 1, 2])
