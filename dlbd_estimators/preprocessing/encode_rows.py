"""Picklable functions that apply an encoder to one block of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlbd_estimators.preprocessing.columns import without_na
from dlbd_estimators.preprocessing.widening import check_room


class EncodeRows:
    """Row function of ``transform``."""

    __name__ = "encode"  # names the tasks of data frames

    def __init__(self, encoder: Any, empty: NDArray[Any]) -> None:
        self.encoder = encoder
        self.empty = empty

    def __call__(self, block: Any) -> NDArray[Any]:
        if len(block) == 0:
            return self.empty
        check_room(len(block), self.empty.shape[1] * self.empty.itemsize)
        block = without_na(block)
        if isinstance(block, pd.DataFrame):
            block = block.set_axis(range(block.shape[1]), axis=1)
        return np.asarray(self.encoder.transform(block))


class DecodeRows:
    """Row function of ``inverse_transform``."""

    __name__ = "decode"

    def __init__(self, encoder: Any, empty: NDArray[Any]) -> None:
        self.encoder = encoder
        self.empty = empty

    def __call__(self, block: Any) -> NDArray[Any]:
        if len(block) == 0:
            return self.empty
        # A copy: scikit-learn changes the codes that it decodes.
        codes = np.array(block)
        return np.asarray(self.encoder.inverse_transform(codes)).astype(
            self.empty.dtype, copy=False
        )
