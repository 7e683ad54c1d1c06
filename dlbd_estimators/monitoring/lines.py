"""Format events as lines of text, which ``verbose=1`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlbd_estimators.monitoring.events import Event

#: Values that measure a step, if it has them: title and format, in the order of printing.
_MEASURES = {
    "loss": ("loss", ".8g"),
    "gradient_norm": ("gradient", ".1e"),
    "error": ("error", ".1e"),
    "validation_score": ("score", ".8g"),
    "validation_loss": ("validation loss", ".8g"),
}


def print_line(event: Event) -> None:
    """Print an event as a line, if there is something to print."""
    text = line(event)
    if text is not None:
        print(text, flush=True)  # noqa: T201 - verbose=1 asks for it


def line(event: Event) -> str | None:
    """Return an event as a line of text; None if there is nothing to print.

    A warning is not printed: Python shows it.
    """
    kind = event["event"]
    if kind == "fit_started":
        rows = "rows" if event["n_rows"] is None else f"{event['n_rows']:,} rows"
        where = f"{event['n_workers']} workers" if event["n_workers"] else "this process"
        return (
            f"{event['estimator']}: {rows} x {event['n_features']:,} in {event['n_blocks']:,} "
            f"block(s), {event['n_threads']} thread(s) of {where}"
        )
    if kind == "step":
        return _step(event)
    if kind == "fit_ended":
        error = event["error"]
        how = error.splitlines()[0] if error else event["status"].replace("_", " ")
        return f"{how} after {event['n_steps']} step(s), {event['seconds']:.2f} s"
    return None


def measures(event: Event, names: Sequence[str] = tuple(_MEASURES)) -> Iterator[str]:
    """Yield those of the named measures that a step has, each as text with its title."""
    for name in names:
        value = event.get(name)
        if value is not None:
            title, form = _MEASURES[name]
            yield f"{title} {value:{form}}"


def _step(event: Event) -> str:
    parts = [f"{event['iteration']:4d}", f"pass {event['pass']:7.2f}", *measures(event)]
    parts.append(f"{event['seconds']:.2f} s")
    if event["step_bytes"]:
        parts.append(f"{event['step_bytes'] / event['step_seconds'] / 1e9:.2f} GB/s")
    return "  ".join(parts)
