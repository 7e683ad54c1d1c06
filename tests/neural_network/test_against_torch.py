"""Fits with the parameters that PyTorch has too, against PyTorch, update for update."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlbd_estimators.kernels.dropout import Dropout
from tests.inputs import perceptron, task

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
EPOCHS, SIZE, RATE = 6, 50, 0.02
#: scikit-learn, and so this package, corrects the moments of Adam without epsilon: it is too small
#: here to matter.
OPTIONS = {
    "alpha": 0.0, "batch_size": SIZE, "epsilon": 1e-14, "learning_rate_init": RATE,
    "n_iter_no_change": math.inf, "shuffle": False,
}  # fmt: skip


def losses(torch, kind):
    return {
        "binary": torch.nn.BCEWithLogitsLoss(),
        "classes": torch.nn.CrossEntropyLoss(),
        "labels": lambda raw, y: torch.nn.BCEWithLogitsLoss(reduction="sum")(raw, y) / len(y),
        "number": lambda raw, y: torch.nn.MSELoss()(raw, y) / 2,
        "numbers": lambda raw, y: torch.nn.MSELoss()(raw, y) / 2,
        "counts": torch.nn.PoissonNLLLoss(),
    }[kind]


def initial(kind, X, y, **options):
    """A fit that keeps its initial weights: its steps are too small for any digit of them."""
    options = {**options, "learning_rate_init": 1e-300, "decoupled_weight_decay": 0.0}
    return perceptron(kind, max_iter=1, **options).fit(X, y)


def trained(torch, kind, network, X, y, optimizer, schedules=(), clip_norm=None):
    """Train a network of PyTorch on batches in the order of the rows."""
    criterion = losses(torch, kind)
    X = torch.from_numpy(X)
    y = torch.from_numpy(y if kind == "classes" else y.astype(float).reshape(len(y), -1))
    network.train()
    for _ in range(EPOCHS):
        for start in range(0, len(X), SIZE):
            optimizer.zero_grad()
            criterion(network(X[start : start + SIZE]), y[start : start + SIZE]).backward()
            if clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
            optimizer.step()
        for schedule in schedules:
            schedule.step()
    return network


def assert_same(model, network):
    linear = [module for module in network if hasattr(module, "weight")]
    for layer, coef, intercept in zip(linear, model.coefs_, model.intercepts_, strict=True):
        np.testing.assert_allclose(coef, layer.weight.detach().numpy().T, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(intercept, layer.bias.detach().numpy(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["binary", "classes", "labels", "number", "numbers", "counts"])
def test_adam(kind, torch):
    X, y = task(kind, n=220)
    options = {**OPTIONS, "activation": "tanh"}
    network = initial(kind, X, y, **options).to_torch()
    optimizer = torch.optim.Adam(network.parameters(), RATE, eps=1e-14)
    model = perceptron(kind, max_iter=EPOCHS, **options).fit(X, y)
    assert_same(model, trained(torch, kind, network, X, y, optimizer))


def test_adamw_with_warmup_cosine_and_clipping(torch):
    kind, decay, clip_norm, warmup = "classes", 0.1, 0.2, 2
    X, y = task(kind, n=220)
    options = {**OPTIONS, "activation": "tanh", "clip_norm": clip_norm, "warmup_epochs": warmup}
    options |= {"learning_rate": "cosine", "decoupled_weight_decay": decay}
    network = initial(kind, X, y, **OPTIONS, activation="tanh").to_torch()
    groups = [
        {"params": [p for p in network.parameters() if p.ndim == 2], "weight_decay": decay},
        {"params": [p for p in network.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, RATE, eps=1e-14)
    schedules = torch.optim.lr_scheduler
    linear = schedules.LinearLR(optimizer, 1 / (warmup + 1), total_iters=warmup)
    cosine = schedules.CosineAnnealingLR(optimizer, EPOCHS - warmup)
    both = schedules.SequentialLR(optimizer, [linear, cosine], [warmup])
    model = perceptron(kind, max_iter=EPOCHS, **options).fit(X, y)
    assert_same(model, trained(torch, kind, network, X, y, optimizer, [both], clip_norm))


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_with_the_penalty(momentum, nesterov, torch):
    kind, alpha = "classes", 0.5
    X, y = task(kind, n=200)
    options = {**OPTIONS, "solver": "sgd", "momentum": momentum, "nesterovs_momentum": nesterov}
    network = initial(kind, X, y, **options).to_torch()
    groups = [
        {"params": [p for p in network.parameters() if p.ndim == 2], "weight_decay": alpha / SIZE},
        {"params": [p for p in network.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, RATE, momentum, nesterov=nesterov)
    model = perceptron(kind, max_iter=EPOCHS, **{**options, "alpha": alpha}).fit(X, y)
    assert_same(model, trained(torch, kind, network, X, y, optimizer))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_dropout(activation, torch, monkeypatch):
    kind, rates = "classes", (0.3, 0.5)
    X, y = task(kind, n=220)
    options = {**OPTIONS, "activation": activation, "hidden_layer_sizes": (8, 6), "dropout": rates}
    network = initial(kind, X, y, **options).to_torch()
    drawn = []

    def masks(self, *args, draw=Dropout.masks):
        drawn.append(draw(self, *args))
        return drawn[-1]

    monkeypatch.setattr(Dropout, "masks", masks)
    model = perceptron(kind, max_iter=EPOCHS, **options).fit(X, y)
    for layer, dropout in enumerate(m for m in network if isinstance(m, torch.nn.Dropout)):
        # PyTorch's factors are zero or one other number, and ours are the same two.
        own = dropout.train()(torch.ones(1_000, dtype=torch.float64)).unique().tolist()
        ours = np.unique([mask[layer].factors for mask in drawn[:4]])
        np.testing.assert_allclose(ours, own, rtol=1e-12)
        remaining = iter([torch.from_numpy(mask[layer].factors) for mask in drawn])
        dropout.forward = lambda z, remaining=remaining: z * next(remaining)
    optimizer = torch.optim.Adam(network.parameters(), RATE, eps=1e-14)
    assert_same(model, trained(torch, kind, network, X, y, optimizer))
