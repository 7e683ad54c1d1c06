"""Write events to a file, one on each line."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from dlbd_estimators.monitoring.events import Event


class JSONLinesFile:
    """A listener that appends every event to a file, as a line of JSON.

    Several fits may write at the same time, also from several processes: each event is appended by
    one system call, so that lines stay whole on local file systems.

    Parameters
    ----------
    path : str or path-like
        The file. It is made if it does not exist; otherwise lines are added at its end.

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
        # Absolute, in case the program changes its working directory.
        self.path = Path(path).absolute()
        self._lock = threading.Lock()
        # Open the file now, so that an unwritable folder is an error here and not during a fit.
        with self.path.open("ab"):
            pass

    def __call__(self, event: Event) -> None:
        line = json.dumps(event, allow_nan=False).encode() + b"\n"
        with self._lock, self.path.open("ab", buffering=0) as file:
            file.write(line)

    def __repr__(self) -> str:
        return f"JSONLinesFile({str(self.path)!r})"
