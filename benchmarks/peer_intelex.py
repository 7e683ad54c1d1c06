"""Fit with scikit-learn-intelex in its own environment, and report whether it was accelerated."""

from __future__ import annotations

import json
import logging
import os
import sys
import time

import numpy as np

# The class that patching scikit-learn would use; sklearnex itself no longer exports a Lasso.
from daal4py.sklearn.linear_model import Lasso
from sklearnex.linear_model import LogisticRegression, Ridge


class Messages(logging.Handler):
    """Collects the log messages in which the package names the implementation that it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.seen.append(record.getMessage())


def main() -> None:
    """Answer each line of standard input, which is one request, until there are no more."""
    # Only answers go to the original standard output; everything that libraries print goes to the
    # log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    messages = Messages()
    logger = logging.getLogger("sklearnex")
    logger.addHandler(messages)
    logger.setLevel(logging.INFO)
    X, y, target = (np.load(path) for path in sys.argv[1:])
    for line in sys.stdin:
        request = json.loads(line)
        logistic = request["model"] == "logistic"
        if request["model"] == "lasso":
            model = Lasso(alpha=request["alpha"])
        else:
            model = LogisticRegression(tol=1e-8, max_iter=1000) if logistic else Ridge()
        messages.seen.clear()
        began = time.perf_counter()
        model.fit(X, y if logistic else target)
        seconds = time.perf_counter() - began
        fit_messages = [message for message in messages.seen if ".fit: " in message]
        answer = {
            "seconds": seconds,
            "coef": np.concatenate([np.ravel(model.coef_), np.ravel(model.intercept_)]).tolist(),
            "accelerated": bool(fit_messages)
            and all("running accelerated version" in message for message in fit_messages),
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
