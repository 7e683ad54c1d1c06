"""Where the time of a step went."""

from __future__ import annotations

from dlbd_estimators.engine.cost import TotalCost

#: In the order in which a page stacks them.
PHASES = ("read", "decode", "compute", "reduce", "wait")


def phases(spent: TotalCost, seconds: float) -> dict[str, float]:
    """Divide the seconds of a step; the parts add up to it.

    Parameters
    ----------
    spent : TotalCost
        By the executor in this step.
    seconds : float
        That the step took.

    Returns
    -------
    dict of str to float
        Seconds: ``compute`` is work on blocks, ``read`` and ``decode`` are standing still for
        lack of a block (what is read ahead, while there is work, takes no time), ``reduce`` is
        joining partials where the fit was called, and ``wait`` is all else: threads without a
        task, the scheduler, and what the solver and callbacks do between passes. Work of several
        threads at a time counts once, by the share of them that do it.
    """
    cost = spent.cost
    # Seconds in which this share of the threads was busy, as seconds of all of them.
    running = max(spent.wall - spent.joined, 0.0)
    scale = running / max(spent.offered, cost.seconds) if cost.seconds else 0.0
    parts = {phase: part * scale for phase, part in cost.phases().items()}
    parts["reduce"] = spent.joined
    return {**parts, "wait": max(seconds - sum(parts.values()), 0.0)}


def loading_rate(spent: TotalCost, n_threads: int) -> float | None:
    """Return the bytes per second that so many threads would load if they did nothing else."""
    if not spent.cost.loaded:
        return None
    return spent.cost.bytes_read / spent.cost.loaded * n_threads
