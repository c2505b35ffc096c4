"""The examples in the docstrings run and say what they give."""

from __future__ import annotations

import doctest
import importlib

import pytest

NAMES = (
    "explanation.address",
    "explanation.explain",
    "explanation.given",
    "explanation.layout",
    "explanation.lens",
    "explanation.patch_text",
    "explanation.text",
    "audit",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_run(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"convscope.interpret.{name}"))
    assert outcome.attempted and not outcome.failed
