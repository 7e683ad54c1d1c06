"""What the training page costs the scheduler that serves it."""

from __future__ import annotations

from bokeh.document import Document
from bokeh.document.models import DocumentModelManager

from dlbd_estimators.monitoring.dashboard_page import TrainingView
from tests.monitoring.test_fits import log_of, started, step


def test_numbers_that_change_are_no_reason_to_walk_through_all_models(monkeypatch):
    log = log_of(started(), step(1))
    view = TrainingView(log)
    view.update()
    document = Document()
    document.add_root(view.root)
    walks, changes = [], []
    recompute = DocumentModelManager.recompute
    monkeypatch.setattr(
        DocumentModelManager, "recompute", lambda models: (walks.append(1), recompute(models))
    )
    document.on_change(changes.append)
    for number in range(2, 5):
        log.add(step(number), "c")
        view.update()
    assert "data" in {getattr(each, "attr", None) for each in changes}
    assert not walks


def test_the_title_of_the_losses_fits_on_half_a_page():
    linear = [started("a", "LogisticRegression"), step(1, "a")]
    network = [started("b", "MLPClassifier"), step(1, "b", validation_loss=0.5)]
    titles = []
    for events in (linear, network, [*linear, *network]):
        view = TrainingView(log_of(*events))
        view.update()
        titles.append(view._losses[0].title.text)
    assert titles == [
        "Loss",
        "Loss (dashed: validation rows)",
        "Loss of MLPClassifier only (dashed: validation rows)",
    ]
