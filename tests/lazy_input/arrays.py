"""Dask arrays for generative tests: where they come from, and what is done to them."""

from __future__ import annotations

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import zarr
from dask.base import get_scheduler

from tests.lazy_input.sources import TABLE

COLUMNS = ["a", "b", "c", "i", "m", "k", "y", "w", "n", "t"]
PLACE = {name: position for position, name in enumerate(COLUMNS)}
FEATURES = slice(0, 4)
WHOLE = TABLE[COLUMNS[:-1]].assign(t=np.digitize(TABLE.y, [-1, 1])).to_numpy(dtype=float)


def part(number, count=4):
    """One of the parts that make up all rows; called by tasks."""
    edges = np.linspace(0, len(WHOLE), count + 1).astype(int)
    return WHOLE[edges[number] : edges[number + 1]]


def identity(value):
    return value


class Sources:
    """The same rows as every kind of Dask array.

    Parameters
    ----------
    folder : path
        For files.
    client : distributed.Client, optional
        For futures.
    """

    def __init__(self, folder, client=None):
        self.client = client
        self.kept = []
        self.stored = zarr.create_array(
            folder / "X", shape=WHOLE.shape, chunks=(50, 5), dtype=WHOLE.dtype
        )
        self.stored[:] = WHOLE

    def from_array(self):
        return da.from_array(WHOLE, chunks=(60, -1))

    def columns_apart(self):
        return da.from_array(WHOLE, chunks=(70, 3))

    def from_zarr(self):
        return da.from_zarr(self.stored)

    def one_chunk(self):
        return da.from_array(WHOLE, chunks=-1)

    def ragged(self):
        return da.from_array(WHOLE, chunks=((1, 0, 100, 39, 100), (10,)))

    def blocks(self):
        return da.map_blocks(
            lambda block_id: part(block_id[0]),
            chunks=((60,) * 4, (10,)),
            dtype=float,
            meta=np.empty((0, 0)),
        )

    def from_delayed(self):
        parts = [
            da.from_delayed(dask.delayed(part)(number), shape=(60, 10), dtype=float)
            for number in range(4)
        ]
        return da.concatenate(parts)

    def unknown(self):
        parts = [
            da.from_delayed(dask.delayed(part)(number), shape=(np.nan, 10), dtype=float)
            for number in range(4)
        ]
        return da.concatenate(parts, allow_unknown_chunksizes=True)

    def from_frame(self):
        frame = dd.from_pandas(TABLE[COLUMNS[:-1]], npartitions=5)
        label = frame.y.map_partitions(np.digitize, [-1, 1], meta=("t", float))
        return frame.assign(t=label).astype(float).to_dask_array()

    def from_frame_lengths(self):
        return dd.from_dask_array(self.from_array(), columns=COLUMNS).to_dask_array(lengths=True)

    def persisted(self):
        return self.from_array().persist()

    def futures(self):
        # On threads: what a client would have made.
        if self.client is None:
            return self.from_delayed()
        made = self.client.map(part, range(4))
        return da.concatenate([da.from_delayed(f, shape=(60, 10), dtype=float) for f in made])

    def delayed_futures(self):
        if self.client is None:
            return self.from_delayed()
        made = [dask.delayed(identity)(f) for f in self.client.map(part, range(4))]
        return da.concatenate([da.from_delayed(f, shape=(60, 10), dtype=float) for f in made])

    def frame_of_futures(self):
        if self.client is None:
            return self.from_frame()
        made = self.client.map(frame_part, range(4))
        self.kept += made  # arrays of Dask data frames do not keep their futures themselves
        return dd.from_delayed(made, meta=frame_part(0).iloc[:0]).to_dask_array()

    def scattered(self):
        factor = np.ones(10)
        if self.client is not None:
            (factor,) = self.client.scatter([factor])
        return self.from_array().map_blocks(np.multiply, factor, dtype=float)


def frame_part(number):
    return TABLE[COLUMNS[:-1]].assign(t=np.digitize(TABLE.y, [-1, 1])).iloc[
        number * 60 : number * 60 + 60
    ].astype(float)  # fmt: skip


