"""docs/networks.md says what is computed, most of it by the tests of `test_registry.py`, which come before."""

from __future__ import annotations

from program_files import ROOT, program


def test_the_page_of_networks_is_what_the_generator_writes():
    page = program("docs/generate_networks.py").page()
    assert (ROOT / "docs" / "networks.md").read_text(encoding="utf-8") == page, "run: python docs/generate_networks.py"
