"""Data for benchmarks of networks: rows whose classes are drawn from a fixed network."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from workload import MEMORY, check_free

import storage
from dlbd_estimators import MLPClassifier

Rows = tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]

CLASSES = 10
_TEACHER_HIDDEN = 32
#: Standard deviation of the teacher's scores: its own log-loss is then about 0.6.
_TEACHER_SCALE = 4.0
#: Numbers of the parts that are not stored blocks. Each part of the rows has its own generator;
#: stored blocks have the numbers from 0.
_IN_MEMORY, _HELD_OUT = 2**31, 2**31 + 1


@dataclass(frozen=True)
class Problem:
    """Float32 features, and classes drawn from the probabilities of a fixed network.

    Attributes
    ----------
    n_features : int
        Number of features, which are normal variables.
    hidden : tuple of int
        Numbers of units of the hidden layers of the network that is trained.
    images : bool
        Whether negative features are set to 0, which is half of them.
    n_classes : int
        Number of classes.
    batch_size : int
        Rows of a batch.
    """

    n_features: int
    hidden: tuple[int, ...]
    images: bool = False
    n_classes: int = CLASSES
    batch_size: int = 200

    def __str__(self) -> str:
        outputs = self.n_classes if self.n_classes > 2 else 1
        return "-".join(str(units) for units in (self.n_features, *self.hidden, outputs))

    def rows(self, n_rows: int) -> Rows:
        """Return rows to train on in memory."""
        return self._rows(n_rows, _IN_MEMORY)

    def held_out(self, n_rows: int) -> Rows:
        """Return rows that are never used for training."""
        return self._rows(n_rows, _HELD_OUT)

    def _rows(self, n_rows: int, part: int) -> Rows:
        X = self.features(n_rows, part)
        return X, self.classes(X, part)

    def features(self, n_rows: int, part: int) -> npt.NDArray[np.float32]:
        """Return one part of the features."""
        generator = np.random.default_rng([self.n_features, part])
        X = generator.standard_normal((n_rows, self.n_features), dtype=np.float32)
        return np.maximum(X, 0, out=X) if self.images else X

    def classes(self, X: npt.NDArray[np.float32], part: int) -> npt.NDArray[np.int8]:
        """Draw the classes of one part of the rows."""
        teacher = np.random.default_rng([self.n_features])
        inner = teacher.standard_normal((self.n_features, _TEACHER_HIDDEN), dtype=np.float32)
        outer = teacher.standard_normal((_TEACHER_HIDDEN, self.n_classes), dtype=np.float32)
        # The mean of max(z, 0) for a normal variable z.
        centre = np.float32(1 / np.sqrt(2 * np.pi)) if self.images else np.float32(0)
        hidden = np.tanh((X - centre) @ inner * np.float32(2 / np.sqrt(self.n_features)))
        scores = hidden @ outer * np.float32(_TEACHER_SCALE / np.sqrt(_TEACHER_HIDDEN))
        generator = np.random.default_rng([self.n_features, part, 1])
        # With Gumbel noise, the index of the largest score has exactly the softmax probabilities.
        return (scores + generator.gumbel(size=scores.shape)).argmax(axis=1).astype(np.int8)

    def model(self, epochs: int = 1, **parameters: Any) -> MLPClassifier:
        """Return a network that trains for exactly this number of epochs."""
        settings = self.settings(epochs) | parameters
        return MLPClassifier(**settings)

    def settings(self, epochs: int) -> dict[str, Any]:
        """Return the parameters, all of which scikit-learn's MLPClassifier has, too."""
        return {
            "hidden_layer_sizes": self.hidden,
            "batch_size": self.batch_size,
            "max_iter": epochs,
            "tol": 0.0,
            "n_iter_no_change": np.inf,
            "random_state": 0,
        }

    def incremental(self, seed: int = 0, **parameters: Any) -> MLPClassifier:
        """Return a network for partial_fit, each epoch of which has another order of the rows."""
        return self.model(random_state=check_random_state(seed), **parameters)


IMAGES = Problem(784, (256,), images=True)
#: A network whose products take most of the time.
WIDE = Problem(784, (1024, 1024), images=True, batch_size=500)
#: The network of ``examples/flights.py``, whose batches are a few hundred microseconds of work.
SMALL = Problem(68, (64, 32), n_classes=2)
TABLE = Problem(40, (64,))


@dataclass(frozen=True)
class Layout:
    """A data set on disk: a number of blocks with equally many rows."""

    problem: Problem
    n_blocks: int
    block_rows: int

    @property
    def n_rows(self) -> int:
        """Number of rows of all blocks."""
        return self.n_blocks * self.block_rows

    @property
    def block_nbytes(self) -> int:
        """Bytes of a block of X."""
        return self.block_rows * self.problem.n_features * 4

    @property
    def nbytes(self) -> int:
        """Bytes of X."""
        return self.n_blocks * self.block_nbytes

    def write(self, path: Path) -> storage.Dataset:
        """Write the data set, a few blocks at a time."""
        n_features = self.problem.n_features
        X = da.map_blocks(
            partial(_features, problem=self.problem, n_rows=self.block_rows),
            chunks=((self.block_rows,) * self.n_blocks, (n_features,)),
            meta=np.empty((0, 0), dtype=np.float32),
        )
        y = da.map_blocks(
            partial(_classes, problem=self.problem),
            X,
            drop_axis=1,
            meta=np.empty(0, dtype=np.int8),
        )
        data = storage.create_dataset(
            path,
            X,
            y,
            target="class",
            chunk_nbytes=self.block_nbytes // 8,
            block_nbytes=self.block_nbytes + self.block_rows * y.itemsize,
        )
        assert data.X.numblocks[0] == self.n_blocks
        return data


