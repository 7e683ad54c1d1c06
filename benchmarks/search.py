"""Compare searches for a penalty with one fit of the same model, and with scikit-learn's search.

    python benchmarks/search.py [--rows N] [--repeats N] [--no-peers] [--on-disk DIR]

Each search has five folds, and a hundred alphas or ten Cs. A GridSearchCV over four Cs and three
folds of StandardScaler -> LogisticRegression is compared with one fit of this pipeline, and with
scikit-learn's GridSearchCV over the same lazy rows. For comparisons with one fit, the rows are
float32 in Dask blocks, and wall times and passes are measured. For comparisons with scikit-learn
in memory, all rows are used, in float64; LogisticRegressionCV is compared with the faster of
scikit-learn's "lbfgs" and "newton-cholesky", at a tolerance with which they are as accurate. Wall
times are measured in turns, and the median of their ratios is shown; a search of scikit-learn that
takes more than a minute runs only once. With ``--on-disk``, only the searches over one model are
compared with one fit, on the data set of ``out_of_core.py`` in DIR (8,000,000 x 100 float32 in
Zarr, 3.2 GB; made if it is missing) and on two workers of 1 GB.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from lines import Line, Table
from sklearn import linear_model, model_selection
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from timing import Fit, in_turns, ratios, seconds_of, spread, timed_fit
from workload import Workload, warm_page_cache

from dlbd_estimators import Lasso, LassoCV, LogisticRegression, LogisticRegressionCV, Ridge, RidgeCV
from dlbd_estimators.model_selection import GridSearchCV, KFold
from dlbd_estimators.preprocessing import StandardScaler

N_FEATURES, N_BLOCKS, N_FOLDS = 40, 40, 5
ALPHAS, CS = np.logspace(-3, 5, 100), np.logspace(-4, 2, 10)
#: A peer that takes more seconds runs only once: noise is small compared with its time.
LONG = 60.0
Floats = npt.NDArray[np.floating[Any]]

_CLASSES = {"l1_ratios": (0.0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}
LINES = {
    "ridge-passes": Line.at_most("RidgeCV, 100 alphas x 5 folds: passes", 1.0),
    "ridge": Line.at_most("the same: wall / one Ridge fit", 1.3),
    "lasso-passes": Line.at_most("LassoCV, 100 alphas x 5 folds: passes", 2.0),
    "lasso": Line.at_most("the same: wall / one Lasso fit", 1.5),
    "logistic-passes": Line.at_most("LogisticRegressionCV, 10 Cs x 5 folds: passes", 5.0),
    "logistic": Line.at_most("the same: wall / one fit at C=1", 4.0),
    "grid-passes": Line.at_most(
        "GridSearchCV, scaler -> logistic, 4 Cs x 3 folds: passes / those of one fit", 3.0
    ),
    "grid-peer": Line.at_most("the same: wall / scikit-learn's GridSearchCV on the lazy rows", 0.5),
    "ridge-peer": Line.at_most("in memory, RidgeCV(cv=5): wall / scikit-learn's", 0.25),
    "logistic-peer": Line.at_most("in memory, LogisticRegressionCV: wall / scikit-learn's", 0.25),
}


def main() -> None:
    """Run all comparisons, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true", help="leave scikit-learn out")
    parser.add_argument("--on-disk", type=Path, metavar="DIR", help="folder of the data set")
    options = parser.parse_args()
    table = Table(LINES, {})
    if options.on_disk is not None:
        _on_disk(table, Workload(options.on_disk), options.repeats)
        return
    X, targets, labels = _rows(options.rows)
    chunk = -(-options.rows // N_BLOCKS)
    lazy = da.from_array(X.astype(np.float32), chunks=(chunk, -1))
    for name, one, many, y in _models():
        own = da.from_array(targets if y == "targets" else labels, chunks=chunk)
        _against_one_fit(table, name, (one, many), (lazy, own), options.repeats)
    _grid_search(table, (lazy, da.from_array(labels, chunks=chunk)), options)
    if not options.no_peers:
        _against_peer(table, "ridge-peer", _ridge(), (X, targets), options.repeats)
        _against_peer(table, "logistic-peer", _logistic(), (X, labels), options.repeats)
    print(f"{options.rows:,} x {N_FEATURES} in {N_BLOCKS} blocks\n\n{table.markdown()}")


def _on_disk(table: Table, workload: Workload, repeats: int) -> None:
    data = workload.dataset()
    warm_page_cache(data.path)
    with workload.two_workers():
        for name, one, many, _ in _models():
            _against_one_fit(table, name, (one, many), (data.X, data.y), repeats)
    print(f"{data.n_samples:,} x {data.n_features} in Zarr, two workers\n\n{table.markdown()}")


def _models() -> Sequence[tuple[str, Callable[[], Any], Callable[[], Any], str]]:
    cv = KFold(N_FOLDS, shuffle=True, random_state=0)
    return (
        ("ridge", lambda: Ridge(1.0), lambda: RidgeCV(ALPHAS, cv=cv), "targets"),
        ("lasso", lambda: Lasso(0.01), lambda: LassoCV(cv=cv), "targets"),
        (
            "logistic",
            lambda: LogisticRegression(C=1.0),
            lambda: LogisticRegressionCV(Cs=CS, cv=cv, **_CLASSES),
            "labels",
        ),
    )


def _ridge() -> tuple[Callable[[], Any], dict[str, Callable[[], Any]]]:
    """Return our model, and scikit-learn's by the name of its solver."""
    return (
        lambda: RidgeCV(ALPHAS, cv=N_FOLDS),
        {"Ridge": lambda: linear_model.RidgeCV(ALPHAS, cv=N_FOLDS)},
    )


def _logistic() -> tuple[Callable[[], Any], dict[str, Callable[[], Any]]]:
    """Return our model, and scikit-learn's by the name of its solver."""
    given = {"Cs": CS, "cv": N_FOLDS, **_CLASSES}

    def peer(solver: str) -> Any:
        # As close to the minimum as our fit; the default tolerance leaves errors of 1e-3.
        options = {"solver": solver, "tol": 1e-8, "max_iter": 1_000}
        return linear_model.LogisticRegressionCV(**given, **options)

    solvers = ("lbfgs", "newton-cholesky")
    return (
        lambda: LogisticRegressionCV(**given),
        {solver: lambda solver=solver: peer(solver) for solver in solvers},
    )


def _against_one_fit(
    table: Table,
    name: str,
    models: tuple[Callable[[], Any], Callable[[], Any]],
    data: tuple[da.Array, da.Array],
    repeats: int,
) -> None:
    one, many = models
    fits = in_turns(
        {"one": lambda: timed_fit(one(), *data), "many": lambda: timed_fit(many(), *data)},
        repeats,
        warm_up=True,
    )
    passes = [fits[each][-1].model.n_passes_ for each in ("many", "one")]
    table.number(f"{name}-passes", passes[0], f"{passes[0]:.2f}; one fit {passes[1]:.2f}")
    _quote(table, name, fits["many"], fits["one"])


def _grid_search(
    table: Table, data: tuple[da.Array, da.Array], options: argparse.Namespace
) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    given = {
        "param_grid": {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]},
        "cv": KFold(3, shuffle=True, random_state=0),
    }
    models: dict[str, Callable[[], Any]] = {
        "one": lambda: clone(pipeline),
        "many": lambda: GridSearchCV(pipeline, **given),
    }
    if not options.no_peers:
        models["theirs"] = lambda: model_selection.GridSearchCV(pipeline, **given)
    fits = in_turns(
        {name: lambda make=make: timed_fit(make(), *data) for name, make in models.items()},
        options.repeats,
        warm_up=True,
    )
    one = sum(step.n_passes_ for _, step in fits["one"][-1].model.steps)
    many = fits["many"][-1].model.n_passes_
    table.number("grid-passes", many / one, f"{many:.2f} against {one:.2f}")
    if "theirs" in fits:
        _quote(table, "grid-peer", fits["many"], fits["theirs"])


