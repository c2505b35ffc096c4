"""Shared by the tests and by the examples in docstrings."""

import sys
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the bytecode of the tests, also where the environment keeps none: each is compiled once.

    So is that of convscope, which the processes that tests start would compile each by itself.
    """
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        return (yield)
    finally:
        sys.dont_write_bytecode = before


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


# Of functions that take a run.
EXAMPLES_WITH_A_RUN = (
    "behaviour.of_run.", "crop_pairs.consistency", "network_health.health", "learned.learned.learned",
    "runs.evaluate.evaluate",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _run_of_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    """Give the examples of functions that take a run one, as `run`."""
    if any(name in request.node.name for name in EXAMPLES_WITH_A_RUN):
        doctest_namespace["run"] = request.getfixturevalue("digits_run")
    else:
        doctest_namespace.pop("run", None)
