"""Checkpoints as files: a folder keeps the last two.

A new one is written under another name, flushed to the disk, and renamed: whenever the process or
the machine stops, the one before is whole. :mod:`~dlbd_estimators.engine.packed_file` says what
stands in a file.
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
#: Whole ones in a folder: should the last be damaged, there is another.
_KEPT = 2

Arrays = Sequence[NDArray[Any]]


class CheckpointFolder:
    """The checkpoints of one fit, by their numbers.

    Parameters
    ----------
    url : str
        A path, or a URL that fsspec knows, such as ``"s3://bucket/fit"``.

    Raises
    ------
    OSError
        The folder can neither be found nor made.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._place = folder_at(url)

    def numbers(self) -> list[int]:
        """Return the numbers of the checkpoints that are there, the newest first."""
        names = (name for name in self._place.names() if _NAME.fullmatch(name))
        return sorted((int(name.partition(".")[0]) for name in names), reverse=True)

    def read(self, number: int) -> tuple[Any, list[NDArray[Any]]]:
        """Return facts and arrays.

        Raises
        ------
        CheckpointDamaged
            The file is not as it was written, or cannot be read.
        """
        try:
            return unpack(self._place.read(_name(number), CHECKPOINT))
        except OSError as error:
            raise CheckpointDamaged(f"it cannot be read ({error})") from error

    def write(self, number: int, facts: Any, arrays: Arrays) -> None:
        """Write a checkpoint, and then delete all but it and the one before.

        Raises
        ------
        OSError
            It could not be written; those before are as they were.
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
