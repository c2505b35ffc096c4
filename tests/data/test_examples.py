"""The examples in the docstrings run and say what they give."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["inputs.array_file", "inputs.sound", "pixels.decode", "open", "records", "split"])
def test_the_examples_run(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"convscope.data.{name}"))
    assert outcome.attempted and not outcome.failed
