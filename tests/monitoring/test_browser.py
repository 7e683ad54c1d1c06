"""The training page in a real browser, on a live cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager

import dask.array as da
import numpy as np
import pytest
from distributed import Client
from sklearn.model_selection import GridSearchCV

from dlbd_estimators import LogisticRegression, MLPClassifier, Ridge
from dlbd_estimators.model_selection import KFold

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package chromium)"),
    # Playwright's driver is a process of its own, which it leaves to the interpreter to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
#: Seconds that a page gets to show what it is sent: enough on a machine that is busy otherwise.
PATIENCE = 100
CURVES = "Bokeh.documents[0].get_model_by_name('curves').data"
ROWS = "Bokeh.documents[0].get_model_by_name('fits').source.data"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE * 1000
        )
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _no_fits_yet(request):
    """The page lists the last hundred fits: forget those of other tests on the shared cluster."""

    def forget(dask_scheduler):
        if "dlbd-estimators" in dask_scheduler.plugins:
            log = dask_scheduler.plugins["dlbd-estimators"].log
            log._fits.clear()
            log._clients.clear()
            log.version += 1

    if "cluster" in request.fixturenames:
        with Client(request.getfixturevalue("cluster")) as client:
            client.run_on_scheduler(forget)


@contextmanager
def opened(browser, address):
    """A page, and the errors that it prints."""
    page = browser.new_page(viewport={"width": 1400, "height": 1100})
    page.set_default_timeout(PATIENCE * 1000)
    errors = []
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
    try:
        yield page, errors
    finally:
        page.close()


def read(page, expression):
    """A column of a source, as lists."""
    plain = "x => (x && x.length !== undefined && typeof x !== 'string') ? Array.from(x, plain) : x"
    return json.loads(
        page.evaluate(
            f"() => {{ const plain = {plain}; return JSON.stringify(plain({expression})) }}"
        )
    )


def wait_for_state(page, number, state):
    page.wait_for_function(f"{ROWS}['state'][{number}] === '{state}'")


def wait_for_rows(page, number):
    page.wait_for_function(f"{ROWS}['fit'].length === {number}")


@pytest.fixture
def arrays(rng):
    X = rng.normal(size=(40_000, 5))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    return da.from_array(X, chunks=(2_000, 5)), da.from_array(y, chunks=2_000)


def address_of(cluster):
    return cluster.dashboard_link.rsplit("/", 1)[0] + "/training"


class Halts:
    """A callback that holds a fit after some of its steps, until the page has been looked at."""

    def __init__(self, *steps):
        self.steps, self.may_go_on = steps, threading.Semaphore(0)

    def setup(self, estimator, context):
        """Nothing is to be done before a fit,"""

    def teardown(self, estimator, context):
        """nor after it,"""

    def on_fit_task_begin(self, estimator, context, **told):
        """nor before a step."""

    def on_fit_task_end(self, estimator, context, **told):
        if context.parent is not None and context.task_id in self.steps:
            self.may_go_on.acquire(timeout=PATIENCE)


def watch_two_fits(page, X, y):
    """Fit while the page is open; return the models, oldest first, and curve lengths met."""
    network = MLPClassifier(
        (8,), max_iter=15, early_stopping=True, random_state=0, n_iter_no_change=15
    )
    halts = Halts(3, 8)
    worker = threading.Thread(target=network.set_callbacks(halts).fit, args=(X, y), daemon=True)
    worker.start()
    lengths = [0]
    for _ in halts.steps:
        running = f"{ROWS}['state'][0] === 'running' && {CURVES}['loss'].length"
        page.wait_for_function(f"{running} && {CURVES}['loss'][0].length > {lengths[-1]}")
        lengths.append(len(read(page, f"{CURVES}['loss'][0]")))
        halts.may_go_on.release()
    worker.join()
    wait_for_state(page, 0, "max iter")
    assert_drawn(page, 0, network)  # in a row that was there before
    linear = LogisticRegression(solver="lbfgs").fit(X, y)
    wait_for_state(page, 0, "converged")
    return (network, linear), lengths


def assert_drawn(page, number, model):
    """What a person reads in the table is the last loss; source data are not yet a drawing."""
    row = page.locator(".slick-row").nth(number)
    cell = row.locator(".slick-cell", has_text=f"{model.history_[-1]['loss']:.7g}")
    cell.wait_for()


def assert_shown(page, number, model):
    """The numbers of the page are those of history_."""
    history = model.history_
    # The table and the curves come in messages of their own.
    page.wait_for_function(f"{CURVES}['loss'][{number}].length === {len(history)}")
    for name in ("pass", "loss"):
        shown = read(page, f"{CURVES}['{name}'][{number}]")
        np.testing.assert_allclose(shown, [entry[name] for entry in history], rtol=1e-15)
    if "validation_score" in history[0]:
        shown = read(page, f"{CURVES}['validation_score'][{number}]")
        assert shown == [entry["validation_score"] for entry in history]
    last = history[-1]
    assert_drawn(page, number, model)
    assert read(page, f"{ROWS}['pass'][{number}]") == f"{last['pass']:.2f}"
    assert read(page, f"{ROWS}['loss'][{number}]") == f"{last['loss']:.7g}"


@pytest.mark.usefixtures("client")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_page_follows_a_fit_and_outlives_it(browser, cluster, arrays, tmp_path):
    X, y = arrays
    Ridge().fit(X, y)  # installs the page
    with opened(browser, address_of(cluster)) as (page, errors):
        (network, linear), lengths = watch_two_fits(page, X, y)
        assert lengths[-1] < len(network.history_), "the curve should have grown before our eyes"
        assert_shown(page, 0, linear)
        assert_shown(page, 1, network)
        menu = page.locator(".navbar a").all_inner_texts()
        assert "Training" in menu
        page.screenshot(path=tmp_path / "training.png", full_page=True)
        assert not errors
    assert (tmp_path / "training.png").stat().st_size > 20_000


@pytest.mark.usefixtures("client")
def test_a_fit_that_died_says_why(browser, cluster, arrays):
    X, y = arrays
    Ridge().fit(X, y)
    with opened(browser, address_of(cluster)) as (page, errors):
        with pytest.raises(ValueError, match="NaN"):
            Ridge().fit(da.where(X > 4, np.nan, X), y)
        wait_for_state(page, 0, "failed")
        assert "NaN at row" in read(page, f"{ROWS}['message'][0]")
        assert not errors


@pytest.mark.usefixtures("client")
def test_a_name_is_text_on_the_page(browser, cluster, arrays):
    class Script(Ridge):
        """Someone's estimator."""

    Script.__name__ = "<img src=x onerror=document.title='taken'>"
    Script(alpha=2.0).fit(*arrays)
    with opened(browser, address_of(cluster)) as (page, errors):
        page.wait_for_timeout(700)
        assert page.title() == "Dask: Training"
        assert "<img" in page.locator(".slick-cell").first.inner_text()
        assert not errors


