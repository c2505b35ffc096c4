"""docs/experiments.md: its table of variants is the code's."""

from __future__ import annotations

import re
from pathlib import Path

from convscope.experiments.ablation.variants import VARIANTS

PAGE = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text(encoding="utf-8")


def test_every_variant_is_on_the_page() -> None:
    listed = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert listed == {name: variant.how for name, variant in VARIANTS.items()}
