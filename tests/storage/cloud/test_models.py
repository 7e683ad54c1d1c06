"""Models and checkpoints in an object store, with the package and the variables of data sets."""

from __future__ import annotations

import numpy as np
import obstore
import pytest
from obstore.store import from_url

import dlbd_estimators
from dlbd_estimators import LogisticRegression, Ridge
from dlbd_estimators.base.saving import check_place
from dlbd_estimators.exceptions import ModelDamaged

X = np.random.default_rng(0).normal(size=(300, 4))
Y = X @ [1.0, 2.0, 0.0, -1.0]


@pytest.fixture
def url(place):
    return place.removesuffix("/rows.zarr") + "/models/late.model"


def test_a_model_is_saved_replaced_and_loaded(url):
    for alpha in (3.0, 5.0):
        model = Ridge(alpha=alpha).fit(X, Y)
        model.save(url)
        loaded = dlbd_estimators.load(url)
        assert loaded.alpha == alpha
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_a_file_that_is_absent_damaged_or_a_folder(url):
    with pytest.raises(FileNotFoundError, match=r"/models/late\.model does not exist"):
        dlbd_estimators.load(url)
    Ridge().fit(X, Y).save(url)
    store = from_url(url.rpartition("/")[0], client_options={"allow_http": True})
    content = bytes(obstore.get(store, "late.model").bytes())
    for damaged in (content[:-1], content + b"0", content[:3], b""):
        obstore.put(store, "late.model", damaged)
        with pytest.raises(ModelDamaged, match=r"late\.model' cannot be loaded as a model"):
            dlbd_estimators.load(url)
    with pytest.raises(IsADirectoryError, match="/models is a folder"):
        check_place(url.rpartition("/")[0])


def test_wrong_credentials_are_named_before_a_fit_and_after_it(url, server, monkeypatch):
    monkeypatch.setenv(server.secret, server.wrong_secret)
    for attempt in (check_place, Ridge().save, dlbd_estimators.load):
        with pytest.raises(PermissionError, match="check the credentials") as caught:
            attempt(url)
        assert server.wrong_secret not in str(caught.value)


def test_a_fit_continues_from_its_checkpoint(url):
    folder = url.removesuffix("/late.model")
    whole = LogisticRegression(checkpoint=folder).fit(X, Y > 0)
    store = from_url(folder, client_options={"allow_http": True})
    files = [file["path"] for file in obstore.list_with_delimiter(store)["objects"]]
    assert files
    again = LogisticRegression(checkpoint=folder).fit(X, Y > 0)
    np.testing.assert_array_equal(again.coef_, whole.coef_)
    assert again.n_passes_ == whole.n_passes_


def test_without_a_package_the_error_names_the_extra(url, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(ImportError, match=r"pip install 'dlbd-estimators\[cloud\]'"):
        dlbd_estimators.load(url)
