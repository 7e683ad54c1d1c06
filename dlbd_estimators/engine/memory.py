"""The memory that this process may use, by the limits of the machine and of control groups.

A container, a batch job or a service is a control group (cgroup) with a limit of its own, often
far below the machine's memory. A process that exceeds it is killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import dask.config
from dask.utils import parse_bytes


@dataclass(frozen=True)
class Memory:
    """Memory for this process, in bytes.

    Attributes
    ----------
    limit : int
        The most that this process may use.
    available : int
        The part of ``limit`` that is free now, or holds only cached files that can be read again.
    """

    limit: int
    available: int


@dataclass(frozen=True)
class _Version:
    """The names of folders and files of one version of control groups."""

    mount: str
    limit: str
    usage: str
    files: tuple[str, str]


_V1 = _Version(
    "sys/fs/cgroup/memory",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
)
_V2 = _Version("sys/fs/cgroup", "memory.max", "memory.current", ("active_file", "inactive_file"))


def process_memory(root: Path = Path("/")) -> Memory:
    """Return the memory of this process.

    The Dask configuration ``dlbd-estimators.memory`` ("2GB", or a number of bytes) replaces the
    values of the system.

    Parameters
    ----------
    root : Path, optional
        Folder that contains the kernel's folders ``proc`` and ``sys``.

    Raises
    ------
    ValueError
        The configured value is not a size.
    """
    configured = dask.config.get("dlbd-estimators.memory", None)
    if configured is not None:
        size = _size(configured)
        return Memory(size, size)
    memories = [_machine(root), *_groups(root)]
    return Memory(
        min(memory.limit for memory in memories), min(memory.available for memory in memories)
    )


def _size(value: object) -> int:
    size = -1
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            size = int(parse_bytes(value))
        except (OverflowError, ValueError):
            size = -1
    if size <= 0:
        raise ValueError(
            f'The Dask configuration dlbd-estimators.memory must be a size such as "2GB", or a '
            f"number of bytes, but is {value!r}."
        )
    return size


def _machine(root: Path) -> Memory:
    found = _numbers(root / "proc/meminfo")
    total = found.get("MemTotal:", 0) * 1024
    if not total:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available = found.get("MemAvailable:")
    return Memory(total, total if available is None else available * 1024)


def _groups(root: Path) -> Iterator[Memory]:
    """Yield the memory of the process's control group and of all groups that contain it."""
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            version = _V2
        elif "memory" in controllers.split(","):
            version = _V1
        else:
            continue
        # In a container this may be the path on the host, of which only the mount exists here.
        inner = PurePosixPath("/", *(part for part in path.split("/") if part not in ("", "..")))
        for group in (inner, *inner.parents):
            memory = _group(root / version.mount / group.relative_to("/"), version)
            if memory is not None:
                yield memory


def _group(folder: Path, version: _Version) -> Memory | None:
    limit = _number(folder / version.limit)
    if limit is None:
        return None
    used = _number(folder / version.usage) or 0
    statistics = _numbers(folder / "memory.stat")
    files = sum(statistics.get(name, 0) for name in version.files)
    return Memory(limit, max(limit - max(used - files, 0), 0))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []  # there is no such group, or this process may not read it


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _numbers(path: Path) -> dict[str, int]:
    """Return the numbers of a file by name; its lines are a name, a number and perhaps a unit."""
    rows = [line.split() for line in _lines(path)]
    return {words[0]: int(words[1]) for words in rows if len(words) > 1 and words[1].isdigit()}
