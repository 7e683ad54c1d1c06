"""Checkpoints as files: a folder keeps the last two checkpoints.

A new one is written under a temporary name, flushed to the disk, and renamed. So the previous one
stays complete, whenever the process or the machine stops. The format of the files is described in
:mod:`dlbd_estimators.engine.packed_file`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray

from dlbd_estimators.engine.folders import UNFINISHED, folder_at
from dlbd_estimators.engine.packed_file import CHECKPOINT, pack, unpack
from dlbd_estimators.exceptions import CheckpointDamaged

_NAME = re.compile(r"\d{8}\.checkpoint")
_UNFINISHED = re.compile(rf"{_NAME.pattern}(\.\w+)?{re.escape(UNFINISHED)}")
#: Number of checkpoints that a folder keeps: if the last one is damaged, there is another.
_KEPT = 2

Arrays = Sequence[NDArray[Any]]


class CheckpointFolder:
    """The numbered checkpoints of one fit.

    Parameters
    ----------
    url : str
        A path, or the URL of an object store, such as ``"s3://bucket/fit"``.

    Raises
    ------
    OSError
        The folder does not exist and cannot be created.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._place = folder_at(url)

    def numbers(self) -> list[int]:
        """Return the numbers of the existing checkpoints, the newest first."""
        names = (name for name in self._place.names() if _NAME.fullmatch(name))
        return sorted((int(name.partition(".")[0]) for name in names), reverse=True)

    def read(self, number: int) -> tuple[Any, list[NDArray[Any]]]:
        """Return the facts and the arrays of a checkpoint.

        Raises
        ------
        CheckpointDamaged
            The file differs from what was written, or cannot be read.
        """
        try:
            return unpack(self._place.read(_name(number), CHECKPOINT))
        except OSError as error:
            raise CheckpointDamaged(f"it cannot be read ({error})") from error

    def write(self, number: int, facts: Any, arrays: Arrays) -> None:
        """Write a checkpoint, then delete all others except the previous one.

        Raises
        ------
        OSError
            The checkpoint could not be written; the earlier ones are unchanged.
        """
        self._place.write(_name(number), pack(facts, arrays))
        kept = {_name(number - back) for back in range(_KEPT)}
        for name in self._place.names():
            old = _NAME.fullmatch(name) or _UNFINISHED.fullmatch(name)
            if old and name not in kept:
                with suppress(OSError):
                    self._place.delete(name)


def _name(number: int) -> str:
    return f"{number:08}.checkpoint"
