"""Files with random mutations: a reader raises a typed error, or returns what a writer could write.

Case k of a seed is always the same. ``DLBD_FUZZ_CASES`` is the number of cases of each test,
``DLBD_FUZZ_SEED`` the seed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

SEED = int(os.environ.get("DLBD_FUZZ_SEED", "0"))


def cases(default: int) -> Iterator[tuple[str, Random]]:
    """Yield a name and a source of random numbers for each case."""
    for case in range(int(os.environ.get("DLBD_FUZZ_CASES", default))):
        yield f"case {case} of seed {SEED}", Random(f"{SEED}/{case}")
