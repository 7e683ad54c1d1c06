"""Run fits on a local cluster, and print the address of the dashboard page that shows them.

    python examples/training_page.py

trains linear models and a network on synthetic rows, stored as a Zarr data set, and prints the
address of the page. With ``--screenshot FILE`` it takes a screenshot of the page during the
training of the network. This needs Chromium and the package playwright.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from local_workers import local_workers
from sklearn.exceptions import ConvergenceWarning

import storage
from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge

N_FEATURES = 40
BLOCK_NBYTES = 2 * 2**20


def stored_rows(folder: str, n_rows: int) -> storage.Dataset:
    """Write rows whose labels a linear model predicts in part, and a network better."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, N_FEATURES)).astype(np.float32)
    odds = X[:, 0] - 0.5 * X[:, 1] + 2.0 * X[:, 2] * X[:, 3]
    y = (rng.random(n_rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    return storage.create_dataset(
        Path(folder) / "rows.zarr",
        X,
        y,
        chunk_nbytes=BLOCK_NBYTES // 2,
        block_nbytes=BLOCK_NBYTES,
    )


def train(data: storage.Dataset, epochs: int) -> None:
    """Fit one model after the other."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are cut short on purpose
    Ridge().fit(data.X, data.y)
    LogisticRegression().fit(data.X, data.y)
    LogisticRegression(solver="lbfgs").fit(data.X, data.y)
    LogisticRegression(solver="gradient_descent").fit(data.X, data.y)
    network = MLPClassifier(
        (32,), max_iter=epochs, early_stopping=True, random_state=0, buffer_size=2**24
    )
    network.fit(data.X, data.y)


def photograph(address: str, path: Path, training: threading.Thread) -> list[str]:
    """Take a screenshot of the page during the training; return the errors of the page."""
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1010})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector("text=MLPClassifier 1", timeout=120_000)
        rows = "Bokeh.documents[0].get_model_by_name('fits').source.data"
        page.wait_for_function(f"parseInt({rows}['step'][0]) >= 10", timeout=120_000)
        page.wait_for_timeout(700)
        page.screenshot(path=path)
        training.join()
        browser.close()
    return errors


def main() -> None:
    """Train the models, and print where to watch them, or take a screenshot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--screenshot", type=Path, metavar="FILE")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="training-page-"))
        client: Any = stack.enter_context(local_workers(2, "1GiB"))
        data = stored_rows(folder, options.rows)
        address = client.dashboard_link.replace("/status", "/training")
        if options.screenshot is None:
            print(f"open {address}")
            train(data, options.epochs)
            input("press Enter to end: the page ends with the cluster ")
            return
        Ridge().fit(data.X, data.y)  # the first fit installs the page
        training = threading.Thread(target=train, args=(data, options.epochs))
        training.start()
        errors = photograph(address, options.screenshot, training)
        print(f"{options.screenshot} written; errors on the page: {errors or 'none'}")


if __name__ == "__main__":
    main()
