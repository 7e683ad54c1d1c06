"""Divide the time of a step into phases."""

from __future__ import annotations

from dlbd_estimators.engine.cost import TotalCost

#: In the order in which a page stacks them.
PHASES = ("read", "decode", "compute", "reduce", "wait")


def phases(spent: TotalCost, seconds: float) -> dict[str, float]:
    """Divide the seconds of a step into phases, which add up to ``seconds``.

    Parameters
    ----------
    spent : TotalCost
        Cost of the executor in this step.
    seconds : float
        Duration of the step.

    Returns
    -------
    dict of str to float
        Seconds of each phase. ``compute`` is work on blocks. ``read`` and ``decode`` are waiting
        for a block; blocks that are read ahead during work on others take no time. ``reduce`` is
        joining partials in the process that called the fit. ``wait`` is all else: threads without
        a task, the scheduler, the solver and callbacks between passes. A second in which several
        threads work counts once, divided among the phases by the shares of the threads.
    """
    cost = spent.cost
    # Converts seconds of single threads to seconds of the clock, by the share of busy threads.
    running = max(spent.wall - spent.joined, 0.0)
    scale = running / max(spent.thread_seconds_available, cost.seconds) if cost.seconds else 0.0
    parts = {phase: part * scale for phase, part in cost.phases().items()}
    parts["reduce"] = spent.joined
    return {**parts, "wait": max(seconds - sum(parts.values()), 0.0)}


def loading_rate(spent: TotalCost, n_threads: int) -> float | None:
    """Return the bytes per second that ``n_threads`` would load if they did nothing else."""
    if not spent.cost.loaded:
        return None
    return spent.cost.bytes_read / spent.cost.loaded * n_threads
