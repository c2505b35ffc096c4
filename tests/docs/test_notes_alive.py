"""docs/notes-alive.md: what each row names, a command or a link of the course, shows the values of the row."""

from __future__ import annotations

import re
from contextlib import chdir
from functools import cache
from pathlib import Path

import pytest

import pages
from convscope.course.course import chapter_record, chapters
from convscope.exercises.exercise import exercise

PAGE = pages.ROOT / "docs" / "notes-alive.md"
FACTS = pages.facts(PAGE)
PARTS = list(dict.fromkeys(fact.heading for fact in FACTS))
TRAIN = ("convscope ablate", "convscope train")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the page's examples, with the networks that its blocks write."""
    made = tmp_path_factory.mktemp("alive")
    assert not list(pages.failures(PAGE, made, long=False))
    return made


@cache
def _printed(command: str) -> str:
    code, out, err = pages.run_command(command)
    return f"{out} {err} exit code {code}"


@cache
def _linked(link: str) -> str:
    """Return what a link of the course shows: a step with the words in its widget, or how an exercise is solved."""
    place, _, settings = link.removeprefix("#/learn/").partition("?")
    name, _, number = settings.partition("=")
    if name == "seed":
        assert place in {asked for chapter in chapters() for asked in (*chapter.exercises, *chapter.slips)}, link
        asked = exercise(place, seed=int(number))
        return " ".join([asked.options.get(str(asked.answer), ""), *asked.steps])
    record = chapter_record(chapters()[int(place) - 1])
    step = record["steps"][int(number) - 1]
    return " ".join([step["title"], *step["text"], *record["widget"]["texts"].values()])


def _stated_in_python() -> str:
    blocks = (block.text for block in pages.blocks(PAGE) if block.language == "python")
    return " ".join(re.findall(r"  # (.*)", "\n".join(blocks)))


def _shown(by: str) -> str:
    if by.startswith("convscope "):
        return _printed(by)
    return _linked(by) if by.startswith("#/learn/") else _stated_in_python()


def _states(text: str, value: str) -> bool:
    """Return whether a text has a value: not as a part of a longer number or word."""
    return bool(re.search(rf"(?<![\w.,−-]){re.escape(value)}(?!\w|[.,]\d)", " ".join(text.split())))


def _trains(fact: pages.Fact) -> bool:
    """Return whether a row's command trains, or reads the run of one that does."""
    return any(by.startswith(TRAIN) or " runs/" in by for by in fact.shown_by)


def _wrong(facts: list[pages.Fact], folder: Path) -> list[str]:
    found = []
    with chdir(folder):
        for fact in facts:
            for by in fact.shown_by:
                text = _shown(by)
                lacking = [value for value in fact.values if not _states(text, value)]
                # A value that any other number would do for as well states nothing.
                vague = [value for value in fact.values if (other := _other(value)) and _states(text, other)]
                code = "exit code 2" if "exit code 2" in fact.values else "exit code 0"
                fails = by.startswith("convscope ") and not text.endswith(code)
                if lacking or vague or fails:
                    found.append(f"row {fact.number}: {by}: lacks {lacking}, vague {vague}:\n{text[:2000]}")
    return found


def _other(value: str) -> str:
    """Return a value with its last digit changed; empty without one."""
    return re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 1) % 10), value) if re.search(r"\d", value) else ""


@pytest.mark.parametrize("part", PARTS)
def test_what_a_row_names_shows_its_values(part: str, folder: Path) -> None:
    wrong = _wrong([fact for fact in FACTS if fact.heading == part and not _trains(fact)], folder)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.long
def test_what_a_row_trains_shows_its_values(folder: Path) -> None:
    wrong = _wrong([fact for fact in FACTS if _trains(fact)], folder)
    assert not wrong, "\n\n".join(wrong)


def test_the_rows_are_numbered_and_each_names_what_shows_it() -> None:
    assert [fact.number for fact in FACTS] == list(range(1, len(FACTS) + 1))
    assert not [fact.number for fact in FACTS if not fact.shown_by or not all(fact.values)]
    rows = re.findall(r"^\| \d+ \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(FACTS), "a row is not of four columns"


def test_a_value_is_a_whole_number_or_word() -> None:
    assert _states("parameters  1,792 = 64·3·3·3", "1,792") and _states("(sum −5)", "−5")
    assert not any(_states("parameters 1,792 of 12.5", value) for value in ("792", "1,79", "1", "12", "5", "param"))
    assert _other("3.57 %") == "3.58 %" and _other("0 30 30 9") == "0 30 30 0" and _other("exact") == ""
