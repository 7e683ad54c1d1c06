"""Networks of PyTorch with the predictions of a fitted perceptron."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.exceptions import NotFittedError

from dlbd_estimators import MLPClassifier
from tests.inputs import CLASSES, NUMBERS, flat, perceptron, task

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fitted(kind, dtype=np.float64, **options):
    X, y = task(kind)
    X = X.astype(dtype)
    return X, perceptron(kind, **{"max_iter": 3, "learning_rate_init": 0.05, **options}).fit(X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [*CLASSES, *NUMBERS])
def test_outputs_are_the_raw_predictions(kind, dtype, torch):
    X, model = fitted(kind, dtype, hidden_layer_sizes=(8, 3), dropout=(0.0, 0.25))
    network = model.to_torch()
    assert all(parameter.dtype is torch.from_numpy(X).dtype for parameter in network.parameters())
    with torch.no_grad():
        raw = network(torch.from_numpy(X)).numpy()
    if kind in CLASSES:
        predicted = model.predict_proba(X)
        raw = softmax(raw, axis=1) if kind == "classes" else expit(raw)
        predicted = predicted[:, 1:] if kind == "binary" else predicted
    else:
        predicted = model.predict(X)
        predicted = predicted if kind == "numbers" else predicted[:, None]
        raw = np.exp(raw) if kind == "counts" else raw
    assert raw.shape == predicted.shape
    tolerance = 1e-5 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(raw, predicted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("hidden", [(), (6,)])
def test_every_activation(activation, hidden, torch):
    X, model = fitted("number", activation=activation, hidden_layer_sizes=hidden, solver="lbfgs")
    raw = model.to_torch()(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(raw[:, 0], model.predict(X), rtol=1e-10, atol=1e-12)


def test_the_network_can_be_trained_on_its_own(torch):
    X, model = fitted("classes", dropout=0.5)
    before, state = flat(model), torch.get_rng_state()
    network = model.to_torch()
    assert torch.equal(torch.get_rng_state(), state)
    kinds = [type(module) for module in network]
    nn = torch.nn
    assert kinds == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert network[2].p == 0.5
    assert not network.training
    loss = network.train()(torch.from_numpy(X)).square().mean()
    loss.backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    assert (model.coefs_[0] != network[0].weight.detach().numpy().T).any()
    np.testing.assert_array_equal(flat(model), before)


def test_a_network_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        MLPClassifier().to_torch()


def test_without_pytorch_the_error_says_how_to_install_it(monkeypatch):
    _, model = fitted("binary")
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it then fails
    with pytest.raises(ImportError, match="pip install torch"):
        model.to_torch()
