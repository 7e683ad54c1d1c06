"""Measure `storage`, and compare the figures with their targets.

    python benchmarks/stored_data.py                    all measurements but the last one, 8 minutes
    python benchmarks/stored_data.py --quick            small sizes, to see that it works
    python benchmarks/stored_data.py --only shuffle     one line of the table, or several
    python benchmarks/stored_data.py --only csv-large   5 GB of CSV files, 13 GB of disk

The two sides of each ratio are measured in turns, in one run. Before a measurement that reads
files, the files are read once, so that all of them are in the page cache. The table is printed and
written to ``out/benchmark-storage.md`` (``benchmark-storage-quick.md`` with ``--quick``; to no file
with ``--only``). The exit code is 1 if a target was missed.

The file is not called ``storage.py``, because it would then hide the package from all benchmarks.
"""

from __future__ import annotations

import sys
from functools import partial

import stored_ingest
import stored_large
import stored_memory
import stored_opening
import stored_reading
import stored_s3
from program import Measurement, Program
from stored_workload import StoredWorkload

#: Lines by name, in the order of the table. ``{read}`` etc. are placeholders for the sizes.
LINES = {
    **stored_reading.LINES,
    **stored_s3.LINES,
    **stored_opening.LINES,
    **stored_ingest.LINES,
    **stored_memory.LINES,
    **stored_large.LINES,
}

PEERS = tuple(stored_reading.ZARRS_LINES)
#: Lines that take long, and run only if `--only` names them.
ON_REQUEST = tuple(stored_large.LINES)

NOTES = """\
Times and ratios are medians, with the smallest and the largest in brackets. The two sides of a
ratio were measured in turns in one run, and files were read from the page cache. X has 100 columns
of float32 in chunks of 4 MiB. The S3 server, SeaweedFS, runs on the same machine. Parquet files
have 50 columns of float64, half of them noise, and CSV files 18 columns of numbers of about six
digits, a category and a truth value. Processor time is that of all processes. Peak memory is the
operating system's high-water mark of the whole process, and each operation has new processes. The
process of the client also runs the scheduler. Bytes that are read or written are those of all
calls of the workers, counted by the operating system, relative to the decoded size of the data.
"""


def measurements(peers: bool) -> list[Measurement]:
    """Return all measurements in the order they run, with the names of the lines of each."""
    decoding = [name for name in stored_reading.DECODING if peers or name not in PEERS]
    return [
        (partial(stored_reading.decoding, peers=peers), tuple(decoding)),
        (stored_reading.verifying, tuple(stored_reading.VERIFYING)),
        (stored_s3.reading, tuple(stored_s3.LINES)),
        (stored_opening.opening, tuple(stored_opening.LINES)),
        (stored_ingest.parquet, ("parquet",)),
        (stored_ingest.csv, ("csv", "csv-processor")),
        (stored_memory.shuffling, ("shuffle",)),
        *stored_memory.peaks_of_operations(),
        (stored_large.ingesting, ON_REQUEST),
    ]


def main() -> int:
    """Run the measurements; return 1 if a target was missed or an error occurred."""
    program = Program("benchmark-storage", LINES, NOTES, measurements, PEERS, ON_REQUEST)
    parser = program.parser("Measure storage, and compare the figures with their targets.")
    options = parser.parse_args()
    return program.run(options, StoredWorkload.quick if options.quick else StoredWorkload)


if __name__ == "__main__":
    sys.exit(main())
