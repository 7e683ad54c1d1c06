"""What `verbose=1` prints."""

from __future__ import annotations

import re

import dask.array as da
import numpy as np
import pytest

from dlbd_estimators import ElasticNet, LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.monitoring import listening
from dlbd_estimators.monitoring.lines import line, measures, print_line

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1_200, 3))
Y = (X[:, 0] + RNG.normal(size=1_200) > 0).astype(int)
STEP = re.compile(
    r" +(?P<iteration>\d+)  pass +(?P<pass>[\d.]+)  loss (?P<loss>\S+)  gradient (?P<gradient>\S+)"
    r"(  error (?P<error>\S+))?  (?P<seconds>[\d.]+) s(  (?P<rate>[\d.]+) GB/s)?"
)


@pytest.mark.parametrize("data", [X, da.from_array(X, chunks=(400, 3))], ids=["numpy", "dask"])
def test_a_line_a_step_with_the_numbers_of_the_history(data, capsys):
    model = LogisticRegression(solver="lbfgs", verbose=1).fit(data, Y)
    first, *steps, last = capsys.readouterr().out.splitlines()
    assert first.startswith("LogisticRegression: 1,200 rows x 3 in ")
    assert last.startswith(f"converged after {model.n_iter_[0]} step(s), ")
    assert len(steps) == len(model.history_) >= 3
    for text, entry in zip(steps, model.history_, strict=True):
        found = STEP.fullmatch(text)
        assert int(found["iteration"]) == entry["iteration"]
        assert float(found["pass"]) == pytest.approx(entry["pass"], abs=0.005)
        assert float(found["loss"]) == pytest.approx(entry["loss"], rel=1e-7)
        assert float(found["gradient"]) == pytest.approx(entry["gradient_norm"], rel=0.06)
        if np.isfinite(entry["error"]):
            assert float(found["error"]) == pytest.approx(entry["error"], rel=0.06)
        else:
            assert found["error"] is None
        assert float(found["seconds"]) == pytest.approx(entry["seconds"], abs=0.005)


@pytest.mark.parametrize("model", [Ridge(), LogisticRegression(), ElasticNet()])
def test_nothing_is_printed_unless_asked_for(model, capsys):
    model.fit(X, Y)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("model", [Ridge(), LogisticRegression(), ElasticNet()])
@pytest.mark.parametrize("verbose", [-1, "yes", 1.5, None])
def test_a_verbose_that_is_no_level_is_refused(model, verbose, capsys):
    model.set_params(verbose=verbose)
    with pytest.raises(ValueError, match="The 'verbose' parameter of "):
        model.fit(X, Y)
    assert capsys.readouterr().out == ""


def test_a_fit_that_fails_says_so_in_one_line(capsys):
    holes = X.copy()
    holes[3, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        Ridge(verbose=1).fit(da.from_array(holes, chunks=(400, 3)), Y)
    _, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\w+: Input X contains NaN .* after 0 step\(s\), [\d.]+ s", last)


def test_only_the_first_line_of_an_error_is_told():
    event = {
        "event": "fit_ended", "error": "OSError: one\ntwo", "status": "failed", "n_steps": 2,
        "seconds": 1.0,
    }  # fmt: skip
    assert line(event) == "OSError: one after 2 step(s), 1.00 s"
    assert line({**event, "error": None, "status": "max_iter"}).startswith("max iter after 2")


def test_where_a_fit_runs_and_what_is_not_known_of_it():
    event = {
        "event": "fit_started", "estimator": "A", "n_rows": None, "n_features": 1_000,
        "n_blocks": 2, "n_threads": 8, "n_workers": 4,
    }  # fmt: skip
    assert line(event) == "A: rows x 1,000 in 2 block(s), 8 thread(s) of 4 workers"
    here = line({**event, "n_rows": 5_000, "n_workers": 0})
    assert here == "A: 5,000 rows x 1,000 in 2 block(s), 8 thread(s) of this process"


def test_python_shows_warnings_itself(capsys):
    print_line({"event": "warning", "message": "careful"})
    assert capsys.readouterr().out == ""


def test_scores_of_validation_are_measures():
    model = MLPClassifier(max_iter=3, n_iter_no_change=10, early_stopping=True, random_state=0)
    texts = []

    def keep(event):
        if event["event"] == "step":
            texts.append(list(measures(event)))

    with listening(keep), pytest.warns(UserWarning, match="Maximum iterations"):
        model.fit(X, Y)
    assert [text for _, *text in texts] == [
        [
            f"score {entry['validation_score']:.8g}",
            f"validation loss {entry['validation_loss']:.8g}",
        ]
        for entry in model.history_
    ]
