"""README.md and docs/*.md as printed: every block of code runs, in order, and prints what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

import pages
from convscope.cli.main import COMMANDS, LazyGroup, cli

WITH_CODE = [page for page in pages.PAGES if any(block.language in pages.RUN for block in pages.blocks(page))]


def _with(note: str) -> list[Path]:
    return [page for page in WITH_CODE if any(note in block.notes for block in pages.blocks(page))]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    problems = list(pages.failures(page, tmp_path, long=False))
    assert not problems, "\n".join(problems)


@pytest.mark.long
@pytest.mark.parametrize("page", _with("long"), ids=lambda page: page.name)
def test_the_long_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    problems = list(pages.failures(page, tmp_path, long=True))
    assert not problems, "\n".join(problems)


def test_a_block_has_a_language_and_one_that_is_not_run_a_reason() -> None:
    wrong, not_run = [], []
    for block in (block for page in pages.PAGES for block in pages.blocks(page)):
        if block.language not in (*pages.RUN, "text"):
            wrong.append(f"{block.place}: write ```text, ```console, ```bash or ```python")
        not_run += [
            f"{block.place}: {note}: {reason}" for note, reason in block.notes.items() if note != "figures vary"
        ]
        wrong += [f"{block.place}: {note} without a reason" for note, reason in block.notes.items() if len(reason) < 8]
    print("\n".join(not_run))  # pytest -rP lists them
    assert not wrong, "\n".join(wrong)
    fences = sum(len(re.findall(r"^\s*```", page.read_text(encoding="utf-8"), re.MULTILINE)) for page in pages.PAGES)
    assert fences == 2 * sum(len(pages.blocks(page)) for page in pages.PAGES), "a fence is indented or not closed"


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    """Of the blocks that are not run, too."""
    assert isinstance(cli, LazyGroup)
    for block in pages.blocks(page):
        for line, _ in pages.commands(block) if block.language in ("console", "bash") else ():
            program, name, *words = [*shlex.split(line, comments=True), ""]
            if program != "convscope":
                continue
            command = cli.get_command(click.Context(cli), name)
            assert command is not None, f"{block.place} names {name!r}, which is no command"
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            used = {word.split("=")[0] for word in words if re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word)}
            assert used <= known | {"--help"}, f"{block.place}: {name} has no {used - known}"


def test_every_option_is_named_on_a_page() -> None:
    assert isinstance(cli, LazyGroup)
    named = set(re.findall(r"--[a-z][\w-]*", " ".join(page.read_text(encoding="utf-8") for page in pages.PAGES)))
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        options = [{*one.opts, *one.secondary_opts} for one in command.params if isinstance(one, click.Option)]
        unnamed = [sorted(each) for each in options if not each & named]
        assert not unnamed, f"no page names these options of {name}: {unnamed}"


def test_a_shown_output_stands_for_what_is_printed() -> None:
    printed = "net on 3×8×8\n\nlayer   12 MACs\nloss    0.25\ntook 3.1 s\n"
    for shown in (
        "",
        "net on 3×8×8\n\nlayer  12 MACs\nloss   0.25\ntook 95 ms\n",
        "net on 3×8×8\n...\ntook 2 s",
        "...\nloss  0.25\n...",
    ):
        assert pages.absent(shown, printed) is None
    assert pages.absent("net on 3×8×8\nlayer  12 MACs", printed) == "layer  12 MACs"
    assert pages.absent("net on 3×8×8\n...\nlayer   13 MACs\n...", printed) == "layer   13 MACs"
    assert pages.absent("net on 3×8×8", printed) == "(no more lines)"
    assert pages.absent("...\nloss    0.31\n...", printed, figures_vary=True) is None
    assert pages.absent("...\nloss    low\n...", printed, figures_vary=True) == "loss    low"