def _features(*, problem: Problem, n_rows: int, block_id: Sequence[int]) -> npt.NDArray[np.float32]:
    return problem.features(n_rows, block_id[0])


def _classes(
    X: npt.NDArray[np.float32], *, problem: Problem, block_id: Sequence[int]
) -> npt.NDArray[np.int8]:
    return problem.classes(X, block_id[0])


@dataclass(frozen=True)
class NetworkWorkload:
    """Sizes of a run, and its data sets, which are made when they are first needed.

    Attributes
    ----------
    folder : Path
        Folder of the data sets.
    plots : Path or None
        Folder for plots; None to draw none.
    memory_rows, memory_epochs : int
        Rows and epochs of the problems in memory.
    wide_rows : int
        Rows of the problem with the widest network in memory.
    large : Layout
        Data set four times as large as a worker's memory.
    shared, shared_epochs : Layout, int
        Data set and epochs for the comparison of one worker and two.
    same, same_epochs : Layout, int
        Data set and epochs for clusters of several sizes, which must give the same bits.
    few, many : Layout
        Small and large data set for the comparison of numbers of replicas.
    sorted_ : Layout
        Data for the comparison of random order and order by class; it is never on disk.
    held_out : int
        Number of rows on which validation losses are computed.
    least_epochs, most_epochs : int
        Smallest and largest number of epochs for each number of replicas.
    reference_epochs : int
        Epochs after which one replica has the loss that the others must reach.
    curve_epochs : int
        Epochs of the other curves.
    repeats, turns : int
        Repeats of a comparison on a cluster, and of a comparison in memory.
    seeds : int
        Number of fits for each number of replicas, each with its own initial parameters.
    """

    folder: Path
    plots: Path | None = None
    memory_rows: int = 60_000
    wide_rows: int = 10_000
    memory_epochs: int = 3
    large: Layout = Layout(IMAGES, 128, 10_240)
    shared: Layout = Layout(IMAGES, 20, 10_240)
    shared_epochs: int = 5
    same: Layout = Layout(IMAGES, 16, 4_096)
    same_epochs: int = 2
    few: Layout = Layout(TABLE, 25, 2_048)
    many: Layout = Layout(TABLE, 64, 31_744)
    sorted_: Layout = Layout(TABLE, 64, 3_200)
    held_out: int = 20_000
    least_epochs: int = 10
    most_epochs: int = 15
    reference_epochs: int = 5
    curve_epochs: int = 15
    repeats: int = 3
    turns: int = 5
    seeds: int = 1

    @classmethod
    def quick(cls, folder: Path, plots: Path | None) -> NetworkWorkload:
        """Return small sizes, which show that the benchmark works; their figures mean little."""
        return cls(
            folder,
            plots,
            memory_rows=6_000,
            wide_rows=2_000,
            memory_epochs=2,
            large=Layout(IMAGES, 32, 10_240),
            shared=Layout(IMAGES, 8, 2_048),
            shared_epochs=2,
            same=Layout(IMAGES, 8, 2_048),
            few=Layout(TABLE, 25, 512),
            many=Layout(TABLE, 64, 1_024),
            sorted_=Layout(TABLE, 64, 256),
            held_out=4_000,
            least_epochs=3,
            most_epochs=4,
            reference_epochs=2,
            curve_epochs=3,
            repeats=1,
            turns=1,
            seeds=1,
        )

    def words(self) -> dict[str, str]:
        """Return the sizes as the table prints them."""
        return {
            "network": str(IMAGES),
            "wide": str(WIDE),
            "wide_batch": str(WIDE.batch_size),
            "wide_rows": f"{self.wide_rows:,}",
            "small": str(SMALL),
            "table": str(TABLE),
            "memory": MEMORY,
            "memory_rows": f"{self.memory_rows:,}",
            "large": f"{self.large.n_rows:,}",
            "large_nbytes": f"{self.large.nbytes / 1e9:.1f} GB",
            "half": f"{self.half.n_rows:,}",
            "shared": f"{self.shared.n_rows:,}",
            "shared_epochs": str(self.shared_epochs),
            "same": f"{self.same.n_rows:,}",
            "reference_epochs": str(self.reference_epochs),
            "most_epochs": str(self.most_epochs),
            "sorted": f"{self.sorted_.n_rows:,}",
            "sorted_blocks": str(self.sorted_.n_blocks),
        }

    @property
    def half(self) -> Layout:
        """Layout with half of the blocks of the large data set."""
        return Layout(self.large.problem, self.large.n_blocks // 2, self.large.block_rows)

    def in_memory(self, problem: Problem) -> Rows:
        """Return the rows of a problem in memory."""
        return problem.rows(self.wide_rows if problem is WIDE else self.memory_rows)

    def dataset(self, layout: Layout) -> storage.Dataset:
        """Open a data set, or make it."""
        problem = layout.problem
        path = self.folder / (
            f"network-{problem.n_features}-{layout.n_blocks}x{layout.block_rows}.zarr"
        )
        try:
            return storage.open_dataset(path)
        except storage.DatasetNotFound:
            check_free(self.folder, layout.nbytes)
            print(f"  writing {layout.n_rows:,} rows ...", flush=True)
            return layout.write(path)

    def remove(self, data: storage.Dataset) -> None:
        """Remove a data set that no other measurement needs."""
        shutil.rmtree(data.path)
