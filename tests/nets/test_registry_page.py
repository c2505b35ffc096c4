"""docs/networks.md says what is computed, most of it by the tests of `test_registry.py`, which come before."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_networks_is_what_the_generator_writes():
    spec = importlib.util.spec_from_file_location("generate_networks", DOCS / "generate_networks.py")
    assert spec is not None and spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert (DOCS / "networks.md").read_text(encoding="utf-8") == generator.page(), (
        "run: python docs/generate_networks.py"
    )
