"""The static course: one file that holds every answer of Learn, asks no server, and is the same bytes each time."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from convscope.course.course import chapters, course_record
from convscope.course.exercise_record import exercise_record
from convscope.course.record import WidgetRecord, make_record, records
from convscope.studio.exporting import static_course as module
from convscope.studio.exporting.page_parts import course_parts
from convscope.studio.exporting.static_course import DRAWS, LIMIT, static_course

DRAWN = 2
TRAINED = ("learned-kernel", "training-steps")
EXERCISES = [name for chapter in chapters() for name in (*chapter.exercises, *chapter.slips)]
WITHOUT = """
import sys
import convscope.cli.studio
import convscope.studio.exporting.static_course
from convscope.studio.exporting.page_parts import course_parts
course_parts()
assert not {"torch", "starlette", "uvicorn"} & set(sys.modules)
"""


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, WidgetRecord]:
    """The records that the file holds: all but those that train."""
    found = {name: record for name, record in records().items() if name not in TRAINED}
    assert len(found) == len(records()) - len(TRAINED)
    monkeypatch.setattr(module, "records", lambda: found)
    return found


def _answers_of(page: str) -> dict[str, Any]:
    """Return all answers of a file by their keys, as JSON, and the details of the index."""
    about = json.loads(_inside(page, "offline-page"))
    packed = base64.b64decode(_inside(page, "offline-answers"))
    blocks, start = [], 0
    for length in about["blocks"]:
        blocks.append(gzip.decompress(packed[start : start + length]))
        start += length
    index = json.loads(blocks[-1])
    places = index.pop("answers")
    found = {key: json.loads(blocks[block][at : at + size]) for key, (_, block, at, size) in places.items()}
    return {**found, "details": index}


def _inside(page: str, name: str) -> str:
    found = re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', page)
    assert found is not None
    return found[1]


def _json(value: object) -> Any:
    return json.loads(json.dumps(value))


def _holds_all(page: str, held: Mapping[str, WidgetRecord]) -> None:
    answers = _answers_of(page)
    assert answers['["course"]'] == _json({**course_record(), "seeds": DRAWN})
    expected = {'["course"]', "details"}
    for name, record in held.items():
        assert list(answers["details"]["settings"][name]) == list(record.choices)
        combinations = list(record.combinations())
        keys = [json.dumps(["record", name, *each.values()], separators=(",", ":")) for each in combinations]
        assert answers[keys[-1]] == _json(make_record(name, combinations[-1]))
        expected |= set(keys)
    for name in EXERCISES:
        keys = [f'["exercise","{name}",{seed}]' for seed in range(DRAWN)]
        assert answers[keys[-1]] == _json(exercise_record(name, DRAWN - 1))
        expected |= set(keys)
    assert set(answers) == expected


def test_the_file_holds_every_answer_and_is_the_same_each_time(held: Mapping[str, WidgetRecord]) -> None:
    page = static_course(draws=DRAWN)
    assert static_course(draws=DRAWN) == page
    _holds_all(page.decode(), held)


@pytest.mark.long
def test_the_records_that_train_are_held_and_the_same_each_time() -> None:
    page = static_course(draws=DRAWN)
    assert static_course(draws=DRAWN) == page
    _holds_all(page.decode(), records())


def test_the_file_names_no_address_and_holds_one_room() -> None:
    page = course_parts().as_one_file(title="", about={}, answers=b"")
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy is not None and "default-src 'none'" in policy[1] and "connect-src 'none'" in policy[1]
    modules = course_parts().modules
    widgets = {f"convscope/learn/{chapter.widget}_widget" for chapter in chapters()}
    assert widgets < set(modules)
    assert not {"convscope/app", "convscope/explore", "convscope/train", "uplot"} & set(modules)
    assert "EventSource" not in "".join(modules.values()) and "fetch(" not in "".join(modules.values())


def test_the_course_is_written_without_torch_and_without_a_server() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT], check=True)


@pytest.mark.long
def test_the_whole_file_is_below_its_limit() -> None:
    assert DRAWS >= 20
    assert len(static_course()) < LIMIT
