"""An ingest that is killed at any of its writes leaves nothing at its target, and continues."""

from __future__ import annotations

import itertools
import signal

import numpy as np
import pandas as pd
import pytest
from distributed.utils import get_mp_context

import storage
from tests.storage.ingestion.test_resuming import files, hidden, ingest, killed_at

pytestmark = [pytest.mark.slow_fault, pytest.mark.timeout(600)]


#: Parts of the table; the rows of each are one file between both passes.
N_PARTITIONS = 10


@pytest.mark.parametrize("ending", [".rows", ".writing"])
def test_an_ingest_killed_at_each_write_continues(ending, tmp_path):
    """The writes to the folder for rows between both passes, and those of the data set."""
    table, url = tmp_path / "table.csv", tmp_path / "place" / "d"
    rows = np.random.default_rng(0).normal(size=(120, 3))
    pd.DataFrame(rows, columns=["a", "b", "y"]).to_csv(table, index=False)
    whole = files(ingest(table, tmp_path / "whole").path)
    for number in itertools.count(1):
        arguments = (number, str(table), str(url), ending)
        process = get_mp_context().Process(target=killed_at, args=arguments)
        process.start()
        process.join(120)
        if process.exitcode == 0:  # it has fewer writes
            break
        assert process.exitcode == -signal.SIGKILL
        with pytest.raises(storage.DatasetNotFound):
            storage.open_dataset(url)
        data = ingest(table, url, resume=True)
        data.verify()
        assert files(url) == whole
        assert hidden(url.parent) == []
        data.path.rename(tmp_path / f"{number}")
    assert files(url) == whole
    if ending == ".writing":
        # The work, the metadata of the group and of two arrays, chunks, ingest.json, the manifest.
        assert number - 1 == 6 + len(whole)
    else:
        assert number - 1 == N_PARTITIONS
