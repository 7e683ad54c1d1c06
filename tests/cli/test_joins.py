"""`dlbd ingest --join`: tables that are joined by a key."""

from __future__ import annotations

import pytest

import storage


@pytest.fixture
def words(tmp_path):
    (tmp_path / "trips.csv").write_text("van,hub,delay\n1,A,5\n2,B,7\n3,A,9\n")
    (tmp_path / "vans.csv").write_text("id,age,seats,colour\n1,4,8,red\n2,6,9,blue\n")
    (tmp_path / "hubs.csv").write_text("hub,gates\nA,10\nB,20\n")
    output = ["-o", tmp_path / "trips.zarr", "--target", "delay"]
    return ["ingest", tmp_path / "trips.csv", *output, "--features", "age,seats,gates"]


def test_columns_of_other_tables_are_joined(dlbd, words, tmp_path):
    vans = f"{tmp_path / 'vans.csv'},left_on=van,right_on=id,columns=seats|age,unmatched=drop"
    done = dlbd(*words, "--join", vans, "--join", f"{tmp_path / 'hubs.csv'},on=hub,name=the hubs")
    assert done.exit_code == 0, done.output
    assert "joined with vans.csv by van (2 rows): 1 unmatched: drop; '3' in line 4" in done.stdout
    assert "joined with the hubs by hub (2 rows): all matched" in done.stdout
    data = storage.open_dataset(tmp_path / "trips.zarr")
    assert data.X.compute().tolist() == [[4, 8, 10], [6, 9, 20]]


@pytest.mark.parametrize(
    ("join", "message"),
    [
        ("hubs.csv", "name the key by on="),
        ("hubs.csv,hub", "'hub' is no option; write TABLE,OPTION=VALUE"),
        ("hubs.csv,on=hub,how=left", "'how=left' is no option"),
        ("hubs.csv,on=hub,unmatched=left", "'error', 'drop', 'keep', got 'left'"),
    ],
)
def test_a_join_that_is_not_understood_is_refused(dlbd, words, tmp_path, join, message):
    done = dlbd(*words, "--join", join)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "trips.zarr").exists()
