"""Shared by the tests and by the examples in docstrings."""

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches and data in a folder of the test run, away from the user's."""
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path_factory.getbasetemp() / "data"))


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """LeNet-5 after an epoch on the built-in digits, trained once for all examples that need a run."""
    import convscope

    folder = tmp_path_factory.mktemp("examples")
    recipe = convscope.Recipe(model="lenet5", epochs=1, autotune="rules")
    return convscope.train("digits", recipe, runs_directory=folder, cache_directory=folder / "cache").run


@pytest.fixture(autouse=True)
def _run_of_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    """Give the examples of functions that take a run one, as `run`."""
    if "behaviour.of_run." in request.node.name:
        doctest_namespace["run"] = request.getfixturevalue("digits_run")
    else:
        doctest_namespace.pop("run", None)
