"""Open a data set in a new process, and print what this took.

    python benchmarks/open_stored.py PATH

reads the first block, and prints the processor time in seconds and the peak resident memory in
bytes. Only `storage` is imported, as in a program that opens a data set and does nothing else.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "examples"))

from process_memory import own_peak

import storage


def main() -> None:
    """Open the data set that the command line names."""
    began = time.process_time()
    data = storage.open_dataset(sys.argv[1])
    data.X.blocks[0].compute(scheduler="synchronous")
    print(time.process_time() - began, own_peak())


if __name__ == "__main__":
    main()
