"""Stories of `convscope notes`, on the real command line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from convscope.claims import sets
from convscope.cli.main import cli, main


def notes(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["notes", *arguments], standalone_mode=False)


def test_a_claim_by_its_name_is_shown_in_full():
    shown = notes("crops-of-256").output
    assert shown.startswith("crops-of-256: wrong\n")
    for line in (
        "notes       2,048",
        "computed    1,089, by Window.output_size",
        "see         convscope size 256 --kernel 224",
    ):
        assert line in shown
    assert "2,178 with flips" in shown and shown.endswith("1 claim: 1 wrong\n")


def test_the_filters_work_together_and_the_json_holds_what_the_text_says():
    found = json.loads(notes("--wrong", "--from", "edges", "--json").output)
    assert found["version"] == 1 and len(found["claims"]) > 3
    by_id = {claim["id"]: claim for claim in found["claims"]}
    assert {(c["verdict"], c["notes"], c["holds"]) for c in by_id.values()} == {("wrong", "edges", True)}
    assert by_id["rotation"]["computed"] == [30, 0] and by_id["rotation"]["stated_as"].startswith("the same")
    assert by_id["stride-parameters"]["computed"] == [36_928, 36_928]
    two = notes("--verdict", "convention", "--verdict", "not decidable").output
    assert "whole-number: convention" in two and "strided-values: not decidable" in two
    assert "pooling-shift-1" in notes("POOLING", "shift").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["crop-of-256"], "Did you mean crops-of-256?"),
        (["\x1b[31mé"], "no claim is named"),
        (["--verdict", "convention", "--from", "edges"], "edges has no claim that is convention"),
        (["--from", "chemistry"], "'chemistry' is not one of"),
        (["--wrong", "sobel"], "no claim among those asked for"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str):
    with pytest.raises(SystemExit) as left:
        main(["notes", *arguments])
    out, err = capsys.readouterr()
    assert left.value.code == 2 and said in err and err.count("\n") == 1 and not out and "\x1b" not in err


def test_a_verdict_that_does_not_follow_is_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    claim = next(claim for claim in sets.CLAIMS if claim.id == "filter-on-rgb")
    monkeypatch.setattr(sets, "CLAIMS", (replace(claim, stated=9),))
    with pytest.raises(SystemExit) as left:
        main(["notes"])
    out, err = capsys.readouterr()
    assert left.value.code == 1 and "filter-on-rgb" in out
    assert err == "convscope: the verdict does not follow from what is computed: filter-on-rgb\n"


def test_what_needs_no_network_imports_no_torch():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "convscope", "notes", "--from", "sizes"],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "equivariance-stride-2: wrong" in done.stdout and not imported & {"torch", "rich", "PIL", "sklearn"}
