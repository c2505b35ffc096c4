"""Some hundred changed files of each kind; `make fuzz` reads a million."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz_targets import TARGETS
from fuzzing import fuzz

INPUTS = 120


@pytest.mark.parametrize("name", TARGETS)
def test_only_our_own_errors_come_of_a_changed_file(name: str, tmp_path: Path) -> None:
    # Another seed than that of `make fuzz`, whose first inputs these would be.
    found = fuzz(name, INPUTS, tmp_path, seed=1, seconds=300.0)
    assert found.inputs == INPUTS and not found.faults, "\n".join(details for *_, details in found.faults.values())


@pytest.mark.parametrize("name", TARGETS)
def test_the_files_that_are_changed_are_whole(name: str, tmp_path: Path) -> None:
    for data in TARGETS[name].seeds():
        TARGETS[name].read(tmp_path, data)
