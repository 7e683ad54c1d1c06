"""What a test may not leave behind: settings, clients, files."""

from __future__ import annotations

import copy
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.config
import distributed  # before the first test: it adds its defaults to Dask's configuration
import numpy as np


@dataclass(frozen=True)
class Surroundings:
    """What a test finds, and has to leave as it was."""

    config: dict[str, Any]
    environment: dict[str, str]
    folder: str
    files: frozenset[str]
    errstate: dict[str, str]
    level: int
    client: Any

    @classmethod
    def now(cls) -> Surroundings:
        return cls(
            copy.deepcopy(dask.config.config),
            dict(os.environ),
            os.getcwd(),
            frozenset(each.name for each in Path.cwd().iterdir()),
            np.geterr(),
            logging.getLogger().level,
            _default_client(),
        )

    def leftovers(self) -> list[str]:
        """Return a line for each thing that is not as it was."""
        now = Surroundings.now()
        found = []
        if now.config != self.config:
            found.append(f"the Dask configuration of {_changed(self.config, now.config)}")
        # pytest names the running test in the environment; libraries note private settings there
        # when they are first imported.
        variables = [
            name
            for name in _changed(self.environment, now.environment)
            if name != "PYTEST_CURRENT_TEST" and not name.startswith("_")
        ]
        if variables:
            found.append(f"the environment variables {variables}")
        if now.folder != self.folder:
            found.append(f"the working directory: {now.folder}")
        elif now.files - self.files - {".cache"}:
            found.append(f"files in {now.folder}: {sorted(now.files - self.files)}")
        if now.errstate != self.errstate:
            found.append(f"NumPy's settings of errors: {now.errstate}")
        if now.level != self.level:
            found.append(f"the level of logging: {now.level}")
        if now.client is not None and now.client is not self.client:
            found.append(f"a default client: {now.client}")
        return found


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def _default_client() -> Any:
    try:
        return distributed.default_client()
    except ValueError:
        return None
