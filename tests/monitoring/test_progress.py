"""Bars of fits: one each, what they show, how they end, and where nothing is drawn."""

from __future__ import annotations

import builtins
import io
import re
import sys
import threading

import dask.array as da
import numpy as np
import pytest
from rich.console import Console

from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge, monitoring
from dlbd_estimators.monitoring import ProgressBar, listening

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 3))
Y = (X[:, 0] + RNG.normal(size=600) > 0).astype(int)
HOLES = np.where(np.arange(600)[:, None] == 599, np.nan, X)


class Screen(Console):
    """A console of which a test can ask what stands there."""

    def __init__(self, **options):
        self.written = io.StringIO()
        super().__init__(
            file=self.written,
            **{"force_terminal": True, "color_system": None, "width": 100} | options,
        )

    @property
    def frames(self):
        """All that was drawn, picture by picture."""
        pictures = re.split(r"(?:\r?\x1b\[2K|\x1b\[1A|\x1b\[\?25[lh]|\r)+", self.written.getvalue())
        return [picture for picture in pictures if picture.strip()]

    @property
    def bars(self):
        """The lines of the last picture."""
        return self.frames[-1].splitlines()


def started(fit, estimator="Ridge", max_steps=10, tol=1e-6):
    return {
        "event": "fit_started", "fit": fit, "estimator": estimator, "max_steps": max_steps,
        "tol": tol,
    }  # fmt: skip


def step(fit, iteration, loss=0.5, error=None, seconds=60.0):
    return {
        "event": "step", "fit": fit, "iteration": iteration, "loss": loss, "error": error,
        "step_seconds": seconds,
    }  # fmt: skip


def ended(fit, status="converged"):
    return {"event": "fit_ended", "fit": fit, "status": status, "error": None}


def draw(*events, **options):
    """Hand events to a new bar; return its screen, all fits ended."""
    screen = Screen(**options)
    bar = ProgressBar(screen)
    for event in events:
        bar(event)
    return screen


def unfinished(*events, then=()):
    """The last line before the fits of some events are ended: drawn at once, not ten times a s."""
    screen = Screen()
    bar = ProgressBar(screen)
    for event in events:
        bar(event)
    bar._progress.refresh()
    found = screen.bars
    for event in then:
        bar(event)
    return found


def full(text):
    """How full a bar is."""
    drawn = re.search(r"[━╸╺]* ", text.split(" ", 1)[1])[0].strip()
    return len(drawn)


def test_the_last_picture_is_the_last_step_and_how_the_fit_ended():
    screen = Screen()
    with listening(ProgressBar(screen)):
        model = LogisticRegression().fit(da.from_array(X, chunks=(100, 3)), Y)
    (text,) = screen.bars
    last = model.history_[-1]
    assert text.startswith("LogisticRegression ━━━")
    assert f" {len(model.history_)}/100 " in text
    assert f"loss {last['loss']:.8g}  error {last['error']:.1e}" in text
    assert re.search(r"0:00:\d\d converged$", text.rstrip())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_bar_is_one_line_of_any_terminal(width):
    events = [started("a", "LogisticRegression", 1000), step("a", 1, 1 / 3, 1e-3), ended("a")]
    (text,) = draw(*events, width=width).bars
    assert len(text) <= width
    assert text.startswith("Log")


def test_time_left_is_a_guess_marked_where_it_is_only_a_bound():
    assert unfinished(started("a"), step("a", 1), then=[ended("a")])[0].endswith("< 0:09:00")
    errors = [step("a", n, error=10.0**-n) for n in (1, 2, 3)]
    (text,) = unfinished(started("a"), *errors, then=[ended("a")])
    assert text.endswith(" 0:03:00")
    assert "<" not in text
    assert "error 1.0e-03" in text


def test_a_bar_is_as_full_as_the_guess_has_it():
    (bound,) = unfinished(started("a"), step("a", 1), then=[ended("a")])
    errors = [step("a", n, error=10.0**-n) for n in (1, 2, 3)]
    (guessed,) = unfinished(started("a"), *errors, then=[ended("a")])
    end = draw(started("a"), *errors, ended("a")).bars[0]
    assert 0 < full(bound) < full(guessed) < full(end)


def test_a_fit_that_fails_leaves_its_bar_and_says_so():
    screen = Screen()
    with listening(ProgressBar(screen)):
        with pytest.raises(ValueError, match="NaN"):
            Ridge().fit(da.from_array(HOLES, chunks=(100, 3)), Y)
        (text,) = screen.bars
        assert text.startswith("Ridge ")
        assert text.rstrip().endswith("failed")
        assert full(text) == 0
        Ridge().fit(X, Y)
    (text,) = screen.bars
    assert text.rstrip().endswith("converged")
    assert full(text) > 10


