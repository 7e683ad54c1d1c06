"""Read the X of a data set by zarr with the codec pipeline of zarrs, on one thread."""

from __future__ import annotations

import json
import os
import sys
import time

import zarr

PIPELINE = "zarrs.ZarrsCodecPipeline"


def main() -> None:
    """Answer each line of standard input, which is one request, until there are no more."""
    answers = os.fdopen(os.dup(1), "w")  # the output of libraries goes to the log
    os.dup2(2, 1)
    settings = {"codec_pipeline.path": PIPELINE, "threading.max_workers": 1, "async.concurrency": 1}
    with zarr.config.set(settings):
        for line in sys.stdin:
            request = json.loads(line)
            began = time.process_time()
            X = zarr.open_group(request["path"], mode="r")["X"]
            for start in range(0, X.shape[0], request["block_rows"]):
                X[start : start + request["block_rows"]]
            seconds = time.process_time() - began
            pipeline = type(X.async_array.codec_pipeline)
            answer = {"seconds": seconds, "pipeline": f"{pipeline.__module__}.{pipeline.__name__}"}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
