"""Peak memory of this process: the operating system's own maximum of its resident memory.

The module imports nothing large, so that importing it hardly changes the peak.
"""

from __future__ import annotations

import sys
from pathlib import Path


def reset_own_peak() -> None:
    """Start a new measurement of :func:`own_peak`, on Linux."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def own_peak() -> int:
    """Return the largest resident memory of this process since :func:`reset_own_peak`, in bytes."""
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
