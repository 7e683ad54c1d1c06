"""The demo's results are the same after the deaths of workers, and after its own death."""

from __future__ import annotations

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import ROOT, in_own_group

pytestmark = [pytest.mark.slow_fault, pytest.mark.long, pytest.mark.timeout(1_200)]

#: Starts of lines that the demo prints, and the number of workers (of two) that are killed then,
#: while it does what follows. Zero is the demo itself.
ONE_AFTER_ANOTHER = {
    "1. Integrate": 1,
    "new worker processes": 1,
    "delay: LinearRegression": 1,
    "delay, ridge: Ridge": 2,
    "late > 15 min: LogisticRegression by newton": 1,
    "late > 15 min: LogisticRegression by gradient": 2,
    "late > 15 min: MLPClassifier": 1,
    "delay band": 1,
    "delay: RidgeCV": 2,
    "late > 15 min: LogisticRegressionCV": 1,
}
ITSELF = {"late > 15 min: LogisticRegression by gradient": 0}
#: Other tests run at the same time, and workers may take longer to start again than Dask and this
#: package wait for them.
PATIENCE = {
    "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "1h",
    "DASK_DLBD_ESTIMATORS__WAIT_FOR_WORKERS": "5 minutes",
}
#: Columns of the table that are measurements of time and memory.
MEASURED = {"fit, s", "peak, MB", "sklearn, s"}


def test_no_death_changes_the_table(tmp_path):
    disturbed, killed = tmp_path / "disturbed", tmp_path / "killed"
    # At the same time, because much of a demo's time is waiting.
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run_disturbed, disturbed), pool.submit(run_twice, killed)]
    for each in runs:
        each.result()
    assert results(disturbed) == results(killed)


def run_disturbed(out: Path) -> None:
    """Run the demo to its end, while workers are killed."""
    assert run(out, ONE_AFTER_ANOTHER) == 0


def run_twice(out: Path) -> None:
    """Run the demo, which is killed; run it again, to its end."""
    assert run(out, ITSELF) == -signal.SIGKILL
    assert not (out / "report.md").exists()
    assert run(out, {}) == 0


def run(out: Path, deaths: dict[str, int]) -> int:
    """Run the demo, with deaths after some lines of its output; return its exit status."""
    left, lines = dict(deaths), []
    script = str(ROOT / "examples" / "flights.py")
    demo = in_own_group("-u", script, "--out", str(out), stderr=subprocess.STDOUT, **PATIENCE)
    with demo as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            start = next((start for start in left if line.startswith(start)), None)
            if start is not None:
                kill(process.pid, left.pop(start))
        process.wait(timeout=60)
    assert not left, f"the demo did not print {list(left)}, but {''.join(lines[-20:])}"
    return process.returncode


def kill(demo: int, n_workers: int) -> None:
    """Kill some workers of the demo, or the demo itself."""
    victims = workers_of(demo)[:n_workers] if n_workers else [demo]
    assert victims
    for victim in victims:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


def workers_of(demo: int) -> list[int]:
    """Return the worker processes of the demo, the oldest first."""
    children = psutil.Process(demo).children()
    workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    return [child.pid for child in sorted(workers, key=psutil.Process.create_time)]


def results(out: Path) -> list[list[str]]:
    """Return the cells of the demo's table without measurements, and the lines after it."""
    lines = (out / "report.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("|")]
    assert len(rows) > 2
    kept = [column for column, name in enumerate(rows[0]) if name not in MEASURED]
    cells = [[row[column] for column in kept] for row in rows]
    return [*cells, [line for line in lines if line.startswith("- ")]]