SOURCES = sorted(name for name in vars(Sources) if not name.startswith("_"))


def positive(D):
    return D[D[:, 0] > 0]


def above_mean(D):
    return D[D[:, 0] > D[:, 0].mean()]


def first_rows(D):
    return D[D[:, PLACE["n"]] < 100]


def rechunk_rows(D):
    return D.rechunk({0: 37})


def rechunk_columns(D):
    return D.rechunk({0: -1, 1: 1}) if known(D) else D.rechunk({1: 3})


def rechunk_back(D):
    return D.rechunk({0: -1, 1: 2}).rechunk({0: 45, 1: -1}) if known(D) else D


def rechunk_p2p(D):
    if getattr(get_scheduler(), "__self__", None) is None:  # no client
        return D
    with dask.config.set({"array.rechunk.method": "p2p"}):
        return D.rechunk({0: -1, 1: 2}).rechunk({0: 45, 1: -1}) if known(D) else D


def every_other(D):
    return D[::2]


def backwards(D):
    return D[::-1]


def fancy(D):
    return D[np.random.default_rng(0).permutation(100)] if known(D) else D


def transposed(D):
    return D.T.copy().T


def stacked(D):
    return da.stack([D[:, j] for j in range(D.shape[1])], axis=1)


def concatenated(D):
    other = WHOLE[:70].copy()
    other[:, PLACE["n"]] += 10_000
    parts = [D, da.from_array(other, chunks=(35, -1))]
    return da.concatenate(parts, allow_unknown_chunksizes=True)


def side_by_side(D):
    return da.concatenate([D[:, :4], D[:, 4:]], axis=1)


def map_blocks(D):
    return D.map_blocks(twice_first, dtype=float) if D.numblocks[1] == 1 else D


def twice_first(block):
    block = block.copy()
    block[:, 0] *= 2
    return block


def centred(D):
    means = D[:, FEATURES].mean(axis=0)
    return da.concatenate([D[:, FEATURES] - means, D[:, 4:]], axis=1)


def where(D):
    inside = da.where(D[:, FEATURES] > -1.0, D[:, FEATURES], -1.0)
    return da.concatenate([inside, D[:, 4:]], axis=1)


def overlapped(D):
    if not known(D) or min(D.chunks[0]) < 1:
        return D
    D = D.rechunk({1: -1})
    smooth = da.overlap.map_overlap(running, D[:, FEATURES], depth={0: 1, 1: 0}, boundary="nearest")
    return da.concatenate([smooth, D[:, 4:]], axis=1)


def running(block):
    found = block.copy()
    found[1:-1] = (block[:-2] + block[1:-1] + block[2:]) / 3
    return found


def persist(D):
    return D.persist()


def sizes(D):
    return D.compute_chunk_sizes()


def through_frame(D):
    return dd.from_dask_array(D.rechunk({1: -1}), columns=COLUMNS).to_dask_array()


def shuffled_frame(D):
    return dd.from_dask_array(D.rechunk({1: -1}), columns=COLUMNS).shuffle("k").to_dask_array()


def shuffled_rows(D):
    return da.shuffle(D, [list(range(100, 150)), list(range(40, 100))], axis=0) if known(D) else D


def cumsum(D):
    sums = da.cumsum(D[:, :1], axis=0) / 10
    return da.concatenate([sums, D[:, 1:]], axis=1)


def dask_random(D):
    noise = da.random.default_rng(0).normal(size=D.shape[0], chunks=D.chunks[0])
    return da.concatenate([(D[:, 0] + noise)[:, None], D[:, 1:]], axis=1)


def single(D):
    return D.astype(np.float32)


def known(D):
    return not np.isnan(D.shape[0])


OPERATIONS = {
    each.__name__: each
    for each in (
        positive, above_mean, first_rows, rechunk_rows, rechunk_columns, rechunk_back, rechunk_p2p,
        every_other, backwards, fancy, transposed, stacked, concatenated, side_by_side, map_blocks,
        centred, where, overlapped, persist, sizes, through_frame, shuffled_frame, shuffled_rows,
        cumsum, dask_random, single,
    )
}  # fmt: skip
