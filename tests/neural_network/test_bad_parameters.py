"""Parameters that are wrong, or wrong for the data, are named before training."""

from __future__ import annotations

import numpy as np
import pytest

from dlbd_estimators import MLPClassifier, MLPRegressor
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.exceptions import BlockTooLarge
from tests.blocks.test_dask_blocks import uncomputable, unknown
from tests.inputs import CLASSES, NUMBERS, flat, in_chunks, perceptron, refused, task

KINDS = [*CLASSES, *NUMBERS]
N = 500

# Fits that are no one's business here are cut short.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fit(kind, *data, **options):
    return perceptron(kind, **{"max_iter": 2, **options}).fit(*data)


WRONG = [
    *(("hidden_layer_sizes", each) for each in (0, -1, (5, 0), 2.5, "8", (5, 2.0), None, (True,))),
    *(("activation", each) for each in ("gelu", None, "softmax")),
    *(("solver", each) for each in ("newton", "ADAM", None, 3)),
    *(("learning_rate", each) for each in ("fast", None, 0.1)),
    *(("learning_rate_init", each) for each in (0.0, -0.1, np.nan, np.inf, "0.1")),
    *((name, -1.0) for name in ("alpha", "tol", "power_t")),
    *((name, each) for name in ("beta_1", "beta_2") for each in (-0.1, 1.0, np.nan)),
    ("epsilon", 0.0), ("momentum", 1.1), ("momentum", -0.1), ("shuffle", 1), ("warm_start", "no"),
    ("early_stopping", None), ("nesterovs_momentum", 0), ("validation_fraction", 1.0),
    *((name, each) for name in ("max_iter", "max_fun", "n_iter_no_change") for each in (0, 2.5)),
    *(("batch_size", each) for each in (0, -5, 2.5, "all", None)),
    *(("n_replicas", each) for each in (0, -1, 1.5, "all", None, True)),
    *(("buffer_size", each) for each in (0, -1, "many", "-1 MB", None, True)),
    ("outer_learning_rate", 0.0), ("outer_momentum", 1.0), ("outer_momentum", -0.1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_parameters_out_of_range_are_refused_before_anything_is_computed(name, value):
    X, y = uncomputable(N, 5, chunks=(100, 5)), uncomputable(N, chunks=100)
    for kind in ("binary", "number"):
        with refused(kind, ValueError, name) as case:
            case.model.set_params(**{name: value}).fit(X, y)


@pytest.mark.parametrize("loss", ["absolute_error", None])
def test_unknown_losses(loss):
    X, y = task("number")
    with pytest.raises(ValueError, match="'loss' parameter"):
        MLPRegressor(loss).fit(X, y)


@pytest.mark.parametrize("value", ["balance", [1, 2], {0: -1.0}, {1: np.nan}, {"other": 2.0}])
def test_class_weights_out_of_range(value):
    with refused("binary", ValueError, "class_weight|class label") as case:
        case.model.set_params(class_weight=value).fit(*task("binary"))


def test_class_weights_where_they_mean_nothing():
    for value in ("balanced", {0: 2.0}):
        with refused("labels", ValueError, "class_weight is for classes") as case:
            case.model.set_params(class_weight=value).fit(*task("labels"))
    with refused("classes", ValueError, "class_weight='balanced' cannot be used with part") as case:
        case.model.set_params(class_weight="balanced").partial_fit(*task("classes"))


def test_partial_fit_knows_its_classes():
    X, y = task("classes")
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(X, y)
    for data in ((X, y + 1), in_chunks(100, X, y + 1)):
        with refused("classes", ValueError, r"`y` has classes not in `self.classes_`") as case:
            case.model.partial_fit(*data)
    for classes in ([0, 1], [0, 1, 3], [0, 1, 2, 3]):
        with refused("classes", ValueError, "not the same as on last call") as case:
            case.model.partial_fit(X, y, classes=classes)
    with refused("classes", ValueError, r"labels per row|classes") as case:
        case.model.partial_fit(*task("labels")[:1], task("labels")[1][:, :2])


@pytest.mark.parametrize("kind", KINDS)
def test_what_partial_fit_cannot_go_on_with(kind):
    X, y = task(kind)
    with refused(kind, ValueError, "X has 4 features, but .* is expecting 5") as case:
        case.model.partial_fit(X[:, :4], y)
    with refused(kind, ValueError, "partial_fit does not support early_stopping") as case:
        case.model.set_params(early_stopping=True).partial_fit(X, y)
    with refused(kind, AttributeError, "partial_fit") as case:
        assert hasattr(case.model, "partial_fit")
        case.model.set_params(solver="lbfgs")
        assert not hasattr(case.model, "partial_fit")
        case.model.partial_fit(X, y)
    with refused(kind, ValueError, "hidden_layer_sizes=3 need") as case:
        case.model.set_params(hidden_layer_sizes=3).partial_fit(X, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_warm_start_cannot_go_on_with(kind, solver):
    X, y = task(kind)
    options = {"warm_start": True, "solver": solver}
    with refused(
        kind, ValueError, r"layers of shapes .* hidden_layer_sizes=\(3,\)", **options
    ) as c:
        c.model.set_params(hidden_layer_sizes=(3,)).fit(X, y)
    with refused(kind, ValueError, "X has 4 features", **options) as case:
        case.model.fit(X[:, :4], y)
    if kind in ("binary", "classes"):
        with refused(kind, ValueError, "same classes as in the previous", **options) as case:
            case.model.fit(X, y + 1)
    if kind in ("labels", "numbers"):
        with refused(kind, ValueError, r"labels per row|layers of shapes", **options) as case:
            case.model.fit(X, y[:, :2])


@pytest.mark.parametrize("lazy", [False, True])
def test_a_batch_larger_than_the_data_is_clipped(lazy):
    X, y = task("number")
    data = in_chunks(100, X, y) if lazy else (X, y)
    with pytest.warns(UserWarning, match="larger than sample size. It is going to be clipped"):
        model = fit("number", *data, batch_size=301)
    np.testing.assert_array_equal(flat(model), flat(fit("number", *data, batch_size=300)))


def test_replicas_need_blocks_and_batches():
    X, y = task("number")
    for data, n in (((X, y), 2), (in_chunks(100, X, y), 4)):
        with refused("number", ValueError, rf"n_replicas={n}.*{n - 1} block") as case:
            case.model.set_params(n_replicas=n).fit(*data)
    with refused("number", ValueError, "n_replicas=2 needs mini-batches") as case:
        case.model.set_params(n_replicas=2, solver="lbfgs").fit(*in_chunks(100, X, y))


def test_a_buffer_holds_two_blocks():
    X, y = in_chunks(100, *task("number"))
    for data in ((X, y), (unknown(X), unknown(y))):
        with refused("number", ValueError, "buffer_size='7999 B' is too small: .* 4000 b") as case:
            case.model.set_params(buffer_size="7999 B").fit(*data)
    fit("number", X, y, buffer_size=8000)


@pytest.mark.parametrize("n_replicas", [1, 2])
def test_a_buffer_too_large_is_refused_before_training(n_replicas, monkeypatch):
    monkeypatch.setattr(ThreadExecutor, "memory", lambda _self: (40_000, 2))
    X, y = in_chunks(100, *task("number", n=2000))
    with refused("number", BlockTooLarge, r"Give buffer_size=\d+ or less") as case:
        case.model.set_params(n_replicas=n_replicas).fit(X, y)
    assert isinstance(case.error, MemoryError)
    room = int(case.message.split("buffer_size=")[1].split()[0])
    fit("number", X, y, n_replicas=n_replicas, buffer_size=room)
