"""Train a network with PyTorch on rows that a DataLoader reads from Zarr, as its users write it.

A worker process reads one chunk of rows after the other, in random order, and shuffles the rows of
a few chunks together. It hands over whole batches, so that no row is collated by itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
import zarr
from peer_torch import network, optimizer_of
from torch.utils.data import DataLoader, IterableDataset

#: Chunks whose rows are shuffled together.
_CHUNKS = 8


class Batches(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Batches of rows of two Zarr arrays, in another order in each epoch."""

    def __init__(self, X: str, y: str, batch_size: int) -> None:
        self.paths, self.batch_size = (X, y), batch_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        X, y = (zarr.open_array(path, mode="r") for path in self.paths)
        rows = X.chunks[0]
        generator = np.random.default_rng(torch.initial_seed() % 2**32)
        order = generator.permutation(-(-X.shape[0] // rows))
        for first in range(0, len(order), _CHUNKS):
            slices = [slice(k * rows, (k + 1) * rows) for k in order[first : first + _CHUNKS]]
            features = torch.from_numpy(np.concatenate([X[each] for each in slices]))
            targets = torch.from_numpy(
                np.concatenate([y[each] for each in slices]).astype(np.int64)
            )
            shuffled = torch.randperm(len(features))
            for batch in shuffled.split(self.batch_size):
                yield features[batch], targets[batch]


def main() -> None:
    """Answer each line of standard input, which is one request, until there are no more."""
    answers = os.fdopen(os.dup(1), "w")  # what libraries print goes to the log
    os.dup2(2, 1)
    n_features = zarr.open_array(sys.argv[1], mode="r").shape[1]
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request["threads"])
        torch.manual_seed(0)
        model = network(n_features, request)
        optimizer = optimizer_of(model, request)
        criterion = torch.nn.CrossEntropyLoss()
        batches = Batches(sys.argv[1], sys.argv[2], request["batch_size"])
        loader = DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=16)
        began = time.perf_counter()
        total, n_rows = torch.zeros(()), 0
        for X, y in loader:
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(model(X), y)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(X)
            n_rows += len(X)
        answer = {"seconds": time.perf_counter() - began, "loss": float(total) / n_rows}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
