"""The endpoints of Learn: the course, an exercise and a record as JSON; bad requests in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

from studio_server import answer


def test_the_course_an_exercise_and_a_record_are_answered(tmp_path: Path) -> None:
    course = answer(tmp_path, "GET", "/api/learn/course").json()
    assert [chapter["number"] for chapter in course["chapters"]][:4] == [1, 2, 3, 4]
    asked = answer(tmp_path, "GET", "/api/learn/exercise/3a?seed=42").json()
    assert (asked["answer"], asked["seed"]) == (55, 42)
    found = answer(tmp_path, "GET", "/api/learn/record/learned-kernel?seed=1&target=sobel").json()
    assert len(found["kernels"]) == 201


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("exercise/3a", "seed is '': it must be a whole number"),
        ("exercise/3a?seed=-1", "seed is '-1'"),
        ("exercise/3a?seed=1e3", "seed is '1e3'"),
        ("exercise/3a?seed=%D9%A3", "must be a whole number"),
        (f"exercise/3a?seed={'9' * 30}", "must be a whole number"),
        ("exercise/3z?seed=1", "there is no exercise '3z'"),
        ("exercise/..%2F..%2Fetc?seed=1", "is not answered here"),
        (f"exercise/{'x' * 5000}?seed=1", "there is no exercise"),
        ("record/nothing", "there is no record 'nothing'"),
        ("record/volume?seed=9", "seed is '9': it must be one of 1, 2, 3"),
        ("record/volume?" + "&".join(f"a{number}=1" for number in range(20)), "20 settings are too many"),
    ],
)
def test_a_request_that_can_not_be_is_refused_in_one_line(tmp_path: Path, path: str, said: str) -> None:
    refused = answer(tmp_path, "GET", f"/api/learn/{path}")
    assert refused.status_code in (400, 404) and said in refused.json()["error"], refused.json()
    assert "\n" not in refused.json()["error"] and len(refused.json()["error"]) < 300
