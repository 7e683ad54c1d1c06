"""The steps of the flights example, and their printed output."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import flights_data
import flights_models
import flights_new_days
import flights_search
import numpy as np
import numpy.typing as npt
import plots
from distributed import Client
from flights_models import Result, Split, Task
from flights_network import Curve
from flights_tables import ONE_HOT
from flights_targets import is_late, minutes
from local_workers import peak_memory
from sklearn.metrics import log_loss, roc_auc_score

import storage
from dlbd_estimators import LogisticRegression
from dlbd_estimators.reports import report


def store(out: Path, scratch: Path, seed: int) -> tuple[storage.Dataset, storage.Dataset]:
    """Integrate, clean, transform and store; return the training set and the test set."""
    heading("1. Integrate, clean, transform")
    print("flights.csv.zip, joined with weather.csv and planes.csv")
    train, test = flights_data.store(out, scratch, seed)
    print(train.quality)
    print("Features are what is known at the scheduled departure: the schedule, the plane, the")
    print("last weather report before that hour, and the delays of flights that left before it.")
    print("The flight's own departure delay is not among them, nor anything known later.")

    heading("2. Store")
    for data in (train, test):
        print(data)
        checked = data.verify()
        print(f"verified: {checked.chunks} chunks, {checked.nbytes:,} bytes, all good")
    return train, test


def train(client: Client, split: Split) -> list[Result]:
    """Train all models on the cluster."""
    heading("3. Train")
    idle = max(peak_memory(client).values(), default=0)
    print(f"new worker processes, of {idle / 1e6:.0f} MB before they do anything")
    results = []
    for task in flights_models.tasks():
        result = flights_models.train(task, split, client)
        results.append(result)
        model = task.model
        print(
            f"{task.name}: {type(model).__name__} by {task.solver}, "
            f"{model.n_passes_:.2f} passes in {result.seconds:.2f} s"
        )
    return results


def new_days(split: Split, names: Sequence[str]) -> str:
    """Train the late-flight models again without some days, and test them on these days."""
    began = time.perf_counter()
    line = flights_new_days.compare(flights_new_days.new_days(split, names))
    seconds = time.perf_counter() - began
    print(f"late > 15 min: regression and network again without some days, {seconds:.2f} s in all")
    return line


def search(out: Path, split: Split) -> Path:
    """Choose the strengths of penalties by cross-validation; return the file with the curve."""
    path = out / "choose_c.png"
    for line in flights_search.choose(split, path):
        print(line)
    return path


def pages(out: Path, split: Split, results: Sequence[Result], names: Sequence[str]) -> list[Path]:
    """Write a page about the logistic regression and about the network, scored on the cluster."""
    written = []
    for result in results:
        task = result.task
        if task.target is is_late and task.solver in ("newton", "adam"):
            rows = task.rows(split)
            name = type(task.model).__name__
            path = out / f"report_late_{name.lower()}.html"
            title = f"Will the flight be late? {name}"
            late = task.target(rows.y_test)
            options = {"path": path, "title": title, "feature_names": names}
            written.append(report(task.model, rows.X_test, late, **options))
    return written


def compare(results: Sequence[Result], split: Split) -> list[Result]:
    """Fit scikit-learn's estimators to the same rows, in this process."""
    heading("4. Compare with scikit-learn in memory")
    known: dict[int, float] = {}
    compared = []
    for result in results:
        compared.append(flights_models.compare(result, split, known))
        task, difference = result.task, compared[-1].difference
        agreed = (
            f"{task.reference.n_iter_} epochs, ours {task.model.n_iter_}"
            if task.is_network
            else f"coefficients differ by {difference:.1e}"
        )
        seconds = compared[-1].reference_seconds
        print(f"{task.name}, {task.solver}: {seconds:.2f} s, {agreed}", flush=True)
    return compared


def draw(out: Path, data: storage.Dataset, split: Split, results: Sequence[Result]) -> list[Path]:
    """Plot the late-flight models; return the files."""
    networks = [result.task for result in results if result.task.is_network]
    late = [
        result.task
        for result in results
        if result.task.target is is_late and not result.task.is_network
    ]
    minima = [
        flights_models.problem(fitted, split)
        for task in late
        for fitted in (task.model, task.reference)
    ]
    curves = []
    for task in late:
        # A pass returns the loss of the model with which it began. So the loss of the model after a
        # pass comes from the next pass, and the loss of the last model is computed here.
        passes = [entry["pass"] for entry in task.model.history_]
        losses = [entry["loss"] for entry in task.model.history_]
        losses = [*losses, flights_models.problem(task.model, split)]
        label = f"{task.solver}: {task.model.n_passes_:.3g} passes"
        curves.append((label, np.array([passes[0] - 1.0, *passes]), np.array(losses)))
    first = late[0].model
    local = split.in_memory
    std = local.X_train.std(axis=0)
    compared = "compared with: " + ", ".join(f"{name} {level}" for name, level in ONE_HOT.items())
    probability = first.predict_proba(local.X_test)[:, 1]
    return [
        plots.loss_by_pass(out / "loss_by_pass.png", curves, min(minima)),
        plots.probabilities(out / "probabilities.png", is_late(local.y_test), probability),
        plots.coefficients(
            out / "coefficients.png", data.feature_names, first.coef_[0], std, compared
        ),
        *(plots.mlp_curve(out / "mlp_curve.png", _curve(task, first, split)) for task in networks),
    ]


def _curve(task: Task, logistic: LogisticRegression, split: Split) -> Curve:
    probability = task.model.predict_proba(task.rows(split).in_memory.X_train)[:, 1]
    local = split.in_memory
    other = logistic.predict_proba(local.X_train)[:, 1]
    return Curve.of(task.model, is_late(local.y_train), probability, other)


def quality(split: Split, results: Sequence[Result]) -> list[str]:
    """Return lines with scores that are not in the table."""
    by_target = {result.task.target: result.task.model for result in reversed(results)}
    local = split.in_memory
    delay = by_target[minutes]
    error = np.abs(local.y_test - delay.predict(local.X_test)).mean()
    plain = np.abs(local.y_test - local.y_train.mean()).mean()
    late = is_late(local.y_test)
    rate = is_late(local.y_train).mean()
    plainly = log_loss(late, np.full(len(late), rate))
    by_model = _probabilities(split, results)
    areas = [f"{name} {roc_auc_score(late, said):.3f}" for name, said in by_model.items()]
    losses = [f"{name} {log_loss(late, said):.4f}" for name, said in by_model.items()]
    right = [f"{name} {((said > 0.5) == late).mean():.4f}" for name, said in by_model.items()]
    return [
        f"delay: off by {error:.1f} minutes on average; always the mean: {plain:.1f}",
        f"late, area under the ROC curve: {', '.join(areas)}; chance 0.5",
        f"late, log-loss: {', '.join(losses)}; always {rate:.1%} {plainly:.4f}",
        f"late, accuracy: {', '.join(right)}",
    ]


def _probabilities(split: Split, results: Sequence[Result]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the probabilities that the late-flight models predict for the test rows, by name."""
    late = [result.task for result in results if result.task.target is is_late]
    models = {"logistic regression": (late[0], late[0].model)}
    for task in late:
        if task.is_network:
            models["network"] = (task, task.model)
            models["scikit-learn's network"] = (task, task.reference)
    return {
        name: model.predict_proba(task.rows(split).in_memory.X_test)[:, 1]
        for name, (task, model) in models.items()
    }


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'-' * len(text)}", flush=True)
