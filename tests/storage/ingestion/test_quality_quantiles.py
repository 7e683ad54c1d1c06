"""The quantiles of the quality report: their bound, their page, and reports without them."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import storage
from storage import Column
from storage.ingestion.quality import QualityReport
from storage.quantiles import SHARES

N = 9_000
FRAME = pd.DataFrame(
    {
        "when": pd.Timestamp("2013-01-01") + pd.to_timedelta(np.arange(N) % 500, unit="h"),
        "far": 1e8 + np.random.default_rng(0).normal(size=N),
        "hole": np.where(np.arange(N) % 7, np.arange(N) % 60, np.nan),
        "late": np.arange(N) % 2 == 0,
    }
)


def report_of(source, path):
    columns = {"hole": Column(maximum=50, out_of_range="drop", missing="impute")}
    return storage.ingest(source, path, target="late", columns=columns).quality


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return report_of(dd.from_pandas(FRAME, npartitions=5), tmp_path_factory.mktemp("q") / "d")


def test_ranks_among_the_kept_rows_are_within_the_bound(report):
    kept = FRAME[~(FRAME.hole > 50)]
    seconds = (kept.when - pd.Timestamp(0)).dt.total_seconds()
    for name, values in {"when": seconds, "far": kept.far, "hole": kept.hole.dropna()}.items():
        column = report.columns[name]
        assert column.count == len(values)
        assert 0 < column.rank_error < 0.004
        for share, value in zip(SHARES, column.quantiles.values(), strict=True):
            slack = column.rank_error + 1e-9
            assert (values <= value).mean() >= share - slack
            assert (values < value).mean() <= share + slack
    assert report.columns["late"].quantiles is None


@pytest.mark.usefixtures("client")
def test_workers_and_the_order_of_partitions_change_nothing(report, tmp_path):
    frame = dd.from_pandas(FRAME, npartitions=5)
    on_cluster = report_of(frame, tmp_path / "cluster")
    with dask.config.set(scheduler="sync"):
        turned = report_of(dd.concat([*frame.partitions][::-1]), tmp_path / "turned")
    for name in ("when", "far", "hole"):
        found = report.columns[name].quantiles
        assert on_cluster.columns[name].quantiles == found
        assert turned.columns[name].quantiles == found


def test_they_are_on_the_page(report, tmp_path):
    page = report.to_html(tmp_path / "page.html").read_text()
    median = report.columns["hole"].distribution["50%"]
    errors = [column.rank_error for column in report.columns.values()]
    assert f"at most {max(errors):.2%} of the rows" in page
    assert f'<td class="number">{median}</td>' in page
    assert '<td class="number">2013-01-01<br>00:00:00</td>' in page
    assert f"median {median}," in repr(report)


def test_a_report_of_an_older_release_has_none(report, tmp_path):
    plain = report.to_json()
    for column in plain["columns"].values():
        del column["quantiles"], column["rank_error"]
    del plain["joins"]
    old = QualityReport.from_json(plain)
    assert old.columns["far"].quantiles is None
    assert "median" not in repr(old)
    assert "Quantiles" not in old.to_html(tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"minimum": None},
        {"quantiles": {"50%": 1.0}},
        {"quantiles": {}},
        {"quantiles": {"50%": "a"}},
    ],
)
def test_damaged_quantiles_are_refused(report, changes):
    plain = report.to_json()
    plain["columns"]["far"].update(changes)
    with pytest.raises((ValueError, TypeError, LookupError)):
        QualityReport.from_json(plain)
