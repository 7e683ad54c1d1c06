"""Train on private rows, and see what each privacy budget costs in accuracy.

    python examples/private.py
    python examples/private.py --repeats 20 --figure docs/images/privacy.png

trains a logistic regression and a network on scikit-learn's images of handwritten digits, with
budgets epsilon from 0.5 to 8. Noise is drawn anew in each fit; ``--repeats`` makes several fits and
prints the mean accuracy on held-out images. All that the models are given about the images in
advance is public: pixels are from 0 to 16, there are ten digits, and about 1,350 images.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from dlbd_estimators import DifferentialPrivacy, LogisticRegression, MLPClassifier

NAMES = ("logistic regression", "network")


def models(privacy: DifferentialPrivacy | None) -> list[Any]:
    """Return both models, unfitted. With privacy, both make exactly 30 passes over the rows."""
    network: dict[str, Any] = {"batch_size": 300, "learning_rate_init": 0.01}
    return [
        LogisticRegression(privacy=privacy, max_iter=30),
        MLPClassifier((32,), privacy=privacy, max_iter=500 if privacy is None else 30, **network),
    ]


def draw(
    epsilons: list[float], accuracy: np.ndarray[Any, Any], exact: list[float], path: str
) -> None:
    """Draw the mean accuracy by epsilon, with its spread, and write the figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for i, name in enumerate(NAMES):
        mean, spread = accuracy[i].mean(axis=1), accuracy[i].std(axis=1)
        axes.errorbar(epsilons, mean, spread, marker="o", capsize=3, color=f"C{i}", label=name)
        axes.axhline(exact[i], linestyle="--", color=f"C{i}", label=f"{name}, not private")
    axes.set(
        xscale="log",
        xlabel="epsilon (delta = 1e-5)",
        ylabel="accuracy on held-out digits",
        xticks=epsilons,
        xticklabels=[f"{epsilon:g}" for epsilon in epsilons],
    )
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Fit, and print or draw the accuracy."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[0.5, 1.0, 2.0, 4.0, 8.0])
    parser.add_argument("--repeats", type=int, default=1, help="number of fits with each budget")
    parser.add_argument("--figure", help="path of the figure to write")
    options = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    accuracy = np.empty((len(NAMES), len(options.epsilons), options.repeats))
    print(f"{'epsilon':>12}  {NAMES[0]:>20}  {NAMES[1]:>20}")
    for number, epsilon in enumerate(options.epsilons):
        privacy = DifferentialPrivacy(
            epsilon=epsilon, delta=1e-5, n_samples=1350, classes=range(10)
        )
        for repeat in range(options.repeats):
            for i, model in enumerate(models(privacy)):
                accuracy[i, number, repeat] = model.fit(X_train, y_train).score(X_test, y_test)
                assert model.privacy_spent_.epsilon <= epsilon
        row = accuracy[:, number].mean(axis=1)
        print(f"{epsilon:12g}  {row[0]:20.3f}  {row[1]:20.3f}")
    exact = [model.fit(X_train, y_train).score(X_test, y_test) for model in models(None)]
    print(f"{'not private':>12}  {exact[0]:20.3f}  {exact[1]:20.3f}")
    if options.figure:
        draw(options.epsilons, accuracy, exact, options.figure)


if __name__ == "__main__":
    main()