def _against_peer(
    table: Table,
    name: str,
    models: tuple[Callable[[], Any], dict[str, Callable[[], Any]]],
    data: tuple[Floats, npt.NDArray[Any]],
    repeats: int,
) -> None:
    ours, peers = models
    first = {peer: timed_fit(make(), *data) for peer, make in peers.items()}
    fastest = min(first, key=lambda peer: (not first[peer].converged, first[peer].seconds))
    turns = {"ours": lambda: timed_fit(ours(), *data)}
    if first[fastest].seconds <= LONG:
        turns["theirs"] = lambda: timed_fit(peers[fastest](), *data)
    fits = in_turns(turns, repeats, warm_up=True)
    theirs = fits.get("theirs", [first[fastest]] * repeats)
    _quote(table, name, fits["ours"], theirs, f" by {fastest}" if len(peers) > 1 else "")


def _quote(
    table: Table, name: str, ours: Sequence[Fit], theirs: Sequence[Fit], by: str = ""
) -> None:
    found = ratios(ours, theirs)
    text = f"{spread(found)}; {seconds_of(ours)} against {seconds_of(theirs)}{by}"
    table.number(name, float(np.median(found)), text)


def _rows(n_rows: int) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    generator = np.random.default_rng(7)
    X = generator.standard_normal((n_rows, N_FEATURES))
    X += 0.5 * generator.standard_normal((n_rows, 1))  # columns share a fifth of their variance
    score = X @ generator.standard_normal(N_FEATURES) / np.sqrt(N_FEATURES)
    targets = score + generator.standard_normal(n_rows)
    return X, targets, (score + generator.logistic(size=n_rows) > 0).astype(np.intp)


if __name__ == "__main__":
    main()
