"""Define the blocks of a fit, and cut arrays in memory into blocks.

:class:`Blocks` is a numbered sequence of blocks of aligned rows of (X, y, sample_weight). Each
block can be loaded separately, in any process. A loader reads its rows: from arrays in memory
here, or from Dask graphs in :mod:`dlbd_estimators.blocks.dask_blocks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Self
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.blocks.checks import (
    as_features,
    as_targets,
    check_present,
    check_weights,
    same_length,
)
from dlbd_estimators.blocks.sequence import BlockSequence, Loader, Rows
from dlbd_estimators.exceptions import BadBlock, NonFiniteValues
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.kernel import Block, tile_rows
from dlbd_estimators.kernels.one_versus_rest import to_codes, to_signs
from dlbd_estimators.kernels.sparse_rows import first_non_finite

#: In-memory arrays are cut into about this many blocks: enough to keep many cores
#: busy and to sample from all over the data, few enough to cost nothing.
_IN_MEMORY_BLOCKS = 128
#: What to do if the columns of a matrix of labels are not labels.
_OF_CLASSES = " If its columns hold classes, fit one model to each column y[:, j]."


@dataclass(frozen=True)
class ArrayLoader(Loader):
    """Read blocks of arrays in memory, cut at the row numbers ``bounds``, without copying."""

    X: NDArray[Any]
    y: NDArray[Any]
    weight: NDArray[Any] | None
    bounds: tuple[int, ...]

    def read(self, index: int, *, features: bool = True) -> Rows:
        rows = slice(self.bounds[index], self.bounds[index + 1])
        weight = None if self.weight is None else self.weight[rows]
        return Rows(self.X[rows] if features else None, self.y[rows], weight)

    def select(self, indices: Sequence[int]) -> Loader:
        return self


@dataclass(frozen=True)
class Encoding:
    """Convert stored targets and weights to the numbers that a kernel takes.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,) or None
        Sorted labels: a target is replaced by the position of its label. None keeps numeric
        targets.
    class_weight : ndarray of shape (n_classes,) or None
        Factor for the weights of the rows of each class.
    raw : bool
        Return the targets as they are stored, which is needed to find the classes.
    labels : bool
        Check that the targets, which are a matrix of labels, are 0 or 1.
    counts : bool
        Check that the targets are at least 0.
    unknown : bool
        Encode labels outside ``classes`` as -1 instead of refusing them.
    signs : bool
        Encode labels as one column for each class: 1 for the rows of the class, -1 for all others.
    """

    classes: NDArray[Any] | None = None
    class_weight: FloatArray | None = None
    raw: bool = False
    unknown: bool = False
    labels: bool = False
    counts: bool = False
    signs: bool = False

    def targets(self, y: NDArray[Any], where: str) -> NDArray[Any]:
        """Encode the targets of one block."""
        if self.raw:
            return y
        if self.classes is None:
            if y.dtype.kind not in "biufO":
                raise BadBlock(f"y has dtype {y.dtype} in {where}, but must be numeric.")
            try:
                numbers = np.asarray(y, dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise BadBlock(f"y cannot be converted to numbers in {where}: {error}") from error
            if self.labels:
                wrong = (numbers != 0) & (numbers != 1)
                _refuse(wrong, numbers, "labels must be 0 or 1", where, _OF_CLASSES)
            if self.counts:
                _refuse(numbers < 0, numbers, "targets must be at least 0", where)
            return numbers
        codes = np.minimum(np.searchsorted(self.classes, y), len(self.classes) - 1)
        unknown = self.classes[codes] != y
        if self.unknown:
            codes[unknown] = -1
        elif np.any(unknown):
            row = int(np.argmax(unknown))
            known = ", ".join(map(repr, self.classes[:5].tolist()))
            raise BadBlock(
                f"y holds the label {y[row : row + 1].tolist()[0]!r} at row {row} of {where}, "
                f"which was not among the classes found before, or passed as classes ({known}"
                f"{', ...' if len(self.classes) > 5 else ''}). Are these codes in place of labels, "
                f"or did the data change during fit?"
            )
        return to_signs(codes, len(self.classes)) if self.signs else codes.astype(np.float64)

    def weights(self, y: NDArray[Any], weight: NDArray[Any] | None) -> FloatArray | None:
        """Combine sample weights and class weights of one block of encoded targets."""
        if weight is not None:
            weight = np.asarray(weight, dtype=np.float64)
        if self.class_weight is None:
            return weight
        by_class = self.class_weight[to_codes(y) if self.signs else y.astype(np.intp)]
        return by_class if weight is None else weight * by_class


@dataclass(frozen=True)
class Blocks(BlockSequence):
    """A numbered sequence of blocks of one data set.

    Parameters
    ----------
    loader : Loader
        Reads a block.
    n_blocks, n_features : int
        Number of blocks, and number of columns of X.
    sizes : tuple of int or None
        Rows of each block; None if they are not known before the blocks are read, and for blocks
        that :meth:`select` returns.
    block_nbytes : int or None
        Size of the largest block of X, in bytes; None where unknown.
    itemsize : int
        Bytes of one entry of X.
    in_memory : bool
        The blocks are views of arrays in this process.
    encoding : Encoding
        Converts stored targets and weights.
    feature_names : sequence of str or None
        Names of the columns, for messages.
    y_shape : tuple of int or None
        Shape of the targets of one row, if it is known in advance.
    selected : dict of int to range or None
        Row numbers of the blocks that :meth:`select` returns, if they are known.
    read_again : bool
        Whether blocks that fit are kept between passes.
    sparse : bool
        Whether the features of a block may be sparse.
    """

    loader: Loader
    n_blocks: int
    n_features: int
    sizes: tuple[int, ...] | None
    block_nbytes: int | None
    itemsize: int = 8
    in_memory: bool = False
    encoding: Encoding = Encoding()
    feature_names: Sequence[str] | None = None
    y_shape: tuple[int, ...] | None = None
    selected: dict[int, range] | None = None
    read_again: bool = True
    sparse: bool = False
    _computed: ClassVar[frozenset[str]] = frozenset({"_starts", "_kept"})
    # `replace` makes a new token: the new blocks may be read differently, see BlockSequence.
    token: str = field(init=False, default_factory=lambda: uuid4().hex, repr=False, compare=False)

    def encoded(self, encoding: Encoding) -> Self:
        """Return the same blocks with another encoding."""
        return replace(self, encoding=encoding)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the features, once loaded."""
        return np.dtype(np.float32 if self.itemsize == 4 else np.float64)

    def merged(self) -> Blocks:
        """Return the rows of arrays in memory as a single block."""
        assert isinstance(self.loader, ArrayLoader)
        n_rows = len(self.loader.X)
        loader = replace(self.loader, bounds=(0, n_rows))
        return replace(self, loader=loader, n_blocks=1, sizes=(n_rows,))

    def select(self, indices: Sequence[int]) -> Self:
        """Return blocks that hold only what reading ``indices`` needs, with the same numbers."""
        rows = {index: self.rows(index) for index in indices}
        known = {index: block_rows for index, block_rows in rows.items() if block_rows is not None}
        # Without `sizes`: each task would carry the sizes of all blocks.
        loader = self.loader.select(indices)
        return self._same(replace(self, loader=loader, sizes=None, selected=known or None))

    def with_loader_of(self, part: Self) -> Self:
        """Return these blocks with the loader of ``part``, which :meth:`select` returned."""
        return self._same(replace(self, loader=part.loader, selected=part.selected))

    def _same(self, blocks: Self) -> Self:
        """Give other blocks the token of these, so that a cache treats both as the same."""
        object.__setattr__(blocks, "token", self.token)
        return blocks

    def rows(self, index: int) -> range | None:
        """Return the row numbers of a block in the whole data set, or None if not known."""
        return super().rows(index) if self.selected is None else self.selected[index]

    def with_loader(self, loader: Loader) -> Self:
        """Return the same blocks, read by another loader."""
        return self._same(replace(self, loader=loader))

    def load(self, index: int, *, features: bool = True) -> Block:
        """Read and check one block.

        Raises
        ------
        LengthMismatch
            X, y and the weights of the block have different numbers of rows.
        BadBlock
            The block has another number of columns than expected, or is not an array of numbers.
        NonFiniteValues
            A target is missing or NaN, or a weight is NaN, infinite or negative.
        TypeError
            The block is masked or sparse.
        """
        kept = self._kept.get(index) if features else None
        if kept is not None:
            return kept
        try:
            block = self._load(index, features=features)
        except BadBlock:
            if (stored := self._stored) is not None:
                stored.load(index, features=features)
            raise
        # Where X is a view, only the encoded targets and weights take memory.
        if features and isinstance(self.loader, ArrayLoader):
            is_view = np.may_share_memory(block.X, self.loader.X)
            if is_view and block.nbytes <= 2 * block.X.nbytes:
                self._kept[index] = block
        return block

    @cached_property
    def _kept(self) -> dict[int, Block]:
        """Blocks that are checked and encoded already, by number: other passes read them, too."""
        return {}

    @property
    def _stored(self) -> Blocks | None:
        """The same blocks with all their rows, if the loader leaves some out; else None."""
        all_rows = self.loader.stored()
        return all_rows.encoded(self.encoding) if isinstance(all_rows, Blocks) else None

    def _load(self, index: int, *, features: bool) -> Block:
        where = self.where(index)
        try:
            stored = self.loader.read(index, features=features)
        except BadBlock as error:
            raise type(error)(f"In {where}: {error}") from error
        y = as_targets("y", stored.y, self.y_shape, where)
        if stored.X is None:
            X = np.empty((len(y), 0))
        else:
            X = as_features(stored.X, self.n_features, where, sparse=self.sparse)
            same_length("y", len(y), len(X), where)
        weight = None
        if stored.weight is not None:
            weight = as_targets("sample_weight", stored.weight, (), where)
            same_length("sample_weight", len(weight), len(y), where)
            check_weights(weight, where)
        check_present(y, where)
        y = self.encoding.targets(y, where)
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise NonFiniteValues(self._locate("y", y.reshape(len(y), -1), index))
        return Block(X, y, self.encoding.weights(y, weight))

    def check_features(self, index: int, block: Block) -> None:
        """Refuse a block whose features hold NaN or infinity.

        Raises
        ------
        NonFiniteValues
            The block holds such a value. The message names the first one.
        """
        if first_non_finite(block.X) is not None:
            if (stored := self._stored) is not None:
                stored.check_features(index, stored.load(index))
            raise NonFiniteValues(self._locate("X", block.X, index))

    def diagnose(self, index: int, block: Block) -> None:
        """Raise the error that explains why block ``index`` gave a non-finite partial."""
        self.check_features(index, block)
        raise BadBlock(
            f"{self.where(index).capitalize()} overflowed: X holds finite values, but sums "
            f"of their products do not fit in {block.X.dtype}. Scale the columns of X."
        )

    def _locate(self, name: str, values: Any, index: int) -> str:
        found = first_non_finite(values)
        assert found is not None
        row, column, value = found
        kind = "NaN" if np.isnan(value) else "infinity"
        at = f"row {row} of {self.where(index)}"
        if name == "X":
            label = "" if self.feature_names is None else f" ({self.feature_names[column]!r})"
            at += f", column {column}{label}"
        return f"Input {name} contains {kind} at {at}. Impute or drop such rows before fitting."


def _refuse(bad: NDArray[np.bool_], y: FloatArray, rule: str, where: str, advice: str = "") -> None:
    """Raise BadBlock for the first target that breaks a rule, if there is one."""
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        broken = f"{rule[0].upper()}{rule[1:]}, but y is {y[row]} at row {row} of {where}."
        raise BadBlock(f"{broken}{advice}")


def from_arrays(
    X: NDArray[Any],
    y: NDArray[Any],
    weight: NDArray[Any] | None,
    feature_names: Sequence[str] | None = None,
) -> Blocks:
    """Cut arrays in memory into blocks, whose sizes depend only on the shape of X."""
    n_rows, n_features = X.shape
    rows = max(tile_rows(n_features), -(-n_rows // _IN_MEMORY_BLOCKS))
    bounds = (*range(0, n_rows, rows), n_rows)
    return Blocks(
        loader=ArrayLoader(X, y, weight, bounds),
        n_blocks=len(bounds) - 1,
        n_features=n_features,
        sizes=tuple(stop - start for start, stop in pairwise(bounds)),
        block_nbytes=rows * n_features * X.itemsize,
        itemsize=X.itemsize,
        in_memory=True,
        feature_names=feature_names,
        y_shape=y.shape[1:],
    )
