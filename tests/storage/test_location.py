from __future__ import annotations

from pathlib import Path

import pytest

import storage
from storage.location import local_path


def test_paths_and_file_urls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = Path(tmp_path / "a b").resolve()
    for url in ("a b", Path("a b"), f"{tmp_path}/a b", f"file://{tmp_path}/a%20b",
                f"file://localhost{tmp_path}/a b", "./x/../a b"):  # fmt: skip
        assert local_path(url) == expected


def test_colons_in_names_are_no_scheme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert local_path("2013:01").name == "2013:01"


@pytest.mark.parametrize(
    "url", ["s3://bucket/d", "gs://b", "memory://x", "https://x/y", "file://host/x", "zip::a.zip"]
)
def test_other_schemes(url):
    for function in (storage.open_dataset, storage.verify):
        with pytest.raises(storage.UnsupportedURL, match="only local paths"):
            function(url)


def test_nonsense():
    with pytest.raises(ValueError, match="url is empty"):
        local_path("")
    with pytest.raises(TypeError, match="must be a str or a path"):
        local_path(b"d")
