"""The lecture notes, checked: the verdict on each figure follows from what is computed."""

from __future__ import annotations

import shlex
from collections import Counter

import pytest
from click.testing import CliRunner

from convscope.claims.claim import NOTES, VERDICTS, Claim
from convscope.claims.sets import CLAIMS
from convscope.claims.text import value_text
from convscope.cli.main import cli
from program_files import ROOT, program

SIZES = [claim for claim in CLAIMS if claim.see.startswith("convscope size") and isinstance(claim.stated, int)]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_the_verdict_follows_from_what_is_computed(claim: Claim) -> None:
    proof = claim.prove()
    assert proof.holds, f"{claim.verdict}, but stated {claim.stated} and computed {proof.computed}"


def test_every_set_of_notes_and_every_verdict_is_there_and_no_claim_twice() -> None:
    assert {claim.notes for claim in CLAIMS} == set(NOTES)
    assert {claim.verdict for claim in CLAIMS} == set(VERDICTS)
    assert not [name for name, times in Counter(claim.id for claim in CLAIMS).items() if times > 1]
    assert not [says for says, times in Counter((c.notes, c.says) for c in CLAIMS).items() if times > 1]


@pytest.mark.parametrize("claim", SIZES, ids=lambda claim: claim.id)
def test_the_size_command_that_is_named_shows_the_computed_number(claim: Claim) -> None:
    shown = CliRunner().invoke(cli, shlex.split(claim.see)[1:]).output
    assert claim.compute is not None and value_text(claim.compute()) in shown


@pytest.mark.long
@pytest.mark.parametrize(
    "see", sorted({c.see for c in CLAIMS if c.see and " ablate " not in c.see and " size " not in c.see})
)
def test_the_other_commands_that_are_named_run(see: str) -> None:
    assert CliRunner().invoke(cli, shlex.split(see)[1:]).exit_code == 0


def test_the_page_is_what_the_claims_say_today() -> None:
    page = (ROOT / "docs" / "notes-checked.md").read_text(encoding="utf-8")
    assert page == program("docs/generate_notes_checked.py").page(), "run: python docs/generate_notes_checked.py"
