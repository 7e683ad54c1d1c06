"""Events in a file, one a line."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from dlbd_estimators.monitoring.events import Event


class JSONLinesFile:
    """A listener that appends every event to a file, as a line of JSON.

    Several fits may write at once, also of several processes: every event is appended by one
    system call, so lines stay whole on local file systems.

    Parameters
    ----------
    path : str or path-like
        Made where it does not exist; what it holds is kept.

    Raises
    ------
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import pandas as pd
    >>> from dlbd_estimators.monitoring import JSONLinesFile, listening
    >>> with listening(JSONLinesFile("fits.jsonl")):  # doctest: +SKIP
    ...     model.fit(X, y)
    >>> pd.read_json("fits.jsonl", lines=True)  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Wherever the program goes meanwhile, the file is where it was.
        self.path = Path(path).absolute()
        self._lock = threading.Lock()
        # Now rather than within a fit: a folder that cannot be written to is told at once.
        with self.path.open("ab"):
            pass

    def __call__(self, event: Event) -> None:
        line = json.dumps(event, allow_nan=False).encode() + b"\n"
        with self._lock, self.path.open("ab", buffering=0) as file:
            file.write(line)

    def __repr__(self) -> str:
        return f"JSONLinesFile({str(self.path)!r})"
