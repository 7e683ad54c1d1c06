"""Units, which are stored and shown; standardised columns, by the training rows alone."""

from __future__ import annotations

import json
from copy import copy

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

import storage
from storage.ingest_command import ingest as ingest_command

VALUES = st.floats(-1e6, 1e6).map(lambda value: round(value, 3)) | st.just(np.nan)


@given(st.lists(VALUES, min_size=1, max_size=12), st.sampled_from(["keep", "impute", "drop"]),
       st.integers(1, 4), st.sampled_from([0.0, 1e8]))  # fmt: skip
def test_values_are_those_of_scikit_learn_for_any_partitions(
    tmp_path_factory, values, missing, n_partitions, shift
):
    folder = tmp_path_factory.mktemp("scale")
    frame = pd.DataFrame({"x": np.array(values) + shift, "y": np.arange(len(values))})
    columns = {"x": storage.Column("number", missing=missing, scale="standard")}
    source = dd.from_pandas(frame, npartitions=n_partitions)

    def ingest():
        return storage.ingest(source, folder / "d", target="y", columns=columns)

    if frame.x.isna().all():
        with pytest.raises(storage.InvalidData, match=r"no value|no row"):
            ingest()
        return
    data = ingest()
    expected = StandardScaler().fit_transform(frame[["x"]])[:, 0]
    if missing == "impute":
        expected = np.nan_to_num(expected)  # the mean is imputed, which becomes 0
    elif missing == "drop":
        expected = expected[~np.isnan(expected)]
    spread = np.nanmax(frame.x) - np.nanmin(frame.x)
    # Values that differ in their last digits only have no exact standard deviation.
    if spread == 0 or spread > 1e-6 * (1 + shift):
        np.testing.assert_allclose(data.X.compute()[:, 0], expected, rtol=1e-7, atol=1e-7)
    np.testing.assert_array_equal(data.encode(frame).X, data.X.compute())
    assert data.quality.columns["x"].maximum == np.nanmax(frame.x)


@pytest.fixture
def trips():
    return pd.DataFrame({"distance": [1.0, 3.0, 5.0], "speed": [2.0, 2.0, 2.0], "y": [1, 2, 4]})


COLUMNS = {
    "distance": storage.Column(unit="km", scale="standard"),
    "speed": storage.Column(unit="km/h"),
    "y": storage.Column(unit="min"),
}


def test_a_test_set_and_appended_rows_are_scaled_by_the_training_rows(tmp_path, trips):
    data = storage.ingest(trips, tmp_path / "d", target="y", columns=COLUMNS)
    std = np.sqrt(8 / 3)
    np.testing.assert_allclose(data.X.compute()[:, 0], [-2 / std, 0, 2 / std], rtol=1e-15)
    far = trips.assign(distance=103.0)
    test = storage.ingest(far, tmp_path / "e", like=data)
    newer = storage.append(data, far)
    for X in (test.X, newer.since(1).X, data.encode(far).X):
        np.testing.assert_allclose(np.asarray(X)[:, 0], 100 / std, rtol=1e-15)
    assert test.quality.columns["distance"].unit == "km"
    assert newer.quality_of(2).columns["distance"].mean == 103


def test_a_constant_column_is_only_centred(tmp_path):
    # The mean of these values in floating point is not exactly one of them.
    frame = pd.DataFrame({"x": np.full(49, 0.1), "y": np.arange(49)})
    columns = {"x": storage.Column(scale="standard")}
    for n_partitions in (1, 5):
        data = storage.ingest(
            dd.from_pandas(frame, npartitions=n_partitions), tmp_path / f"{n_partitions}",
            target="y", columns=columns,
        )  # fmt: skip
        np.testing.assert_array_equal(data.X.compute(), 0)
    np.testing.assert_allclose(data.encode(pd.DataFrame({"x": [1.1]})).X, 1.0)