def test_a_failed_fit_is_red():
    failed = draw(started("a"), step("a", 1), ended("a", "failed"), color_system="standard")
    over = draw(started("a"), step("a", 1), ended("a", "stopped"), color_system="standard")
    red = "\x1b[31m"
    assert f"{red}━" in failed.bars[0]
    assert f"{red}failed" in failed.bars[0]
    assert red not in over.bars[0]
    assert full(draw(started("a"), step("a", 1), ended("a", "failed")).bars[0]) > 0


@pytest.mark.parametrize(("status", "text"), [("max_iter", "max iter"), ("done", "done")])
def test_how_a_fit_ended_in_words(status, text):
    assert draw(started("a"), step("a", 1), ended("a", status)).bars[0].endswith(text)


def test_fits_at_once_have_a_bar_each():
    screen = draw(
        started("a", "Ridge"), started("b", "Lasso"), step("b", 1, 0.25), step("a", 1, 0.75),
        ended("a"), step("b", 2, 0.125), ended("b", "max_iter"),
    )  # fmt: skip
    ridge, lasso = screen.bars
    assert re.search(r"^Ridge +━+ 1/10 loss 0.75 +\S+ converged", ridge)
    assert re.search(r"^Lasso +━+ 2/10 loss 0.125 +\S+ +max iter", lasso)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # on purpose, in each thread
def test_fits_in_threads_have_a_bar_each():
    screen = Screen()
    models = [MLPClassifier(max_iter=20, n_iter_no_change=50, random_state=n) for n in range(3)]
    # All begin before the first one ends: a bar stays while another fit goes on.
    all_began = threading.Barrier(len(models), timeout=60)

    def wait(event):
        if event["event"] == "fit_started":
            all_began.wait()

    threads = [threading.Thread(target=model.fit, args=(X, Y)) for model in models]
    with listening(ProgressBar(screen)), listening(wait):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    bars = screen.bars
    assert len(bars) == len(models)
    for model in models:
        (text,) = [text for text in bars if f"loss {model.loss_:.8g}" in text]
        assert text.startswith("MLPClassifier ")
        assert " 20/20 " in text


def test_one_fit_after_the_other_has_a_new_bar_below():
    screen = Screen()
    bar = ProgressBar(screen)
    for fit in "ab":
        for event in (started(fit), step(fit, 1), ended(fit)):
            bar(event)
    text = screen.written.getvalue()
    assert text.count("converged") == 2
    # Nothing moves up into the line of the first.
    assert "\x1b[1A" not in text


def test_many_fits_at_once_do_not_fill_the_screen():
    screen = Screen(height=50)
    bar = ProgressBar(screen)
    bar(started("first", "First"))
    for number in range(60):
        bar(started(number, f"Fit{number}"))
        bar(ended(number))
    bar(ended("first"))
    names = [text.split()[0] for text in screen.bars]
    assert names == ["First", *(f"Fit{number}" for number in range(45, 60))]


@pytest.mark.parametrize("output", ["file", "pipe"])
def test_nothing_is_drawn_where_nobody_looks(output, capsys):
    screen = Screen(force_terminal=False) if output == "file" else None
    with listening(ProgressBar(screen)):
        model = Ridge().fit(X, Y)
    assert model.n_features_in_ == 3
    assert capsys.readouterr() == ("", "")
    assert screen is None or screen.written.getvalue() == ""


def test_what_is_printed_meanwhile_stays_readable():
    screen = Screen()
    with listening(ProgressBar(screen)):
        Ridge(verbose=1).fit(X, Y)
    text = screen.written.getvalue()
    assert "Ridge: 600 rows x 3 in " in text
    assert screen.bars[-1].rstrip().endswith("converged")


def test_nothing_is_left_running():
    before = threading.active_count(), sys.stdout
    draw(started("a"), step("a", 1), ended("a"))
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "Refresh" in type(thread).__name__:
            thread.join(10)
    assert (threading.active_count(), sys.stdout) == before


def test_the_rest_of_a_fit_that_is_not_known_is_not_drawn():
    assert draw(step("a", 1), ended("a")).written.getvalue() == ""


def test_without_rich_the_import_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without_rich(name, *args, **kwargs):
        if name.split(".")[0] == "rich":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "dlbd_estimators.monitoring.progress")
    monkeypatch.setattr(builtins, "__import__", without_rich)
    with pytest.raises(ImportError, match=r'pip install "dlbd-estimators\[progress\]"'):
        from dlbd_estimators.monitoring import ProgressBar as _  # noqa: F401 - it fails
    assert monitoring.JSONLinesFile  # the others need no rich


def test_no_other_name_is_made_up():
    with pytest.raises(AttributeError, match="no attribute 'ProgressBars'"):
        _ = monitoring.ProgressBars
    assert set(monitoring.__all__) >= {"ProgressBar", "listening"}
