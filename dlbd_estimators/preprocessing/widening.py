"""Limit the memory of blocks that become much wider, such as one-hot encoded categories."""

from __future__ import annotations

from typing import Any

import dask.array as da

from dlbd_estimators.blocks.alignment import known
from dlbd_estimators.engine.memory import process_memory
from dlbd_estimators.exceptions import BlockTooLarge

#: A block is cut if it would become larger than this, in bytes.
_LARGEST = 2**28
#: Approximate size of the parts of a block that is cut, in bytes after widening.
_CUT = 2**25
#: Share of the memory of a process that one block may take.
_SHARE = 0.5


def cut(X: Any, row_nbytes: int) -> Any:
    """Cut the blocks of a Dask array that become too large, if their lengths are known.

    Each part reads its whole block again, which is small compared with the result.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame
        The data before widening.
    row_nbytes : int
        Bytes of a row after widening.
    """
    if not (isinstance(X, da.Array) and known(X)):
        return X
    if max(X.chunks[0], default=0) * row_nbytes <= _LARGEST:
        return X
    return X.rechunk({0: max(1, _CUT // row_nbytes)})


def check_room(n_rows: int, row_nbytes: int) -> None:
    """Raise an error if a block would not fit in memory, before the memory is allocated.

    Raises
    ------
    BlockTooLarge
        When the block is too large; the message gives the number of rows that a block may have.
    """
    limit = process_memory().limit
    room = int(_SHARE * limit)
    if n_rows * row_nbytes > room:
        raise BlockTooLarge(
            f"A block of {n_rows} rows becomes {n_rows * row_nbytes / 2**20:.0f} MiB once its "
            f"categories are columns, but the process has {limit / 2**20:.0f} MiB of memory in "
            f"all. Make fewer columns: OneHotEncoder(max_categories=...) or (min_frequency=...), "
            f"or OrdinalEncoder; or use blocks of at most {max(1, _CUT // row_nbytes)} rows: "
            f"X.repartition(...) for a data frame, X.rechunk(...) for an array."
        )
