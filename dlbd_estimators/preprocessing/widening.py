"""Blocks that become much wider than they are stored: a column of many categories, say."""

from __future__ import annotations

from typing import Any

import dask.array as da

from dlbd_estimators.blocks.alignment import known
from dlbd_estimators.engine.memory import process_memory
from dlbd_estimators.exceptions import BlockTooLarge

#: A block that becomes larger than this, in bytes, is cut,
_LARGEST = 2**28
#: to blocks of about this size.
_CUT = 2**25
#: Share of the memory of a process that one block may take.
_SHARE = 0.5


def cut(X: Any, row_nbytes: int) -> Any:
    """Cut the blocks of a Dask array that become too large, where their lengths are known.

    Each part reads its whole block anew, which is small beside what becomes of it.

    Parameters
    ----------
    X : dask.array.Array or dask.dataframe.DataFrame
        Before.
    row_nbytes : int
        Bytes of a row afterwards.
    """
    if not (isinstance(X, da.Array) and known(X)):
        return X
    if max(X.chunks[0], default=0) * row_nbytes <= _LARGEST:
        return X
    return X.rechunk({0: max(1, _CUT // row_nbytes)})


def check_room(n_rows: int, row_nbytes: int) -> None:
    """Refuse a block that would not fit in memory, before that is asked for.

    Raises
    ------
    BlockTooLarge
        Says how many rows a block may have.
    """
    limit = process_memory().limit
    room = int(_SHARE * limit)
    if n_rows * row_nbytes > room:
        raise BlockTooLarge(
            f"A block of {n_rows} rows becomes {n_rows * row_nbytes / 2**20:.0f} MiB once its "
            f"categories are columns, of {limit / 2**20:.0f} MiB of memory in all. Make fewer "
            f"columns: OneHotEncoder(max_categories=...) or (min_frequency=...), or "
            f"OrdinalEncoder; or give it blocks of at most {max(1, _CUT // row_nbytes)} rows: "
            f"X.repartition(...) of a data frame, X.rechunk(...) of an array."
        )
