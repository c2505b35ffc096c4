"""Shared by the tests and by the examples in docstrings."""

import pytest


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches in a folder of the test run, away from the user's."""
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
