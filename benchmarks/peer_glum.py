"""Fit logistic regression with glum in its own environment."""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np
from glum import GeneralizedLinearRegressor


def main() -> None:
    """Answer each line of standard input, which is one request, until there are no more."""
    # Only answers go to the original standard output; everything that libraries print goes to the
    # log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    X, y = (np.load(path) for path in sys.argv[1:])
    for line in sys.stdin:
        request = json.loads(line)
        # glum divides the sum of losses by the number of rows, so this is scikit-learn's C=1.
        model = GeneralizedLinearRegressor(
            family="binomial",
            alpha=1.0 / len(X),
            l1_ratio=0.0,
            gradient_tol=request["tol"],
            max_iter=1000,
        )
        began = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - began
        coef = np.append(model.coef_, model.intercept_).tolist()
        print(json.dumps({"seconds": seconds, "coef": coef}), file=answers, flush=True)


if __name__ == "__main__":
    main()
