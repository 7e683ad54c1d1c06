"""Fit the stored rows with dask-ml on a cluster of the same size, in dask-ml's own environment."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings

import dask.array as da
import numpy as np
import zarr
from dask_ml.linear_model import LogisticRegression
from distributed import Client, LocalCluster


def main() -> None:
    """Answer each line of standard input, which is one request, until there are no more."""
    # Only answers go to the original standard output; everything that libraries print goes to the
    # log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    path, scratch, memory, block_rows = sys.argv[1:]
    group = zarr.open_group(path, mode="r")
    rows = int(block_rows)
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=memory,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=scratch,
        ) as cluster,
        Client(cluster),
    ):
        X = da.from_array(group["X"], chunks=(rows, -1))
        y = da.from_array(group["y"], chunks=rows)
        for line in sys.stdin:
            n_rows = json.loads(line)["rows"]
            model = LogisticRegression(solver="newton")
            began = time.perf_counter()
            model.fit(X[:n_rows], y[:n_rows])
            seconds = time.perf_counter() - began
            coef = np.concatenate([np.ravel(model.coef_), np.ravel(model.intercept_)])
            answer = {"seconds": seconds, "coef": coef.tolist()}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