@pytest.mark.usefixtures("client")
def test_rows_that_are_clicked_are_those_that_are_drawn(browser, cluster, arrays):
    for alpha in (1.0, 2.0, 3.0):
        Ridge(alpha=alpha).fit(*arrays)
    with opened(browser, address_of(cluster)) as (page, errors):
        names = read(page, f"{ROWS}['fit']")
        page.locator(".slick-row").nth(1).locator(".slick-cell").nth(1).click()
        page.wait_for_function(f"{CURVES}['name'].length === 1")
        assert read(page, f"{CURVES}['name']") == [names[1]]
        Ridge(alpha=4.0).fit(*arrays)  # moves the others down
        wait_for_rows(page, len(names) + 1)
        selected = "Bokeh.documents[0].get_model_by_name('fits').source.selected.indices"
        page.wait_for_function(f"{selected}[0] === 2")
        assert read(page, f"{CURVES}['name']") == [names[1]]
        assert not errors


def figure(page, title):
    """The figure whose title begins so: what it shows from where to where, and its renderers."""
    return read(
        page,
        "Array.from(Bokeh.documents[0]._all_models.values())"
        f".filter(m => m.type === 'Figure' && m.title.text.startsWith('{title}'))"
        ".map(m => ({title: m.title.text, start: m.y_range.start, end: m.y_range.end}))",
    )[0]


