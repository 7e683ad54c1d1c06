"""Whatever is done to a data set, and whenever it stops: a reader gets committed rows or an error.

Hypothesis runs random sequences of operations on one data set, and compares every version with a
plain NumPy copy of the rows that were committed.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scipy import sparse

import storage
from tests.storage.killed_writer import Killed, killed_at

#: Chunks of one to eight rows, and blocks of a few chunks.
SIZES = {"chunk_nbytes": 64, "block_nbytes": 160}
#: The change to the disk at which an operation is killed. An operation of few rows has about 30
#: changes, and one of many rows more than 100. If it has fewer than are drawn, it is not killed.
kills = st.none() | st.none() | st.integers(1, 40) | st.integers(20, 150)
n_rows = st.integers(1, 25)
seeds = st.integers(0, 2**16)


@dataclass(frozen=True)
class Rows:
    """Rows of a version, dense, by the name of their array."""

    arrays: dict[str, np.ndarray]

    def __len__(self):
        return len(self.arrays["y"])

    def __add__(self, other):
        joined = {
            name: np.concatenate([array, other.arrays[name]]) for name, array in self.arrays.items()
        }
        return Rows(joined)


def dense(values):
    return values.toarray() if sparse.issparse(values) else values


class StoredRows(RuleBasedStateMachine):
    """One data set, and what has been committed to it."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "place" / "d"
        self.settings = dask.config.set(scheduler="synchronous")
        #: The rows of each version that was committed; no version if there is no data set.
        self.versions = []
        self.dataset_id = None
        #: Chunks that may be damaged: version, array, number of the chunk.
        self.damaged = set()
        #: Data sets that were opened at some time, their rows, and their identities.
        self.opened = []
        #: The raw files of all versions, and the file of an ingest that was killed.
        self.files, self.unfinished = [], None
        self.n_files = 0

    def teardown(self):
        try:
            self.every_version_has_its_rows()
        finally:
            self.settings.__exit__(None, None, None)
            shutil.rmtree(self.folder)

    @initialize(
        kind=st.sampled_from(["dense", "sparse", "ingested"]),
        weights=st.booleans(),
        n_features=st.integers(1, 3),
        n=n_rows,
        kill=st.none() | st.none() | st.none() | kills,
    )
    def begin(self, kind, weights, n_features, n, kill):
        self.kind, self.n_features = kind, n_features
        self.weights = weights and kind != "ingested"
        self.create(n, 0, kill, None)

    # What is written.

    def new_rows(self, n, seed):
        rng = np.random.default_rng(seed)
        X = rng.integers(-9, 10, (n, self.n_features)) * rng.integers(0, 2, (n, self.n_features))
        arrays = {"X": X.astype(float), "y": rng.normal(size=n).round(3)}
        if self.weights:
            arrays["sample_weight"] = rng.random(n)
        return Rows(arrays)

    def given(self, rows):
        """Return the arrays as a user gives them."""
        arrays = dict(rows.arrays)
        if self.kind == "sparse":
            arrays["X"] = sparse.csr_array(arrays["X"])
        return arrays

    def raw_file(self, rows):
        self.n_files += 1
        path = self.folder / f"{self.n_files}.csv"
        columns = {f"x{j}": rows.arrays["X"][:, j] for j in range(self.n_features)}
        pd.DataFrame(columns | {"y": rows.arrays["y"]}).to_csv(path, index=False)
        return path

    def store(self, rows, file, **options):
        if self.kind != "ingested":
            return storage.create_dataset(self.path, **self.given(rows), **SIZES, **options)
        kinds = {name: storage.Column("number") for name in pd.read_csv(file)}
        return storage.ingest(file, self.path, target="y", columns=kinds, **SIZES, **options)

    def add(self, rows, file):
        given = [file] if self.kind == "ingested" else self.given(rows).values()
        return storage.append(self.path, *given)

    # What is done, whole or killed.

    def run(self, operation, versions, files, kill=None):
        """Run an operation that makes these versions; find out what a killed one has committed."""
        try:
            if kill is None:
                data = operation()
            else:
                with killed_at(kill):
                    data = operation()
        except Killed:
            try:
                data = storage.open_dataset(self.path)
            except storage.DatasetNotFound:
                assert not self.versions, "a data set is gone"
                return False
            is_old = data.schema.dataset_id == self.dataset_id
            if is_old and len(data.versions) == len(self.versions):
                return False
        self.committed(data, versions, files)
        return kill is None

    def committed(self, data, versions, files):
        if data.schema.dataset_id != self.dataset_id:
            assert len(versions) == 1, "an append has made another data set"
            self.damaged.clear()
        else:
            assert len(versions) > len(self.versions), "a committed version was written again"
            before = len(self.versions)
            self.damaged |= {
                (len(versions), *chunk) for number, *chunk in self.damaged if number == before
            }
        self.dataset_id, self.versions, self.files = data.schema.dataset_id, versions, files

    @rule(n=n_rows, seed=seeds, kill=kills, expected=st.none() | st.just(40))
    def create(self, n, seed, kill, expected):
        """Store rows, in place of the data set if there is one."""
        rows = self.new_rows(n, seed)
        file = self.raw_file(rows) if self.kind == "ingested" else None
        if self.versions:
            with pytest.raises(storage.DatasetExists):
                self.store(rows, file)
        self.unfinished = (rows, file), {"expected_rows": expected}
        self.finish(kill, overwrite=bool(self.versions))

    @precondition(lambda self: self.kind == "ingested" and self.unfinished)
    @rule(kill=kills)
    def resume(self, kill):
        """Continue the ingest that was killed."""
        self.finish(kill, overwrite=True, resume=True)

    def finish(self, kill, **options):
        (rows, file), others = self.unfinished
        if self.run(lambda: self.store(rows, file, **others, **options), [rows], [file], kill):
            self.unfinished = None
            assert [entry.name for entry in self.path.parent.iterdir()] == ["d"]

    @precondition(lambda self: self.versions)
    @rule(n=n_rows, seed=seeds, kill=kills)
    def append(self, n, seed, kill):
        rows = self.new_rows(n, seed)
        file = self.raw_file(rows) if self.kind == "ingested" else None
        versions = [*self.versions, self.versions[-1] + rows]
        try:
            self.run(lambda: self.add(rows, file), versions, [*self.files, file], kill)
        except storage.ChunkCorrupt as error:  # the last chunk, which is not full
            self.is_damaged(error, len(self.versions))

    @precondition(lambda self: self.versions and self.kind != "ingested")
    @rule(n=n_rows, seed=seeds, other=st.sampled_from(["append", "create"]), kill=kills)
    def append_while_another_writer_works(self, n, seed, other, kill):
        """Append rows; another writer, which may be killed, begins and ends meanwhile."""
        rows = self.new_rows(n, seed)
        arrays = self.given(rows)
        before = self.dataset_id, len(self.versions)
        done = []

        def other_writer(block):
            if not done:
                done.append(True)
                if other == "append":
                    self.append(n, seed + 1, kill)
                else:
                    self.create(n, seed + 1, kill, None)
            return block

        late = da.from_array(arrays["y"], chunks=-1).map_blocks(other_writer, meta=np.empty(0))
        try:
            data = storage.append(self.path, arrays["X"], late, arrays.get("sample_weight"))
        except (storage.AppendConflict, storage.DatasetReplaced):
            assert (self.dataset_id, len(self.versions)) != before
        except storage.ChunkCorrupt as error:
            self.is_damaged(error, before[1])
        else:
            assert (self.dataset_id, len(self.versions)) == before
            self.committed(data, [*self.versions, self.versions[-1] + rows], self.files)

    @precondition(lambda self: self.kind == "ingested" and self.versions)
    @rule(kill=st.none() | st.integers(1, 8))
    def repair(self, kill):
        """Write the damaged chunks of the newest version again, from all raw files."""
        try:
            with killed_at(10**9 if kill is None else kill):
                storage.repair(self.path, self.files)
        except Killed:
            return
        newest = len(self.versions)
        self.damaged = {chunk for chunk in self.damaged if chunk[0] != newest}

    # What happens to the files.

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), how=st.sampled_from(["flipped", "missing", "short"]))
    def damage(self, data, how):
        newest = storage.open_dataset(self.path)
        files = {
            self.path / key: (name, chunk)
            for name, layout in newest.layouts.items()
            for chunk in range(layout.n_chunks)
            for key in (layout.key(chunk), *self.spare_keys(name, chunk))
        }
        left = sorted(path for path in files if path.exists())
        if not left:
            return
        path = data.draw(st.sampled_from(left))
        content = bytearray(path.read_bytes())
        if how == "missing":
            path.unlink()
        elif how == "short":
            path.write_bytes(content[:-3])
        elif content:
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1
            path.write_bytes(content)
        self.damaged |= {(number, *files[path]) for number in range(1, 1 + len(self.versions))}

    def spare_keys(self, name, chunk):
        found = self.path.glob(f"version-*/{name}.c.{chunk}*")
        return [str(path.relative_to(self.path)) for path in found]

    # What readers see.

    def is_damaged(self, error, number):
        assert isinstance(error, storage.ChunkCorrupt), error
        assert (number, error.array, error.chunk) in self.damaged, error

    def has(self, data, rows, number):
        """Compare all rows; where chunks are damaged, compare what can be read, block by block."""
        assert (data.n_samples, data.version) == (len(rows), number)
        assert (data.sample_weight is not None) == self.weights
        whole = not any(damaged == number for damaged, *_ in self.damaged)
        for name, expected in rows.arrays.items():
            lazy = getattr(data, name)
            parts = [lazy] if whole else [lazy.blocks[each] for each in range(lazy.numblocks[0])]
            start = 0
            for part in parts:
                stop = start + part.shape[0]
                try:
                    found = dense(part.compute())
                except storage.ChunkCorrupt as error:
                    self.is_damaged(error, number)
                else:
                    assert found.dtype == expected.dtype
                    np.testing.assert_array_equal(found, expected[start:stop])
                start = stop

    @invariant()
    def the_newest_version_has_its_rows(self):
        if self.versions:
            data = storage.open_dataset(self.path)
            assert data.schema.dataset_id == self.dataset_id
            self.has(data, self.versions[-1], len(self.versions))
        else:
            with pytest.raises(storage.DatasetNotFound):
                storage.open_dataset(self.path)

    @rule()
    def every_version_has_its_rows(self):
        for number, rows in enumerate(self.versions, 1):
            data = storage.open_dataset(self.path, version=number)
            self.has(data, rows, number)
            self.opened.append((data, rows, self.dataset_id))
        self.opened = self.opened[-6:]

    @precondition(lambda self: self.opened)
    @rule(which=st.integers(0, 5))
    def read_what_was_opened_before(self, which):
        data, rows, dataset_id = self.opened[which % len(self.opened)]
        if dataset_id == self.dataset_id:
            self.has(data, rows, data.version)
            return
        with pytest.raises(storage.DatasetReplaced):
            dask.compute(data.X, data.y)

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def verify(self, data):
        number = data.draw(st.integers(1, len(self.versions)))
        found = storage.open_dataset(self.path, version=number)
        try:
            assert found.verify().chunks == found.manifest.n_chunks
        except storage.DatasetCorrupt as error:
            for chunk in error.chunks or [error]:  # an error of metadata has no chunks
                self.is_damaged(chunk, number)
        else:
            # A chunk that was damaged may have another file that is right.
            self.damaged = {chunk for chunk in self.damaged if chunk[0] != number}

    @precondition(lambda self: self.versions and not self.damaged)
    @rule()
    def zarr_alone_shows_a_whole_version(self):
        group = zarr.open_group(self.path, mode="r")
        names = [name for name in self.versions[-1].arrays if (name, self.kind) != ("X", "sparse")]
        lengths = {group[name].shape[0] for name in names}
        assert len(lengths) == 1
        assert lengths <= {len(rows) for rows in self.versions}
        for name in names:
            [length] = lengths
            np.testing.assert_array_equal(group[name][:], self.versions[-1].arrays[name][:length])


TestStoredRows = StoredRows.TestCase
TestStoredRows.settings = settings(stateful_step_count=16)
