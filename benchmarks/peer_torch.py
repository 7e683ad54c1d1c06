"""Train the same network on the same rows with PyTorch, in PyTorch's own environment."""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch


def main() -> None:
    """Answer each line of standard input, which is one request, until there are no more."""
    # Only answers go to the original standard output; everything that libraries print goes to the
    # log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    X = torch.from_numpy(np.load(sys.argv[1]))
    y = torch.from_numpy(np.load(sys.argv[2]).astype(np.int64))
    held_out = [torch.from_numpy(np.load(path)) for path in sys.argv[3:]]
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request["threads"])
        torch.manual_seed(request.get("seed", 0))
        model = network(X.shape[1], request)
        seconds, loss = train(model, X, y, request)
        answer = {"seconds": seconds, "loss": loss, "threads": torch.get_num_threads()}
        if "probabilities" in request:  # of the rows that are held out
            with torch.no_grad():
                predicted = torch.softmax(model(held_out[0]).double(), dim=1)
            np.save(request["probabilities"], predicted.numpy())
        print(json.dumps(answer), file=answers, flush=True)


def network(n_features: int, request: dict[str, Any]) -> torch.nn.Module:
    """Return a network of linear layers with ReLU between them."""
    units = [n_features, *request["hidden"], request["classes"]]
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in pairwise(units):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def optimizer_of(model: torch.nn.Module, request: dict[str, Any]) -> torch.optim.Optimizer:
    """Return the fastest Adam that PyTorch has on CPUs."""
    decay = request["weight_decay"]
    return torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=decay, fused=True)


def train(
    model: torch.nn.Module, X: torch.Tensor, y: torch.Tensor, request: dict[str, Any]
) -> tuple[float, float]:
    """Return the seconds of all epochs, and the mean loss of the batches of the last epoch."""
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = optimizer_of(model, request)
    size = request["batch_size"]
    began = time.perf_counter()
    for _ in range(request["epochs"]):
        total = torch.zeros(())
        order = torch.randperm(len(X))
        for start in range(0, len(X), size):
            rows = order[start : start + size]
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(model(X[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
    return time.perf_counter() - began, float(total) / len(X)


if __name__ == "__main__":
    main()
