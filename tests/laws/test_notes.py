"""The lecture notes, checked: each number that they state is ours, or the table says why not."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from notes_claims import CLAIMS, Claim

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.stated is not None], ids=lambda c: f"{c.topic}: {c.says}")
def test_a_claim_is_right_or_the_table_says_why_not(claim: Claim) -> None:
    if claim.why:
        assert not claim.agrees(), f"the notes are right here: {claim.compute()}"
    else:
        assert claim.agrees(), f"stated {claim.stated}, computed {claim.compute()}: right, or wrong and why?"


def test_no_claim_stands_twice() -> None:
    stated = [(claim.topic, claim.says) for claim in CLAIMS]
    assert len(set(stated)) == len(stated)


def test_the_page_is_what_the_table_says_today() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate_notes_checked.py")
    assert spec is not None and spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    page = (ROOT / "docs" / "notes-checked.md").read_text(encoding="utf-8")
    assert page == generator.page(), "run: python docs/generate_notes_checked.py"