@pytest.mark.usefixtures("client")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_search_is_watched_and_then_one_line(browser, cluster, arrays):
    X, y = arrays
    for alpha in range(8):
        Ridge(alpha=alpha + 1.0).fit(X, y)
    seen = threading.Event()

    def score(model, X, y):
        """Hold the search at each of its fits until the page has shown the first."""
        seen.wait(PATIENCE)
        return model.score(X, y)

    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 10.0]}, cv=KFold(2), scoring=score)
    with opened(browser, address_of(cluster)) as (page, errors):
        n_lines = len(read(page, f"{ROWS}['fit']"))
        # Not only in the data: all of the newest are seen without scrolling.
        assert page.locator(".slick-row").count() >= min(n_lines, 8)
        assert read(page, f"{ROWS}['fit']")[0].startswith("Ridge")
        worker = threading.Thread(target=search.fit, args=(X, y), daemon=True)
        worker.start()
        page.wait_for_function(f"{ROWS}['part'][0].endsWith('C=0.1, fold 1/2')")
        page.locator(".slick-cell", has_text="C=0.1, fold 1/2").first.wait_for()
        seen.set()
        worker.join()
        page.wait_for_function(f"{ROWS}['fit'][0].startsWith('GridSearchCV')")
        page.wait_for_function(f"{ROWS}['part'][0] === '5 fits, LogisticRegression'")
        assert len(read(page, f"{ROWS}['fit']")) == n_lines + 1
        # Its refit is drawn with the others, and its loss not with theirs.
        page.wait_for_function(f"{CURVES}['name'].length > 1")
        assert figure(page, "Loss of")["title"].startswith("Loss of LogisticRegression only")
        same = read(page, f"{CURVES}['same_loss']")
        assert same[0][-1] == pytest.approx(search.best_estimator_.history_[-1]["loss"])
        assert set(same[1]) <= {None, "NaN"}
        page.locator(".slick-row").first.locator(".slick-cell").nth(1).click()
        page.wait_for_function(f"{CURVES}['name'].length === 5")
        page.wait_for_function(
            "Array.from(Bokeh.documents[0]._all_models.values())"
            ".some(m => m.type === 'Title' && m.text === 'Loss')"
        )
        assert not errors


@pytest.mark.usefixtures("client")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_open_panel_of_a_network_is_not_empty(browser, cluster, arrays):
    X, y = arrays
    Ridge().fit(X, y)
    with opened(browser, address_of(cluster)) as (page, errors):
        MLPClassifier((4,), max_iter=4, random_state=0).fit(X, y)
        wait_for_state(page, 0, "max iter")
        page.locator(".slick-row").first.locator(".slick-cell").nth(1).click()
        page.wait_for_function(f"{CURVES}['name'].length === 1")
        page.wait_for_timeout(700)
        assert page.locator(".bk-tab.bk-active").all_inner_texts()[1] == "above the lowest"
        # What threads could read is far more than what they do; the axis is for what they do.
        fastest = max(read(page, f"{CURVES}['throughput'][0]"))
        shown = figure(page, "GB/s")
        assert shown["start"] == 0
        assert fastest < shown["end"] < 1.5 * fastest
        # Panels that nothing is drawn in can be opened, and say so.
        page.locator(".bk-tab", has_text="error").click()
        title = figure(page, "Distance to the optimum")["title"]
        assert title == "Distance to the optimum: none of these fits has one"
        assert figure(page, "Loss above")["title"] == "Loss above its lowest"
        assert not errors


@contextmanager
def process(folder, *arguments):
    """A Dask command in a process of its own, which ends with the context."""
    with (folder / f"{arguments[0]}-{time.monotonic_ns()}.log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            yield running
        finally:
            running.terminate()
            running.wait(timeout=PATIENCE)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_scheduler_and_workers_of_their_own_behind_a_proxy(browser, arrays, tmp_path):
    where = tmp_path / "scheduler.json"
    found = ("--scheduler-file", str(where))
    with ExitStack() as stack:
        start = stack.enter_context
        start(
            process(
                tmp_path, "scheduler", *found, "--host", "127.0.0.1", "--port", "0",
                "--dashboard-address", "127.0.0.1:0", "--dashboard-prefix", "behind/proxy",
            )
        )  # fmt: skip
        start(
            process(
                tmp_path, "worker", *found, "--host", "127.0.0.1", "--nworkers", "2",
                "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path),
            )
        )  # fmt: skip
        while not where.exists():
            time.sleep(0.05)
        client = start(Client(scheduler_file=str(where)))
        client.wait_for_workers(2)
        port = client.scheduler_info()["services"]["dashboard"]
        Ridge().fit(*arrays)
        base = f"http://127.0.0.1:{port}/behind/proxy/"
        with opened(browser, base + "training") as (page, errors):
            (network, linear), lengths = watch_two_fits(page, *arrays)
            assert lengths[-1] < len(network.history_)
            assert_shown(page, 0, linear)
            assert_shown(page, 1, network)
            assert not errors
        with urllib.request.urlopen(base + "status") as answer:
            assert "training" in answer.read().decode()