def test_units_are_in_the_report_and_in_xarray(tmp_path, trips):
    data = storage.ingest(trips, tmp_path / "d", target="y", columns=COLUMNS)
    lines = repr(data.quality).splitlines()
    assert lines[1] == "  distance (number in km): 1 to 5, median 3, mean 3, std 2"
    assert lines[3].startswith("  y (number in min, target): 1 to 4")
    assert "number in km/h" in data.quality.to_html(tmp_path / "q.html").read_text()
    dataset = data.to_xarray()
    # Standardised values have no unit.
    assert dataset.units.values.tolist() == ["", "km/h"]
    assert dataset.y.attrs["units"] == "min"
    speed = storage.open_dataset(tmp_path / "d", columns=["speed"]).to_xarray()
    assert speed.units.values.tolist() == ["km/h"]
    plain = storage.create_dataset(tmp_path / "e", np.eye(3), np.arange(3)).to_xarray()
    assert "units" not in plain.coords
    assert "units" not in plain.y.attrs


def test_the_command_line_has_both(tmp_path, trips):
    trips.to_csv(tmp_path / "trips.csv", index=False)
    command = [str(tmp_path / "trips.csv"), "-o", str(tmp_path / "d"), "--target", "y", "--json"]
    result = CliRunner().invoke(
        copy(ingest_command), [*command, "-c", "distance:number,unit=km,scale=standard"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["quality"]["columns"]["distance"]["unit"] == "km"
    assert storage.open_dataset(tmp_path / "d").X.compute()[1, 0] == 0


def test_a_column_that_cannot_be_standardised_is_an_error(tmp_path):
    frame = pd.DataFrame({"x": [1e300, -1e300, 0.0], "y": [1, 2, 3]})
    with pytest.raises(storage.InvalidData, match=r"'x' cannot be standardised.*another unit"):
        storage.ingest(
            frame, tmp_path / "d", target="y", columns={"x": storage.Column(scale="standard")}
        )
    with pytest.raises(ValueError, match="predictions of a standardised target"):
        storage.ingest(
            frame, tmp_path / "d", target="y", columns={"y": storage.Column(scale="standard")}
        )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"kind": "category", "unit": "km"}, ValueError),
        ({"kind": "datetime", "scale": "standard"}, ValueError),
        ({"scale": "robust"}, ValueError),
        ({"unit": " "}, ValueError),
        ({"unit": 3}, TypeError),
    ],
)
def test_wrong_options_are_refused(options, error):
    with pytest.raises(error, match=r"unit|scale"):
        storage.Column(**options)


@pytest.mark.parametrize("parts", [{"mean": None}, {"std": 0.0}, {"std": float("inf")}])
def test_a_damaged_step_is_refused(tmp_path, trips, parts):
    from storage.ingestion.record import IngestRecord
    from storage.ingestion.step import Step

    data = storage.ingest(trips, tmp_path / "d", target="y", columns=COLUMNS)
    plain = IngestRecord.of(data).recipe.features[0].to_json()
    assert Step.from_json(plain).std == np.sqrt(8 / 3)
    with pytest.raises(ValueError, match="distance"):
        Step.from_json(plain | parts)
    with pytest.raises(ValueError, match="not declared to be scaled"):
        Step.from_json(plain | {"column": plain["column"] | {"scale": None}})


def test_records_of_older_releases_have_no_new_fields(tmp_path, trips):
    from storage.ingestion.quality import QualityReport
    from storage.ingestion.recipe import Recipe
    from storage.ingestion.record import IngestRecord

    data = storage.ingest(trips, tmp_path / "d", target="y")
    record = IngestRecord.of(data)
    recipe, quality = json.loads(json.dumps([record.recipe.to_json(), record.quality.to_json()]))
    del recipe["keys"]
    for step in (*recipe["features"], recipe["target"]):
        del step["mean"], step["std"]
        for name in ("duplicates", "unit", "scale"):
            del step["column"][name]
    for column in quality["columns"].values():
        del column["unit"], column["policies"]["duplicates"]
    assert Recipe.from_json(recipe) == record.recipe
    assert repr(QualityReport.from_json(quality)) == repr(record.quality)
